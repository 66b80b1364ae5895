"""Limits as pure arithmetic: the generic cell rate algorithm, and what a request is charged for.

GCRA (ITU-T I.371, annex A; "leaky bucket as a meter") keeps one number per key: the theoretical
arrival time `tat`, the moment at which the bucket will be empty again. A request of cost n moves
it n emission intervals into the future; it conforms while that is no further ahead than the burst
allows. One float per key, no timers, no windows that reset all at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .verdict import RateLimit


class Unit(StrEnum):
    REQUESTS = "requests"
    TUNNELS = "tunnels"  # concurrent tunnels: counted up when one opens, down when it closes


class Per(StrEnum):
    """What a limit is counted over."""

    ACCOUNT = "account"
    ACCOUNT_HOST = "account+host"
    TARGET = "target"  # the target host, over all accounts


class Over(StrEnum):
    REFUSE = "refuse"
    PACE = "pace"


@dataclass(frozen=True, slots=True)
class Limit:
    """One configured limit.

    `count` per `window` seconds with `burst` at once; for tunnels `count` is the number that may
    be open and `window` is 0. `max_wait` seconds is how long `over: pace` may hold a request.
    """

    id: str
    unit: Unit
    per: Per
    count: int
    window: float
    burst: int
    over: Over = Over.REFUSE
    max_wait: float = 0.0
    clause: str = ""

    @property
    def interval(self) -> float:
        """Seconds between two requests at the sustained rate (GCRA's emission interval T)."""
        return self.window / self.count


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request costs under one limit, and whose state it is charged to."""

    limit: Limit
    key: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """All charges of a request were taken together. `wait` seconds until it may go ahead."""

    wait: float = 0.0
    paced_by: Limit | None = None


@dataclass(frozen=True, slots=True)
class Exceeded:
    """At least one limit was over its edge, and nothing was charged.

    `retry_after` seconds: a client that waits exactly that long conforms to every limit of the
    request. None for concurrent tunnels, which come free when one closes.
    """

    limit: Limit
    retry_after: float | None
    state: RateLimit


# Seconds. Sums of floats round; without it, a client that waits exactly as long as it was told
# could be refused. It is not lost: the tat that is stored is the exact one.
TOLERANCE = 1e-6


def gcra(tat: float, now: float, interval: float, burst: int, cost: int = 1) -> tuple[float, float]:
    """One GCRA step: (new tat, wait).

    All times in seconds on one clock. `wait` is 0.0 when the request conforms now; otherwise the
    time until it would, and the new tat assumes that it then goes ahead. A caller that refuses
    instead simply does not store the new tat. A cost above the burst can never conform: the wait
    is then what it would take on an empty bucket, and never shrinks to 0.
    """
    start = tat if tat > now else now
    new = start + cost * interval
    wait = new - burst * interval - now
    return new, wait if wait > TOLERANCE else 0.0


def remaining(tat: float, now: float, interval: float, burst: int) -> int:
    """How many requests of cost 1 would conform at `now`."""
    ahead = tat - now if tat > now else 0.0
    return min(burst, max(0, int((burst * interval - ahead + TOLERANCE) / interval)))
