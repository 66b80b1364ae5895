"""The orderly end: nobody new is let in, and what is under way may finish, within a bound.

Under way is what would be lost: a request that is being judged or held back, an answer that is
being passed on or has not yet left our buffers, a tunnel through which something moves. Idle
connections are closed at once, as clients of HTTP must expect at any time (RFC 9112 section 9.5);
tunnels that only stand open are not waited for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from .clients import ClientConnection, Clients
from .sever import sever

logger = logging.getLogger("outbounds")

BOUND = 10.0  # s
LOOK = 0.05   # s between two looks
CALM = 1.0    # s without an octet, after which a tunnel is not waited for

# how mitmproxy names the tasks of hooks that wait, which is the one sign of a request that is being
# judged; more words may follow
_JUDGING = frozenset(f"handle_hook({name})" for name in (
    "requestheaders", "http_connect", "socks5_auth", "outbounds_socks", "next_layer",
    "outbounds_tunnel"))


class Drain:
    """`proxyserver` is mitmproxy's addon of that name."""

    def __init__(self, proxyserver: Any, clients: Clients) -> None:
        self._proxyserver = proxyserver
        self._clients = clients
        self._moved: dict[str, tuple[int, float]] = {}  # octets of a tunnel, and since when

    async def run(self) -> None:
        """Returns when nothing is under way any more, or the bound is reached."""
        loop = asyncio.get_running_loop()
        await self._proxyserver.servers.update([])  # closes the listeners, and no connection
        deadline = loop.time() + BOUND
        calm = False
        while loop.time() < deadline:
            # twice in a row: what a client had sent when the listeners closed is read in between
            before, calm = calm, not self._look(loop.time())
            if before and calm:
                return
            await asyncio.sleep(LOOK)
        logger.warning("Not everything that was under way ended within %g s; ending it.", BOUND)

    def _look(self, now: float) -> bool:
        """Whether anything is under way; connections on which nothing is are closed."""
        judging = {getattr(task, "client", None) for task in asyncio.all_tasks()
                   if task.get_name().partition(" ")[0] in _JUDGING}
        busy = False
        for client in self._clients:
            handler = self._proxyserver.connections.get(client.id)
            if handler is None:
                continue
            if (handler.client.peername in judging or client.exchanges or _unsent(handler)
                    or self._moves(client, now)):
                busy = True
            elif client.tunnel is None:
                sever(self._proxyserver.connections, client.id)
        return busy

    def _moves(self, client: ClientConnection, now: float) -> bool:
        if client.tunnel is None:
            return False
        octets = client.tunnel.count.up + client.tunnel.count.down
        seen, since = self._moved.get(client.id, (-1, now))
        if octets != seen:
            since = now
        self._moved[client.id] = octets, since
        return now - since < CALM


def _unsent(handler: Any) -> bool:
    """Whether something is still on its way from our buffers to the client."""
    transport = handler.transports.get(handler.client)
    writer = transport.writer if transport is not None else None
    return writer is not None and not writer.is_closing() \
        and writer.transport.get_write_buffer_size() > 0
