"""Reading a reply's body into bounded memory, whatever the sender makes of it.

Only the first 500 KiB are wanted (RFC 9309 section 2.5), so reading stops there. A compressed
body is inflated piece by piece with the same bound on what comes out, and another on what goes
in: a compressed stream can also be endless and empty. A stream that ends early is an error and not
a short file, because what is missing may be the rule that refuses.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from outbounds.core.robots_parse import SIZE_LIMIT

# One octet more than is used, so that the parser can tell a cut line from a last line.
ENOUGH = SIZE_LIMIT + 1

ACCEPT_ENCODING = "gzip, br, zstd"

_ZLIB_AUTO = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by the header
_ZLIB_PIECE = 4096  # each member of a gzip stream copies what is left of its piece

# zstd says nothing of how much is to come, and four octets can make 128 KiB (RFC 8878 section
# 3.1.1.2, a block of one octet repeated): so many octets at a time make a megabyte at most.
_ZSTD_PIECE = 32
_ZSTD_WINDOW = 8 << 20  # no more may be asked of a receiver over HTTP (RFC 9659)


class UnreadableBody(ValueError):
    """The body cannot be decoded to the end, or not within bounds."""


class _Inflater(Protocol):
    """One content coding, undone as a stream."""

    def inflate(self, chunk: bytes, room: int) -> bytes | bytearray:
        """What `chunk` gives. At `room` octets or a megabyte more it may stop, and the rest is
        lost."""

    @property
    def ended(self) -> bool:
        """The stream is complete as far as it has come."""


class _Zlib:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_ZLIB_AUTO)

    def inflate(self, chunk: bytes, room: int) -> bytearray:
        out = bytearray()
        for at in range(0, len(chunk), _ZLIB_PIECE):
            piece = chunk[at : at + _ZLIB_PIECE]
            while piece and len(out) < room:
                if self._stream.eof:  # gzip members may follow one another (RFC 1952 2.2)
                    self._stream = zlib.decompressobj(_ZLIB_AUTO)
                out += self._stream.decompress(piece, room - len(out))
                piece = self._stream.unused_data or self._stream.unconsumed_tail
        return out

    @property
    def ended(self) -> bool:
        return self._stream.eof


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def inflate(self, chunk: bytes, room: int) -> bytearray:
        out = bytearray(self._stream.process(chunk, output_buffer_limit=room))
        while len(out) < room and not self._stream.can_accept_more_data():
            out += self._stream.process(b"", output_buffer_limit=room - len(out))
        return out

    @property
    def ended(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstd:
    def __init__(self) -> None:
        self._new = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
        self._stream = self._new()

    def inflate(self, chunk: bytes, room: int) -> bytearray:
        out = bytearray()
        for at in range(0, len(chunk), _ZSTD_PIECE):
            piece = chunk[at : at + _ZSTD_PIECE]
            while piece and len(out) < room:
                if self._stream.eof:  # frames may follow one another (RFC 8878 section 3)
                    self._stream = self._new()
                out += self._stream.decompress(piece)
                piece = self._stream.unused_data
        return out

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)


_CODINGS: dict[str, Callable[[], _Inflater]] = {
    "gzip": _Zlib, "x-gzip": _Zlib, "deflate": _Zlib, "br": _Brotli, "zstd": _Zstd,
}
_BROKEN = (zlib.error, brotli.error, zstandard.ZstdError)


class Body:
    """Collects one body. `received` counts octets as they came over the wire."""

    def __init__(self, content_encoding: str) -> None:
        """`content_encoding` as the field says it ("" if absent). Raises UnreadableBody if it is
        none that was offered."""
        coding = content_encoding.strip().lower()
        self.received = 0
        self._kept = bytearray()
        self._inflater: _Inflater | None = None
        if coding in _CODINGS:
            self._inflater = _CODINGS[coding]()
        elif coding not in ("", "identity"):
            raise UnreadableBody(f"the content coding {coding[:40]!r} was not asked for")

    @property
    def full(self) -> bool:
        """Nothing more is wanted."""
        return len(self._kept) >= ENOUGH

    def feed(self, chunk: bytes) -> None:
        """Take the next octets. Raises UnreadableBody."""
        self.received += len(chunk)
        room = ENOUGH - len(self._kept)
        if self._inflater is None:
            self._kept += chunk[:room]
            return
        if room <= 0:
            return
        try:
            self._kept += self._inflater.inflate(chunk, room)[:room]
        except _BROKEN as error:
            raise UnreadableBody(f"its compressed body is broken: {error}") from None
        if self.received > ENOUGH and not self.full:
            raise UnreadableBody("its compressed body is larger than what it holds")

    def finish(self) -> bytes:
        """The body, at most `ENOUGH` octets. Raises UnreadableBody if it ended too early."""
        if self._inflater is not None and not self.full and self.received \
                and not self._inflater.ended:
            raise UnreadableBody("its compressed body ends too early")
        return bytes(self._kept)
