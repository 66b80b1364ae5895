"""From the segments of a log to its report: what to look at, in which order, on how many cores."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..archive.tiling import Tiled, load_tiled
from ..tlog.note import Verifier
from ..tlog.tiles import BadTile, TileStore
from ..witness.stamps import Trusted
from .plan import Missing, left, place, plan
from .report import Report
from .signed import signed
from .stretch import Looked, look
from .walk import Walk

SPREAD = 64 * 1024 * 1024
"""Octets below which one process is as fast as several, which must be started."""

type Progress = Callable[[int, int], None]
"""Called with (octets done, octets in all)."""


def verify(directory: Path, trusted: Sequence[Verifier], known: Iterable[Path] = (),
           progress: Progress = lambda done, all: None, *,
           witnesses: Mapping[str, Trusted] | None = None, processes: int = 1) -> Report:
    """Check the log under `directory`, whose keys one of `trusted` leads to (none: by whatever keys
    it has itself). `known` are files with checkpoints that were kept elsewhere, `witnesses`,
    by name, whom the stamps of a witness must be by. Raises OSError."""
    report = Report()
    # before the records: a log that is being written has at least what was signed
    said = signed(directory, trusted, known, witnesses, report)
    if said.newest is not None:
        report.origin, report.signed, report.at = (
            said.newest.origin, said.newest.size, said.newest.at)
    log = directory / "log"
    try:
        tiled = load_tiled(log)
    except BadTile as error:
        report.say("tile", f"{error}; remove it, and `outbounds evidence seal` makes all tiles "
                   "anew from the records")
        tiled = Tiled()
    planned = plan(directory, log, tiled, said, report)
    report.segments = len(planned)
    walk = Walk(TileStore(log), tiled, said.marks, report, lambda at: place(planned, at))
    missing = Missing(said, planned)
    total = sum(each.octets for one in planned for each in one.stretches)
    done = 0
    with _pool(processes if total > SPREAD else 1) as pool:
        ready = [each for one in planned for each in one.stretches if one.first is not None]
        looks = iter(pool.map(look, ready)) if pool else map(look, ready)
        for one in planned:
            missing.before(one, walk, report)
            counted = Looked()
            for stretch in one.stretches:
                # one without a checkpoint begins where the one before it ends
                looked = (next(looks) if one.first is not None else
                          look(replace(stretch, first=walk.size)))
                walk.take(looked.compared)
                counted.add(looked)
                done += stretch.octets
                progress(done, total)
            left(one, counted, report)
    missing.after(walk, report)
    walk.finish()
    report.size, report.root = walk.size, walk.root.hex()
    if report.size > report.signed:
        report.notes.append(f"{report.size - report.signed} records came after the newest "
                            "checkpoint: they are not signed yet, and not verified")
    return report


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor | None]:
    if processes < 2:
        yield None
        return
    # an interrupt is for the process that asked: it ends what is still to be done
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"),
                               signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
