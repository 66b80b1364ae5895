"""From what a store keeps to what an operator reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from outbounds.core.limit_state import LimitState, states
from outbounds.core.limits import Limit, Live, Per, Unit

RATE = Limit("rate", Unit.REQUESTS, Per.ACCOUNT, 60, 60.0, 10)
HELD = Limit("held", Unit.TUNNELS, Per.ACCOUNT, 3, 0.0, 3)


@dataclass(frozen=True)
class Days:
    every: str = "day"

    def period(self, now: float) -> tuple[float, float]:
        return now - 100.0, now + 50.0


QUOTA = Limit("quota", Unit.BYTES, Per.ACCOUNT, 1000, 0.0, 1000, calendar=Days())  # type: ignore[arg-type]


def one(limit: Limit, **live: float) -> LimitState:
    found, = states([limit], [Live(limit.id, "a", **live)], "a", 1e9)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(("ahead", "used", "remaining", "debt"), [
    (0.0, 0, 10, 0), (0.4, 1, 9, 0), (1.0, 1, 9, 0), (1.0 + 1e-9, 1, 9, 0), (9.5, 10, 0, 0),
    (10.0, 10, 0, 0), (25.0, 25, 0, 15)])
def test_a_rate(ahead: float, used: int, remaining: int, debt: int) -> None:
    state = one(RATE, ahead=ahead)
    assert (state.used, state.remaining, state.debt, state.whole) == (used, remaining, debt, ahead)
    assert (state.most, state.count, state.window, state.every) == (10, 60, 60.0, "")


@pytest.mark.parametrize(("used", "remaining", "debt", "whole"), [
    (0, 1000, 0, 0.0), (400, 600, 0, 50.0), (1200, 0, 200, 50.0)])
def test_a_quota(used: int, remaining: int, debt: int, whole: float) -> None:
    state = one(QUOTA, used=used)
    assert (state.remaining, state.debt, state.whole, state.every) == (
        remaining, debt, whole, "day")


def test_what_is_held_ends_nobody_knows_when() -> None:
    state = one(HELD, used=2)
    assert (state.used, state.remaining, state.whole) == (2, 1, None)


def test_limits_that_were_not_used_are_there_and_each_host_is_a_row() -> None:
    per_host = replace(RATE, id="host", per=Per.ACCOUNT_HOST)
    found = states([RATE, per_host], [Live("host", "a b.example", 1.0),
                                      Live("host", "a c.example", 2.0)], "a", 1e9)
    assert [(each.limit, each.of, each.used) for each in found] == [
        ("rate", "", 0), ("host", "b.example", 1), ("host", "c.example", 2)]


def test_what_no_file_defines_is_shown_with_its_time() -> None:
    found, = states([], [Live("crawl-delay", "a b.example", 4.0)], "a", 1e9)
    assert (found.limit, found.of, found.most, found.whole) == ("crawl-delay", "b.example", 0, 4.0)
