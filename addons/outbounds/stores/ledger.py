"""One step over all charges of a request, whatever the table is made of that keeps the state.

A table offers to read and to write three kinds of state (`Kind`); what is charged, what conforms
and what is told about it is decided here, once for every table in this process or machine.

The order is the whole of all-or-nothing: every charge is read and weighed, and only then is
anything written, in one `_write` that either has room for all of it or raises.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from ..core.limits import Charge, Exceeded, Limit, Over, Taken, Unit, gcra, remaining
from ..core.verdict import RateLimit
from . import Charges, StoreFull
from .keys import mark_of, state_of

type Clock = Callable[[], float]
type Period = tuple[float, float]  # from, until: Unix seconds

# kinds of state; plain numbers, since they are compared in every step
TAT = 0  # a moment on the clock: a rate's tat, or until when a visit is remembered
QUOTA = 1  # a count that ends with its period
HELD = 2  # a count that goes up and down; of this one the difference is written, not the value


# A state to be: (kind, key, value, period); `value` is seconds, a count, or by how much what is
# held changes. A plain tuple: one is made for each charge of each request.
type Write = tuple[int, str, float, Period | None]

_TAKEN = Taken()
_HOSTS, _CONCURRENT, _TUNNELS = Unit.HOSTS, Unit.CONCURRENT, Unit.TUNNELS
_SPECIAL = frozenset({_HOSTS, _CONCURRENT, _TUNNELS})
# over the edge, and nobody knows for how long
_UNKNOWN = -1.0


class Ledger(ABC):
    """`clock`: seconds, never backwards. `wall`: Unix seconds, for periods of the calendar."""

    def __init__(self, clock: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._clock = clock
        self._wall = wall

    @abstractmethod
    def _tat(self, key: str) -> float:
        """0.0 where there is none."""

    @abstractmethod
    def _used(self, key: str, period: Period) -> int: ...

    @abstractmethod
    def _held(self, key: str) -> int: ...

    @abstractmethod
    def _write(self, writes: list[Write], now: float, force: bool = False) -> None:
        """Writes all or raises `StoreFull`. A tat that has passed and a count of 0 are the same as
        none. `force`: over the bound, if need be."""

    # --- the steps ------------------------------------------------------------------------------

    def _take(self, charges: Charges, report: bool, now: float) -> Taken | Exceeded:
        writes: list[Write] = []
        worst: tuple[float, Charge] | None = None
        paceable = True
        for charge in charges:
            limit = charge.limit
            if limit.calendar is None and limit.unit not in _SPECIAL:
                # what most charges are, without the way round
                tat, late = gcra(self._tat(key := f"{limit.id}\n{charge.key}"), now,
                                 limit.window / limit.count, limit.burst, charge.cost, charge.need)
                if charge.cost:
                    writes.append((TAT, key, tat, None))
            else:
                late = self._weigh(charge, charge.need, now, writes)
            if late != 0.0:
                # go on: a truthful Retry-After is the longest wait of all the limits
                paceable = paceable and limit.over is Over.PACE and late <= limit.max_wait
                if worst is None or late > worst[0]:
                    worst = late, charge
        if worst is not None:
            return self._exceeded(worst[1], worst[0], now, paceable)
        if writes:
            self._write(writes, now)
        return Taken(closest=self._closest(charges, now)) if report else _TAKEN

    def _debit(self, charges: Charges, now: float) -> Exceeded | None:
        worst: tuple[float, Charge] | None = None
        for charge in charges:
            writes: list[Write] = []
            late = self._weigh(charge, 0, now, writes)
            try:
                self._write(writes, now)
            except StoreFull:
                # what cannot be counted is not let go on either
                limit = charge.limit
                return Exceeded(limit, 1.0, self._state(limit, charge.key, now), charge.key,
                                unavailable=True)
            if late > 0.0 and charge.limit.calendar is None:
                late += charge.need * charge.limit.interval
            if late != 0.0 and (worst is None or late > worst[0]):
                worst = late, charge
        if worst is None:
            return None
        return self._exceeded(worst[1], worst[0], now, False)

    def _release(self, charges: Charges, now: float) -> None:
        writes: list[Write] = [(HELD, state_of(charge), -charge.cost, None)
                               for charge in charges if charge.limit.unit.held]
        if writes:
            self._write(writes, now)

    def _give_back(self, charges: Charges, now: float) -> None:
        """What has been paid off since is no credit. A visited host stays visited: to ask for it
        again is free."""
        writes: list[Write] = []
        for charge in charges:
            limit, key = charge.limit, state_of(charge)
            if limit.unit.held:
                writes.append((HELD, key, -charge.cost, None))
            elif limit.unit is _HOSTS:
                continue
            elif limit.calendar is not None:
                period = limit.calendar.period(self._wall())
                used = self._used(key, period)
                if used:
                    writes.append((QUOTA, key, max(0, used - charge.cost), period))
            else:
                tat = self._tat(key)
                if tat > now:
                    writes.append((TAT, key, tat - charge.cost * limit.interval, None))
        if writes:
            self._write(writes, now)

    def _hold_off(self, charge: Charge, seconds: float, now: float) -> None:
        key = state_of(charge)
        if now + seconds > self._tat(key):
            # over the bound rather than not at all: a pause ends by itself
            self._write([(TAT, key, now + seconds, None)], now, force=True)

    # --- one charge -----------------------------------------------------------------------------

    def _weigh(self, charge: Charge, need: int, now: float, writes: list[Write]) -> float:
        """Adds what is to be written if it is charged. 0.0 where it conforms, else the seconds
        until it does, `_UNKNOWN` for what is held."""
        limit = charge.limit
        unit = limit.unit
        key = f"{limit.id}\n{charge.key}"
        if unit is _CONCURRENT or unit is _TUNNELS:
            writes.append((HELD, key, charge.cost, None))
            wanted = need if need > charge.cost else charge.cost
            return _UNKNOWN if self._held(key) + wanted > limit.count else 0.0
        period, wall = None, 0.0
        if limit.calendar is not None:
            wall = self._wall()
            period = limit.calendar.period(wall)
        if unit is _HOSTS and charge.member and self._visit(charge, period, now, writes):
            return 0.0
        if period is not None:
            used = self._used(key, period)
            if charge.cost:
                writes.append((QUOTA, key, used + charge.cost, period))
            wanted = need if need > charge.cost else charge.cost
            return period[1] - wall if used + wanted > limit.count else 0.0
        return self._rate(charge, key, need, now, writes)

    def _rate(self, charge: Charge, key: str, need: int, now: float,
              writes: list[Write]) -> float:
        limit = charge.limit
        tat, late = gcra(self._tat(key), now, limit.window / limit.count, limit.burst,
                         charge.cost, need)
        if charge.cost:
            writes.append((TAT, key, tat, None))
        return late

    def _visit(self, charge: Charge, period: Period | None, now: float,
               writes: list[Write]) -> bool:
        """Remembers the visit, anew or for longer; whether it was remembered already."""
        mark = mark_of(charge)
        if period is not None:
            writes.append((QUOTA, mark, 1, period))
            return self._used(mark, period) > 0
        writes.append((TAT, mark, now + charge.limit.window, None))
        return self._tat(mark) > now

    # --- what is told ---------------------------------------------------------------------------

    def _exceeded(self, charge: Charge, late: float, now: float, paceable: bool) -> Exceeded:
        return Exceeded(charge.limit, None if late == _UNKNOWN else late,
                        self._state(charge.limit, charge.key, now), charge.key, paceable)

    def _closest(self, charges: Charges, now: float) -> RateLimit | None:
        states = [(state.remaining / limit.count, state)
                  for charge in charges if _has_a_measure(limit := charge.limit)
                  for state in (self._state(limit, charge.key, now),)]
        return min(states, key=lambda each: each[0])[1] if states else None

    def _state(self, limit: Limit, key: str, now: float) -> RateLimit:
        key = f"{limit.id}\n{key}"
        if limit.unit.held:
            return RateLimit(limit.id, limit.count, 0.0, max(0, limit.count - self._held(key)),
                             0.0, "concurrent-requests")
        unit = "content-bytes" if limit.unit.octets else "request"
        if limit.calendar is not None:
            wall = self._wall()
            start, end = period = limit.calendar.period(wall)
            return RateLimit(limit.id, limit.count, end - start,
                             max(0, limit.count - self._used(key, period)), end - wall, unit)
        tat = self._tat(key)
        left = remaining(tat, now, limit.interval, limit.burst)
        return RateLimit(limit.id, limit.count, limit.window, left, max(0.0, tat - now), unit)


def _has_a_measure(limit: Limit) -> bool:
    """A burst of 0 is a gate that is open or shut: none of it can remain."""
    return limit.burst > 0 or limit.calendar is not None or limit.unit.held
