"""A part: the entries of one list on disk, canonical, ready to be compiled and compiled again.

Entries that differ only in value and line stand together in blocks of some thousand, each a length
and a MessagePack array, so that neither writing nor reading holds more than a few blocks, and ten
million names are read at the speed of C. Within one kind, effect, labels and scope the order is
that of the list. The octets depend on the entries alone.

The last block says how many entries there are: without it the part was cut off, and is not used.
"""

from __future__ import annotations

import os
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

_MAGIC = f"outbounds list part 1 {sys.byteorder}\n".encode()
_MANY = 32_768  # entries of a block
_MAX_BLOCK = 1 << 30


class Block(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """`lines` is an array of 32-bit numbers; `values` has a value for each (`_packed`)."""

    common: Common
    lines: bytes
    values: msgspec.Raw


class _End(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    kinds: dict[Kind, int]


class Url(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """`host` as `Host.text`, `path` canonical; scheme "" and port 0 mean any."""

    scheme: str
    port: int
    host: str
    path: bytes


class BadPart(ValueError):
    """Not a whole part. The message names the file."""


def backwards(name: str) -> str:
    """The key of a name: its characters in reverse and a dot, so that the key of every parent is a
    prefix of it, and that of no other name is."""
    return name[::-1] + "."


def _packed(kind: Kind, values: list[Any]) -> list[Any]:
    match kind:
        case Kind.DOMAIN | Kind.HOST | Kind.BELOW:
            return [backwards(name) for name in values]
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
    Kind.DOMAIN: list[str], Kind.HOST: list[str], Kind.BELOW: list[str], Kind.NETWORK: list[bytes],
    Kind.PORT: list[int], Kind.SCHEME: list[str], Kind.URL: list[Url], Kind.PATTERN: list[bytes]}
_DECODERS = {kind: msgspec.msgpack.Decoder(what) for kind, what in _TYPES.items()}
_BLOCKS = msgspec.msgpack.Decoder(Block)


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


def _write(file: BinaryIO, entries: Iterable[Entry]) -> int:
    file.write(_MAGIC)
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
            kinds[kind] += _flush(file, current)
    for each in pending.values():
        kinds[each.common.kind] += _flush(file, each)
    _put(file, _End({kind: kinds[kind] for kind in Kind if kinds[kind]}))
    return kinds.total()


def _flush(file: BinaryIO, pending: _Pending) -> int:
    count = len(pending.values)
    if count:
        values = msgspec.msgpack.encode(_packed(pending.common.kind, pending.values))
        _put(file, Block(pending.common, pending.lines.tobytes(), msgspec.Raw(values)))
        pending.values = []
        pending.lines = array("I")
    return count


def _put(file: BinaryIO, block: msgspec.Struct) -> None:
    octets = msgspec.msgpack.encode(block)
    file.write(len(octets).to_bytes(4, "little"))
    file.write(octets)


class Part:
    """Reads a part. `kinds` counts its entries by kind, repeated ones included.

    Raises BadPart when made, if the end of the file is not that of a part, and while it is read;
    OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kinds: dict[Kind, int] = {}
        for _ in self._blocks(skip=True):
            pass  # to the end, which tells the kinds

    def read(self, *wanted: Kind) -> Iterator[tuple[Common, array[int], list[Any]]]:
        """What entries have in common, their lines and their values, block by block."""
        if not any(kind in self.kinds for kind in wanted):
            return
        for block in self._blocks():
            if block.common.kind not in wanted:
                continue
            lines = array("I")
            try:
                lines.frombytes(block.lines)
                values = _DECODERS[block.common.kind].decode(block.values)
            except ValueError as error:
                raise BadPart(f"{self._path}: a damaged block ({error})") from None
            if len(lines) != len(values):
                raise BadPart(f"{self._path}: a block with {len(lines)} lines for {len(values)} "
                              "values")
            yield block.common, lines, values

    def _blocks(self, *, skip: bool = False) -> Iterator[Block]:
        with self._path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise BadPart(f"{self._path}: not a part of this version, or of another machine")
            total = os.fstat(file.fileno()).st_size
            while True:
                length = int.from_bytes(file.read(4), "little")
                at = file.tell()
                if not 0 < length <= _MAX_BLOCK or at + length > total:
                    raise BadPart(f"{self._path}: it is cut off after {at} octets")
                if at + length == total:
                    self.kinds = self._end(file.read(length))
                    return
                if skip:
                    file.seek(length, os.SEEK_CUR)
                    continue
                try:
                    yield _BLOCKS.decode(file.read(length))
                except msgspec.DecodeError as error:
                    raise BadPart(f"{self._path}: a damaged block ({error})") from None

    def _end(self, octets: bytes) -> dict[Kind, int]:
        try:
            return msgspec.msgpack.decode(octets, type=_End).kinds
        except msgspec.DecodeError:
            raise BadPart(f"{self._path}: it is cut off; its end is missing") from None
