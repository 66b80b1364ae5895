"""A part: the entries of one list on disk, canonical, ready to be compiled and compiled again.

Entries that differ only in value and line stand together in blocks of some thousand, each a length
and a MessagePack array, so that neither writing nor reading holds more than a few blocks, and ten
million names are read at the speed of C. Within one kind, effect, labels and scope the order is
that of the list. The octets depend on the entries alone.

The last block says how many entries there are, and has the digest of everything before it: a part
that was cut off or damaged is not used.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ...core.list_entry import Effect, Entry, Kind, Scope, Value
from ...core.url_prefix import UrlPrefix
from .origins import Common

_MAGIC = f"outbounds list part 2 {sys.byteorder}\n".encode()
_MANY = 32_768  # entries of a block
_LENGTH = struct.Struct("<I")  # before each block, in octets


class Block(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """`lines` is an array of 32-bit numbers; `values` has a value for each (`_packed`)."""

    common: Common
    lines: bytes
    values: msgspec.Raw


class _End(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """`sha256` is the hex digest of all octets before this block, and of `kinds`."""

    kinds: dict[Kind, int]
    sha256: str


class Url(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """`host` as `Host.text`, `path` canonical; scheme "" and port 0 mean any."""

    scheme: str
    port: int
    host: str
    path: bytes


class BadPart(ValueError):
    """Not a whole part. The message names the file."""


def _packed(kind: Kind, values: list[Any]) -> list[Any]:
    match kind:
        case Kind.DOMAIN | Kind.HOST | Kind.BELOW:
            return [name.encode() for name in values]  # what is hashed, ten million at a time
        case Kind.NETWORK:
            return [network.network_address.packed + bytes((network.prefixlen,))
                    for network in values]
        case Kind.URL:
            return [_url(value) for value in values]
        case Kind.PATTERN:
            return [text.encode("utf-8", "surrogateescape") for text in values]
        case _:
            return values


def _url(value: UrlPrefix) -> Url:
    return Url(value.scheme, value.port, value.host.text, value.path)


_TYPES: dict[Kind, Any] = {
    Kind.DOMAIN: list[bytes], Kind.HOST: list[bytes], Kind.BELOW: list[bytes],
    Kind.NETWORK: list[bytes], Kind.PORT: list[int], Kind.SCHEME: list[str],
    Kind.URL: list[Url], Kind.PATTERN: list[bytes]}
_DECODERS = {kind: msgspec.msgpack.Decoder(what) for kind, what in _TYPES.items()}
_BLOCKS = msgspec.msgpack.Decoder(Block)
_ENDS = msgspec.msgpack.Decoder(_End)


@dataclass(slots=True)
class _Pending:
    """Entries with something in common that have not been written yet."""

    common: Common
    values: list[Value] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("I"))


def write_part(path: Path, entries: Iterable[Entry]) -> int:
    """Write one list, and return how many entries it has, repeated ones included.

    `path` is replaced when all is written, and left alone when `entries` raises. Holds at most
    one block for each combination of kind, effect, labels and scope.
    """
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            count = _write(file, entries)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    return count


class _Writer:
    """Puts blocks into a file and hashes what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self._write(_MAGIC)

    def put(self, block: msgspec.Struct) -> None:
        octets = msgspec.msgpack.encode(block)
        self._write(_LENGTH.pack(len(octets)))
        self._write(octets)

    def end(self, kinds: dict[Kind, int]) -> None:
        self._sha.update(msgspec.msgpack.encode(kinds))
        self.put(_End(kinds, self._sha.hexdigest()))

    def _write(self, octets: bytes) -> None:
        self._sha.update(octets)
        self._file.write(octets)


def _write(file: BinaryIO, entries: Iterable[Entry]) -> int:
    writer = _Writer(file)
    pending: dict[tuple[Kind, Effect, tuple[str, ...], Scope], _Pending] = {}
    kinds: Counter[Kind] = Counter()
    last: tuple[object, ...] = ()
    current: _Pending | None = None
    for kind, value, line, effect, labels, scope in entries:
        # nearly always the same objects as before: comparing them spares four hashes
        if current is None or not (kind is last[0] and effect is last[1]
                                   and labels is last[2] and scope is last[3]):
            last = key = (kind, effect, labels, scope)
            current = pending.get(key)
            if current is None:
                current = pending[key] = _Pending(Common.of(*key))
        current.values.append(value)
        current.lines.append(line)
        if len(current.values) >= _MANY:
            kinds[kind] += _flush(writer, current)
    for each in pending.values():
        kinds[each.common.kind] += _flush(writer, each)
    writer.end({kind: kinds[kind] for kind in Kind if kinds[kind]})
    return kinds.total()


def _flush(writer: _Writer, pending: _Pending) -> int:
    count = len(pending.values)
    if count:
        values = msgspec.msgpack.encode(_packed(pending.common.kind, pending.values))
        writer.put(Block(pending.common, pending.lines.tobytes(), msgspec.Raw(values)))
        pending.values = []
        pending.lines = array("I")
    return count


class Part:
    """Reads a part that is whole. `kinds` counts its entries by kind, repeated ones included;
    `sha256` is the hex digest of its content.

    Raises BadPart when made, if a single octet is not what was written; OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        sha = hashlib.sha256(_MAGIC)
        end = b""
        for octets in self._blocks():
            if end:
                sha.update(_LENGTH.pack(len(end)))
                sha.update(end)
            end = octets
        try:
            last = _ENDS.decode(end)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadPart(f"{path}: it is cut off; its end is missing") from None
        self.kinds, self.sha256 = last.kinds, last.sha256
        sha.update(msgspec.msgpack.encode(self.kinds))
        if sha.hexdigest() != self.sha256:
            raise BadPart(f"{path}: its SHA-256 is not the one at its end, so it is damaged")

    def read(self, *wanted: Kind) -> Iterator[tuple[Common, array[int], list[Any]]]:
        """What entries have in common, their lines and their values, block by block."""
        if not any(kind in self.kinds for kind in wanted):
            return
        blocks = self._blocks()
        octets = next(blocks)
        for following in blocks:  # so that the last, which is no block of entries, is left out
            block, octets = _BLOCKS.decode(octets), following
            if block.common.kind in wanted:
                lines = array("I")
                lines.frombytes(block.lines)
                yield block.common, lines, _DECODERS[block.common.kind].decode(block.values)

    def _blocks(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise BadPart(f"{self._path}: not a part of this version, or of another machine")
            total = os.fstat(file.fileno()).st_size
            while (at := file.tell()) < total:
                length = int.from_bytes(file.read(_LENGTH.size), "little")
                if at + _LENGTH.size + length > total:
                    raise BadPart(f"{self._path}: it is cut off after {at} octets")
                yield file.read(length)
