"""Tiles as files, under the names that C2SP tlog-tiles gives them.

    tile/L/N         256 hashes of level L
    tile/L/N.p/W     the first W of them, of a tile that is not full

N is written in groups of three digits, all but the last with an "x" before it: x001/x234/067.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..directory import fsync_directory
from .merkle import HASH_SIZE
from .tree import TILE_HEIGHT, TILE_OCTETS, TILE_WIDTH, subtree_root

_HELD = 1024  # tiles that a reader keeps in memory, 8 KiB each


class BadTile(Exception):
    """A tile is missing or damaged. The message names the file."""


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Where a tile is, with the hashes that it has."""
    name = f"{index % 1000:03d}"
    while index := index // 1000:
        name = f"x{index % 1000:03d}/{name}"
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{name}{partial}"


class TileStore:
    """Full tiles under `folder`. What was written is on disk once `sync` has returned; what a
    crash takes before that is made again from the records."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced: list[Path] = []
        self._folders: set[Path] = set()

    def keep(self, level: int, index: int, octets: bytes) -> None:
        """Raises OSError."""
        path = self._folder / tile_path(level, index)
        if path.parent not in self._folders:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folders.add(path.parent)
        # under another name first: whoever reads beside us must not meet half a tile
        draft = path.with_name(f".{path.name}.new")
        draft.write_bytes(octets)
        os.replace(draft, path)
        self._unsynced.append(path)

    def sync(self) -> None:
        """Raises OSError; then all of it is tried again the next time."""
        for path in self._unsynced:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        folders = {path.parent for path in self._unsynced}
        for folder in sorted(folders | {each.parent for each in folders}, reverse=True):
            fsync_directory(folder)
        self._unsynced.clear()

    def tile(self, level: int, index: int) -> bytes:
        """A full tile. Raises BadTile."""
        path = self._folder / tile_path(level, index)
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise BadTile(f"{path}: {error.strerror}") from None
        if len(octets) != TILE_OCTETS:
            raise BadTile(f"{path}: {len(octets)} octets instead of {TILE_OCTETS}")
        return octets

    def reader(self, size: int, edge: list[bytes]) -> TileReader:
        return TileReader(self, size, edge)


class TileReader:
    """`merkle.Read` over the tiles of a tree of `size` leaves, whose last ones are the `edge`.
    `fresh` are full tiles, by (level, index), that are not in the store."""

    def __init__(self, store: TileStore, size: int, edge: list[bytes],
                 fresh: Mapping[tuple[int, int], bytes] | None = None) -> None:
        self._store, self._size, self._edge = store, size, edge
        self._fresh = fresh or {}
        self._held: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Raises BadTile."""
        height, within = divmod(level, TILE_HEIGHT)
        # the first of the hashes of the tile's level, and the tile it is in
        tile, at = divmod(index << within, TILE_WIDTH)
        octets = self.hashes(height, tile)[at * HASH_SIZE:(at + (1 << within)) * HASH_SIZE]
        if len(octets) != HASH_SIZE << within:
            raise BadTile(f"the log has no subtree {index} of height {level}")
        return subtree_root(octets)

    def hashes(self, level: int, index: int) -> bytes:
        """What there is of a tile: a full one, or the tree's edge. Raises BadTile."""
        if index == self._size >> TILE_HEIGHT * (level + 1):
            return self._edge[level] if level < len(self._edge) else b""
        found = self._fresh.get((level, index)) or self._held.get((level, index))
        if found is None:
            if len(self._held) >= _HELD:
                self._held.clear()
            found = self._held[level, index] = self._store.tile(level, index)
        return found


def edge_at(read: TileReader, size: int) -> list[bytes]:
    """The edge of the tree as it was at `size` leaves: what a complete subtree's hash is does not
    depend on what came after it. Raises BadTile."""
    edge = []
    for level in range(max(1, -(-size.bit_length() // TILE_HEIGHT))):
        tile, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        hashes = read.hashes(level, tile)[:width * HASH_SIZE] if width else b""
        if len(hashes) < width * HASH_SIZE:
            raise BadTile(f"{tile_path(level, tile, width)}: the tiles do not reach so far")
        edge.append(hashes)
    return edge
