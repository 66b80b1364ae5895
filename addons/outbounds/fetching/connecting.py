"""How a fetch connects: to addresses that were vetted, and telling from which port of ours."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from .pinned import Pinned

Pair = tuple[str, int]
Connected = Callable[[Pair, Pair], None]
"""Called with our address and port, and the target's, once a connection can be used."""


def one_connection(addresses: Sequence[str], connected: Connected, *,
                   trust: ssl.SSLContext | None = None, source: str = "", **more: Any
                   ) -> aiohttp.ClientSession:
    """A session for one request, which dials one of `addresses` from our address `source` ("": any)
    and verifies by `trust` (None: the system's authorities). `more` goes to the session."""
    sockets: list[socket.socket] = []

    def make(info: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(info[0], info[1], info[2])
        made.setblocking(False)
        sockets.append(made)
        return made

    async def made(*_: object) -> None:
        for each in sockets:  # several where a first address did not answer at once
            try:
                egress, dialled = each.getsockname(), each.getpeername()
            except OSError:
                continue  # given up
            connected((egress[0], egress[1]), (dialled[0], dialled[1]))
        sockets.clear()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(made)
    connector = aiohttp.TCPConnector(
        resolver=Pinned(addresses), ssl=trust or True, use_dns_cache=False, force_close=True,
        local_addr=(source, 0) if source else None, socket_factory=make)
    return aiohttp.ClientSession(
        connector=connector, auto_decompress=False, trust_env=False,
        trace_configs=[trace, *more.pop("trace_configs", ())], **more)
