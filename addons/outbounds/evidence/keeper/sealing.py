"""The task "seal": every segment that the collector has left, oldest first, is sealed.

A segment is sealed only if the tree up to its end is the one that the next segment's checkpoint is
signed for. Where that checkpoint is missing (or the log is from before there were any), the next
one that is there must agree with everything before it. So what was changed after it was signed is
never packed away as if it were genuine, and never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..archive.layout import Segment, all_segments
from ..archive.reading import Damaged, read_segment
from ..archive.seal import load_seal
from ..archive.sealing import (
    Unlike,
    drop_empty,
    remove_drafts,
    remove_sealed,
    remove_strays,
    seal_segment,
    unlike,
)
from ..archive.tiling import Tiled, Tiler, load_tiled
from ..line import leaf_of
from ..tlog.checkpoint import Checkpoint
from ..tlog.keys import read_keys
from ..tlog.note import BadNote, Verifier
from ..tlog.tiles import BadTile
from ..tlog.verified import read_checkpoint
from .task import KeeperFault, Keeping

type Progress = Callable[[Segment], None]
"""Called with each segment that is about to be sealed."""


def run(keeping: Keeping) -> None:
    """Raises KeeperFault, and what `one_pass` expects."""
    seal_all(keeping.directory, keeping.say, keeping.status)


def waiting(directory: Path) -> list[Segment]:
    """What is there to be sealed: all but the newest, which the collector may be writing to."""
    return [each for each in all_segments(directory)[:-1] if not each.sealed]


def seal_all(directory: Path, say: Callable[[str], None],
             status: dict[str, int | float | str], progress: Progress = lambda _: None) -> None:
    """The caller holds the keeper's lock. `status` gets `sealed` (segments, in this pass) and
    `unsealed` (what is still to be done). Raises KeeperFault, Damaged, BadSeal, BadTile,
    KeyUnusable, OSError."""
    status["sealed"] = 0
    segments = all_segments(directory)
    remove_strays(segments)
    for segment in segments[:-1]:
        remove_drafts(segment)
        if segment.sealed and segment.hot.exists():
            remove_sealed(segment)
    todo = [each for each in segments[:-1] if not each.sealed]
    status["unsealed"] = len(todo)
    done = [each for each in segments if each.sealed]
    if todo and done and done[-1].sequence > todo[0].sequence:
        raise KeeperFault(f"{todo[0].hot}: the segments after it are sealed already, so it was put "
                          "here later; take it away, and look with `outbounds evidence verify`")
    try:
        tiler = _tiler(directory, done, say)
        if todo:
            _seal(directory, tiler, todo, segments[-1], say, status, progress)
    except Unlike as error:
        raise KeeperFault(str(error)) from None


def _seal(directory: Path, tiler: Tiler, todo: list[Segment], newest: Segment,
          say: Callable[[str], None], status: dict[str, int | float | str],
          progress: Progress) -> None:
    verifiers = [each.verifier for each in read_keys(directory / "log" / "keys")]
    compared = 0  # of `todo`, how many are known to agree with a later checkpoint
    for at, segment in enumerate(todo):
        after = [*todo[at + 1:], newest]
        expected = _signed(after[0], verifiers)
        if expected is None and at >= compared:
            compared = at + _compare_ahead(tiler, todo[at:], after, verifiers)
        progress(segment)
        if segment.hot.stat().st_size == 0:
            drop_empty(segment)
        else:
            hot = segment.hot.stat().st_size
            seal = seal_segment(segment, tiler, expected, say)
            say(f"{segment.seal}: {seal.count} records sealed, {hot} octets became "
                f"{seal.records.octets + seal.details.octets}")
            status["sealed"] = int(status["sealed"]) + 1
        status["unsealed"] = int(status["unsealed"]) - 1


def _signed(segment: Segment, verifiers: Sequence[Verifier]) -> Checkpoint | None:
    """The log as it was when `segment` began, None where that is not written down."""
    try:
        return read_checkpoint(segment.checkpoint, verifiers)
    except FileNotFoundError:
        return None
    except (BadNote, ValueError) as error:
        raise KeeperFault(
            f"{segment.checkpoint}: {error}; nothing before it is sealed. Bring it back from a "
            "backup, or move it away: then the next segment's checkpoint is asked") from None


def _compare_ahead(tiler: Tiler, group: list[Segment], after: list[Segment],
                   verifiers: Sequence[Verifier]) -> int:
    """Compare as many of `group` as it takes to come to a checkpoint; how many that were."""
    trial, first = tiler.copy(), tiler.size
    for number, (segment, following) in enumerate(zip(group, after, strict=True), 1):
        trial.extend(leaf_of(each.envelope) for each in read_segment(segment, trial.size))
        expected = _signed(following, verifiers)
        if expected is None:
            continue
        if (trial.size, trial.root()) != (expected.size, expected.root):
            raise Unlike(unlike(segment, first, trial.size, expected))
        return number
    raise KeeperFault(f"{after[0].checkpoint}: missing, and there is no later one: nothing says "
                      "that the records before it are those that were signed. The collector "
                      "writes one when it begins the next segment: `outbounds evidence seal`")


def _tiler(directory: Path, done: list[Segment], say: Callable[[str], None]) -> Tiler:
    """The tiles up to the end of what is sealed."""
    log = directory / "log"
    end = 0
    if done:
        last = load_seal(done[-1].seal)
        end = last.first + last.count
    if done and not (log / "tiles.json").exists():
        say(f"{log / 'tiles.json'}: missing; making all tiles anew from the records")
    try:
        tiler = Tiler(log, load_tiled(log))
        if tiler.size > end:  # a crash came between the tiles and the seal
            tiler.rewind(end)
    except BadTile as error:
        say(f"{error}; making all tiles anew from the records")
        tiler = Tiler(log, Tiled())
    for segment in done:
        seal = load_seal(segment.seal)
        if seal.first + seal.count <= tiler.size:
            continue
        if seal.first > tiler.size:
            raise Damaged(f"{segment.seal}: begins with record {seal.first}, and {tiler.size} are "
                          "before it: a segment is missing; bring it back from a backup")
        skipped = tiler.size
        tiler.extend(leaf_of(each.envelope) for each in read_segment(segment)
                     if each.position >= skipped)
        tiler.save()
    return tiler
