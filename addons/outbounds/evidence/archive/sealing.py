"""Sealing a segment: hot lines become compressed, checksummed files, and none is lost on the way.

The order, and what a crash right after each step leaves behind:

    1. drafts        X.records.zst.new, X.details.0.zst.new, synced, read back and compared;
                     left: drafts, which the next pass overwrites
    2. the tree      must have the root that the next segment's checkpoint is signed for, or nothing
                     is sealed: what differs from what was signed stays as it is, as evidence
    3. renamed       left: the files under their names, without a seal; made again
    4. tiles         full ones are written, then tiles.json says how far they reach;
                     left: tiles that reach further than the seals; the next pass goes back
    5. the seal      from here on the segment is sealed; left: a .jsonl that is superfluous
    6. .jsonl gone   done. The index is made afterwards (`index`): it can be made again at will

Every step is done again by the next pass as if for the first time, up to the seal, and after the
seal only what is left over is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..directory import fsync_directory
from ..tlog.checkpoint import Checkpoint
from .layout import Segment
from .packing import compare, pack
from .reading import Damaged
from .seal import Seal, load_seal, save_seal
from .tiling import Tiler

DRAFT = ".new"


class Unlike(Exception):
    """The records are not those that were signed. The message names the file and what to do."""


def seal_segment(segment: Segment, tiler: Tiler, expected: Checkpoint | None,
                 say: Callable[[str], None]) -> Seal:
    """Seal `segment`, whose first record comes at `tiler.size`. `expected` is the log as it was
    when the segment ended; None where the caller has compared that already.

    Raises Unlike, Damaged, OSError.
    """
    first = tiler.size
    drafts = _drafts(segment)
    packed = pack(segment.hot, *drafts)
    if packed.torn:
        say(f"{segment.hot}: left out a torn last line of {packed.torn} octets, which was never "
            "acknowledged")
    tiler.extend(packed.leaves)
    if expected is not None and (tiler.size, tiler.root()) != (expected.size, expected.root):
        for draft in drafts:
            draft.unlink()
        raise Unlike(unlike(segment, first, tiler.size, expected))
    compare(segment.hot, *drafts, packed)
    os.replace(drafts[0], segment.records)
    os.replace(drafts[1], segment.details(0))
    fsync_directory(segment.folder)
    tiler.save()
    seal = Seal(first=first, count=len(packed.leaves), begin=packed.begin, end=packed.end,
                records=packed.records, details=packed.details)
    save_seal(segment.seal, seal)
    segment.hot.unlink()
    fsync_directory(segment.folder)
    return seal


def drop_empty(segment: Segment) -> None:
    """A segment without a record needs no seal: nothing refers to it, and its number is not used
    again. Raises OSError."""
    # its checkpoint goes with the next pass: who has just listed the segments asks it where they
    # begin
    segment.hot.unlink()
    fsync_directory(segment.folder)


def remove_strays(segments: list[Segment]) -> None:
    """The checkpoints of segments that were empty, or never came to be. Raises OSError."""
    if segments:
        known = {each.stem for each in segments}
        for path in segments[0].folder.glob("????-??-??T??-*.checkpoint"):
            stray = Segment(path.parent, path.stem)
            if stray.stem not in known and stray.sequence < segments[-1].sequence:
                path.unlink()


def unlike(segment: Segment, first: int, size: int, expected: Checkpoint) -> str:
    """What differs, for the operator."""
    have, signed = size - first, expected.size - first
    what = (f"holds {have} records, and {signed} were signed" if have != signed else
            f"its {have} records are not those that were signed")
    return (f"{segment.hot}: {what}; it is not sealed, and neither are those after it. "
            "`outbounds evidence verify` says which record differs. Keep this file as evidence; "
            "if there is a backup of it as it was, put that in its place")


def remove_drafts(segment: Segment) -> None:
    """What a pass that was killed may have left beside `segment`, which no collector writes to any
    more. Raises OSError."""
    for draft in (*_drafts(segment), *(path.with_name(f".{path.name}{DRAFT}")
                                       for path in (segment.seal, segment.checkpoint))):
        draft.unlink(missing_ok=True)


def remove_sealed(segment: Segment) -> None:
    """The hot lines of a sealed segment, which a crash left. Raises Damaged, BadSeal, OSError."""
    seal = load_seal(segment.seal)
    for part in (seal.records, seal.details):
        path = segment.folder / part.name
        if not seal.shipped and (not path.exists() or path.stat().st_size != part.octets):
            raise Damaged(f"{path}: not the {part.octets} octets that were sealed; {segment.hot} "
                          f"still has the records: remove {segment.seal} to seal them again")
    segment.hot.unlink()
    fsync_directory(segment.folder)


def _drafts(segment: Segment) -> tuple[Path, Path]:
    one, other = (path.with_name(path.name + DRAFT)
                  for path in (segment.records, segment.details(0)))
    return one, other
