"""The store in memory: the contract, and what is its own: shards, and a sweep in small steps."""

from __future__ import annotations

import pytest
from storetest import Clock, StoreContract, ask, per_second

from outbounds.core.limits import Exceeded, Taken
from outbounds.stores import LimitStore
from outbounds.stores.memory import SHARDS, SWEEP_EVERY, MemoryStore


class TestMemoryStore(StoreContract):
    def make(self, max_keys: int, clock: Clock) -> LimitStore:
        return MemoryStore(max_keys, clock)


SECOND = per_second("x", 1, 1)
LONG = per_second("long", 1, 10**6)  # a burst so large that debts pile up


def filled(keys: int, clock: Clock) -> MemoryStore:
    store = MemoryStore(clock=clock)
    for i in range(keys):
        store.take(ask(SECOND, key=f"k{i}"))
    return store


def test_a_step_sweeps_one_shard_however_many_keys_have_expired() -> None:
    """A sweep of everything at once would hold up every request for as long as it takes."""
    clock = Clock()
    store = filled(20_000, clock)
    clock.now += 3600.0
    largest, before = 0, len(store)
    for _ in range(50):
        clock.now += SWEEP_EVERY / SHARDS
        store.take(())
        largest, before = max(largest, before - len(store)), len(store)
    assert 0 < largest < 3 * 20_000 / SHARDS


def test_everything_has_been_swept_after_its_time() -> None:
    clock = Clock()
    store = filled(2_000, clock)
    clock.now += 3600.0
    for _ in range(SHARDS):
        clock.now += SWEEP_EVERY / SHARDS
        store.take(())
    assert len(store) == 0


def test_no_sweep_before_its_time() -> None:
    """Each costs about a shard; a request that comes a moment later need not pay for one."""
    clock = Clock()
    store = filled(2_000, clock)
    store.take(())
    clock.now += SWEEP_EVERY / SHARDS / 2
    before = len(store)
    for _ in range(SHARDS):
        store.take(())
    assert len(store) == before


def test_a_sweep_forgets_no_debt() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    for _ in range(600):  # ten minutes of debt
        store.take(ask(LONG))
    for _ in range(2 * SHARDS):
        clock.now += SWEEP_EVERY / SHARDS
        store.take(ask(SECOND, key="other"))
    outcome = store.take(ask(per_second("long", 1, 1)))  # the same key, asked more strictly
    assert isinstance(outcome, Exceeded)
    assert outcome.retry_after == pytest.approx(600 - 2 * SWEEP_EVERY)


def test_giving_back_after_a_sweep_brings_no_key_back() -> None:
    clock = Clock()
    store = filled(1, clock)
    for _ in range(SHARDS):
        clock.now += 1.0
        store.take(())
    store.give_back(ask(SECOND, key="k0"))
    assert len(store) == 0
    assert store.take(ask(SECOND, key="k0")) == Taken()
