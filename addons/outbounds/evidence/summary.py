"""How the log stands, from its files alone: how much there is, and what of it is sealed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .archive.layout import all_segments
from .archive.seal import load_seal
from .archive.tiling import load_tiled
from .tlog.checkpoint import Checkpoint
from .tlog.keys import read_keys
from .tlog.tree import TILE_HEIGHT, TILE_OCTETS
from .tlog.verified import read_checkpoint


@dataclass(frozen=True, slots=True)
class Summary:
    """`checkpoint` is the newest, its signature checked; None where there is none yet. `hot` and
    `sealed` count segments and `hot_octets`, `sealed_octets` what they take on disk, the latter
    with seals, indexes and tiles; `sealed_records` is how many there are in them, `tiled` how many
    the tiles cover. `free` octets are left on the disk."""

    checkpoint: Checkpoint | None
    hot: int
    hot_octets: int
    sealed: int
    sealed_octets: int
    sealed_records: int
    tiled: int
    erased: int
    erased_details: int
    unindexed: int
    shipped: int
    free: int

    @property
    def octets_per_record(self) -> float:
        """Of what is sealed; 0 where nothing is."""
        return self.sealed_octets / self.sealed_records if self.sealed_records else 0.0


def summarise(directory: Path) -> Summary:
    """Raises BadSeal, BadTile, BadNote, BadCheckpoint, KeyUnusable, OSError."""
    hot = [each for each in all_segments(directory) if not each.sealed]
    sealed = [each for each in all_segments(directory) if each.sealed]
    seals = [load_seal(each.seal) for each in sealed]
    tiled = load_tiled(directory / "log").size
    disk = os.statvfs(directory)
    return Summary(
        checkpoint=_checkpoint(directory / "log"),
        hot=len(hot), hot_octets=sum(_octets(each.hot) for each in hot),
        sealed=len(sealed), sealed_records=sum(each.count for each in seals),
        sealed_octets=sum(_octets(path) for each in sealed for path in (
            each.seal, each.checkpoint, each.index)) + _tiles(tiled) + sum(
                _octets(each.folder / part.name) for each, seal in zip(sealed, seals, strict=True)
                for part in (seal.records, seal.details)),
        tiled=tiled, erased=sum(each.erased for each in seals),
        erased_details=sum(each.erased_details for each in seals),
        unindexed=sum(each.index is None for each in seals),
        shipped=sum(bool(each.shipped) for each in seals),
        free=disk.f_bavail * disk.f_frsize)


def _checkpoint(log: Path) -> Checkpoint | None:
    try:
        return read_checkpoint(log / "checkpoint",
                               [each.verifier for each in read_keys(log / "keys")])
    except FileNotFoundError:
        return None


def _octets(path: Path) -> int:
    """0 for what is not here: shipped, or not made yet."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _tiles(size: int) -> int:
    """Octets of all full tiles of a log with `size` records."""
    full = 0
    while size := size >> TILE_HEIGHT:
        full += size
    return full * TILE_OCTETS
