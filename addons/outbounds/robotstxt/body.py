"""Reading a reply's body into bounded memory, whatever the sender makes of it.

Only the first 500 KiB are wanted (RFC 9309 section 2.5), so reading stops there. A compressed
body is inflated piece by piece with the same bound on what comes out, and another on what goes
in: a gzip stream can also be endless and empty. A stream that ends early is an error and not a
short file, because what is missing may be the rule that refuses.
"""

from __future__ import annotations

import zlib

from outbounds.core.robots_parse import SIZE_LIMIT

# One octet more than is used, so that the parser can tell a cut line from a last line.
ENOUGH = SIZE_LIMIT + 1

_AUTO = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by the header

ACCEPT_ENCODING = "gzip"
_INFLATED = frozenset({"gzip", "x-gzip", "deflate"})


class UnreadableBody(ValueError):
    """The body cannot be decoded to the end, or not within bounds."""


class Body:
    """Collects one body. `received` counts octets as they came over the wire."""

    def __init__(self, content_encoding: str) -> None:
        """`content_encoding` as the field says it ("" if absent). Raises UnreadableBody if it is
        none that was offered."""
        coding = content_encoding.strip().lower()
        self.received = 0
        self._kept = bytearray()
        self._inflate: zlib._Decompress | None = None
        if coding in _INFLATED:
            self._inflate = zlib.decompressobj(_AUTO)
        elif coding not in ("", "identity"):
            raise UnreadableBody(f"the content coding {coding[:40]!r} was not asked for")

    @property
    def full(self) -> bool:
        """Nothing more is wanted."""
        return len(self._kept) >= ENOUGH

    def feed(self, chunk: bytes) -> None:
        """Take the next octets. Raises UnreadableBody."""
        self.received += len(chunk)
        if self._inflate is None:
            self._kept += chunk[: ENOUGH - len(self._kept)]
            return
        try:
            while chunk and not self.full:
                if self._inflate.eof:  # gzip members may follow one another (RFC 1952 2.2)
                    self._inflate = zlib.decompressobj(_AUTO)
                self._kept += self._inflate.decompress(chunk, ENOUGH - len(self._kept))
                chunk = self._inflate.unused_data or self._inflate.unconsumed_tail
        except zlib.error as error:
            raise UnreadableBody(f"its compressed body is broken: {error}") from None
        if self.received > ENOUGH and not self.full:
            raise UnreadableBody("its compressed body is larger than what it holds")

    def finish(self) -> bytes:
        """The body, at most `ENOUGH` octets. Raises UnreadableBody if it ended too early."""
        if self._inflate is not None and not self.full and self.received and not self._inflate.eof:
            raise UnreadableBody("its compressed body ends too early")
        return bytes(self._kept)
