"""What a robots.txt asks beside its rules, as limits and as hours."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.limits import Limit, Over, Per, Unit
from outbounds.core.robots_terms import NO_TERMS, Hours, RequestRate, Terms
from outbounds.core.rules import RobotsPolicy
from outbounds.core.site_terms import paces, until_visit_time

DAY = 86_400.0
MIDNIGHT = 1_800_000_000.0 // DAY * DAY
POLICY = RobotsPolicy("enforce", "P-robots", 60.0, 10.0)
NIGHT = Hours(22 * 60, 6 * 60)
NOON = Hours(12 * 60, 13 * 60)


def at(clock: str) -> float:
    hour, minute = clock.split(":")
    return MIDNIGHT + int(hour) * 3600.0 + float(minute) * 60.0


def pace(name: str, count: int, seconds: float, wait: float = 10.0) -> Limit:
    return Limit(name, Unit.REQUESTS, Per.ACCOUNT_HOST, count, seconds, 1, Over.PACE, wait,
                 "P-robots")


def rate(count: int, seconds: float, hours: Hours | None = None) -> Terms:
    return Terms(request_rates=(RequestRate(count, seconds, hours),))


# --- pace ---------------------------------------------------------------------------------------

PACES: list[tuple[list[Terms], tuple[Limit, ...]]] = [
    ([NO_TERMS], ()),
    ([NO_TERMS, NO_TERMS], ()),
    ([Terms(0.0)], ()),
    ([Terms(2.0)], (pace("crawl-delay", 1, 2.0),)),
    ([Terms(2.0), Terms(0.5)], (pace("crawl-delay", 1, 2.0),)),
    ([NO_TERMS, Terms(2.0)], (pace("crawl-delay", 1, 2.0),)),
    ([Terms(900.0)], (pace("crawl-delay", 1, 60.0),)),
    ([rate(30, 60.0)], (pace("request-rate", 30, 60.0),)),
    ([rate(1, 86_400.0)], (pace("request-rate", 1, 60.0),)),
    ([rate(10, 600.0)], (pace("request-rate", 10, 600.0),)),
    ([rate(10, 601.0)], (pace("request-rate", 1, 60.0),)),
    # of several the slowest, whoever's it is
    ([rate(1, 5.0), rate(10, 60.0)], (pace("request-rate", 10, 60.0),)),
    ([rate(100, 1.0), NO_TERMS], (pace("request-rate", 100, 1.0),)),
    ([Terms(1.0, (RequestRate(1, 5.0), RequestRate(1, 2.0)))],
     (pace("crawl-delay", 1, 1.0), pace("request-rate", 1, 5.0))),
]


@pytest.mark.parametrize(("asked", "limits"), PACES)
def test_paces(asked: list[Terms], limits: tuple[Limit, ...]) -> None:
    assert paces(asked, POLICY, at("0:0")) == limits


@pytest.mark.parametrize(("clock", "seconds"), [
    ("11:59.99", 1.0), ("12:00", 5.0), ("12:59.99", 5.0), ("13:00", 1.0), ("23:00", 9.0)])
def test_a_rate_holds_in_its_hours(clock: str, seconds: float) -> None:
    asked = [Terms(request_rates=(RequestRate(1, 5.0, NOON), RequestRate(1, 1.0),
                                  RequestRate(1, 9.0, NIGHT)))]
    assert paces(asked, POLICY, at(clock)) == (pace("request-rate", 1, seconds),)


def test_outside_the_hours_of_all_rates_nothing_holds() -> None:
    assert paces([rate(1, 5.0, NOON)], POLICY, at("14:00")) == ()


BOTH = [Terms(3.0, (RequestRate(1, 5.0),))]


@pytest.mark.parametrize(("honour", "found"), [
    ({"crawl-delay"}, ["crawl-delay"]), ({"request-rate"}, ["request-rate"]),
    ({"visit-time", "content-signals"}, []), (set(), [])])
def test_only_what_is_honoured(honour: set[str], found: list[str]) -> None:
    policy = RobotsPolicy(honour=frozenset(honour))
    assert [each.id for each in paces(BOTH, policy, MIDNIGHT)] == found


def test_without_a_longest_delay_nobody_is_slowed() -> None:
    assert paces(BOTH, RobotsPolicy(max_delay=0.0), MIDNIGHT) == ()


RATES = st.builds(RequestRate, st.integers(1, 999_999), st.integers(1, 999_999 * 3600).map(float))
TERMS = st.builds(Terms, st.none() | st.floats(0, 1e9), st.lists(RATES, max_size=3).map(tuple))


@given(st.lists(TERMS, min_size=1, max_size=3), st.floats(0.001, 3600))
def test_a_pace_is_what_was_asked_for_and_none_is_slower_than_allowed(
        asked: list[Terms], most: float) -> None:
    wanted = [term.crawl_delay or 0.0 for term in asked] + [
        rate.seconds / rate.count for term in asked for rate in term.request_rates]
    found = paces(asked, RobotsPolicy(max_delay=most), MIDNIGHT)
    assert max((each.interval for each in found), default=0.0) == pytest.approx(
        min(max(wanted), most))
    assert all(each.burst == 1 and 0 < each.interval <= most for each in found)


# --- hours --------------------------------------------------------------------------------------


def hours(*spans: tuple[int, int]) -> Terms:
    return Terms(visit_times=tuple(Hours(*span) for span in spans))


@pytest.mark.parametrize(("asked", "clock", "wait"), [
    ([NO_TERMS], "3:00", 0.0),
    ([hours((120, 240))], "1:00", 3600.0),
    ([hours((120, 240))], "1:59.5", 30.0),
    ([hours((120, 240))], "2:00", 0.0),
    ([hours((120, 240))], "3:59.99", 0.0),
    ([hours((120, 240))], "4:00", 22 * 3600.0),  # tomorrow
    ([hours((1320, 360))], "23:59", 0.0),  # over midnight
    ([hours((1320, 360))], "5:59", 0.0),
    ([hours((1320, 360))], "6:00", 16 * 3600.0),
    ([hours((0, 0))], "6:00", 0.0),  # all day
    ([hours((0, 1440))], "23:59.99", 0.0),
    ([hours((120, 240), (600, 660))], "5:00", 5 * 3600.0),  # any of them will do
    ([hours((120, 240), (600, 660))], "10:30", 0.0),
    # what several ask for together
    ([hours((120, 240)), NO_TERMS], "1:00", 3600.0),
    ([hours((120, 240)), hours((180, 300))], "2:00", 3600.0),
    ([hours((120, 240)), hours((180, 300))], "4:30", 22.5 * 3600.0),
    ([hours((120, 240)), hours((240, 300))], "1:00", None),  # never
])
def test_hours(asked: list[Terms], clock: str, wait: float | None) -> None:
    assert until_visit_time(asked, at(clock)) == wait


HOURS = st.builds(Hours, st.integers(0, 1439), st.integers(0, 1440))
VISITS = st.lists(HOURS, max_size=4).map(lambda found: Terms(visit_times=tuple(found)))
NOWS = st.floats(MIDNIGHT, MIDNIGHT + 2 * DAY)


def may_come(asked: list[Terms], now: float) -> bool:
    return all(not each.visit_times or any(span.wait(now) == 0.0 for span in each.visit_times)
               for each in asked)


@given(st.lists(VISITS, min_size=1, max_size=3), NOWS)
def test_who_waits_exactly_so_long_gets_in_and_nobody_could_have_sooner(
        asked: list[Terms], now: float) -> None:
    wait = until_visit_time(asked, now)
    first = MIDNIGHT + math.floor((now - MIDNIGHT) / 60) * 60 + 60
    if wait is None:
        assert not any(may_come(asked, first + 60 * minute) for minute in range(1440))
        return
    assert 0.0 <= wait <= DAY and may_come(asked, now + wait)
    if wait:
        assert not may_come(asked, now)
        steps = int((now + wait - first) // 60)
        assert not any(may_come(asked, first + 60 * minute) for minute in range(steps))
