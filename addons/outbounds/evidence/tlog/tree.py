"""A tree that grows: its right edge in memory, everything that is complete handed on.

A tile is 256 hashes of one height, which is a multiple of 8 (C2SP tlog-tiles): tile n of level L
has the roots over the leaves from n * 256**(L+1) on, 256**L of them each. A full tile never changes
again. What is not full yet is the edge, at most 255 hashes for each level; with it the tree goes on
after a restart, and nothing that is complete has to be read for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .merkle import EMPTY_ROOT, HASH_SIZE, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_OCTETS = TILE_WIDTH * HASH_SIZE

type KeepTile = Callable[[int, int, bytes], None]
"""Called with (level, index, octets) of each tile that has become full."""


class Tree:
    """`edge` is what `edge` once returned, of a tree of `size` leaves. Raises ValueError where the
    two do not belong together."""

    def __init__(self, keep: KeepTile, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        self._keep = keep
        self.size = 0
        self._tiles: list[bytearray] = []
        # the roots of the complete subtrees that the tree consists of, the largest first
        self._peaks: list[tuple[int, bytes]] = []
        if size or edge:
            self._resume(size, edge)

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf. Raises what keeping a tile raises; the tree is as it was then."""
        height, found, peaks = 0, leaf, self._peaks
        depth, full = len(peaks), self._full(0, leaf)
        added = [(0, found)]
        while depth and peaks[depth - 1][0] == height:
            depth -= 1
            found = node_hash(peaks[depth][1], found)
            height += 1
            if height % TILE_HEIGHT == 0:
                level = height // TILE_HEIGHT
                added.append((level, found))
                full += self._full(level, found)
        for level, index, octets in full:
            self._keep(level, index, octets)
        for level, each in added:
            self._add(level, each)
        del peaks[depth:]
        peaks.append((height, found))
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1][1]
        for _, each in self._peaks[-2::-1]:
            found = node_hash(each, found)
        return found

    @property
    def edge(self) -> list[bytes]:
        """The hashes of each level that fill no tile yet, one after the other."""
        return [bytes(tile) for tile in self._tiles]

    def _full(self, level: int, new: bytes) -> list[tuple[int, int, bytes]]:
        """The tile that `new` will fill, if it fills one."""
        if level >= len(self._tiles) or len(self._tiles[level]) + HASH_SIZE < TILE_OCTETS:
            return []
        index = self.size >> TILE_HEIGHT * (level + 1)
        return [(level, index, bytes(self._tiles[level]) + new)]

    def _add(self, level: int, new: bytes) -> None:
        if level == len(self._tiles):
            self._tiles.append(bytearray())
        tile = self._tiles[level]
        if len(tile) + HASH_SIZE == TILE_OCTETS:
            tile.clear()
        else:
            tile += new

    def _resume(self, size: int, edge: Sequence[bytes]) -> None:
        levels = max(1, -(-size.bit_length() // TILE_HEIGHT))
        if len(edge) != levels or any(
                len(edge[level]) != (size >> TILE_HEIGHT * level) % TILE_WIDTH * HASH_SIZE
                for level in range(levels)):
            raise ValueError(f"the edge is not that of a tree of {size} leaves")
        self.size, self._tiles = size, [bytearray(each) for each in edge]
        for level in reversed(range(levels)):
            hashes = [edge[level][at:at + HASH_SIZE]
                      for at in range(0, len(edge[level]), HASH_SIZE)]
            at = 0
            for bit in reversed(range(TILE_HEIGHT)):
                if len(hashes) >> bit & 1:
                    self._peaks.append((TILE_HEIGHT * level + bit,
                                        _complete(hashes[at:at + (1 << bit)])))
                    at += 1 << bit


def _complete(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(left, right)
                  for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]
