"""The store in memory: the contract, and what is its own: shards, and a sweep in small steps."""

from __future__ import annotations

from typing import Any

import pytest
from store_scenario import Clock, Periods, ask, per_second, quota
from storetest import BoundedContract

from outbounds.core.limits import Exceeded, Taken
from outbounds.stores import LimitStore, StoreFull
from outbounds.stores.memory import LOOK_AGAIN, SWEEP_EVERY, MemoryStore


class TestMemoryStore(BoundedContract):
    def make(self, max_keys: int, clock: Any) -> LimitStore:
        return MemoryStore(max_keys, clock, clock.wall)


SECOND = per_second("x", 1, 1)
LONG = per_second("long", 1, 10**6)  # a burst so large that debts pile up


def filled(keys: int, clock: Clock, max_keys: int = 1_000_000) -> MemoryStore:
    store = MemoryStore(max_keys, clock, clock.wall)
    for i in range(keys):
        store.take_now(ask(SECOND, key=f"k{i}"))
    return store


def test_a_step_sweeps_one_shard_however_many_keys_have_expired() -> None:
    """A sweep of everything at once would hold up every request for as long as it takes."""
    clock = Clock()
    store = filled(20_000, clock)
    clock.advance(3600.0)
    largest, before = 0, len(store)
    for _ in range(50):
        clock.advance(SWEEP_EVERY / store.shards)
        store.take_now(())
        largest, before = max(largest, before - len(store)), len(store)
    assert 0 < largest < 3 * 20_000 / store.shards


def test_everything_has_been_swept_after_its_time() -> None:
    clock = Clock()
    store = filled(2_000, clock)
    hours = Periods()
    for i in range(2_000):
        store.take_now(ask(quota(5, hours), key=f"k{i}"))
    clock.advance(7200.0)
    for _ in range(store.shards):
        clock.advance(SWEEP_EVERY / store.shards)
        store.take_now(())
    assert len(store) == 0


def test_no_sweep_before_its_time() -> None:
    """Each costs about a shard; a request that comes a moment later need not pay for one."""
    clock = Clock()
    store = filled(2_000, clock)
    store.take_now(())
    clock.advance(SWEEP_EVERY / store.shards / 2)
    before = len(store)
    for _ in range(store.shards):
        store.take_now(())
    assert len(store) == before


def test_a_sweep_forgets_no_debt() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock, wall=clock.wall)
    for _ in range(600):  # ten minutes of debt
        store.take_now(ask(LONG))
    for _ in range(2 * store.shards):
        clock.advance(SWEEP_EVERY / store.shards)
        store.take_now(ask(SECOND, key="other"))
    outcome = store.take_now(ask(per_second("long", 1, 1)))  # the same key, asked more strictly
    assert isinstance(outcome, Exceeded)
    assert outcome.retry_after == pytest.approx(600 - 2 * SWEEP_EVERY)


def test_a_sweep_ends_no_period_that_goes_on() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock, wall=clock.wall)
    limit = quota(1, Periods(864_000.0))
    store.take_now(ask(limit))
    for _ in range(2 * store.shards):
        clock.advance(SWEEP_EVERY / store.shards)
        store.take_now(())
    assert isinstance(store.take_now(ask(limit)), Exceeded)


def test_giving_back_after_a_sweep_brings_no_key_back() -> None:
    clock = Clock()
    store = filled(1, clock)
    for _ in range(store.shards):
        clock.advance(1.0)
        store.take_now(())
    store.give_back(ask(SECOND, key="k0"))
    assert len(store) == 0
    assert store.take_now(ask(SECOND, key="k0")) == Taken()


def test_a_flood_does_not_look_through_a_full_shard_for_every_request() -> None:
    """Or each refused request would cost as much as a sweep."""
    clock = Clock()
    looked = 0

    class Watched(MemoryStore):
        def _drop_past(self, at: int, now: float) -> None:
            nonlocal looked
            looked += 1
            super()._drop_past(at, now)

    store = Watched(64, clock, clock.wall)
    for i in range(64):
        store.take_now(ask(LONG, key=f"k{i}", cost=1000))
    looked = 0
    for i in range(500):
        with pytest.raises(StoreFull):
            store.take_now(ask(LONG, key=f"n{i}"))
    assert looked == 1
    clock.advance(LOOK_AGAIN)
    with pytest.raises(StoreFull):
        store.take_now(ask(LONG, key="n"))
    assert looked == 2
