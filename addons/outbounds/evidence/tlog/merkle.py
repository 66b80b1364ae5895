"""Merkle trees over a list of records: RFC 6962 section 2.1, RFC 9162 section 2.1.

A leaf's hash is SHA-256(0x00 || record), an inner node's SHA-256(0x01 || left || right): without
the two prefixes a node could be passed off as a record. A tree of n leaves has a left half of the
largest power of two below n; so as the log grows, a complete subtree never changes again, and all
that is ever needed are hashes of complete subtrees. `Read` gets them: `read(level, index)` is the
root over the leaves from index * 2**level on, 2**level of them.

What a proof shows is up to `verify_inclusion` and `verify_consistency`, which know no tree, only
the proof: they are what somebody who trusts nobody here has to go through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""

type Read = Callable[[int, int], bytes]
"""(level, index) to the root of a complete subtree; raises whatever reading raises."""


class BadProof(ValueError):
    """A proof does not show what it should. The message says which step fails."""


def leaf_hash(record: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(size: int, read: Read) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return EMPTY_ROOT if size == 0 else _range(0, size, read)


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, from the leaf to the root
    (RFC 9162 section 2.1.3.1). Raises ValueError for a leaf that is not in the tree."""
    if not 0 <= index < size:
        raise ValueError(f"record {index} is not among the first {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_half(end - start)
        if index < middle:
            path.append(_range(middle, end, read))
            end = middle
        else:
            path.append(_range(start, middle, read))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: Read) -> list[bytes]:
    """That the tree of `old` leaves is how the tree of `new` leaves began (RFC 9162 section
    2.1.4.1); [] where there is nothing to show. Raises ValueError for sizes that cannot be."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves does not become one of {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True  # whole: all on the way here was the left edge
    while old != end:
        middle = start + _left_half(end - start)
        if old <= middle:
            path.append(_range(middle, end, read))
            end = middle
        else:
            path.append(_range(start, middle, read))
            start, whole = middle, False
    if not whole:
        path.append(_range(start, end, read))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes],
                     expected: bytes) -> None:
    """That the leaf hash `leaf` is number `index` of the `size` leaves under the root `expected`
    (RFC 9162 section 2.1.3.2). Raises BadProof."""
    if not 0 <= index < size:
        raise BadProof(f"record {index} cannot be among the first {size}")
    at, last, found = index, size - 1, leaf
    for step, each in enumerate(proof):
        if last == 0:
            raise BadProof(f"the proof has {len(proof)} steps and may have {step}")
        if at & 1 or at == last:
            found = node_hash(each, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise BadProof("the proof has too few steps")
    if found != expected:
        raise BadProof("the proof leads to another root")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes,
                       proof: Sequence[bytes]) -> None:
    """That the tree of `new` leaves extends the one of `old` leaves (RFC 9162 section 2.1.4.2).
    Raises BadProof."""
    if not 0 <= old <= new:
        raise BadProof(f"a log of {old} records cannot have become one of {new}")
    if old == new or old == 0:
        if proof:
            raise BadProof("there is nothing to prove, and yet there is a proof")
        if old == new and old_root != new_root:
            raise BadProof("two roots of one size: the log was forked")
        if old == 0 and old_root != EMPTY_ROOT:
            raise BadProof("the root of no records is another")
        return
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)  # a complete subtree of the new tree: it is known
    if not steps:
        raise BadProof("the proof has too few steps")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for each in steps[1:]:
        if last == 0:
            raise BadProof("the proof has too many steps")
        if at & 1 or at == last:
            before, after = node_hash(each, before), node_hash(each, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, each)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise BadProof("the proof has too few steps")
    if before != old_root:
        raise BadProof("the proof does not lead to the older root: history was rewritten")
    if after != new_root:
        raise BadProof("the proof does not lead to the newer root")


def _left_half(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _range(start: int, end: int, read: Read) -> bytes:
    """The root over the leaves from `start` to before `end`, where a tree has a node for them."""
    size = end - start
    level = size.bit_length() - 1
    if size == 1 << level:
        return read(level, start >> level)
    middle = start + _left_half(size)
    return node_hash(_range(start, middle, read), _range(middle, end, read))
