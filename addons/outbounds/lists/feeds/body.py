"""A list on its way from the wire to a file: within bounds, and whole.

The bound is on what comes over the wire and on what it unpacks to, so neither an endless reply nor
a small one that unpacks to a terabyte fills the disk. Only the content coding is undone here; a
list that is published as an archive stays one, and is the reader's to unpack.

A body that ends early is an error: half a list would let through what the other half denies. With
a Content-Length or in chunks the end is known (RFC 9112 section 6.3; aiohttp raises), with gzip as
well. A reply that ends with its connection and has neither cannot be told from a cut one; that a
list must not shrink by much is what stands against it.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import BinaryIO

ACCEPT_ENCODING = "gzip, identity;q=0.5"
_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1 << 20  # octets inflated at a time
_HEAD = 512
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<title")


class UnusableBody(ValueError):
    """The message completes "the feed was not taken: …"."""


class Body:
    """Writes one body to `file`. `received` counts octets on the wire, `octets` those written."""

    def __init__(self, file: BinaryIO, content_encoding: str, max_octets: int) -> None:
        """Raises UnusableBody for a content coding that was not asked for."""
        coding = content_encoding.strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip"):
            raise UnusableBody(f"its content coding {coding[:40]!r} was not asked for")
        self._file = file
        self._max = max_octets
        self._inflate = zlib.decompressobj(_GZIP) if coding.endswith("gzip") else None
        self._digest = hashlib.sha256()
        self._head = b""
        self.received = self.octets = 0

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return self._digest.hexdigest()

    def feed(self, chunk: bytes) -> None:
        """Take the next octets. Raises UnusableBody, OSError."""
        self.received += len(chunk)
        if self.received > self._max:
            raise UnusableBody(f"it is larger than max_size, {self._max} bytes; raise max_size "
                               "if it may be")
        if self._inflate is None:
            self._write(chunk)
            return
        try:
            while chunk:
                if self._inflate.eof:  # gzip members may follow one another (RFC 1952 2.2)
                    self._inflate = zlib.decompressobj(_GZIP)
                self._write(self._inflate.decompress(chunk, _PIECE))
                chunk = self._inflate.unused_data or self._inflate.unconsumed_tail
        except zlib.error as error:
            raise UnusableBody(f"its gzip coding is broken: {error}") from None

    def finish(self) -> None:
        """The last octet has come. Raises UnusableBody."""
        if self._inflate is not None and self.received and not self._inflate.eof:
            raise UnusableBody("it is cut off: its gzip coding ends too early")
        if self._head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
            raise UnusableBody("it is an HTML page and not a list; open the URL in a browser to "
                               "see what it says, and correct the URL")

    def _write(self, octets: bytes) -> None:
        self.octets += len(octets)
        if self.octets > self._max:
            raise UnusableBody(f"it unpacks to more than max_size, {self._max} bytes; raise "
                               "max_size if it may")
        if len(self._head) < _HEAD:
            self._head += octets[:_HEAD - len(self._head)]
        self._digest.update(octets)
        self._file.write(octets)
