"""The keeper's task "retention": what is due is removed, once a day.

Everything counts in whole days (UTC): what became due yesterday is removed by the first pass of
today. So a segment, which tells of an hour, is written anew once for each verdict it has and each
of its two moments, and not again and again; and a record lies here a day longer than the rules say,
at most, while the keeper runs.

A pass looks at `MOST` records, oldest segments first; what is left is for the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ...settings.evidence import Evidence, Retention
from ..archive.layout import Segment, all_segments
from ..archive.reading import Damaged, read_segment
from ..archive.seal import BadSeal, load_seal
from ..cases.store import CaseDamaged, Hold, cases_of
from ..keeper import indexing
from ..keeper.task import KeeperFault, Keeping
from ..line import is_erased
from ..record import END
from ..shipping.reach import bring_back, reachable
from ..submit import EvidenceUnavailable, recording
from .due import Fate, due, moments, span_of
from .ends import ends_beyond
from .facts import facts_of
from .memory import NEVER, Memory, load_memory, save_memory
from .rewriting import Removed, remove_leftovers, rewrite

DAY = 86_400 * 1_000_000
"""µs"""
MOST = 5_000_000
"""Records looked at in a pass: a few minutes of a niced process."""


@dataclass(slots=True)
class Plan:
    """What is to become of each record of a segment; when something in it is due after that."""

    segment: Segment
    fates: bytearray = field(default_factory=bytearray)
    removes: Removed = field(default_factory=Removed)
    held: int = 0
    next: int = NEVER


def run(keeping: Keeping) -> None:
    """`status`: `records` and `details` removed by this pass, `held` records of those looked at
    that are due and that a case keeps, `waiting` segments that were too many for it. Raises
    KeeperFault, Damaged, BadSeal, OSError."""
    segments = [each for each in all_segments(keeping.directory) if each.sealed]
    remove_leftovers(segments)
    if keeping.settings is None:
        return
    holds = _holds(keeping)
    until = int(keeping.now) // 86_400 * DAY
    memory = load_memory(keeping.directory, keeping.settings.retention, holds)
    if memory.done >= until:
        return
    chosen, waiting = _chosen(segments, keeping.settings.retention, memory, until)
    faults: list[str] = []
    with reachable(keeping.settings.store):
        plans = _plans(segments, chosen, keeping.settings, holds, until, faults)
    removing = [each for each in plans if each.removes]
    removed = _remove(keeping, keeping.settings, removing, until, holds, faults)
    memory.next = {each.stem: memory.next[each.stem] for each in segments
                   if each.stem in memory.next} | {each.segment.stem: each.next for each in plans}
    waiting += sum(each.next <= until for each in plans)
    if not waiting and not faults:
        memory.done = until
    save_memory(keeping.directory, memory)
    keeping.status.update(records=removed.records, details=removed.details, waiting=waiting,
                          held=sum(each.held for each in plans))
    if removed:
        with suppress(KeeperFault):  # the next pass says what is wrong with it
            indexing.run(replace(keeping, status={}))
    if faults:
        raise KeeperFault("; ".join(faults))


def _holds(keeping: Keeping) -> list[Hold]:
    try:
        return cases_of(keeping.directory).holds()
    except CaseDamaged as error:
        raise KeeperFault(f"{error}; nothing is removed while a hold may be in it") from None


def _chosen(segments: Sequence[Segment], retention: Retention, memory: Memory,
            until: int) -> tuple[list[Segment], int]:
    """The segments to look at in this pass, and how many more there are."""
    shortest = int(min(each.details for each in (
        retention.allow, retention.pace, retention.refuse, retention.other)) * 1e6)
    chosen: list[Segment] = []
    records = waiting = 0
    for segment in segments:
        if memory.next.get(segment.stem, 0) > until:
            continue
        seal = load_seal(segment.seal)
        if segment.stem not in memory.next and seal.begin + shortest > until:
            continue  # none of its events was over before it began
        if records < MOST:
            chosen.append(segment)
            records += seal.count
        else:
            waiting += 1
    return chosen, waiting


def _plans(segments: Sequence[Segment], chosen: Sequence[Segment], settings: Evidence,
           holds: Sequence[Hold], until: int, faults: list[str]) -> list[Plan]:
    """What cannot be read is for `evidence verify`; it must not keep the others here."""
    ends = ends_beyond(segments, {each.stem for each in chosen}, until)
    found = []
    for segment in chosen:
        try:
            found.append(plan(segment, settings.retention, holds, until, ends))
        except (Damaged, BadSeal, OSError) as error:
            faults.append(f"{segment}: {error}; nothing was removed from it")
    return found


def plan(segment: Segment, retention: Retention, holds: Sequence[Hold], until: int,
         beyond: dict[str, int]) -> Plan:
    """What is due in `segment` at `until` (Unix µs). `beyond`: as `ends_beyond` has it. Raises as
    `read_segment`."""
    found = Plan(segment)
    ends = dict(beyond)
    for stored in read_segment(segment):
        if (facts := facts_of(stored.envelope)) is not None and facts.type == END:
            ends[facts.event] = facts.at
    for stored in read_segment(segment):
        facts = facts_of(stored.envelope)
        if is_erased(stored.envelope) or facts is None:
            found.fates.append(Fate.KEEP)
            continue
        span = span_of(facts, ends.get(facts.event))
        fate = due(span, retention, holds, until)
        found.fates.append(fate)
        found.removes.records += fate == Fate.RECORD
        found.removes.details += fate == Fate.DETAIL and bool(stored.detail)
        details, records = moments(span, retention)
        if fate == Fate.KEEP and details <= until:
            found.held += 1  # looked at again when the hold is released
        elif fate != Fate.RECORD:
            found.next = min(found.next, details if details > until else records)
    return found


def _remove(keeping: Keeping, settings: Evidence, plans: list[Plan], until: int,
            holds: list[Hold], faults: list[str]) -> Removed:
    total = Removed()
    if not plans:
        return total
    announced = sum((each.removes for each in plans), Removed())
    scope = (f"what was due by the rules of evidence.yaml at Unix second {until // 1_000_000}: "
             f"{announced.records} records and {announced.details} details of others, in "
             f"{len(plans)} segments from {plans[0].segment.stem} to {plans[-1].segment.stem}")
    try:
        with recording(keeping.directory, settings.socket) as recorder, \
             recorder.act("retention", operator="the keeper", scope=scope,
                          count=announced.records + announced.details) as act:
            for each in plans:
                if set(_holds(keeping)) - set(holds):
                    # placed since we looked: what it covers is for the next pass to see
                    each.next = 0
                    continue
                try:
                    bring_back(settings.store, each.segment)
                    total += rewrite(each.segment, each.fates)
                except (Damaged, BadSeal, OSError) as error:
                    faults.append(f"{each.segment}: {error}; nothing was removed from it")
                    each.next = 0
                act.count = total.records + total.details
    except EvidenceUnavailable as error:
        raise KeeperFault(f"{error}; nothing is removed that cannot be put on record") from None
    keeping.say(f"removed {total.records} records and {total.details} details: {scope}")
    return total

