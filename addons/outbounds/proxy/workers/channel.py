"""The socket pair between the supervisor and a worker: a few messages, and an end of file.

A frame is four octets of length (big endian) and a msgspec struct as JSON. The worker says that it
is `Ready`, once; after that the supervisor asks (`Ask`) and the worker answers (`Counted`) with
what it has counted. Nothing else needs to be said: SIGTERM stops a worker, files tell it the rest.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import msgspec

from .page import Family

_LENGTH = 4
_MOST = 64 * 1024 * 1024  # octets: a page of metrics is a hundred thousand


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It listens, and has its policy in force."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    number: int


class Counted(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Ask` of the same number."""

    number: int
    families: list[Family]


Message = Ready | Ask | Counted

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Channel:
    """One end, on a running event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Takes `end` over."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Never raises: that the other is gone is told by `receive`."""
        body = msgspec.json.encode(message)
        with suppress(OSError):
            self._writer.write(len(body).to_bytes(_LENGTH) + body)

    async def receive(self) -> Message | None:
        """The next message; None when the other end is gone, or makes no sense."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH))
            if length > _MOST:
                return None
            return _decoder.decode(await self._reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
            return None

    def close(self) -> None:
        with suppress(OSError):
            self._writer.close()
