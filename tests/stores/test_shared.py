"""The store in shared memory: the contract, with one worker and as one of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from store_scenario import TWO, Clock, Periods, ask, hosts, per_second, quota, tunnels, visit
from storetest import BoundedContract

from outbounds.core.limits import Charge, Exceeded, Taken
from outbounds.stores import LimitStore
from outbounds.stores.shared import SWEEP_EVERY, SharedStore, create, forget_worker


class TestSharedStore(BoundedContract):
    KEYS = 2048

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, max_keys: int, clock: Any) -> LimitStore:
        create(self.folder / "limits", max_keys)
        return SharedStore(self.folder / "limits", 0, 1, clock, clock.wall)


class Both:
    """Two workers' stores on one table that are asked in turn, as if they were one. What is held
    is given back where it was taken, so all that goes to the first."""

    def __init__(self, stores: tuple[SharedStore, SharedStore]) -> None:
        self.stores = stores
        self.turn = 0

    def __len__(self) -> int:
        return len(self.stores[1])

    def __getattr__(self, name: str) -> Any:
        def call(charges: Any, *more: Any, **named: Any) -> Any:
            self.turn += 1
            many = isinstance(charges, tuple) and not isinstance(charges, Charge)
            held = many and any(each.limit.unit.held for each in charges)
            return getattr(self.stores[0 if held else self.turn % 2], name)(
                charges, *more, **named)
        return call

    async def aclose(self) -> None:
        for store in self.stores:
            await store.aclose()


class TestTwoWorkers(TestSharedStore):
    """What one has taken the other knows, in every clause."""

    def make(self, max_keys: int, clock: Any) -> LimitStore:
        create(self.folder / "limits", max_keys)
        first, second = (SharedStore(self.folder / "limits", number, 2, clock, clock.wall)
                         for number in range(2))
        return Both((first, second))  # type: ignore[return-value]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "limits", 2048)
    return tmp_path / "limits"


def worker(path: Path, number: int, clock: Clock, workers: int = 3) -> SharedStore:
    return SharedStore(path, number, workers, clock, clock.wall)


# --- several workers ------------------------------------------------------------------------------

async def test_limits_hold_for_all_workers_together(path: Path, clock: Clock) -> None:
    stores = [worker(path, number, clock) for number in range(3)]
    charges = (*ask(per_second("x", 1, 6), quota(6, Periods()), tunnels(6)),)
    outcomes = [stores[i % 3].take_now(charges) for i in range(30)]
    assert sum(isinstance(each, Taken) for each in outcomes) == 6
    assert isinstance(stores[1].take_now(visit(hosts(1), "one.example")), Taken)
    assert isinstance(stores[2].take_now(visit(hosts(1), "one.example")), Taken)
    assert isinstance(stores[0].take_now(visit(hosts(1), "two.example")), Exceeded)


async def test_what_a_dead_worker_held_comes_free_and_no_more(path: Path, clock: Clock) -> None:
    one, two, three = (worker(path, number, clock) for number in range(3))
    limit = tunnels(6)
    for store in (one, one, two, two, two, three):
        assert isinstance(store.take_now(ask(limit)), Taken)
    assert isinstance(one.take_now(ask(limit)), Exceeded)
    forget_worker(path, 1)
    assert [isinstance(one.take_now(ask(limit)), Taken) for _ in range(4)] == [
        True, True, True, False]
    one.forget_worker(2)
    assert [isinstance(one.take_now(ask(limit)), Taken) for _ in range(2)] == [True, False]


async def test_a_worker_that_starts_again_holds_nothing(path: Path, clock: Clock) -> None:
    first, other = worker(path, 0, clock), worker(path, 1, clock)
    for number in range(300):
        first.take_now(ask(tunnels(9), key=f"k{number}"))
    other.take_now(ask(tunnels(9), key="k7"))
    again = worker(path, 0, clock)
    assert [each.used for each in await again.live("k7")] == [1]
    assert len(again) == 2  # in all, and the other worker's


async def test_a_worker_that_closes_lets_go(path: Path, clock: Clock) -> None:
    one, two = worker(path, 0, clock), worker(path, 1, clock)
    one.take_now(ask(TWO, TWO))
    await one.aclose()
    assert isinstance(two.take_now(ask(TWO, cost=2)), Taken)
    with pytest.raises(ValueError, match="closed"):
        one.take_now(ask(TWO))


async def test_no_worker_releases_what_another_holds(path: Path, clock: Clock) -> None:
    one, two = worker(path, 0, clock), worker(path, 1, clock)
    one.take_now(ask(TWO, TWO))
    for _ in range(3):
        two.release(ask(TWO))
    assert isinstance(two.take_now(ask(TWO)), Exceeded)


# --- its own --------------------------------------------------------------------------------------

async def test_everything_that_has_passed_is_swept(path: Path, clock: Clock) -> None:
    store = worker(path, 0, clock)
    for number in range(500):
        store.take_now(ask(per_second("x"), quota(9, Periods()), key=f"k{number}"))
    held = ask(TWO, key="held")
    store.take_now((*held, *ask(per_second("long", window=1e6))))
    clock.advance(7200.0)
    for _ in range(40):
        clock.advance(SWEEP_EVERY / 8)
        store.take_now(())
    assert len(store) == 3
    assert [each.used for each in await store.live("held")] == [1]
    for number in range(500):  # and the entries that came free are used again
        assert isinstance(store.take_now(ask(per_second("x"), key=f"n{number}")), Taken)
        assert isinstance(store.take_now(ask(per_second("x"), key=f"n{number}")), Exceeded)


async def test_names_longer_than_an_entry_are_found_and_reset(path: Path, clock: Clock) -> None:
    store, slow = worker(path, 0, clock), per_second("slow", window=1000.0)
    owners = ["x" * length + end for length in (90, 120, 200) for end in ("", "y")]
    for owner in owners:
        store.take_now(ask(slow, key=owner))
    store.take_now(ask(slow, key=f"acct_1 {owners[-1]}"))
    assert [len(await store.live(owner)) for owner in owners] == [1] * 6
    assert len(await store.live("acct_1")) == 1
    assert await store.live("x" * 50) == ()
    assert await store.reset(owners[-1]) == 1
    assert isinstance(store.take_now(ask(slow, key=owners[-1])), Taken)
    for owner in owners[:-1]:
        assert isinstance(store.take_now(ask(slow, key=owner)), Exceeded)


@pytest.mark.parametrize("damage", ["empty", "other name", "other version", "too short"])
def test_what_is_no_table_is_said_so(path: Path, clock: Clock, damage: str) -> None:
    octets = path.read_bytes()
    path.write_bytes({"empty": b"", "other name": b"x" * len(octets),
                      "other version": octets[:8] + b"\xff" + octets[9:],
                      "too short": octets[:-8]}[damage])
    with pytest.raises(ValueError, match=r"limits: no table of limits of this version; remove it"):
        worker(path, 0, clock)


def test_a_new_table_takes_the_place_of_an_old_one(path: Path, clock: Clock) -> None:
    old = worker(path, 0, clock)
    old.take_now(ask(TWO))
    create(path, 4096)
    assert len(worker(path, 0, clock)) == 0
    assert len(old) > 0
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_workers_are_counted_from_zero(path: Path, clock: Clock) -> None:
    with pytest.raises(ValueError, match="worker 3 of 3"):
        worker(path, 3, clock)
