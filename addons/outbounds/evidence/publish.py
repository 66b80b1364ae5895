"""The log as files that a web server can offer to others' monitors (C2SP tlog-tiles).

    DIR/checkpoint                  the newest, as it was signed; written last
    DIR/tile/L/N, tile/L/N.p/W      hashes
    DIR/tile/entries/N[.p/W]        the envelopes, each with its length before it (u16, big endian);
                                    only if they are asked for

Hashes tell nobody anything of a record but that it is there. Envelopes name accounts and addresses:
whoever publishes them must be allowed to. A bundle with an envelope that was erased, or is not on
this machine, cannot be made; it is left out, and one that was published before is removed.

What is full never changes and is written once. Partial tiles stay until the full one is there, for
those who still hold an older checkpoint.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .archive.layout import all_segments
from .archive.reading import Stored, first_position, read_segment
from .archive.seal import load_seal
from .line import is_erased
from .tlog.log_tree import LogTree
from .tlog.merkle import HASH_SIZE
from .tlog.tiles import tile_path
from .tlog.tree import TILE_HEIGHT, TILE_WIDTH

_LENGTH = struct.Struct(">H")
MOST_OCTETS = 0xFFFF


@dataclass(slots=True)
class Published:
    """How many files were written, and how many bundles could not be."""

    size: int = 0
    written: int = 0
    left_out: int = 0


def publish(directory: Path, into: Path, entries: bool = False) -> Published:
    """Bring `into` to the newest checkpoint of the log under `directory`. Raises as `LogTree.open`,
    OSError."""
    tree = LogTree.open(directory)
    done = Published(tree.size)
    for level in range(max(1, -(-tree.size.bit_length() // TILE_HEIGHT))):
        complete = tree.size >> TILE_HEIGHT * level
        for index in range(complete // TILE_WIDTH):
            path = into / tile_path(level, index)
            if not path.exists():
                _write(path, tree.hashes(level, index), done)
            _drop_partial(path)
        if width := complete % TILE_WIDTH:
            index = complete // TILE_WIDTH
            _write(into / tile_path(level, index, width),
                   tree.hashes(level, index)[:width * HASH_SIZE], done)
    if entries:
        _entries(directory, into, tree.size, done)
    # last: whoever reads it must find the tiles that it needs
    _write(into / "checkpoint", tree.note.encode(), done)
    return done


def _entries(directory: Path, into: Path, size: int, done: Published) -> None:
    wanted = _Wanted(directory, into, size)
    octets: bytes | None = b""  # of the bundle so far; None once an entry cannot be had
    for stored in wanted.stored():
        at, envelope = stored.position, stored.envelope
        if at % TILE_WIDTH == 0:
            octets = b""
        if octets is not None:
            octets = (None if is_erased(envelope) or len(envelope) > MOST_OCTETS else
                      octets + _LENGTH.pack(len(envelope)) + envelope)
        at += 1
        if (at % TILE_WIDTH == 0 or at == size) and (at - 1) // TILE_WIDTH in wanted.bundles:
            _bundle(into, (at - 1) // TILE_WIDTH, at % TILE_WIDTH or TILE_WIDTH, octets, done)


class _Wanted:
    """The bundles that are still to be made or looked at again, and the records in them."""

    def __init__(self, directory: Path, into: Path, size: int) -> None:
        self._size = size
        segments = all_segments(directory)
        firsts = [first_position(each) for each in segments]
        self._segments = [(segment, first, range(first // TILE_WIDTH, -(-end // TILE_WIDTH)))
                          for segment, first, end
                          in zip(segments, firsts, [*firsts[1:], size], strict=True)]
        self.bundles: set[int] = set()
        for segment, _, bundles in self._segments:
            again = not segment.sealed or load_seal(segment.seal).erased
            self.bundles.update(each for each in bundles
                                if again or not (into / entries_path(each)).exists())

    def stored(self) -> Iterator[Stored]:
        for segment, first, bundles in self._segments:
            if not self.bundles.isdisjoint(bundles):
                for stored in read_segment(segment, first):
                    if stored.position >= self._size:
                        return
                    yield stored


def _bundle(into: Path, index: int, width: int, octets: bytes | None, done: Published) -> None:
    path = into / entries_path(index)
    if octets is None:
        done.left_out += 1
        path.unlink(missing_ok=True)
        _drop_partial(path)
        return
    _write(into / entries_path(index, width), octets, done)
    if width == TILE_WIDTH:
        _drop_partial(path)


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Where a bundle is, with the entries that it has."""
    return tile_path(0, index, width).replace("tile/0/", "tile/entries/", 1)


def _drop_partial(path: Path) -> None:
    partial = path.with_name(f"{path.name}.p")
    if partial.is_dir():
        shutil.rmtree(partial)


def _write(path: Path, octets: bytes, done: Published) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(octets)
    os.chmod(draft, 0o644)  # a web server reads it
    os.replace(draft, path)
    done.written += 1
