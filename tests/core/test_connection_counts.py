"""Connections per source: the edges, and a model."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.connection_counts import ConnectionCounts, ConnectionLimits, TooMany

LIMITS = ConnectionLimits(per_source=3, new=5, window=10.0, total=6)


def test_a_source_has_so_many_open() -> None:
    counts = ConnectionCounts(LIMITS)
    assert [counts.arrive("a", 0.0) for _ in range(3)] == [None] * 3
    assert counts.arrive("a", 0.0) == (TooMany.OPEN, 1.0)
    assert counts.arrive("b", 0.0) is None
    counts.leave("a")
    assert counts.arrive("a", 0.0) is None


def test_a_source_opens_so_many_in_a_time_and_whoever_waits_is_let_in() -> None:
    counts = ConnectionCounts(LIMITS)
    for _ in range(5):
        assert counts.arrive("a", 0.0) is None
        counts.leave("a")
    refused = counts.arrive("a", 1.0)
    assert refused == (TooMany.NEW, pytest.approx(1.0))
    assert counts.arrive("a", 1.0 + refused[1]) is None


def test_all_together_have_so_many_open() -> None:
    counts = ConnectionCounts(LIMITS)
    assert [counts.arrive(str(source), 0.0) for source in range(6)] == [None] * 6
    assert counts.arrive("another", 0.0) == (TooMany.TOTAL, 1.0)


def test_who_is_gone_is_forgotten_and_not_before() -> None:
    counts = ConnectionCounts(LIMITS)
    counts.arrive("a", 0.0)
    counts.leave("a")
    counts.forget(1.9)
    assert len(counts) == 1
    counts.forget(2.1)
    assert len(counts) == 0


@pytest.mark.parametrize(("workers", "share"), [
    (1, LIMITS), (2, ConnectionLimits(2, 3, 10.0, 3)), (4, ConnectionLimits(1, 2, 10.0, 2))])
def test_a_worker_takes_its_share_rounded_up(workers: int, share: ConnectionLimits) -> None:
    assert LIMITS.share(workers) == share


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0.0, 3.0)), max_size=80))
def test_what_is_open_is_what_came_and_did_not_leave(
        acts: list[tuple[str, bool, float]]) -> None:
    counts, model, now = ConnectionCounts(LIMITS), Counter[str](), 0.0
    for source, arrives, step in acts:
        now += step
        if arrives:
            model[source] += counts.arrive(source, now) is None
        elif model[source]:
            counts.leave(source)
            model[source] -= 1
        counts.forget(now)
        assert counts.total == model.total() <= LIMITS.total
        assert all(counts.held(each) == model[each] <= LIMITS.per_source for each in "abc")
