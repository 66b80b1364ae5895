"""The segments of a log: what there is to look at in each, and what is missing between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path

from msgspec.structs import replace as replace_struct

from ..archive.layout import Segment, all_segments
from ..archive.seal import BadSeal, Index, Seal, load_seal
from ..archive.tiling import Tiled
from ..tlog.tiles import TileReader, TileStore
from .report import Report
from .runs import Span, compare
from .signed import Signed
from .stretch import FRAMES, Looked, Stretch
from .walk import Walk


@dataclass(slots=True)
class Planned:
    """A segment; the position of its first record, None if only what comes before can say; what is
    to be looked at. `begins` is where it began when it was gone over, None
    before."""

    segment: Segment
    first: int | None
    seal: Seal | None
    stretches: list[Stretch]
    begins: int | None = None


def plan(directory: Path, log: Path, tiled: Tiled, said: Signed, report: Report) -> list[Planned]:
    """Every segment, oldest first. Raises OSError."""
    segments = all_segments(directory)
    cuts = sorted({*(mark.size for mark in said.marks), *said.begins.values()})
    found = []
    for segment in segments:
        first, seal = said.begins.get(segment.stem), None
        if segment.sealed:
            try:
                seal = load_seal(segment.seal)
            except BadSeal as error:
                report.say("seal", f"{error}; without it {segment.records.name} cannot be read: "
                           "bring the seal back from a backup or the object store")
                continue
            if first is not None and seal.first != first:
                report.say("seal", f"{segment.seal}: it says that record {seal.first} is its "
                           f"first; {segment.checkpoint.name}, which is signed, says {first}")
                seal = replace_struct(seal, first=first)
            first = seal.first if first is None else first
        base = Stretch(segment, first or 0, seal, range(0), log, tiled, cuts,
                       newest=segment == segments[-1])
        parts = [base] if seal is None else [
            replace(base, frames=range(at, min(at + FRAMES, frames)))
            for frames in (-(-seal.count // seal.frame_records),)
            for at in range(0, frames, FRAMES)]
        found.append(Planned(segment, first, seal, parts))
    return found


def place(planned: Sequence[Planned], position: int) -> str:
    """Where record `position` is, for people."""
    over = [(each.begins, each) for each in planned if each.begins is not None]
    begins, one = over[bisect_right([begins for begins, _ in over], position) - 1]
    within = position - begins
    if one.seal is None:
        return f"{one.segment.hot}, line {within + 1}"
    frame, line = divmod(within, one.seal.frame_records)
    return f"{one.segment.folder / one.seal.records.name}: frame {frame}, line {line + 1}"


class Missing:
    """What was signed and is not here."""

    def __init__(self, said: Signed, planned: Sequence[Planned]) -> None:
        have = {each.segment.stem for each in planned}
        self._gone = {stem: size for stem, size in said.begins.items() if stem not in have}
        self._begins = said.begins

    def before(self, one: Planned, walk: Walk, report: Report) -> None:
        """Whether `one` follows on what was gone over; if not, what is between comes from the
        tiles."""
        segment, first = one.segment, one.first
        if segment.stem not in self._begins and not segment.checkpoint.exists():
            report.say("signature", f"{segment.checkpoint}: the checkpoint is missing: where its "
                       "segment begins is not signed")
        if first is not None and first > walk.size:
            report.say("gap", f"{segment}: it begins with record {first}, and only {walk.size} "
                       f"come before it: {_span(walk.size, first)} missing"
                       f"{self._named(walk.size, first)}", walk.size)
            some = one.stretches[0]
            reader = TileReader(TileStore(some.log), some.tiled.size, some.tiled.hashes)
            hole = Span(walk.size, None, first - walk.size)
            walk.take(compare([hole], reader, some.tiled.size, some.cuts))
        elif first is not None and first < walk.size:
            report.say("inserted", f"{segment}: it begins with record {first}, and {walk.size} "
                       f"come before it: {walk.size - first} were put in", first)
            walk.rewind(first)
        one.begins = walk.size

    def after(self, walk: Walk, report: Report) -> None:
        """Of segments that should come at the end."""
        names = self._named(walk.size, None)
        if names and walk.unmet:
            report.say("gap", f"records from {walk.size} on are missing{names}", walk.size)

    def _named(self, begin: int, end: int | None) -> str:
        names = [stem for stem, size in self._gone.items()
                 if begin <= size and (end is None or size < end)]
        return f", which {', '.join(names)} had (its .jsonl, or .seal, is gone)" if names else ""


def _span(begin: int, end: int) -> str:
    return f"record {begin} is" if end - begin == 1 else f"records {begin} to {end - 1} are"


def left(one: Planned, counted: Looked, report: Report) -> None:
    """What is to be said of a whole segment, after its records. Raises OSError."""
    report.details += counted.details
    report.erased += counted.erased
    report.erased_details += counted.erased_details
    report.elsewhere += counted.elsewhere
    for finding in counted.findings:
        report.say(finding.kind, finding.text, finding.position)
    seal = one.seal
    if counted.elsewhere:
        report.notes.append(f"{one.segment.stem}: not here but in the object store: the hashes of "
                            f"its {counted.elsewhere} records were verified, and nothing else")
    if seal is None:
        if counted.erased or counted.erased_details:
            report.say("erased", f"{one.segment.hot}: {counted.erased} records and "
                       f"{counted.erased_details} details were removed; nothing is ever erased "
                       "from a segment that is not sealed")
        return
    try:
        newer = load_seal(one.segment.seal)
    except FileNotFoundError:
        newer = seal
    if newer.generation != seal.generation:
        report.notes.append(f"{one.segment.stem}: something was erased in it meanwhile; its counts "
                            "were not compared")
        return
    if not counted.unread and (counted.erased, counted.erased_details) != (
            seal.erased, seal.erased_details):
        report.say("erased", f"{one.segment.seal}: {counted.erased} records and "
                   f"{counted.erased_details} details are not there, and it says that "
                   f"{seal.erased} and {seal.erased_details} were erased")
    for part in (seal.records, seal.details):
        path = one.segment.folder / part.name
        if path.exists() and path.stat().st_size > part.octets:
            report.say("frame", f"{path}: {path.stat().st_size - part.octets} octets follow its "
                       f"last frame, at octet {part.octets}")
    if newer.index is not None:
        _check_index(one.segment.folder / newer.index.name, newer.index, seal, report)


def _check_index(path: Path, index: Index, seal: Seal, report: Report) -> None:
    try:
        with path.open("rb") as file:
            right = file_digest(file, "sha256").hexdigest() == index.sha256
    except FileNotFoundError:
        if seal.shipped:
            return
        right = False
    if not right:
        report.say("index", f"{path}: the index is missing or damaged; no record is lost by that: "
                   "`outbounds evidence reindex` makes it anew")
