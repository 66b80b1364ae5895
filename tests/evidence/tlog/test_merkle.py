"""Trees and proofs: RFC 6962, RFC 9162, and pymerkle, which we did not write.

Go's golang.org/x/mod/sumdb/tlog would be another; no Go toolchain is needed to run these tests, so
of it there is its published note only (test_note.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree
from pymerkle import verify_consistency as theirs_consistency
from pymerkle import verify_inclusion as theirs_inclusion
from written import tree_hash

from outbounds.evidence.tlog.merkle import (
    EMPTY_ROOT,
    BadProof,
    Read,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from outbounds.evidence.tlog.peaks import Peaks


def reader(leaves: Sequence[bytes]) -> Read:
    nodes: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        if (level, index) not in nodes:
            nodes[level, index] = node_hash(read(level - 1, 2 * index),
                                            read(level - 1, 2 * index + 1))
        return nodes[level, index]
    return read


# the leaves and roots that the Certificate Transparency implementations test with
RECORDS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f")]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    leaves = [leaf_hash(each) for each in RECORDS]
    assert root(size, reader(leaves)).hex() == ROOTS[size]
    peaks = Peaks()
    peaks.extend(leaves[:size])
    assert peaks.root().hex() == ROOTS[size]


def test_the_example_of_rfc_6962_section_2_1_3() -> None:
    """The tree of seven leaves d0 to d6 with the inner nodes g to l."""
    d = [leaf_hash(b"%d" % n) for n in range(7)]
    a, b, c, dd, e, f = d[:6]
    g, h, i = node_hash(a, b), node_hash(c, dd), node_hash(e, f)
    j = d[6]
    k, low = node_hash(g, h), node_hash(i, j)
    read = reader(d)
    assert root(7, read) == node_hash(k, low)
    assert inclusion_proof(0, 7, read) == [b, h, low]
    assert inclusion_proof(3, 7, read) == [c, g, low]
    assert inclusion_proof(4, 7, read) == [f, j, k]
    assert inclusion_proof(6, 7, read) == [i, k]
    assert consistency_proof(3, 7, read) == [c, dd, g, low]
    assert consistency_proof(4, 7, read) == [low]
    assert consistency_proof(6, 7, read) == [i, j, k]


def agree(tree: InmemoryTree, leaves: list[bytes], at: int, old: int, size: int) -> None:
    """Roots and audit paths are the same. Their consistency proofs are of another form (all peaks
    of the old tree), so each shows with its own that the other's roots are of one history."""
    read = reader(leaves)
    now, before = tree.get_state(size), tree.get_state(old)
    assert root(size, read) == now and root(old, read) == before
    theirs = tree.prove_inclusion(at + 1, size)
    ours = inclusion_proof(at, size, read)
    assert theirs.path == [leaves[at], *ours]
    verify_inclusion(leaves[at], at, size, theirs.path[1:], now)
    theirs_inclusion(leaves[at], now, theirs)
    theirs = tree.prove_consistency(old, size)
    theirs_consistency(before, now, theirs)
    ours = consistency_proof(old, size, read)
    verify_consistency(old, before, size, now, ours)


def grown(size: int) -> tuple[InmemoryTree, list[bytes]]:
    tree, leaves = InmemoryTree(algorithm="sha256"), []
    for n in range(size):
        tree.append(b"record %d" % n)
        leaves.append(leaf_hash(b"record %d" % n))
    return tree, leaves


def test_against_pymerkle_at_every_size() -> None:
    tree, leaves = grown(130)
    chance = random.Random(6962)
    for size in range(1, 130):
        for at in {0, size // 2, size - 1}:
            agree(tree, leaves, at, chance.randrange(size + 1), size)


def test_against_pymerkle_at_random_sizes() -> None:
    tree, leaves = grown(5000)
    chance = random.Random(9162)
    for _ in range(25):
        size = chance.randrange(1, 5001)
        agree(tree, leaves, chance.randrange(size), chance.randrange(1, size + 1), size)


LEAVES = [leaf_hash(b"%d" % n) for n in range(300)]
READ = reader(LEAVES)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_path_with_anything_changed_shows_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    at = data.draw(st.integers(0, size - 1))
    path, expected = inclusion_proof(at, size, READ), root(size, READ)
    verify_inclusion(LEAVES[at], at, size, path, expected)
    wrong = [path[:-1], [*path, expected], [expected, *path]] if path else [[expected]]
    if path:
        step, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        flipped = bytearray(path[step])
        flipped[bit // 8] ^= 1 << bit % 8
        wrong.append([*path[:step], bytes(flipped), *path[step + 1:]])
    for each in wrong:
        with pytest.raises(BadProof):
            verify_inclusion(LEAVES[at], at, size, each, expected)
    other = data.draw(st.integers(0, 299).filter(lambda n: n != at))
    with pytest.raises(BadProof):
        verify_inclusion(LEAVES[other], at, size, path, expected)
    with pytest.raises(BadProof):
        verify_inclusion(LEAVES[at], other, size, path, expected)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_history_but_the_own_is_consistent(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 300))
    old = data.draw(st.integers(1, new))
    path = consistency_proof(old, new, READ)
    before, after = root(old, READ), root(new, READ)
    verify_consistency(old, before, new, after, path)
    other = tree_hash([*LEAVES[:old - 1], b"x" * 32])
    for args in ((old, other, new, after, path), (old, before, new, other, path),
                 (old, before, new, after, [*path, after]),
                 *([(old, before, new, after, path[:-1])] if path else ())):
        with pytest.raises(BadProof):
            verify_consistency(*args)


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(BadProof, match="cannot have become"):
        verify_consistency(5, EMPTY_ROOT, 4, EMPTY_ROOT, [])
    with pytest.raises(BadProof, match="no records is another"):
        verify_consistency(0, b"x" * 32, 4, root(4, READ), [])
    with pytest.raises(BadProof, match="cannot be among"):
        verify_inclusion(LEAVES[0], 7, 7, [], EMPTY_ROOT)
    with pytest.raises(ValueError, match="not among"):
        inclusion_proof(7, 7, READ)
    with pytest.raises(ValueError, match="does not become"):
        consistency_proof(8, 7, READ)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_peaks_do_not_care_how_leaves_come(counts: list[int]) -> None:
    peaks, at = Peaks(), 0
    for count in counts:
        peaks = Peaks(peaks.size, peaks.hashes)  # as after a restart
        peaks.extend((LEAVES * 2)[at:at + count])
        at += count
    assert peaks.root() == tree_hash((LEAVES * 2)[:at])


def test_peaks_take_complete_subtrees() -> None:
    peaks = Peaks()
    peaks.extend(LEAVES[:8])
    peaks.extend([tree_hash(LEAVES[8:12]), tree_hash(LEAVES[12:16])], 2)
    peaks.extend(LEAVES[16:17])
    assert peaks.root() == tree_hash(LEAVES[:17])
    with pytest.raises(ValueError, match="no subtree of height 2 begins after 17"):
        peaks.extend([b""], 2)
    with pytest.raises(ValueError, match="1 hashes are not those of a tree of 3"):
        Peaks(3, [b"x" * 32])
