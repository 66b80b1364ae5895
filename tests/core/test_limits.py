"""GCRA as a pure step: tables with the time in the scenario, and laws that no table can hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.limits import TOLERANCE, Limit, Per, Unit, gcra, remaining

# --- scenarios: one bucket, requests in order -----------------------------------------------------
# (seconds since start, cost, admitted, wait or None where admitted, remaining afterwards)

Step = tuple[float, int, bool, float | None, int]
SCENARIOS: dict[str, tuple[float, int, list[Step]]] = {
    # one a second, burst 1: the plain case
    "a request a second": (1.0, 1, [
        (0.0, 1, True, None, 0), (0.0, 1, False, 1.0, 0), (0.5, 1, False, 0.5, 0),
        (1.0, 1, True, None, 0), (1.999, 1, False, 0.001, 0), (2.5, 1, True, None, 0),
        # idling saves nothing beyond the burst
        (100.0, 1, True, None, 0), (100.0, 1, False, 1.0, 0)]),
    "a burst of three": (1.0, 3, [
        (0.0, 1, True, None, 2), (0.0, 1, True, None, 1), (0.0, 1, True, None, 0),
        (0.0, 1, False, 1.0, 0), (1.0, 1, True, None, 0), (1.5, 1, False, 0.5, 0),
        (3.0, 1, True, None, 1), (50.0, 1, True, None, 2)]),
    # a refusal costs nothing: asking often does not push the edge away
    "hammering": (10.0, 1, [
        (0.0, 1, True, None, 0), *[(float(t), 1, False, 10.0 - t, 0) for t in range(1, 10)],
        (10.0, 1, True, None, 0)]),
    "costs": (1.0, 5, [
        (0.0, 3, True, None, 2), (0.0, 3, False, 1.0, 2), (0.0, 2, True, None, 0),
        (1.0, 3, False, 2.0, 1), (3.0, 3, True, None, 0), (3.0, 0, True, None, 0)]),
    # a cost above the burst never conforms, and never claims that it soon will
    "too big": (1.0, 2, [(0.0, 3, False, 1.0, 2), (100.0, 3, False, 1.0, 2),
                         (100.0, 2, True, None, 0)]),
    "a slow limit": (3600.0, 1, [(0.0, 1, True, None, 0), (1.0, 1, False, 3599.0, 0),
                                 (3600.0, 1, True, None, 0)]),
    "a fast limit": (0.001, 10, [(0.0, 10, True, None, 0), (0.0, 1, False, 0.001, 0),
                                 (0.01, 10, True, None, 0)]),
}


@pytest.mark.parametrize("start", [0.0, 1e6, 1.8e9])
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, start: float) -> None:
    interval, burst, steps = SCENARIOS[name]
    tat = start
    for at, cost, admitted, expected, left in steps:
        now = start + at
        new, wait = gcra(tat, now, interval, burst, cost)
        assert (wait == 0.0) is admitted, (at, wait)
        if expected is not None:
            assert wait == pytest.approx(expected, abs=TOLERANCE)
        if admitted:
            tat = new
        assert remaining(tat, now, interval, burst) == left, at


def test_pacing_assumes_that_the_request_goes_ahead() -> None:
    """Five at once through a burst of one: each waits its turn, behind those before it."""
    tat, waits = 0.0, []
    for _ in range(5):
        tat, wait = gcra(tat, 0.0, 2.0, 1)
        waits.append(wait)
    assert waits == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_the_interval_is_the_window_by_its_count() -> None:
    assert Limit("x", Unit.REQUESTS, Per.ACCOUNT, 600, 60.0, 60).interval == 0.1


# --- laws -----------------------------------------------------------------------------------------

INTERVALS = st.floats(0.001, 600.0)
BURSTS = st.integers(1, 50)
GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0.0, 5.0), st.floats(0.0, 2000.0)), max_size=60)
STARTS = st.sampled_from([0.0, 12345.678, 1e6, 1.8e9])


def admitted_at(gaps: list[float], interval: float, burst: int, start: float) -> list[float]:
    tat = now = start
    times = []
    for gap in gaps:
        now += gap
        new, wait = gcra(tat, now, interval, burst)
        if wait == 0.0:
            tat = new
            times.append(now)
    return times


@given(GAPS, INTERVALS, BURSTS, STARTS)
def test_no_window_ever_admits_more_than_burst_and_rate(
        gaps: list[float], interval: float, burst: int, start: float) -> None:
    times = admitted_at(gaps, interval, burst, start)
    for first in range(len(times)):
        for last in range(first, len(times)):
            window = times[last] - times[first] + 2 * TOLERANCE
            assert last - first + 1 <= burst + window / interval


@given(GAPS, INTERVALS, BURSTS, STARTS)
def test_who_waits_exactly_as_long_as_told_is_let_in(
        gaps: list[float], interval: float, burst: int, start: float) -> None:
    tat = now = start
    for gap in gaps:
        now += gap
        new, wait = gcra(tat, now, interval, burst)
        if wait > 0.0:
            now += wait
            new, wait = gcra(tat, now, interval, burst)
            assert wait == 0.0
        tat = new


@pytest.mark.parametrize("interval", [1 / 3, 0.7, 60 / 7, 0.1])
def test_rounding_refuses_nobody_who_waited(interval: float) -> None:
    """Sums of such intervals are a little off; a client cannot wait 5.6e-17 s longer."""
    for gap in (0.05, 0.31, 0.333, 1.7):
        tat = now = 0.0
        for _ in range(500):
            now += gap
            new, wait = gcra(tat, now, interval, 1)
            if wait > 0.0:
                now += wait
                new, wait = gcra(tat, now, interval, 1)
                assert wait == 0.0
            tat = new


@given(GAPS, INTERVALS, BURSTS, STARTS)
def test_who_comes_earlier_is_not(
        gaps: list[float], interval: float, burst: int, start: float) -> None:
    tat = now = start
    for gap in gaps:
        now += gap
        new, wait = gcra(tat, now, interval, burst)
        if wait > 10 * TOLERANCE:
            assert gcra(tat, now + wait / 2, interval, burst)[1] > 0.0
        else:
            tat = new


@given(st.floats(-100.0, 10_000.0), st.floats(0.0, 10_000.0), INTERVALS, BURSTS)
def test_remaining_is_how_many_would_really_be_let_in(
        tat: float, now: float, interval: float, burst: int) -> None:
    left = remaining(tat, now, interval, burst)
    assert 0 <= left <= burst
    count, moving = 0, tat
    while count <= burst:
        new, wait = gcra(moving, now, interval, burst)
        if wait > 0.0:
            break
        moving, count = new, count + 1
    # adding one by one rounds otherwise than multiplying: at the very edge one may differ
    assert count == left or (abs(count - left) == 1 and _at_the_edge(tat, now, interval, burst))


def _at_the_edge(tat: float, now: float, interval: float, burst: int) -> bool:
    room = (burst * interval - max(0.0, tat - now)) / interval
    return abs(room - round(room)) * interval <= 3 * TOLERANCE


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6), INTERVALS, BURSTS, st.integers(1, 50))
def test_a_step_never_forgets_a_debt(
        tat: float, now: float, interval: float, burst: int, cost: int) -> None:
    """The new arrival time is later than both the old one and now, by the whole cost."""
    new, wait = gcra(tat, now, interval, burst, cost)
    assert new == max(tat, now) + cost * interval
    assert wait >= 0.0 and math.isfinite(wait)
