"""Limit state: one step, one key and the longest pause at a million keys that are all in debt."""

from __future__ import annotations

import gc
import os
import random
from time import perf_counter

from outbounds.core.limits import Charge, Exceeded, Limit, Per, Unit
from outbounds.stores.memory import SHARDS, SWEEP_EVERY, MemoryStore

from .report import Report, Row, at_most
from .running import resident
from .turns import interleaved, microseconds

KEYS = 1_000_000
ASKED = 50_000

METHOD = """\
One MemoryStore with {keys:,} keys, each with a debt; keys of {length} characters, asked in random \
order, the clock going on by a µs a step. "three" is what a request of the default plan takes: \
account, account and host, target. Memory is what the process holds more with the keys than \
without. For the pause every key expires at once, and steps go on while the sweep does its work; \
it is the longest step of all. {turns} turns, A B C A B C …"""


def run(quick: bool) -> Report:
    turns = 2 if quick else 7
    requests = Limit("account-host-requests", Unit.REQUESTS, Per.ACCOUNT_HOST, 600, 60.0,
                     1_000_000)
    keys = [f"acct_{number:012x} www.shop-{number % 5000}.example" for number in range(KEYS)]
    report = Report("limits", METHOD.format(keys=KEYS, turns=turns, length=len(keys[-1])))
    clock = [0.0]
    store, octets = _filled(requests, keys, clock)
    name = "memory per key"
    if octets is None:
        report.missing[name] = "needs /proc, as on Linux"
    else:
        report.rows.append(Row(name, "octets", [octets / KEYS], at_most(200.0)))

    chosen = random.Random(1)
    one = [(Charge(requests, key),) for key in chosen.sample(keys, ASKED)]
    three = [tuple(Charge(requests, key) for key in chosen.sample(keys, 3)) for _ in range(ASKED)]

    def take(charges: tuple[Charge, ...]) -> object:
        clock[0] += 1e-6
        return store.take(charges)

    found = interleaved({
        "step, one charge": microseconds(take, one),
        "step, three charges": microseconds(take, three),
    }, turns)
    for name, figures in found.items():
        report.rows.append(Row(name, "µs", figures, at_most(3.0) if "one" in name else None))
    if isinstance(take(one[0]), Exceeded) or len(store) != KEYS:
        raise RuntimeError(f"refused, or {len(store):,} keys instead of {KEYS:,}")
    pauses = []
    for turn in range(1 if quick else 5):
        if turn:
            store, _ = _filled(requests, keys, clock)
        pauses.append(_longest_step(store, requests, clock))
    report.rows.append(Row(f"longest pause when {KEYS:,} keys expire", "ms", pauses,
                           at_most(10.0)))
    return report


def _filled(limit: Limit, keys: list[str], clock: list[float]) -> tuple[MemoryStore, int | None]:
    """A store with a debt of a day under every key, and the octets that it holds."""
    gc.collect()
    before = _memory()
    store = MemoryStore(max_keys=2 * KEYS, clock=lambda: clock[0])
    for key in keys:
        store.take((Charge(limit, key, cost=864_000),))
    after = _memory()
    return store, None if before is None or after is None else after - before


def _memory() -> int | None:
    return resident(os.getpid()) if os.path.exists("/proc/self/statm") else None


def _longest_step(store: MemoryStore, limit: Limit, clock: list[float]) -> float:
    """Every key expires; the longest of the steps until all are gone, in ms."""
    clock[0] += 10 * 86_400.0
    longest = 0.0
    for number in range(4 * SHARDS):
        clock[0] += SWEEP_EVERY / SHARDS / 2
        charges = (Charge(limit, f"other {number}"),)
        started = perf_counter()
        store.take(charges)
        longest = max(longest, perf_counter() - started)
    if len(store) > 4 * SHARDS:
        raise RuntimeError(f"{len(store):,} keys are left")
    return longest * 1e3
