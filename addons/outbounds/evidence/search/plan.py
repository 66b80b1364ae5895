"""Which segments a search must look at, and how.

A seal says from when to when its records tell of, and a closing tells of the time since its
opening: so every event that was closed and overlaps a time range has its closing in a segment that
overlaps it. What is still open may have been opened long before; the collector has written down
what was open when the newest segment began (carried.json).

An event that spans segments is put together from all of them. So besides the segments that overlap
the range, those are asked for parts of events that reach back to the earliest moment which any of
these tells of, and forward to the latest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..archive.index import checked_index
from ..archive.layout import Segment, all_segments
from ..archive.reading import Damaged
from ..archive.seal import Seal, load_seal
from .query import Query

EVER = 2**62
"""Unix µs, later than anything."""
_APART = 3_600_000_000  # µs that an id's own time may differ from what its records tell
_INEXACT = 1_000_000    # µs that a closing may be wrong about when its event began
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-")

Locate = Callable[[Segment], Path | None]
"""Where the index of a segment is, None where there is none. May raise Damaged, OSError."""
Say = Callable[[str], None]
"""Takes a line for whoever searches."""


@dataclass(frozen=True, slots=True)
class Indexed:
    segment: Segment
    seal: Seal
    path: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """`whole` may have whole events, `parts` parts of events (all of `whole` among them); `read`
    are read record by record. `settled`: those are all newer than the others, so that what is open
    and closed in `parts` is complete."""

    whole: list[Indexed]
    parts: list[Indexed]
    read: list[Segment]
    settled: bool


class _Carried(msgspec.Struct):
    sequence: int
    open: dict[str, msgspec.Raw]


def local_index(segment: Segment) -> Path | None:
    return segment.index if segment.index.exists() else None


def make_plan(directory: Path, query: Query, locate: Locate, say: Say) -> Plan:
    """Raises BadSeal, OSError."""
    sealed: list[tuple[Segment, Seal]] = []
    hot: list[Segment] = []
    for segment in all_segments(directory):
        if segment.sealed:
            sealed.append((segment, load_seal(segment.seal)))
        else:
            hot.append(segment)
    since, until = _range(query)
    near = [seal for _, seal in sealed if seal.begin <= until and seal.end >= since]
    least = min([since, *(seal.begin for seal in near), _oldest_open(directory, sealed, hot)])
    most = max([until, *(seal.end for seal in near)])
    reached = [segment.sequence for segment, seal in sealed
               if seal.end >= least - _INEXACT and seal.begin <= most + _INEXACT]
    # and what lies between them, whatever the clock was set to
    wanted = [(segment, seal) for segment, seal in sealed
              if reached and min(reached) <= segment.sequence <= max(reached)]
    parts, unindexed = _indexed(wanted, locate, say)
    whole = [each for each in parts if each.seal.begin <= until and each.seal.end >= since]
    read = sorted([*unindexed, *hot], key=lambda each: each.sequence)
    newest = max((each.segment.sequence for each in parts), default=0)
    return Plan(whole, parts, read, all(each.sequence > newest for each in read))


def without_indexes(directory: Path) -> Plan:
    """Every record of the log is read."""
    return Plan([], [], all_segments(directory), False)


def _range(query: Query) -> tuple[int, int]:
    since = -EVER if query.since is None else query.since
    until = EVER if query.until is None else query.until
    if query.ids and all(_UUID7.match(each) for each in query.ids):
        made = [made_at(each) for each in query.ids]
        since, until = max(since, min(made) - _APART), min(until, max(made) + _APART)
    return since, until


def made_at(id: str) -> int:
    """Unix µs, of a UUIDv7."""
    return int(id[:8] + id[9:13], 16) * 1000


def _oldest_open(directory: Path, sealed: Iterable[tuple[Segment, Seal]],
                 hot: list[Segment]) -> int:
    """The earliest that anything which sealed segments leave open was opened, Unix µs."""
    if len(hot) > 1:
        return -EVER  # what was closed in the older ones is neither carried nor in a seal
    try:
        carried = msgspec.json.decode((directory / "carried.json").read_bytes(), type=_Carried)
    except (OSError, msgspec.MsgspecError):
        return -EVER  # a copy of the log need not have it
    if not all(_UUID7.match(each) for each in carried.open):
        return -EVER
    return min([EVER, *(made_at(each) for each in carried.open),
                *(seal.begin for segment, seal in sealed if segment.sequence >= carried.sequence)])


def _indexed(wanted: list[tuple[Segment, Seal]], locate: Locate,
             say: Say) -> tuple[list[Indexed], list[Segment]]:
    """Those with a good index, and those that have to be read."""
    with ThreadPoolExecutor(4) as pool:  # checksums are computed outside the interpreter's lock
        found = list(pool.map(lambda pair: _one(pair[0], pair[1], locate), wanted))
    good, bad = [], []
    missing = 0
    for (segment, _), each in zip(wanted, found, strict=True):
        if isinstance(each, Indexed):
            good.append(each)
        else:
            bad.append(segment)
            missing += not each
            if each:
                say(f"{each}. Its records are read instead, which takes longer")
    if missing:
        say(f"{missing} sealed segments have no index; their records are read instead, which takes "
            "longer. Make them: outbounds evidence reindex")
    return good, bad


def _one(segment: Segment, seal: Seal, locate: Locate) -> Indexed | str:
    """What is wrong with it; "" where there is none."""
    try:
        while True:
            path = locate(segment)
            if path is None or seal.index is None:
                return ""
            try:
                return Indexed(segment, seal, checked_index(path, seal.index))
            except (Damaged, FileNotFoundError):
                # something may have been removed, and the index made anew, while we looked
                seal, before = load_seal(segment.seal), seal
                if seal.index == before.index:
                    raise
    except (Damaged, OSError) as error:
        return str(error)

