"""Backpressure on clients while what they send has nowhere to go yet.

mitmproxy reads on while a hook is awaited, a target is dialled or an answer is due, and queues it
all: measured, 500 MB for one upload whose target's name took two seconds to look up, and 800 MB of
octets pipelined behind one slow answer. A client that is held is read from up to `ALLOWED` octets,
which is enough to see it leave, and no further: it fills its own buffers instead of our memory.

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

    def hold(self) -> None:
        if not self._holds:
            self._left = ALLOWED
        self._holds += 1

    def release(self) -> None:
        self._holds -= 1
        if not self._holds:
            self._free.set()


_readers: dict[str, HeldReader] = {}  # by client id


def attach(handler: Any, client_id: str) -> None:
    """Take over the reading of a connection of mitmproxy's that has not begun to be read."""
    if handler is None:
        return
    transport = handler.transports[handler.client]
    transport.reader = _readers[client_id] = HeldReader(transport.reader)


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
