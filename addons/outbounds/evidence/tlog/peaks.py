"""A tree's root, from as little as can be: the roots of the complete subtrees it consists of.

A tree of n leaves has one for each bit set in n, the largest first (RFC 9162 section 2.1.2's
decomposition). That is enough to append, and to say the root; proofs need tiles (`tiles`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .merkle import EMPTY_ROOT, HASH_SIZE, node_hash


class Peaks:
    """`hashes` are those of a tree of `size` leaves, as `hashes` gave them. Raises ValueError where
    the two do not belong together."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count() or any(len(each) != HASH_SIZE for each in hashes):
            raise ValueError(f"{len(hashes)} hashes are not those of a tree of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> list[bytes]:
        return list(self._hashes)

    def extend(self, roots: Iterable[bytes], height: int = 0) -> None:
        """Add the hashes of leaves, or of complete subtrees of a `height`. Raises ValueError where
        such a subtree cannot begin."""
        hashes, size = self._hashes, self.size >> height
        if size << height != self.size:
            raise ValueError(f"no subtree of height {height} begins after {self.size} leaves")
        for found in roots:
            below = size
            while below & 1:
                found = node_hash(hashes.pop(), found)
                below >>= 1
            hashes.append(found)
            size += 1
        self.size = size << height

    def root(self) -> bytes:
        if not self._hashes:
            return EMPTY_ROOT
        found = self._hashes[-1]
        for each in self._hashes[-2::-1]:
            found = node_hash(each, found)
        return found
