"""Proofs from a log on disk: from tiles where it is sealed, from records where it is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from written import Written, tree_hash

from outbounds.evidence.archive.tiling import load_tiled
from outbounds.evidence.tlog.log_tree import LogTree, Unprovable
from outbounds.evidence.tlog.merkle import verify_consistency, verify_inclusion
from outbounds.evidence.tlog.tiles import BadTile, tile_path
from outbounds.evidence.tlog.tree import Tree


def check(written: Written, tree: LogTree, size: int) -> None:
    chance = random.Random(size)
    leaves = written.leaves[:size]
    root = tree_hash(leaves)
    assert tree.checkpoint.root == root
    for at in {0, size - 1, *(chance.randrange(size) for _ in range(25))}:
        assert tree.leaf(at) == leaves[at]
        verify_inclusion(leaves[at], at, size, tree.inclusion(at), root)
        smaller = chance.randrange(at, size) + 1
        verify_inclusion(leaves[at], at, smaller, tree.inclusion(at, smaller),
                         tree_hash(leaves[:smaller]))
        verify_consistency(smaller, tree_hash(leaves[:smaller]), size, root,
                           tree.consistency(smaller))


@pytest.mark.parametrize("batches", [(1,), (255,), (256,), (300, 1, 1), (511,), (700, 69)])
def test_of_records_that_are_not_sealed(tmp_path: Path, batches: tuple[int, ...]) -> None:
    written = Written(tmp_path)
    written.run(*batches)
    check(written, LogTree.open(tmp_path), sum(batches))


def test_of_tiles_and_of_records_after_them(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.run(600)
    written.run(1000)
    written.run(900)
    written.seal()
    assert load_tiled(tmp_path / "log").size == 1600
    check(written, LogTree.open(tmp_path), 2500)
    # an older size is a matter of the tiles alone
    tree = LogTree.open(tmp_path)
    for size in (1, 256, 512, 600, 1600):
        assert tree.root(size) == tree_hash(written.leaves[:size])


def test_while_the_collector_is_ahead_of_its_checkpoint(tmp_path: Path) -> None:
    written = Written(tmp_path)
    log = written.run(300, close=False)
    log.checkpoint()
    lines = [written.line() for _ in range(20)]
    (path,) = (tmp_path / "segments").glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b"".join(lines) + b'{"@timestamp":"torn')
    check(written, LogTree.open(tmp_path), 300)


def test_tiles_that_reach_beyond_the_checkpoint(tmp_path: Path) -> None:
    """The newest checkpoint is up to a second old; a segment may be sealed within it."""
    written = Written(tmp_path)
    written.run(300)
    older = (tmp_path / "log" / "checkpoint").read_bytes()
    written.run(300)
    written.run(5)
    written.seal()
    (tmp_path / "log" / "checkpoint").write_bytes(older)
    check(written, LogTree.open(tmp_path), 300)


def test_no_proof_from_what_is_not_what_was_signed(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.run(40)
    (path,) = (tmp_path / "segments").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"account-", b"accounT-", 1))
    with pytest.raises(Unprovable, match="first 40 records are not those"):
        LogTree.open(tmp_path)
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:39]))
    with pytest.raises(Unprovable, match="has 39 records and 40 were signed"):
        LogTree.open(tmp_path)


def test_tiles_that_are_damaged_are_named(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.run(600)
    written.run(1)
    written.seal()
    path = tmp_path / "log" / tile_path(0, 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadTile, match="001: 8191 octets"):
        LogTree.open(tmp_path).inclusion(300)
    (tmp_path / "log" / "tiles.json").write_text('{"size": 600, "edge": [""]}')
    with pytest.raises(BadTile, match=r"tiles\.json: the edge is not that of a tree of 600"):
        LogTree.open(tmp_path)


def test_a_tile_that_cannot_be_kept_leaves_the_tree_as_it_was() -> None:
    kept: list[tuple[int, int]] = []
    full = True

    def keep(level: int, index: int, octets: bytes) -> None:
        if full:
            raise OSError("no space")
        kept.append((level, index))

    tree = Tree(keep)
    leaves = [bytes([n % 256]) * 32 for n in range(65_536)]
    full = False
    for leaf in leaves[:-1]:
        tree.append(leaf)
    before = tree.edge
    full = True
    with pytest.raises(OSError, match="no space"):
        tree.append(leaves[-1])
    assert (tree.size, tree.edge) == (65_535, before)
    full = False
    tree.append(leaves[-1])
    assert kept[-2:] == [(0, 255), (1, 0)]
    assert tree.root() == tree_hash(leaves)
