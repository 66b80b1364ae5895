"""What too slow means: tables, and laws over any course of a transfer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.pace_of_transfer import LeastPace, Progress

LEAST = LeastPace(rate=100.0, over=10.0)  # 1000 octets in each 10 s


@pytest.mark.parametrize(("course", "slow_at"), [
    ([(5, 0), (9.9, 0), (10, 0)], 10),
    ([(5, 999), (10, 999)], 10),
    ([(5, 1000), (10, 1000), (14.9, 1000), (15, 1000)], 15),  # a new window from when it was met
    ([(9, 1000), (18, 2000), (27, 3000), (36, 4000)], None),
    ([(9, 10_000_000), (19, 10_000_000)], 19),  # what came early does not count for later
], ids=["nothing", "one octet short", "then nothing", "steady", "a burst, then nothing"])
def test_too_slow(course: list[tuple[float, int]], slow_at: float | None) -> None:
    progress = Progress(0.0, 0)
    found = [now for now, octets in course if progress.too_slow(now, octets, LEAST)]
    assert (found[0] if found else None) == slow_at


def test_the_clock_stands_while_it_is_not_for_this_side_to_move() -> None:
    progress = Progress(0.0, 0)
    assert not progress.too_slow(9.0, 0, LEAST)
    assert not progress.too_slow(1000.0, 0, LEAST, excused=True)
    assert not progress.too_slow(1000.9, 0, LEAST)
    assert progress.too_slow(1001.0, 0, LEAST)


def test_no_rate_at_all_still_asks_for_an_octet() -> None:
    assert Progress(0.0, 0).too_slow(10.0, 0, LeastPace(0.0, 10.0))
    assert not Progress(0.0, 0).too_slow(10.0, 1, LeastPace(0.0, 10.0))


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.booleans()), min_size=1, max_size=60))
def test_who_keeps_pace_is_never_too_slow(steps: list[tuple[float, bool]]) -> None:
    """Twice the least pace at each look is enough, whenever one looks."""
    progress, now = Progress(0.0, 0), 0.0
    for step, excused in steps:
        now += step
        assert not progress.too_slow(now, int(now * LEAST.rate * 2 + 0.5), LEAST, excused=excused)


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.integers(0, 49)), min_size=1, max_size=80))
def test_who_stays_below_half_of_it_is_found_out(steps: list[tuple[float, int]]) -> None:
    progress, now, octets = Progress(0.0, 0), 0.0, 0
    for step, rate in steps:
        now += step
        octets += int(step * rate)
        found = progress.too_slow(now, octets, LEAST)
        assert found == (now >= LEAST.over)
