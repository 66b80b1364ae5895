"""What holds for every complaint and every log: agreement never harms, and a margin never hides."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from trace_events import OURS, SECOND, event, sighting, traced

from outbounds.evidence.complaints import Moment, Sighting
from outbounds.evidence.search import Event
from outbounds.evidence.trace import Traced
from outbounds.evidence.trace.facts import facts_of
from outbounds.evidence.trace.matching import match
from outbounds.evidence.trace.weights import ORDER, WEIGHTS, weight

EXAMPLES = settings(max_examples=50, deadline=None)
ACCOUNTS = ["acct_a", "acct_b", "acct_c", ""]
EGRESS = [(OURS, 51234), (OURS, 40_000), ("10.0.0.5", 51234), ("10.0.0.5", 4711), ("192.0.2.8", 1),
          None]
HOSTS = ["www.example.org", "shop.example.org", "www.example.net"]


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    return [event(number, draw(st.sampled_from(ACCOUNTS)), begin=begin,
                  end=draw(st.one_of(st.none(), st.floats(begin, begin + 500))),
                  egress=draw(st.sampled_from(EGRESS)), host=draw(st.sampled_from(HOSTS)),
                  path=draw(st.sampled_from(["/", "/a"])),
                  verdict=draw(st.sampled_from(["allow", "refuse"])))
            for number in range(draw(st.integers(0, 8)))
            for begin in [draw(st.floats(-400, 400))]]


@st.composite
def sightings(draw: st.DrawFn) -> Sighting:
    return sighting(
        at=draw(st.floats(-300, 300)), lasts=draw(st.sampled_from([0.0, 1.0, 60.0, 7200.0])),
        port=draw(st.sampled_from([None, 51234, 40_000])),
        target=draw(st.sampled_from(["", "www.example.org", "198.51.100.9", "10.0.0.1"])),
        method=draw(st.sampled_from(["", "GET", "POST"])),
        path=draw(st.sampled_from(["", "/", "/a"])),
        status=draw(st.sampled_from([None, 200, 404])))


def accounts(found: Traced) -> set[str]:
    return {each.account for each in found.candidates}


@EXAMPLES
@given(sightings(), events(), st.integers(0, 200), st.integers(0, 200))
def test_a_wider_tolerance_never_drops_a_candidate(said: Sighting, log: list[Event], least: int,
                                                   more: int) -> None:
    narrow = traced(said, *log, tolerance=least * SECOND)
    wide = traced(said, *log, tolerance=(least + more) * SECOND)
    assert accounts(narrow) <= accounts(wide)


@EXAMPLES
@given(sightings(), events(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_vaguer_time_never_drops_a_match(said: Sighting, log: list[Event], before: int,
                                           after: int) -> None:
    wide = replace(said, moments=tuple(
        Moment(each.earliest - before, each.latest + after) for each in said.moments))
    for each in log:
        if match(said, facts_of(each), 0) is not None:
            assert match(wide, facts_of(each), 0) is not None


@EXAMPLES
@given(sightings(), events())
def test_every_event_that_fits_is_found_by_the_searches(said: Sighting, log: list[Event]) -> None:
    """The plan narrows what is looked at, and must not narrow what is found."""
    fits = {each.id for each in log if match(said, facts_of(each), 300 * SECOND)}
    found = {each.facts.event.id for one in traced(said, *log).candidates for each in one.matches}
    assert found == fits


LEVELS = st.fixed_dictionaries({name: st.sampled_from(list(row)) for name, row in WEIGHTS.items()})


@EXAMPLES
@given(LEVELS, st.sampled_from(list(WEIGHTS)))
def test_more_agreement_never_weighs_less(levels: dict[str, str], raised: str) -> None:
    row = list(WEIGHTS[raised])
    for better in row[:row.index(levels[raised])]:
        assert weight({**levels, raised: better}) >= weight(levels)


@EXAMPLES
@given(st.lists(sightings(), min_size=1, max_size=4), events(), sightings())
def test_a_further_sighting_never_takes_from_a_candidate(said: list[Sighting], log: list[Event],
                                                         further: Sighting) -> None:
    before = {each.account: each.weight for each in traced(said, *log).candidates}
    after = {each.account: each.weight for each in traced([*said, further], *log).candidates}
    for account, value in before.items():
        assert after[account] >= value


@EXAMPLES
@given(st.lists(sightings(), min_size=1, max_size=4), events())
def test_the_order_of_the_log_does_not_matter_and_the_ranking_is_one(said: list[Sighting],
                                                                     log: list[Event]) -> None:
    found, backward = traced(said, *log), traced(said, *reversed(log))
    assert [(each.account, each.confidence, each.weight) for each in found.candidates] == [
        (each.account, each.confidence, each.weight) for each in backward.candidates]
    ranks = [(ORDER.index(each.confidence), -each.weight) for each in found.candidates]
    assert ranks == sorted(ranks)
    assert sum(each.confidence == "certain" for each in found.candidates) <= len(said)


@EXAMPLES
@given(sightings(), events())
def test_certain_means_that_nobody_else_had_the_port(said: Sighting, log: list[Event]) -> None:
    for candidate in traced(said, *log).candidates:
        if candidate.confidence == "certain":
            others = {found.facts.account for each in log
                      if (found := match(said, facts_of(each), 300 * SECOND)) and found.exact}
            assert others == {candidate.account}
