"""Limit state that the workers of one machine share: a table in memory that all of them map.

With one process `stores.memory` is faster; with several, each with a store of its own, every limit
would be multiplied by their number. All charges of a request are weighed and written under one
lock (`stores.table`), on the machine's monotonic clock.

What is held is counted twice: in all, which is what limits look at, and for each worker, so that
what a dead one held can be taken off again (`forget_worker`).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from ..core.limits import Charge, Exceeded, Live, Taken
from . import Charges, StoreFull
from .departed import CHUNK, forget_worker, let_go_of
from .keys import is_of, parts
from .ledger import HELD, QUOTA, TAT, Clock, Ledger, Period, Write
from .table import (
    FOREVER,
    FREED,
    HIGH,
    KIND,
    NEXT_SWEEP,
    UNTIL,
    VALUE,
    Table,
    TableFull,
    create,
    shown,
    stored,
)

__all__ = ["SharedStore", "create", "forget_worker"]

SWEEP_EVERY = 60.0  # seconds in which every entry has been looked at once, if there are requests
SWEEP_LOOK = 128  # entries in one step; to take all of them out takes well under a millisecond
# When the table is full: entries to look at for one that has passed, at most so often (seconds)
FULL_LOOK, FULL_MOST, LOOK_AGAIN = 4096, 512, 0.01


class SharedStore(Ledger):
    """The store of worker number `worker` of `workers`, counted from 0, in the table at `path`
    that `create(path, max_keys)` has made. What an earlier worker of this number held comes free.

    To be opened after a fork, never before: parent and child would have one lock between them.
    Raises OSError, and ValueError where there is no table of this version. A step waits for the
    lock as long as another worker's step lasts; where one is stopped in the middle of its step
    (by a debugger), all wait.
    """

    def __init__(self, path: Path, worker: int, workers: int, clock: Clock = time.monotonic,
                 wall: Clock = time.time) -> None:
        super().__init__(clock, wall)
        if not 0 <= worker < workers:
            raise ValueError(f"worker {worker} of {workers}: they are counted from 0")
        self._worker = worker
        self._own = float(HELD + 1 + worker)
        self._table: Table | None = Table(path)
        # entries by key, as found in this step
        self._found: dict[str, int] = {}
        self._looked = float("-inf")
        let_go_of(self._table, worker)

    @property
    def _open(self) -> Table:
        if self._table is None:
            raise ValueError("the store is closed")
        return self._table

    def __len__(self) -> int:
        return len(self._open)

    # --- the contract ---------------------------------------------------------------------------

    def take_now(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
        table = self._open
        table.lock()
        try:
            self._found.clear()
            now = self._clock()
            if now >= table.doubles[NEXT_SWEEP]:
                self._sweep(table, now)
            return self._take(charges, report, now)
        finally:
            table.unlock()

    async def take(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
        return self.take_now(charges, report)

    # What is told to a store that is closed comes too late to matter: it has let go of all.

    def debit(self, charges: Charges) -> Exceeded | None:
        if self._table is None:
            return None
        with self._open.locked():
            self._found.clear()
            return self._debit(charges, self._clock())

    def release(self, charges: Charges) -> None:
        if self._table is None:
            return
        with self._open.locked():
            self._found.clear()
            self._release(charges, self._clock())

    def give_back(self, charges: Charges) -> None:
        if self._table is None:
            return
        with self._open.locked():
            self._found.clear()
            self._give_back(charges, self._clock())

    def hold_off(self, charge: Charge, seconds: float) -> None:
        if self._table is None:
            return
        with self._open.locked():
            self._found.clear()
            try:
                self._hold_off(charge, seconds, self._clock())
            except StoreFull:
                # the reserve is used up too, by a thousand targets that are all held off
                pass

    async def live(self, owner: str, most: int = 1000) -> tuple[Live, ...]:
        found: list[Live] = []
        for first in range(1, self._high() + 1, CHUNK):
            with self._open.locked():
                now, wall = self._clock(), self._wall()
                for at, kind, until in self._of(owner, first):
                    limit_id, whose, visit = parts(shown(self._open.key(at))[0])
                    used = int(self._open.doubles[at + VALUE])
                    if not visit and until > (wall if kind == QUOTA else now):
                        found.append(Live(limit_id, whose, until - now) if kind == TAT
                                     else Live(limit_id, whose, used=used))
            if len(found) >= most:
                break
            await asyncio.sleep(0)  # between two chunks others have their turn
        return tuple(found[:most])

    async def reset(self, owner: str, limit_id: str = "") -> int:
        forgotten = 0
        for first in range(1, self._high() + 1, CHUNK):
            with self._open.locked():
                now, wall = self._clock(), self._wall()
                for at, kind, until in self._of(owner, first):
                    of, _, visit = parts(shown(self._open.key(at))[0])
                    if kind != HELD and limit_id in ("", of):
                        past = until <= (wall if kind == QUOTA else now)
                        forgotten += not visit and not past
                        self._open.remove(at)
            await asyncio.sleep(0)
        return forgotten

    def _high(self) -> int:
        return int(self._open.doubles[HIGH])

    def _of(self, owner: str, first: int) -> list[tuple[int, float, float]]:
        """(entry, kind, until) of a chunk's entries that are the owner's."""
        table = self._open
        untils, kinds = table.columns(first, min(CHUNK, self._high() - first + 1))
        return [(table.at(number), kind, until)
                for number, (until, kind) in enumerate(zip(untils, kinds, strict=True), first)
                if kind in (TAT, QUOTA, HELD) and _is_of(table.key(table.at(number)), owner)]

    def forget_worker(self, worker: int) -> None:
        """What this worker held comes free."""
        let_go_of(self._open, worker)

    async def aclose(self) -> None:
        if self._table is not None:
            let_go_of(self._table, self._worker)
            self._table.close()
            self._table = None

    # --- the table, under its lock --------------------------------------------------------------

    def _look_up(self, kind: float, key: str, period: Period | None = None) -> int:
        begin, until = period or (0.0, 0.0)
        at = self._found[key] = self._open.find(kind, stored(key), begin, until)
        return at

    def _tat(self, key: str) -> float:
        at = self._look_up(TAT, key)
        return self._open.doubles[at + UNTIL] if at else 0.0

    def _used(self, key: str, period: Period) -> int:
        at = self._look_up(QUOTA, key, period)
        return int(self._open.doubles[at + VALUE]) if at else 0

    def _held(self, key: str) -> int:
        at = self._look_up(HELD, key)
        return int(self._open.doubles[at + VALUE]) if at else 0

    def _write(self, writes: list[Write], now: float, force: bool = False) -> None:
        table = self._open
        try:
            ended = self._collect(table, writes, force)
        except TableFull:
            table.words.clear()
            self._make_room(table, now)
            try:
                ended = self._collect(table, writes, force)
            except TableFull:
                raise StoreFull(f"{len(table)} keys, all of them with a debt; raise "
                                "max_keys") from None
        table.commit()
        for at in ended:
            table.remove(at)

    def _collect(self, table: Table, writes: list[Write], force: bool) -> set[int]:
        """Collect all that is to be written; the entries that can be taken out afterwards."""
        ended: set[int] = set()
        new: dict[str, int] = {}
        for kind, key, value, period in writes:
            if kind == HELD:
                self._hold(table, key, value, new, ended, force)
                continue
            at = new.get(key) or self._found[key]
            word = UNTIL if kind == TAT else VALUE
            if at:
                table.words[at + word] = value
            elif kind == TAT:
                new[key] = table.insert(TAT, stored(key), value, 0.0, force=force)
            elif period is not None:
                new[key] = table.insert(QUOTA, stored(key), period[1], value, period[0], force)
        return ended

    def _hold(self, table: Table, key: str, change: float, new: dict[str, int],
              ended: set[int], force: bool) -> None:
        octets = stored(key)
        entries = []
        for name, kind in ((f"own {key}", self._own), (key, float(HELD))):
            at = new.get(name) or table.find(kind, octets)
            if not at:
                if change <= 0:
                    return  # this worker holds none of it
                at = new[name] = table.insert(kind, octets, FOREVER, 0.0, force=force)
            entries.append(at)
        # never more than is this worker's
        change = max(change, -table.now(entries[0] + VALUE))
        for at in entries:
            left = table.words[at + VALUE] = table.now(at + VALUE) + change
            # should this process be killed before it takes the entry out, a sweep will
            table.words[at + UNTIL] = FOREVER if left > 0 else 0.0
            if left > 0:
                ended.discard(at)
            else:
                ended.add(at)

    def _make_room(self, table: Table, now: float) -> None:
        if now >= self._looked + LOOK_AGAIN:
            if not table.sweep(now, self._wall(), QUOTA, FULL_LOOK, FULL_MOST):
                self._looked = now
            # what was found before may be gone
            for key, at in self._found.items():
                if at and table.doubles[at + KIND] == FREED:
                    self._found[key] = 0

    def _sweep(self, table: Table, now: float) -> None:
        table.sweep(now, self._wall(), QUOTA, SWEEP_LOOK, SWEEP_LOOK)
        share = SWEEP_LOOK / max(SWEEP_LOOK, table.doubles[HIGH])
        table.doubles[NEXT_SWEEP] = now + SWEEP_EVERY * share


def _is_of(key: bytes, owner: str) -> bool:
    text, whole = shown(key)
    limit_id, whose, visit = parts(text)
    if is_of(whose, owner):
        return whole or visit or len(whose) > len(owner)
    # the name is longer than what is left of the key, so only its digest can tell
    return not whole and not visit and stored(f"{limit_id}\n{owner}") == key
