"""What `outbounds trace` shows: what was understood, the candidates with their reasons, the
records, and what was searched.

Whatever comes from the complaint was written by a stranger: it reaches the terminal only as
printable text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..evidence.archive.layout import all_segments
from ..evidence.complaints import Complaint, Moment, Sighting
from ..evidence.complaints.moments import utc
from ..evidence.privacy import printable
from ..evidence.search.query import moment
from ..evidence.trace import Candidate, Match, Traced
from ..evidence.trace.reasons import doubts, endpoint, length, reasons, went_out, went_to
from ..evidence.trace.weights import RULES
from ..settings.evidence import Retention
from .printing import show

MOST_SIGHTINGS = 20  # and candidates, and records, on a screen; --json has them all


@dataclass(frozen=True, slots=True)
class Shown:
    """`name` makes of an account what may be shown; `filed` is what was added to a case."""

    complaint: Complaint
    found: Traced
    tolerance: int
    name: Callable[[str], str]
    directory: Path
    retention: Retention
    filed: str


def clean(text: str, most: int = 300) -> str:
    return printable(text, most)[0]


def said(sighting: Sighting) -> str:
    """A sighting in a line."""
    when = " or ".join(_when(each) for each in sighting.moments) or "at no time that can be read"
    what = " ".join(each for each in (sighting.method, sighting.path) if each)
    target = endpoint(sighting.target, sighting.target_port) if sighting.target else ""
    parts = [endpoint(sighting.address, sighting.port), when]
    if target:
        parts.append(f"at {target}")
    if what:
        parts.append(f"asked {what}" + (f" and got {sighting.status}" if sighting.status else ""))
    return clean(", ".join(parts))


def _when(each: Moment) -> str:
    first, last = utc(each.earliest), utc(each.latest)
    return first if first == last else f"{first.removesuffix(' UTC')} to {last}"


def print_understood(complaint: Complaint) -> None:
    """First of all, since everything else follows from it."""
    count = len(complaint.sightings)
    click.echo(f"The complaint ({clean(complaint.form) or 'of no known form'}) says:")
    for each in complaint.sightings[:MOST_SIGHTINGS]:
        where = f" ({clean(each.source)})" if each.source else ""
        click.echo(f"  {said(each)}{where}")
        for note in dict.fromkeys((*each.notes, *(m.note for m in each.moments if m.note))):
            click.echo(f"    - {clean(note)}")
    if count > MOST_SIGHTINGS:
        click.echo(f"  and {count - MOST_SIGHTINGS} more like these")
    if not count:
        click.echo("  nothing that can be searched for: no address was found in it")
    if complaint.unread:
        click.echo("Not understood:")
    for part in complaint.unread[:MOST_SIGHTINGS]:
        where = f"{clean(part.source)}: " if part.source else ""
        text = f" in {clean(part.text, 160)!r}" if part.text else ""
        click.echo(f"  {where}{clean(part.why)}{text}")
    if len(complaint.unread) > MOST_SIGHTINGS:
        click.echo(f"  and {len(complaint.unread) - MOST_SIGHTINGS} more; --json has them all")
    for note in complaint.notes:
        click.echo(f"Also: {clean(note)}")
    click.echo()


def print_traced(shown: Shown) -> None:
    candidates = shown.found.candidates
    for number, each in enumerate(candidates[:MOST_SIGHTINGS], 1):
        _print_candidate(number, each, shown)
    if len(candidates) > MOST_SIGHTINGS:
        click.echo(f"and {len(candidates) - MOST_SIGHTINGS} more candidates; --json has them all")
    if candidates:
        _print_records(shown)
    else:
        _print_nothing(shown)
    for line in _searched(shown):
        click.echo(line)
    if shown.filed:
        click.echo(shown.filed)


def _print_candidate(number: int, candidate: Candidate, shown: Shown) -> None:
    of = len(shown.complaint.sightings)
    fits = f", fits {candidate.sightings} of {of} sightings" if of > 1 else ""
    click.echo(f"{number}. {_name(candidate, shown)}: {candidate.confidence}{fits}")
    for reason in reasons(candidate.matches[0]):
        click.echo(f"   - {clean(reason)}")
    click.echo("   Uncertain:")
    for doubt in doubts(candidate, shown.tolerance):
        click.echo(f"   - {clean(doubt)}")
    click.echo()


def _name(candidate: Candidate, shown: Shown) -> str:
    return clean(shown.name(candidate.account)) or "the proxy itself"


def _print_records(shown: Shown) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("FROM", "TO", "ACCOUNT", "WENT OUT", "TARGET", "REQUEST", "RECORD"):
        table.add_column(title, overflow="fold", no_wrap=title in ("FROM", "RECORD"))
    rows = [(each, found) for each in shown.found.candidates for found in each.matches]
    for candidate, found in rows[:MOST_SIGHTINGS]:
        facts = found.facts
        table.add_row(*(Text(clean(cell)) for cell in (
            utc(facts.begin).removesuffix(" UTC"),
            "open" if facts.end is None else utc(facts.end).removesuffix(" UTC"),
            _name(candidate, shown), went_out(found) or "-", went_to(found) or "-",
            " ".join(each for each in (facts.method, facts.path) if each) or "-",
            facts.event.id)))
    click.echo("Records (times are UTC):")
    show(table)
    total = sum(each.events for each in shown.found.candidates)
    if total > MOST_SIGHTINGS:
        click.echo(f"and {total - MOST_SIGHTINGS} more")
    click.echo()


def _print_nothing(shown: Shown) -> None:
    timed = [each for each in shown.complaint.sightings if each.moments]
    if not shown.complaint.sightings:
        click.echo("Nothing was searched for: the complaint names no address. Give it: "
                   "outbounds trace ADDRESS:PORT --at TIME")
        return
    if not timed:
        click.echo("Nothing was searched for: the complaint says no time that can be read. Give it "
                   "with --at.")
        return
    click.echo("No record fits: nothing in this log went out like that within the margins.")
    for off in shown.found.elsewhere:
        click.echo(f"But the very address and port were in use {length(off)} "
                   f"{'after' if off > 0 else 'before'} the stated time: is the zone right?")
    if not shown.found.elsewhere:
        click.echo("Is the address one of this proxy's? Is the time in UTC? A wider --tolerance or "
                   "a --zone may find more.")


def _searched(shown: Shown) -> Iterator[str]:
    queries = shown.found.queries
    if queries:
        yield f"Searched {shown.directory} with ±{length(shown.tolerance)}: " + "; ".join(
            clean(str(each)) for each in queries[:5]) + (
            f"; and {len(queries) - 5} more" if len(queries) > 5 else "")
    unmatched = shown.found.unmatched
    if shown.found.candidates and unmatched:
        places = [clean(shown.complaint.sightings[each].source, 60) for each in unmatched[:10]]
        yield f"No record fits {len(unmatched)} of the sightings: {'; '.join(places)}" + (
            " and more" if len(unmatched) > 10 else "")
    if shown.found.unsearched:
        yield f"Not searched: {shown.found.unsearched} sightings; give them in a smaller file."
    segments = all_segments(shown.directory)
    stated = [each.latest for one in shown.complaint.sightings for each in one.moments]
    if not segments:
        yield "The log is empty."
    elif queries:
        begin = segments[0].stem[:13]
        yield f"The log has {len(segments)} segment{'' if len(segments) == 1 else 's'}, the " \
              f"first of {begin}:00 UTC." + (
                  " The stated time lies before it: no record of then is here any more."
                  if stated and moment(max(stated))[:13] < begin else "")
        kept = shown.retention
        yield "Retention removes what was allowed after " \
              f"{length(round(kept.allow.records * 1e6))}, and its paths after " \
              f"{length(round(kept.allow.details * 1e6))}."


def as_json(shown: Shown) -> str:
    """Everything, for a program."""
    return json.dumps({
        "complaint": {
            "form": shown.complaint.form,
            "sightings": [_sighting(each) for each in shown.complaint.sightings],
            "unread": [{"source": each.source, "text": clean(each.text), "why": each.why}
                       for each in shown.complaint.unread],
            "notes": list(shown.complaint.notes),
        },
        "tolerance": shown.tolerance / 1e6,
        "candidates": [_candidate(each, shown) for each in shown.found.candidates],
        "rules": RULES,
        "searched": [str(each) for each in shown.found.queries],
        "unsearched": shown.found.unsearched,
        "unmatched": list(shown.found.unmatched),
        "elsewhere": [each / 1e6 for each in shown.found.elsewhere],
        "filed": shown.filed,
    })


def _sighting(each: Sighting) -> dict[str, Any]:
    return {
        "address": each.address, "port": each.port,
        "moments": [{"earliest": moment(m.earliest), "latest": moment(m.latest), "note": m.note}
                    for m in each.moments],
        "target": each.target, "target_port": each.target_port, "method": each.method,
        "path": clean(each.path, 2000), "status": each.status, "source": each.source,
        "notes": list(each.notes),
    }


def _candidate(candidate: Candidate, shown: Shown) -> dict[str, Any]:
    return {
        "account": shown.name(candidate.account), "itself": not candidate.account,
        "confidence": candidate.confidence, "weight": candidate.weight,
        "reasons": list(reasons(candidate.matches[0])),
        "doubts": list(doubts(candidate, shown.tolerance)),
        "rivals": candidate.rivals, "sightings": candidate.sightings, "events": candidate.events,
        "matches": [_match(each) for each in candidate.matches],
    }


def _match(found: Match) -> dict[str, Any]:
    facts = found.facts
    return {
        "id": facts.event.id, "positions": list(facts.event.positions),
        "begin": moment(facts.begin), "end": None if facts.end is None else moment(facts.end),
        "action": facts.action,
        "egress": sorted(endpoint(*each) for each in facts.egress), "target": went_to(found),
        "method": facts.method, "path": facts.path, "status": facts.status or None,
        "agreement": found.levels, "weight": found.weight, "gap": found.gap / 1e6,
        "source": found.sighting.source,
    }
