"""What the contract of stores is played with: a clock, limits, charges, and how a store is asked.

Time is in the scenario: a store is made with a clock that the test moves. A store whose clock is
elsewhere (a server's) brings a `Clock` of its own that moves that one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from outbounds.core.limits import Calendar, Charge, Exceeded, Limit, Over, Per, Taken, Unit
from outbounds.stores import Charges, LimitStore


class Clock:
    """Seconds, moved by hand; `wall()` is the Unix time, which moves with it."""

    def __init__(self, now: float = 1000.0, wall: float = 1.8e9) -> None:
        self.now = now
        self._ahead = wall - now

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self._ahead

    def advance(self, seconds: float) -> None:
        self.now += seconds


def per_second(name: str, count: int = 1, burst: int = 1, *, over: Over = Over.REFUSE,
               max_wait: float = 0.0, window: float = 1.0) -> Limit:
    return Limit(name, Unit.REQUESTS, Per.ACCOUNT, count, window, burst, over, max_wait)


def octets(name: str, rate: int, burst: int) -> Limit:
    return Limit(name, Unit.BYTES, Per.ACCOUNT, rate, 1.0, burst)


def tunnels(count: int, name: str = "tunnels", *, over: Over = Over.REFUSE,
            max_wait: float = 0.0) -> Limit:
    return Limit(name, Unit.TUNNELS, Per.ACCOUNT, count, 0.0, count, over, max_wait)


def hosts(count: int, window: float = 100.0, calendar: Calendar | None = None) -> Limit:
    return Limit("hosts", Unit.HOSTS, Per.ACCOUNT, count, window, count, calendar=calendar)


def quota(count: int, calendar: Calendar, name: str = "quota", unit: Unit = Unit.REQUESTS) -> Limit:
    return Limit(name, unit, Per.ACCOUNT, count, 0.0, 0, calendar=calendar)


class Periods:
    """Periods of `length` seconds, counted from the Unix epoch."""

    every = "h"

    def __init__(self, length: float = 3600.0) -> None:
        self.length = length

    def period(self, now: float) -> tuple[float, float]:
        start = now // self.length * self.length
        return start, start + self.length


def ask(*limits: Limit, key: str = "a", cost: int = 1, need: int = 0) -> Charges:
    return tuple(Charge(limit, key, cost, need) for limit in limits)


def visit(limit: Limit, member: str, key: str = "a") -> Charges:
    return (Charge(limit, key, member=member),)


FAST, SLOW = per_second("fast", 100, 10), per_second("slow", 1, 1)
TWO = tunnels(2)


class Scenario:
    """`make(max_keys, clock)` returns an empty store. A store that is elsewhere also says how it
    is asked (`take`, `debit`) and how all that was sent arrives (`settle`)."""

    KEYS: ClassVar[int] = 1_000_000
    # seconds by which what is told may be off: how far a clock moves that nobody moves
    SLACK: ClassVar[float] = 1e-6

    def make(self, max_keys: int, clock: Any) -> LimitStore:
        raise NotImplementedError

    def make_clock(self, now: float = 1000.0, wall: float = 1.8e9) -> Any:
        return Clock(now, wall)

    async def take(self, store: LimitStore, charges: Charges,
                   report: bool = False) -> Taken | Exceeded:
        outcome = store.take_now(charges, report)
        return await store.take(charges, report) if outcome is None else outcome

    async def debit(self, store: LimitStore, charges: Charges) -> Exceeded | None:
        """What is known once it has arrived."""
        return store.debit(charges)

    async def settle(self, store: LimitStore) -> None:
        """Let everything arrive that was not waited for."""

    # --- what the tests are written in ----------------------------------------------------------

    @asynccontextmanager
    async def opened(self, clock: Any, max_keys: int = 0) -> AsyncIterator[LimitStore]:
        store = self.make(max_keys or self.KEYS, clock)
        try:
            yield store
        finally:
            await store.aclose()

    @pytest.fixture
    def clock(self) -> Any:
        return self.make_clock()

    @pytest.fixture
    async def store(self, clock: Any) -> AsyncIterator[LimitStore]:
        async with self.opened(clock) as store:
            yield store

    async def taken(self, store: LimitStore, charges: Charges) -> bool:
        return isinstance(await self.take(store, charges), Taken)

    async def how_many(self, store: LimitStore, charges: Charges, tries: int) -> int:
        """How many of so many are taken."""
        return sum([await self.taken(store, charges) for _ in range(tries)])

    async def refused(self, store: LimitStore, charges: Charges) -> Exceeded:
        outcome = await self.take(store, charges)
        assert isinstance(outcome, Exceeded), outcome
        return outcome

    async def release(self, store: LimitStore, charges: Charges) -> None:
        store.release(charges)
        await self.settle(store)

    async def give_back(self, store: LimitStore, charges: Charges) -> None:
        store.give_back(charges)
        await self.settle(store)

    async def hold_off(self, store: LimitStore, charge: Charge, seconds: float) -> None:
        store.hold_off(charge, seconds)
        await self.settle(store)

    def about_live(self, seconds: float) -> Any:
        """As `about`, of what is still ahead when an operator asks."""
        return self.about(seconds)

    def about(self, seconds: float) -> Any:
        return pytest.approx(seconds, abs=max(self.SLACK, 1e-6 * abs(seconds)))
