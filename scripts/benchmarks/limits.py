"""Limit state: one step, one key and the longest pause at a million keys that are all in debt, in
this process and in memory that workers share; and whether what is admitted is exact."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import random
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from outbounds.core.limits import Charge, Exceeded, Limit, Per, Unit
from outbounds.stores import Charges, LimitStore
from outbounds.stores.memory import SWEEP_EVERY, MemoryStore
from outbounds.stores.shared import SWEEP_EVERY as SHARED_SWEEP_EVERY
from outbounds.stores.shared import SWEEP_LOOK, SharedStore, create
from outbounds.stores.table import Table

from .exactness import Hand, Hours, play
from .report import Bound, Report, Row, at_least, at_most
from .running import resident
from .turns import interleaved, microseconds

KEYS = 1_000_000
ASKED = 50_000
# parts of their own, each with `add(report, quick)`
MORE = ("limits_valkey", "limits_adaptive")

METHOD = """\
A store with {keys:,} keys, each with a debt; keys of {length} characters, asked in random order. \
"Four" is what a request of the default plan takes: account, \
account and host, a quota of the calendar, and one of the requests under way. Memory is what the \
process holds more with the keys than without; of the shared table, its file. For the pause every \
key expires at once, and steps go on while the sweep does its work; it is the longest step of all. \
"Shared" is the table of one worker, with nobody else at its lock. {turns} turns, A B C A B C … \
Exactness: bursts of 1 to 40 requests of 100,000 accounts by Zipf's law and of {askers} that \
always ask again when told, for an hour on a virtual clock; a rate for every other account, an \
hour's quota for the others; judged in whole microseconds by arithmetic of its own."""

REQUESTS = Limit("account-host-requests", Unit.REQUESTS, Per.ACCOUNT_HOST, 600, 60.0, 1_000_000)
ACCOUNT = Limit("account-requests", Unit.REQUESTS, Per.ACCOUNT, 600, 60.0, 1_000_000)
MONTHLY = Limit("account-quota", Unit.REQUESTS, Per.ACCOUNT, 10**9, 0.0, 0, calendar=Hours())
UNDER_WAY = Limit("account-at-once", Unit.CONCURRENT, Per.ACCOUNT, 10**6, 0.0, 0)


def run(quick: bool) -> Report:
    turns, askers = (2, 20) if quick else (7, 200)
    keys = [f"acct_{number:012x} www.shop-{number % 5000}.example" for number in range(KEYS)]
    report = Report("limits", METHOD.format(keys=KEYS, turns=turns, length=len(keys[-1]),
                                            askers=askers))
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        path = Path(folder) / "limits"
        _in_memory(report, keys, turns, 1 if quick else 5)
        _shared(report, path, keys, turns, 1 if quick else 3)
        _exactness(report, path, quick, askers)
    for name in MORE:
        module = f"{__package__}.{name}"
        if find_spec(module) is not None:
            importlib.import_module(module).add(report, quick)
    return report


def _memory_folder() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


# --- in this process ------------------------------------------------------------------------------

def _in_memory(report: Report, keys: list[str], turns: int, pauses: int) -> None:
    clock = Hand()
    gc.collect()
    before = _memory()
    store = MemoryStore(2 * KEYS, clock, clock.wall)
    _fill(store, keys)
    after = _memory()
    if before is None or after is None:
        report.missing["memory per key"] = "needs /proc, as on Linux"
    else:
        report.rows.append(Row("memory per key", "octets", [(after - before) / KEYS],
                               at_most(200.0)))
    _steps(report, "step", store, keys, turns, at_most(3.0))
    found = []
    for turn in range(pauses):
        if turn:
            store = MemoryStore(2 * KEYS, clock, clock.wall)
            _fill(store, keys)
        found.append(_longest_step(store, clock, SWEEP_EVERY / store.shards, 2 * store.shards))
    report.rows.append(Row(f"longest pause when {KEYS:,} keys expire", "ms", found,
                           at_most(10.0)))


def _memory() -> int | None:
    return resident(os.getpid()) if os.path.exists("/proc/self/statm") else None


# --- in memory that workers share -----------------------------------------------------------------

def _shared(report: Report, path: Path, keys: list[str], turns: int, pauses: int) -> None:
    clock = Hand()
    found = []
    for turn in range(pauses):
        create(path, 2 * KEYS if turn else KEYS)
        store = SharedStore(path, 0, 1, clock, clock.wall)
        if not turn:
            report.rows.append(Row("shared: memory per key", "octets",
                                   [path.stat().st_size / KEYS], at_most(200.0)))
            # all keys but the few that the steps add
            keys = keys[:-10 * ASKED]
        _fill(store, keys)
        if not turn:
            _steps(report, "shared: step", store, keys, turns, None)
            report.rows.append(Row("shared: of a step, the lock", "µs", _lock(path, turns)))
        share = SWEEP_LOOK / len(store)
        found.append(_longest_step(store, clock, SHARED_SWEEP_EVERY * share, int(2 / share)))
        asyncio.run(store.aclose())
    report.rows.append(Row(f"shared: longest pause when {len(keys):,} keys expire", "ms", found,
                           at_most(10.0)))


def _lock(path: Path, turns: int) -> list[float]:
    table = Table(path)

    def both(_: int) -> None:
        table.lock()
        table.unlock()

    found = interleaved({"lock": microseconds(both, range(ASKED))}, turns)
    table.close()
    return found["lock"]


# --- either ---------------------------------------------------------------------------------------

def _fill(store: LimitStore, keys: list[str]) -> None:
    """A debt of a day under every key."""
    for key in keys:
        store.take_now((Charge(REQUESTS, key, cost=864_000),))


def _steps(report: Report, name: str, store: LimitStore, keys: list[str], turns: int,
           bound: Bound | None) -> None:
    chosen = random.Random(1)
    one = [(Charge(REQUESTS, key),) for key in chosen.sample(keys, ASKED)]
    four = [_typical(key) for key in chosen.sample(keys, ASKED // 10)]
    found = interleaved({"one charge": microseconds(store.take_now, one),
                         "four charges": microseconds(store.take_now, four)}, turns)
    report.rows += [
        Row(f"{name}, one charge", "µs", found["one charge"], bound),
        Row(f"{name}, four charges", "µs", found["four charges"])]
    if any(isinstance(store.take_now(each), Exceeded) for each in (one[0], four[0])):
        raise RuntimeError("refused: what was measured is no taking")
    if len(store) < len(keys):
        raise RuntimeError(f"{len(store):,} keys instead of {len(keys):,}")


def _typical(key: str) -> Charges:
    account = key.partition(" ")[0]
    return (Charge(ACCOUNT, account), Charge(REQUESTS, key), Charge(MONTHLY, account),
            Charge(UNDER_WAY, account))


def _longest_step(store: LimitStore, clock: Hand, between: float, steps: int) -> float:
    """Every key expires; the longest of the steps until all are gone, in ms."""
    clock.now += 10 * 86_400.0
    gc.collect()
    longest = 0.0
    for number in range(steps):
        clock.now += between
        charges = (Charge(REQUESTS, f"other {number}"),)
        started = perf_counter()
        store.take_now(charges)
        longest = max(longest, perf_counter() - started)
    held = ASKED // 10 * 2
    if len(store) > steps + held:
        raise RuntimeError(f"{len(store):,} keys are left")
    return longest * 1e3


def _exactness(report: Report, path: Path, quick: bool, askers: int) -> None:
    def memory(clock: Hand) -> list[LimitStore]:
        return [MemoryStore(clock=clock, wall=clock.wall)]

    def shared(clock: Hand) -> list[LimitStore]:
        create(path, 200_000)
        return [SharedStore(path, number, 2, clock, clock.wall) for number in range(2)]

    named: dict[str, Callable[[Hand], list[LimitStore]]] = {
        "in memory": memory, "shared by two workers": shared}
    for name, make in named.items():
        clock = Hand()
        stores = make(clock)
        outcome = asyncio.run(play(stores, clock, bursts=8_000 if quick else 100_000,
                                   askers=askers))
        for store in stores:
            asyncio.run(store.aclose())
        report.rows += [
            Row(f"{name}, bursty Zipf traffic: most admitted beyond burst and rate, or quota",
                "requests", [outcome.over], at_most(0.0)),
            Row("… least admitted to one who always asks, against burst and rate, or quota",
                "requests", [outcome.short], at_least(-1.0))]
