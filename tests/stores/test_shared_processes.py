"""The store in shared memory with real processes: exact, and indifferent to how they die."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from store_scenario import ask, per_second, tunnels
from table_books import whole

from outbounds.core.limits import Limit, Taken
from outbounds.stores.shared import SharedStore, create, forget_worker

WORKERS = 3
RATE = per_second("rate", 1, 2000, window=1e6)
WIDE = per_second("wide", 1, 10**9, window=1e6)
HELD = tunnels(10**6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "limits", 4096)
    return tmp_path / "limits"


class Counts:
    """A number for each worker, which it counts up itself and which outlives it."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def __getitem__(self, worker: int) -> int:
        return int(self._words[worker])

    def add(self, worker: int) -> None:
        self._words[worker] += 1

    def total(self) -> int:
        return sum(self[worker] for worker in range(WORKERS))


def started(worker: int, path: Path, work: Callable[[SharedStore], None]) -> int:
    """The id of a child process that works on a store of its own until it is done or killed."""
    child = os.fork()
    if child:
        return child
    try:
        work(SharedStore(path, worker, WORKERS))
    except BaseException:
        os._exit(1)
    os._exit(0)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_many_processes_at_one_key_admit_exactly_the_burst(path: Path) -> None:
    counts = Counts()

    def hammer(worker: int) -> Callable[[SharedStore], None]:
        def work(store: SharedStore) -> None:
            for _ in range(1500):
                if isinstance(store.take_now(ask(WIDE, RATE)), Taken):
                    counts.add(worker)
        return work

    children = [started(worker, path, hammer(worker)) for worker in range(WORKERS)]
    assert [ended(child) for child in children] == [0] * WORKERS
    assert counts.total() == RATE.burst
    assert charged(path, WIDE) == RATE.burst  # what the other refused has cost this one nothing


def test_many_processes_hold_and_release_to_nothing(path: Path) -> None:
    one = tunnels(5)
    most = Counts()

    def work(store: SharedStore) -> None:
        for _ in range(1000):
            if isinstance(store.take_now(ask(one)), Taken):
                store.release(ask(one))
                most.add(0)

    children = [started(worker, path, work) for worker in range(WORKERS)]
    assert [ended(child) for child in children] == [0] * WORKERS
    assert most[0] > 0
    assert whole(path) == {}


def test_kill_after_kill_breaks_blocks_and_leaks_nothing(path: Path) -> None:
    """Children take and release on three dozen keys, and are killed wherever they happen to be."""
    counts, chosen = Counts(), random.Random(7)
    store = SharedStore(path, 0, WORKERS)
    for _ in range(3):
        assert isinstance(store.take_now(ask(HELD, key="k1")), Taken)

    def restless(worker: int) -> Callable[[SharedStore], None]:
        def work(store: SharedStore) -> None:
            number = 0
            while True:
                number += 1
                key = f"k{number % 36}"
                if isinstance(store.take_now((*ask(WIDE), *ask(HELD, key=key),
                                              *ask(per_second("short", 1000), key=key))), Taken):
                    counts.add(worker)
                    if number % 3:
                        store.release(ask(HELD, key=key))
        return work

    children = {worker: started(worker, path, restless(worker)) for worker in (1, 2)}
    kills = 0
    try:
        for _ in range(60):
            worker, before = chosen.choice((1, 2)), counts[1] + counts[2]
            while counts[1] + counts[2] < before + 20:
                time.sleep(0.001)
            time.sleep(chosen.random() * 0.004)
            kill(children.pop(worker))
            kills += 1
            assert isinstance(store.take_now(ask(per_second("alive", 10**6, 10**6))), Taken)
            forget_worker(path, worker)
            whole(path)
            children[worker] = started(worker, path, restless(worker))
    finally:
        for child in children.values():
            kill(child)
    forget_worker(path, 1)
    forget_worker(path, 2)
    left = {key for (_, key), value in whole(path).items() if value and b"tunnels" in key}
    assert left == {b"tunnels\nk1"}
    assert [store._held(key.decode()) for key in left] == [3]
    # one that was killed had perhaps taken and not yet said so
    assert counts.total() <= charged(path, WIDE) <= counts.total() + kills + 2


def charged(path: Path, limit: Limit) -> float:
    """How many a limit with so wide a window has been charged, since nothing was paid off yet."""
    store = SharedStore(path, 0, WORKERS)
    with store._open.locked():
        ahead = store._tat(f"{limit.id}\na") - time.monotonic()
    return round(ahead / limit.interval)
