"""The tree of a log on disk, for proofs, while the collector goes on writing.

Full tiles lie in `DIR/log/tile`, up to the size that `DIR/log/tiles.json` names; beyond that, the
leaves are those of the records themselves, which are hashed once and kept here. The order of
reading matters. First the checkpoint: whatever is read later holds at least the records that it
covers. Then `tiles.json`: what is sealed after that is found sealed, and hashed all the same.

The tree is compared with the signed root before anything is proved from it: a proof that leads
nowhere would be the reader's to explain.
"""

from __future__ import annotations

from pathlib import Path

from ..archive.layout import all_segments
from ..archive.reading import first_position, read_segment
from ..archive.tiling import load_tiled
from ..line import leaf_of
from .checkpoint import Checkpoint
from .merkle import consistency_proof, inclusion_proof, root
from .note import split
from .tiles import TileReader, TileStore
from .tree import Tree


class Unprovable(Exception):
    """The log is not what was signed, so nothing can be proved from it. The message says what to
    do."""


class LogTree:
    """Callable as `merkle.Read`. `note` is the newest checkpoint as it was signed and `checkpoint`
    what it says; its signature is for whoever reads the proof to check."""

    def __init__(self, note: str, checkpoint: Checkpoint, read: TileReader) -> None:
        self.note = note
        self.checkpoint = checkpoint
        self._read = read

    @classmethod
    def open(cls, directory: Path) -> LogTree:
        """Of the log under `directory`. Raises Unprovable, BadTile, BadNote, BadCheckpoint,
        Damaged, BadSeal, OSError."""
        folder = directory / "log"
        note = (folder / "checkpoint").read_bytes().decode("utf-8", "replace")
        checkpoint = Checkpoint.parse(split(note)[0])
        fresh: dict[tuple[int, int], bytes] = {}

        def keep(level: int, index: int, octets: bytes) -> None:
            fresh[level, index] = octets

        sealed = load_tiled(folder)
        tree = Tree(keep, sealed.size, sealed.hashes)
        _grow(tree, directory, checkpoint.size)
        found = cls(note, checkpoint, TileReader(TileStore(folder), tree.size, tree.edge, fresh))
        if tree.size < checkpoint.size:
            raise Unprovable(f"{directory}: it has {tree.size} records and {checkpoint.size} were "
                             "signed; `outbounds evidence verify` says which are missing")
        if root(checkpoint.size, found) != checkpoint.root:
            raise Unprovable(f"{directory}: its first {checkpoint.size} records are not those that "
                             "were signed; `outbounds evidence verify` says which")
        return found

    @property
    def size(self) -> int:
        """Records that the checkpoint covers."""
        return self.checkpoint.size

    def leaf(self, position: int) -> bytes:
        """The hash of record `position`. Raises BadTile."""
        return self(0, position)

    def inclusion(self, position: int, size: int | None = None) -> list[bytes]:
        """The audit path of record `position` in the log of `size` records (as of the checkpoint).
        Raises BadTile; ValueError for a record that is not in it."""
        return inclusion_proof(position, self.size if size is None else size, self)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """That the log of `old` records became the one of `new` (as of the checkpoint). Raises
        BadTile; ValueError for sizes that cannot be."""
        return consistency_proof(old, self.size if new is None else new, self)

    def root(self, size: int) -> bytes:
        """Of the first `size` records. Raises BadTile."""
        return root(size, self)

    def hashes(self, level: int, index: int) -> bytes:
        """What there is of a tile, 32 octets each: a full one, or the edge of the tree as it was
        when it was opened. Raises BadTile."""
        return self._read.hashes(level, index)

    def __call__(self, level: int, index: int) -> bytes:
        """Raises BadTile."""
        return self._read(level, index)


def _grow(tree: Tree, directory: Path, size: int) -> None:
    """Take the leaves of the records from where `tree` ends to `size`."""
    segments = all_segments(directory)
    firsts = [first_position(each) for each in segments]
    for segment, first, after in zip(segments, firsts, [*firsts[1:], size], strict=True):
        if after <= tree.size or first >= size:
            continue
        for stored in read_segment(segment, first):
            if tree.size == size:
                return
            if stored.position == tree.size:
                tree.append(leaf_of(stored.envelope))
