"""A target that degrades under load, and accounts that want more of it than there is: simulated.

A discrete-event queueing model on a virtual clock. The target has `servers`; each request takes one
of them for a service time, exponential or fixed, with the mean `service`; those that find none wait
in the target's own queue, first come, first served. For every request beyond the servers everything
that is begun takes `degrade` longer (threads that contend, caches that thrash). With `refuse_over`
it answers 503 at once to what exceeds that number, and with `retry_after` says when to come back.

In front of it stand `core.fair_queue` and `core.adaptive`, as they do in the proxy. Account i keeps
`greed(i)` requests waiting all the while, or asks `asks(i)` times a second where that is given.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from outbounds.core.adaptive import Health
from outbounds.core.fair_queue import FairQueue
from outbounds.core.rules import AdaptiveTerms


@dataclass(slots=True)
class Target:
    servers: int = 20
    service: float = 0.05  # seconds, the mean
    fixed: bool = False
    degrade: float = 0.01
    refuse_over: int | None = None
    retry_after: float | None = None
    changes: dict[float, int] = field(default_factory=dict)  # from when on so many servers


@dataclass(slots=True)
class Outcome:
    """Of the time after the warm-up. `capacity`: what the target could have served unpressed."""

    served: list[int]
    refused: int
    latency: float  # the mean, seconds
    idle: float
    capacity: float
    ceilings: list[int]
    most_at_target: int

    @property
    def used(self) -> float:
        """Share of the target's capacity."""
        return sum(self.served) / self.capacity

    @property
    def slower(self) -> float:
        """Mean latency, in times of the idle one."""
        return self.latency / self.idle

    def jain(self, accounts: range | None = None) -> float:
        """Jain's fairness index (1984) of what accounts were served: 1 where all have the same."""
        shares = [self.served[i] for i in accounts or range(len(self.served))]
        total = sum(shares)
        return total * total / (len(shares) * sum(x * x for x in shares)) if total else 0.0


def simulate(target: Target, accounts: int, *, seconds: float = 120.0, warm_up: float = 30.0,
             greed: Callable[[int], int] = lambda i: 1 + i % 5, terms: AdaptiveTerms | None = None,
             seed: int = 1) -> Outcome:
    chance, serial = random.Random(seed), count()
    health, line = Health(terms or AdaptiveTerms(max_wait=1e9)), FairQueue[int]()
    account_of: dict[int, int] = {}
    events: list[tuple[float, int, str, int]] = []  # when, tie, what, request
    at_target: deque[int] = deque()
    began: dict[int, float] = {}
    served, refused, spent, done = [0] * accounts, 0, 0.0, 0
    ceilings: list[int] = []
    servers, working, most = target.servers, 0, 0
    capacity, counted_from, now = 0.0, warm_up, 0.0

    def ask(account: int) -> None:
        request = next(serial)
        account_of[request] = account
        line.add(request, str(account))

    def begin(request: int) -> None:
        nonlocal working
        working += 1
        over = max(0, working + len(at_target) - servers)
        time = target.service * (1 + target.degrade * over)
        time = time if target.fixed else chance.expovariate(1 / time)
        heappush(events, (now + time, next(serial), "done", request))

    def dispatch() -> None:
        nonlocal most
        wake = health.paused(now)
        if wake:
            return
        while health.under_way < health.places and (request := line.head()) is not None:
            line.serve(request)
            health.started(now)
            began[request] = now
            load = working + len(at_target)
            if target.refuse_over is not None and load >= target.refuse_over:
                heappush(events, (now + target.service / 10, next(serial), "refused", request))
            elif working < servers:
                begin(request)
            else:
                at_target.append(request)
            most = max(most, working + len(at_target))
        if line and health.under_way >= health.places:
            health.pressed()

    for account in range(accounts):
        for _ in range(greed(account)):
            ask(account)
    for when, number in target.changes.items():
        heappush(events, (when, next(serial), "change", number))
    heappush(events, (warm_up, next(serial), "tick", 0))
    dispatch()
    while events and events[0][0] <= seconds:
        now, _, what, request = heappop(events)
        if what == "tick":
            ceilings.append(health.places)
            capacity += min(1.0, seconds - now) * servers / target.service
            heappush(events, (now + 1.0, next(serial), "tick", 0))
        elif what == "change":
            servers = request
        elif what in ("done", "refused"):
            account, start = account_of.pop(request), began.pop(request)
            if what == "done":
                working -= 1
                health.finished(now, start, status=200, latency=now - start)
                if at_target and working < servers:
                    begin(at_target.popleft())
            else:
                health.finished(now, start, status=503, retry_after=target.retry_after)
            if health.paused(now):
                heappush(events, (health.paused_until, next(serial), "wake", 0))
            if now >= counted_from:
                if what == "done":
                    served[account] += 1
                    spent, done = spent + now - start, done + 1
                else:
                    refused += 1
            ask(account)
        dispatch()
    return Outcome(served, refused, spent / max(done, 1), target.service, capacity, ceilings, most)
