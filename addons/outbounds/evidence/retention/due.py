"""What becomes of a record: kept, kept without its detail, or removed. No clock, no files.

The age of a record is that of its event, from when that was over: a closing, and the opening that
it belongs to, go together. How long depends on the verdict; what has none (our own fetches, access
to the log) is kept as `other` says. A closing without a verdict is the collector's own, for a proxy
that ended before it could write one: it is kept the longest.

An event whose end was not found is taken to have lasted `LONGEST`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from ...settings.evidence import Kept, Retention
from ..cases.store import Hold
from ..record import END
from .facts import Facts

LONGEST = 31 * 86_400 * 1_000_000
"""µs"""


class Fate(IntEnum):
    """What is to become of a record, from least to most."""

    KEEP = 0
    DETAIL = 1
    RECORD = 2


class Span(NamedTuple):
    """An event as one of its records shows it: Unix µs. `unclaimed`: it may be anybody's."""

    event: str
    account: str
    verdict: str
    begin: int
    end: int
    unclaimed: bool = False


def span_of(facts: Facts, end: int | None) -> Span:
    """`end`: when the event was over, if that is known; of a closing it always is."""
    at = facts.at
    if facts.type == END:
        orphan = facts.outcome == "unknown" and not facts.verdict
        return Span(facts.event, facts.account, "unknown" if orphan else facts.verdict,
                    at - facts.duration // 1000, at, unclaimed=orphan and not facts.account)
    return Span(facts.event, facts.account, facts.verdict, at, at + LONGEST if end is None else end)


def kept_for(verdict: str, retention: Retention) -> Kept:
    if verdict in ("allow", "pace", "refuse"):
        found: Kept = getattr(retention, verdict)
        return found
    if verdict == "unknown":
        every = (retention.allow, retention.pace, retention.refuse, retention.other)
        return Kept.model_construct(details=max(each.details for each in every),
                                    records=max(each.records for each in every))
    return retention.other


def moments(span: Span, retention: Retention) -> tuple[int, int]:
    """When the detail is due, and when the record is: Unix µs."""
    kept = kept_for(span.verdict, retention)
    return span.end + int(kept.details * 1e6), span.end + int(kept.records * 1e6)


def due(span: Span, retention: Retention, holds: Iterable[Hold], at: int) -> Fate:
    """What is due at `at`, Unix µs."""
    details, records = moments(span, retention)
    if at < details or holding(span, holds) is not None:
        return Fate.KEEP
    return Fate.RECORD if at >= records else Fate.DETAIL


def holding(span: Span, holds: Iterable[Hold]) -> Hold | None:
    """A hold that keeps it."""
    for hold in holds:
        account = hold.account or "" if span.unclaimed else span.account
        if hold.covers(event=span.event, account=account, begin=span.begin, end=span.end):
            return hold
    return None
