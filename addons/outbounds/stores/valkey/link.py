"""One connection to the server: commands out, one write for each tick of the loop; replies in.

A reply is handed on from `data_received` itself. The event loop looks at sockets before timers, so
a reply that lies there when the loop has stood still for a while is seen before the deadline of
whoever waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

type OnReply = Callable[[Any], None]


def packed(command: tuple[bytes | str | int, ...]) -> bytes:
    # its stubs know tuples of one only
    return bytes(hiredis.pack_command(command))  # type: ignore[arg-type]


class LinkLost(ConnectionError):
    """The connection broke, was closed, or speaks something else."""


class Link(asyncio.Protocol):
    """`on_lost(why)` is called once, whoever ends the connection."""

    def __init__(self, on_lost: Callable[[Link, str], None]) -> None:
        self._on_lost = on_lost
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, OnReply]] = deque()
        self._why = ""
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """Replies that are still to come."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Loop time at which the reply that is due next was asked for."""
        return self._waiting[0][0] if self._waiting else self._loop.time()

    def send(self, commands: bytes, on_replies: list[OnReply]) -> None:
        """Write packed commands, as many as `on_replies`."""
        now = self._loop.time()
        self._waiting += [(now, each) for each in on_replies]
        assert self._transport is not None
        self._transport.write(commands)

    async def ask(self, *command: bytes | str | int) -> Any:
        """One command; its reply. Raises LinkLost, hiredis.ReplyError."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def answered(reply: Any) -> None:
            if not future.done():
                future.set_result(reply)

        if self._why:
            raise LinkLost(self._why)
        self.send(packed(command), [answered])
        reply = await future
        if isinstance(reply, Exception):
            raise reply
        return reply

    def end(self, why: str) -> None:
        """Drop the connection at once, with whatever is under way on it. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        self._lost(why)

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False and not self._why:
                if not self._waiting:
                    return self.end("it answers what nobody asked")
                self._waiting.popleft()[1](reply)
        except hiredis.ProtocolError:
            self.end("what answers there is neither Valkey nor Redis")
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(str(exc) if exc else "it closed the connection")

    def _lost(self, why: str) -> None:
        if self._why:
            return
        self._why = why
        waiting, self._waiting = self._waiting, deque()
        for _, on_reply in waiting:
            on_reply(LinkLost(why))
        self._on_lost(self, why)
