"""Limit state in this process: plain dicts, from key to theoretical arrival time or to a count.

A key whose tat has passed says the same as a key that is absent, and a period's counts end with
it, so expiry needs no timestamps: a sweep drops what lies in the past. Keys are spread over shards
and a step sweeps at most one shard, which bounds the pause however many keys expire at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from ..core.limits import Charge, Exceeded, Live, Taken
from . import Charges, StoreFull
from .keys import is_of, parts
from .ledger import HELD, TAT, Clock, Ledger, Period, Write

KEYS_PER_SHARD = 4096  # to sweep so many takes well under a millisecond
SWEEP_EVERY = 10.0  # seconds in which every shard has been swept once, if there are requests
# Seconds. A full shard is looked through for what has passed; not for every request of a flood.
LOOK_AGAIN = 1.0


class MemoryStore(Ledger):
    """`max_keys` bounds memory (about 150 bytes a key); what is held is bounded by the process's
    connections. `clock`: seconds, never backwards; `wall`: Unix seconds."""

    def __init__(self, max_keys: int = 1_000_000, clock: Clock = time.monotonic,
                 wall: Clock = time.time) -> None:
        super().__init__(clock, wall)
        self.shards = max(1, max_keys // KEYS_PER_SHARD)
        self._shard_max = max(1, max_keys // self.shards)
        self._tats: list[dict[str, float]] = [{} for _ in range(self.shards)]
        self._periods: dict[Period, list[dict[str, int]]] = {}
        self._open: dict[str, int] = {}
        # so many keys fit into every shard for sure; saves looking for room in most steps
        self._spare = self._shard_max
        self._looked = [float("-inf")] * self.shards
        self._next_sweep = 0.0
        self._sweep_at = 0

    def __len__(self) -> int:
        return len(self._open) + sum(map(self._size, range(self.shards)))

    # --- the contract ---------------------------------------------------------------------------

    def take_now(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
        now = self._clock()
        if now >= self._next_sweep:
            self._sweep(now)
        return self._take(charges, report, now)

    async def take(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
        return self.take_now(charges, report)

    def debit(self, charges: Charges) -> Exceeded | None:
        return self._debit(charges, self._clock())

    def release(self, charges: Charges) -> None:
        self._release(charges, self._clock())

    def give_back(self, charges: Charges) -> None:
        self._give_back(charges, self._clock())

    def hold_off(self, charge: Charge, seconds: float) -> None:
        self._hold_off(charge, seconds, self._clock())

    async def live(self, owner: str, most: int = 1000) -> tuple[Live, ...]:
        found = []
        for at in range(self.shards):
            now = self._clock()
            for key, tat in self._tats[at].items():
                if tat > now and (limit_id := _counted(key, owner)):
                    found.append(Live(limit_id[0], limit_id[1], ahead=tat - now))
            for shards in self._present():
                found += [Live(limit_id[0], limit_id[1], used=used)
                          for key, used in shards[at].items()
                          if (limit_id := _counted(key, owner))]
            if len(found) >= most:
                break
            await asyncio.sleep(0)  # between two shards others have their turn
        found += [Live(limit_id[0], limit_id[1], used=used) for key, used in self._open.items()
                  if (limit_id := _counted(key, owner))]
        return tuple(found[:most])

    async def reset(self, owner: str, limit_id: str = "") -> int:
        forgotten = 0
        for at in range(self.shards):
            now = self._clock()
            self._looked[at] = float("-inf")
            tables: list[dict[str, float] | dict[str, int]] = [self._tats[at]]
            tables += [shards[at] for shards in self._present()]
            for table in tables:
                for key in [key for key in table if owner in key]:
                    of, whose, visit = parts(key)
                    if is_of(whose, owner) and limit_id in ("", of):
                        past = table is self._tats[at] and table[key] <= now
                        forgotten += not visit and not past
                        del table[key]
            await asyncio.sleep(0)
        return forgotten

    async def aclose(self) -> None:
        """Nothing is elsewhere."""

    # --- the table ------------------------------------------------------------------------------

    def _tat(self, key: str) -> float:
        return self._tats[hash(key) % self.shards].get(key, 0.0)

    def _used(self, key: str, period: Period) -> int:
        shards = self._periods.get(period)
        return 0 if shards is None else shards[hash(key) % self.shards].get(key, 0)

    def _held(self, key: str) -> int:
        return self._open.get(key, 0)

    def _write(self, writes: list[Write], now: float, force: bool = False) -> None:
        if len(writes) <= self._spare:
            self._spare -= len(writes)
        elif not force:
            self._make_room(writes, now)
        tats, shards = self._tats, self.shards
        for kind, key, value, period in writes:
            if kind == TAT:
                if value > now:
                    tats[hash(key) % shards][key] = value
                else:
                    tats[hash(key) % shards].pop(key, None)
            elif period is not None:
                shard = self._of(period)[hash(key) % shards]
                if value > 0:
                    shard[key] = int(value)
                else:
                    shard.pop(key, None)
            else:
                held = self._open.get(key, 0) + int(value)
                if held > 0:
                    self._open[key] = held
                else:
                    self._open.pop(key, None)

    def _of(self, period: Period) -> list[dict[str, int]]:
        shards = self._periods.get(period)
        if shards is None:
            shards = self._periods[period] = [{} for _ in range(self.shards)]
        return shards

    def _present(self) -> Iterator[list[dict[str, int]]]:
        wall = self._wall()
        return (shards for period, shards in tuple(self._periods.items()) if period[1] > wall)

    # --- bounded --------------------------------------------------------------------------------

    def _size(self, at: int) -> int:
        size = len(self._tats[at])
        if self._periods:
            for shards in self._periods.values():
                size += len(shards[at])
        return size

    def _make_room(self, writes: list[Write], now: float) -> None:
        """Raises StoreFull before anything is written: forgetting a debt is no way to make room."""
        for kind, key, _, _ in writes:
            if kind == HELD:
                continue
            at = hash(key) % self.shards
            if self._size(at) + len(writes) <= self._shard_max:
                continue
            new = {(key, period) for kind, key, _, period in writes
                   if kind != HELD and hash(key) % self.shards == at
                   and key not in (self._tats if period is None else self._of(period))[at]}
            if not new or self._size(at) + len(new) <= self._shard_max:
                continue
            if now >= self._looked[at] + LOOK_AGAIN:
                self._looked[at] = now
                self._drop_past(at, now)
            if self._size(at) + len(new) > self._shard_max:
                raise StoreFull(f"{len(self)} keys, all of them with a debt; raise max_keys")

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP_EVERY / self.shards
        self._drop_past(self._sweep_at, now)
        self._sweep_at = (self._sweep_at + 1) % self.shards
        self._spare = self._shard_max - max(map(self._size, range(self.shards)))

    def _drop_past(self, at: int, now: float) -> None:
        shard = self._tats[at]
        for key in [key for key, tat in shard.items() if tat <= now]:
            del shard[key]
        if self._periods:
            wall = self._wall()
            for period in [period for period in self._periods if period[1] <= wall]:
                shards = self._periods[period]
                shards[at] = {}
                if not any(shards):
                    del self._periods[period]


def _counted(key: str, owner: str) -> tuple[str, str] | None:
    """(limit's id, whose) where the key counts for `owner`."""
    if owner not in key:
        return None
    limit_id, whose, visit = parts(key)
    return None if visit or not is_of(whose, owner) else (limit_id, whose)
