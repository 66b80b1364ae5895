"""Limit state in this process: plain dicts from key to theoretical arrival time.

A key whose tat has passed says the same as a key that is absent, so expiry needs no timestamps:
a sweep drops what lies in the past. Keys are spread over shards and a step sweeps at most one
shard, which bounds the pause however many keys expire at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..core.limits import Charge, Exceeded, Limit, Over, Taken, Unit, gcra, remaining
from ..core.verdict import RateLimit
from . import StoreFull

SHARDS = 256
SWEEP_EVERY = 10.0  # seconds in which every shard has been swept once


class MemoryStore:
    """`max_keys` bounds memory (about 140 bytes a key). `clock`: seconds, never backwards."""

    def __init__(self, max_keys: int = 1_000_000,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shards: list[dict[str, float]] = [{} for _ in range(SHARDS)]
        self._shard_max = max(1, max_keys // SHARDS)
        self._open: dict[str, int] = {}
        self._next_sweep = 0.0
        self._sweep_at = 0

    def __len__(self) -> int:
        return sum(map(len, self._shards)) + len(self._open)

    def take(self, charges: tuple[Charge, ...]) -> Taken | Exceeded:
        now = self._clock()
        if now >= self._next_sweep:
            self._sweep(now)
        pending: list[tuple[dict[str, float], str, float]] = []
        wait, paced_by = 0.0, None
        worst: tuple[float, Charge, float] | None = None
        for charge in charges:
            limit = charge.limit
            key = f"{limit.id}\n{charge.key}"
            if limit.unit is Unit.TUNNELS:
                if self._open.get(key, 0) + charge.cost > limit.count:
                    state = RateLimit(limit.id, limit.count, 0.0, 0, 0.0)
                    return Exceeded(limit, None, state)
                continue
            shard = self._shards[hash(key) % SHARDS]
            tat = shard.get(key, now)
            new, late = gcra(tat, now, limit.interval, limit.burst, charge.cost)
            if late > 0.0:
                if limit.over is Over.REFUSE or late > limit.max_wait:
                    # go on: a truthful Retry-After is the longest wait of all the limits
                    if worst is None or late > worst[0]:
                        worst = (late, charge, tat)
                    continue
                if late > wait:
                    wait, paced_by = late, limit
            pending.append((shard, key, new))
        if worst is not None:
            late, charge, tat = worst
            return Exceeded(charge.limit, late, self._state(charge.limit, tat, now))
        self._store(pending, now)
        for charge in charges:
            if charge.limit.unit is Unit.TUNNELS:
                key = f"{charge.limit.id}\n{charge.key}"
                self._open[key] = self._open.get(key, 0) + charge.cost
        return Taken(wait, paced_by)

    def release(self, charges: tuple[Charge, ...]) -> None:
        for charge in charges:
            if charge.limit.unit is Unit.TUNNELS:
                key = f"{charge.limit.id}\n{charge.key}"
                left = self._open.get(key, 0) - charge.cost
                if left > 0:
                    self._open[key] = left
                else:
                    self._open.pop(key, None)

    def give_back(self, charges: tuple[Charge, ...]) -> None:
        self.release(charges)
        for charge in charges:
            if charge.limit.unit is Unit.REQUESTS:
                key = f"{charge.limit.id}\n{charge.key}"
                shard = self._shards[hash(key) % SHARDS]
                if key in shard:
                    shard[key] -= charge.cost * charge.limit.interval

    def _store(self, pending: list[tuple[dict[str, float], str, float]], now: float) -> None:
        for shard, key, _ in pending:
            if len(shard) + len(pending) > self._shard_max and key not in shard:
                self._drop_past(shard, now)
                new = {key for where, key, _ in pending if where is shard and key not in shard}
                if len(shard) + len(new) > self._shard_max:
                    raise StoreFull(f"{len(self)} keys, all of them with a debt; raise max_keys")
        for shard, key, tat in pending:
            shard[key] = tat

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP_EVERY / SHARDS
        self._drop_past(self._shards[self._sweep_at], now)
        self._sweep_at = (self._sweep_at + 1) % SHARDS

    @staticmethod
    def _drop_past(shard: dict[str, float], now: float) -> None:
        for key in [key for key, tat in shard.items() if tat <= now]:
            del shard[key]

    @staticmethod
    def _state(limit: Limit, tat: float, now: float) -> RateLimit:
        left = remaining(tat, now, limit.interval, limit.burst)
        return RateLimit(limit.id, limit.count, limit.window, left, max(0.0, tat - now))
