"""A tree that grows, for its tiles: its right edge in memory, everything that is complete handed
on.

A tile is 256 hashes of one height, which is a multiple of 8 (C2SP tlog-tiles): tile n of level L
has the roots over the leaves from n * 256**(L+1) on, 256**L of them each. A full tile never changes
again. What is not full yet is the edge, at most 255 hashes for each level; with it the tree goes on
after a restart, and nothing that is complete has to be read for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .merkle import HASH_SIZE, node_hash
from .peaks import Peaks

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
        self.size = size
        self._tiles = [bytearray(each) for each in _fitting(size, edge)]

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf. Raises what keeping a tile raises; the tree is as it was then."""
        added = [leaf]
        for level, tile in enumerate(self._tiles):
            if len(tile) + HASH_SIZE < TILE_OCTETS:
                break
            octets = bytes(tile) + added[level]
            self._keep(level, self.size >> TILE_HEIGHT * (level + 1), octets)
            added.append(subtree_root(octets))
        for level, each in enumerate(added):
            self._add(level, each)
        self.size += 1

    def root(self) -> bytes:
        return edge_peaks(self.size, self.edge).root()

    @property
    def edge(self) -> list[bytes]:
        """The hashes of each level that fill no tile yet, one after the other."""
        return [bytes(tile) for tile in self._tiles]

    def _add(self, level: int, new: bytes) -> None:
        if level == len(self._tiles):
            self._tiles.append(bytearray())
        tile = self._tiles[level]
        if len(tile) + HASH_SIZE == TILE_OCTETS:
            tile.clear()
        else:
            tile += new


def hashes_of(octets: bytes) -> list[bytes]:
    """The hashes that lie in `octets` one after the other."""
    return [octets[at:at + HASH_SIZE] for at in range(0, len(octets), HASH_SIZE)]


def subtree_root(octets: bytes) -> bytes:
    """The root over the hashes in `octets`, whose number is a power of two."""
    hashes = hashes_of(octets)
    while len(hashes) > 1:
        hashes = [node_hash(left, right)
                  for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def edge_peaks(size: int, edge: Sequence[bytes]) -> Peaks:
    """The peaks of a tree of `size` leaves with that edge. Raises ValueError where the two do not
    belong together."""
    found = []
    tiles = _fitting(size, edge)
    for level in reversed(range(len(tiles))):
        hashes, at = tiles[level], 0
        for bit in reversed(range(TILE_HEIGHT)):
            if len(hashes) // HASH_SIZE >> bit & 1:
                found.append(subtree_root(hashes[at:at + (HASH_SIZE << bit)]))
                at += HASH_SIZE << bit
    return Peaks(size, found)


def _fitting(size: int, edge: Sequence[bytes]) -> Sequence[bytes]:
    levels = -(-size.bit_length() // TILE_HEIGHT)
    # a tree of no leaves has one empty level, or none yet
    if len(edge) not in {levels, max(1, levels)} or any(
            len(each) != (size >> TILE_HEIGHT * level) % TILE_WIDTH * HASH_SIZE
            for level, each in enumerate(edge)):
        raise ValueError(f"the edge is not that of a tree of {size} leaves")
    return edge or [b""]
