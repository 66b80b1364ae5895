"""Backpressure on whoever sends, while what they send has nowhere to go yet.

mitmproxy reads on while a hook is awaited, a target is dialled or an answer is due, and queues it
all: measured, 500 MB for one upload whose target's name took two seconds to look up, and 800 MB of
octets pipelined behind one slow answer. A client that is held is read from up to `ALLOWED` octets,
which is enough to see it leave, and no further: it fills its own buffers instead of our memory.

The same holds back a side that sends faster than a limit on its octets allows (`metering`).

Holds are counted; each `hold` needs its `release`. What was held is read again in the same order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

ALLOWED = 128 * 1024


class HeldReader:
    """Stands in for the stream reader of one client connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._holds = 0
        self._left = ALLOWED
        self._free = asyncio.Event()

    def read(self, most: int) -> Awaitable[bytes]:
        return self._read_held(most) if self._holds else self._reader.read(most)

    async def _read_held(self, most: int) -> bytes:
        while self._holds and self._left <= 0:
            self._free.clear()
            await self._free.wait()
        data = await self._reader.read(most)
        self._left -= len(data)
        return data

    @property
    def held(self) -> bool:
        return self._holds > 0

    @property
    def waiting(self) -> bool:
        """Whether a read is under way that nothing but the other side can end."""
        return not self._holds and self._reader._waiter is not None  # type: ignore[attr-defined]

    def hold(self) -> None:
        if not self._holds:
            self._left = ALLOWED
        self._holds += 1

    def release(self) -> None:
        self._holds -= 1
        if not self._holds:
            self._free.set()


_readers: dict[str, HeldReader] = {}  # by connection id


def attach(handler: Any, client_id: str) -> None:
    """Take over the reading of a connection of mitmproxy's that has not begun to be read."""
    if handler is not None:
        _attach(handler.transports[handler.client], client_id)


def attach_server(handler: Any, server: Any) -> None:
    """The same for a connection to a target, as soon as it stands."""
    if handler is not None and server in handler.transports:
        _attach(handler.transports[server], server.id)


def _attach(transport: Any, connection_id: str) -> None:
    transport.reader = _readers[connection_id] = HeldReader(transport.reader)


def detach(client_id: str) -> None:
    _readers.pop(client_id, None)


def hold(client_id: str) -> None:
    """A connection that was never attached, or is gone, has nothing to hold."""
    reader = _readers.get(client_id)
    if reader is not None:
        reader.hold()


def release(client_id: str) -> None:
    reader = _readers.get(client_id)
    if reader is not None:
        reader.release()


def held(connection_id: str) -> bool:
    reader = _readers.get(connection_id)
    return reader is not None and reader.held


def waiting(connection_id: str) -> bool:
    """Whether it is for the other side of a connection to send something."""
    reader = _readers.get(connection_id)
    return reader is not None and reader.waiting
