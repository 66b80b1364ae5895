"""Whether a store admits exactly what its limits say: an hour of bursts on a virtual clock.

The judge is not the store's own arithmetic. Of a rate it follows, for each account, the fullest
of all windows that end with the request: what was admitted in it beyond the sustained rate, which
never may be more than the burst. It counts in whole microseconds, so that nothing rounds.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from outbounds.core.limits import Charge, Exceeded, Limit, Per, Taken, Unit
from outbounds.stores import Charges, LimitStore


class Clock(Protocol):
    """A store's clock, which goes on when it is told to."""

    now: float

    def advance(self, seconds: float) -> None: ...


@dataclass
class Hand:
    """A clock moved by hand; Unix time goes with it, and begins with a calendar hour."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Hours:
    every = "h"

    def period(self, now: float) -> tuple[float, float]:
        return now // 3600 * 3600, now // 3600 * 3600 + 3600


RATE = Limit("rate", Unit.REQUESTS, Per.ACCOUNT, 60, 60.0, 20)
QUOTA = Limit("quota", Unit.REQUESTS, Per.ACCOUNT, 500, 0.0, 0, calendar=Hours())
# seconds at the end in which nobody asks again: Unix time as a float may be in the next hour
LAST = 1e-3
PER_REQUEST = 1_000_000  # microseconds for one request at RATE


@dataclass
class Outcome:
    """`over`: the most that was admitted to one account, in any window, beyond rate and burst or
    beyond its quota. `short`: the least that one who asks again exactly when told was admitted,
    against rate and burst or quota. Both in requests."""

    asked: int = 0
    admitted: int = 0
    over: float = float("-inf")
    short: float = float("inf")


def charges_of(account: int) -> Charges:
    """Every other account has a rate, and every other a quota of the calendar."""
    return (Charge(QUOTA if account % 2 else RATE, f"acct_{account:012x}"),)


async def play(stores: Sequence[LimitStore], clock: Clock, *, accounts: int = 100_000,
               bursts: int = 100_000, askers: int = 100, seconds: float = 3600.0,
               seed: int = 1) -> Outcome:
    """Bursts of 1 to 40 requests at random moments, of accounts chosen by Zipf's law; beside them
    `askers` further accounts that never stop asking. Every request goes through another store."""
    chosen = random.Random(seed)
    weights = list(accumulate(1 / rank for rank in range(1, accounts + 1)))
    who = chosen.choices(range(accounts), cum_weights=weights, k=bursts)
    # (when, whether of one who asks again, account, requests)
    due = [(chosen.uniform(0.0, seconds), False, account, chosen.randint(1, 40))
           for account in who]
    due += [(chosen.uniform(0.0, 1.0), True, accounts + number, 1) for number in range(askers)]
    begun = {account: when for when, again, account, _ in due if again}
    heapq.heapify(due)
    judge, outcome, start = _Judge(), Outcome(), clock.now
    while due:
        when, again, account, requests = heapq.heappop(due)
        clock.advance(max(0.0, start + when - clock.now))
        for _ in range(requests):
            store = stores[outcome.asked % len(stores)]
            outcome.asked += 1
            said = store.take_now(charges_of(account))
            if said is None:
                said = await store.take(charges_of(account))
            if isinstance(said, Taken):
                outcome.admitted += 1
                judge.admitted(account, clock.now)
        if again:
            wait = said.retry_after or 0.0 if isinstance(said, Exceeded) else 0.0
            if clock.now + wait < start + seconds - LAST:
                heapq.heappush(due, (clock.now + wait - start, True, account, 1))
    outcome.over = judge.over
    for account, when in begun.items():
        right = QUOTA.count if account % 2 else RATE.burst + (
            seconds - LAST - when) * RATE.count / RATE.window
        outcome.short = min(outcome.short, judge.count.get(account, 0) - right)
    return outcome


class _Judge:
    def __init__(self) -> None:
        self.over = float("-inf")
        self.count: dict[int, int] = {}
        self._fullest: dict[int, tuple[int, int]] = {}  # (when, excess), microseconds both

    def admitted(self, account: int, now: float) -> None:
        self.count[account] = count = self.count.get(account, 0) + 1
        if account % 2:
            self.over = max(self.over, count - QUOTA.count)
            return
        at = round(now * 1e6)
        last, excess = self._fullest.get(account, (at, 0))
        excess = max(0, excess - (at - last)) + PER_REQUEST
        self._fullest[account] = at, excess
        # a microsecond a request is what reading the clock in whole ones may cost
        self.over = max(self.over, round(excess / PER_REQUEST - RATE.burst, 4))
