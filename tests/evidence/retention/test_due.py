"""What is due: verdicts, ages and holds, to the microsecond."""

from __future__ import annotations

import pytest
from aged import DAY, RULES, at

from outbounds.evidence.cases.store import Hold
from outbounds.evidence.retention.due import LONGEST, Fate, Span, due, holding, span_of
from outbounds.evidence.retention.facts import facts_of

KEEP, DETAIL, RECORD = Fate


def span(verdict: str = "allow", begin: float = 0, end: float = 0, account: str = "a",
         unclaimed: bool = False) -> Span:
    return Span("event-1", account, verdict, at(begin), at(end), unclaimed)


def hold(account: str | None = None, since: float | None = None, until: float | None = None,
         events: tuple[str, ...] = ()) -> Hold:
    return Hold("C-1", 3, "", "", "", account, None if since is None else at(since),
                None if until is None else at(until), frozenset(events))


@pytest.mark.parametrize(("verdict", "details", "records"), [
    ("allow", 30, 180), ("pace", 40, 60), ("refuse", 90, 365), ("", 90, 730),
    ("something new", 90, 730),
    ("unknown", 90, 730)])  # the longest of each
def test_by_verdict(verdict: str, details: int, records: int) -> None:
    for after, fate in ((-1, KEEP), (details * DAY - 1, KEEP), (details * DAY, DETAIL),
                        (records * DAY - 1, DETAIL), (records * DAY, RECORD),
                        (9000 * DAY, RECORD)):
        assert due(span(verdict), RULES, (), at(0) + after) is fate, after


def test_age_counts_from_the_end() -> None:
    """A tunnel that was open for ten days."""
    assert due(span(begin=0, end=10), RULES, (), at(30)) is KEEP
    assert due(span(begin=0, end=10), RULES, (), at(40)) is DETAIL


@pytest.mark.parametrize(("one", "keeps"), [
    (hold("a"), True), (hold("b"), False), (hold(None), False),
    (hold("a", since=2), True), (hold("a", since=2.001), False),
    (hold("a", until=1), True), (hold("a", until=0.999), False),
    (hold("a", since=1.4, until=1.6), True),  # within the event
    (hold("a", since=3, until=4), False),
    (hold(events=("event-1",)), True), (hold(events=("event-2",)), False),
    (hold("b", events=("event-1",)), True)])
def test_holds(one: Hold, keeps: bool) -> None:
    """By account, by time, by id: an event from day 1 to day 2, long due."""
    event = span(begin=1, end=2)
    assert (holding(event, [hold("z"), one]) is one) == keeps
    assert due(event, RULES, [one], at(9000)) is (KEEP if keeps else RECORD)


def test_what_may_be_anybodys_is_kept_by_any_account_s_hold() -> None:
    """A closing by the collector names no account."""
    orphan = span("unknown", account="", unclaimed=True)
    assert due(orphan, RULES, [hold("a")], at(9000)) is KEEP
    assert due(orphan, RULES, [hold("a", since=1)], at(9000)) is RECORD
    assert due(span("", account=""), RULES, [hold("a")], at(9000)) is RECORD


def record(**known: str | int) -> bytes:
    import msgspec

    return msgspec.json.encode({"@timestamp": "2024-10-14T00:00:00.000000Z", "event.id": "e",
                                "event.type": "end", **known})


@pytest.mark.parametrize(("envelope", "expected"), [
    (record(**{"user.id": "a", "outbounds.verdict": "pace", "event.duration": DAY * 2000}),
     Span("e", "a", "pace", at(8), at(10))),
    (record(**{"event.outcome": "unknown"}), Span("e", "", "unknown", at(10), at(10), True)),
    (record(**{"event.outcome": "unknown", "outbounds.verdict": "allow", "user.id": "a"}),
     Span("e", "a", "allow", at(10), at(10))),
    (record(**{"event.outcome": "success"}), Span("e", "", "", at(10), at(10))),
    (record(**{"event.type": "start"}), Span("e", "", "", at(10), at(10) + LONGEST)),
    (record(**{"event.type": "connection"}), Span("e", "", "", at(10), at(10) + LONGEST))])
def test_what_a_record_shows_of_its_event(envelope: bytes, expected: Span) -> None:
    facts = facts_of(envelope)
    assert facts is not None
    assert span_of(facts, None) == expected
    if facts.type != "end":
        assert span_of(facts, at(11)).end == at(11)


@pytest.mark.parametrize("envelope", [
    b"", b"{}", b'{"outbounds.erased":"00"}', b"[]",
    record(**{"@timestamp": "yesterday"}), record(**{"@timestamp": "2024-10-14T00:00:00"})])
def test_what_is_not_understood_is_not_judged(envelope: bytes) -> None:
    assert facts_of(envelope) is None
