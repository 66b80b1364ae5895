"""Limits as pure arithmetic: the generic cell rate algorithm, and what a request is charged for.

GCRA (ITU-T I.371, annex A; "leaky bucket as a meter") keeps one number per key: the theoretical
arrival time `tat`, the moment at which the bucket will be empty again. A request of cost n moves
it n emission intervals into the future; it conforms while that is no further ahead than the burst
allows. One float per key, no timers, no windows that reset all at once.

Three more kinds of state stand beside it. A quota per calendar period is a plain count that ends
with the period. What is held (a request under way, a tunnel) is counted up and down again. And a
limit on distinct hosts remembers which hosts its owner has been to: only a new one is charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from .verdict import RateLimit


class Unit(StrEnum):
    REQUESTS = "requests"
    CONNECTIONS = "connections"  # new connections to targets, charged as each is dialled
    HOSTS = "hosts"  # distinct hosts: charged for one that was not asked in the last `window`
    REFUSALS = "refusals"  # requests that were refused, for whatever reason
    BYTES = "bytes"  # both directions together, charged as they flow
    BYTES_UP = "bytes-up"
    BYTES_DOWN = "bytes-down"
    CONCURRENT = "concurrent-requests"  # held from the verdict to the end of the answer
    TUNNELS = "tunnels"  # held while one is open

    @property
    def held(self) -> bool:
        """Counted up and down again, rather than over time."""
        return self in (Unit.CONCURRENT, Unit.TUNNELS)

    @property
    def octets(self) -> bool:
        return self in (Unit.BYTES, Unit.BYTES_UP, Unit.BYTES_DOWN)


class Per(StrEnum):
    """What a limit is counted over. The last four hold for all accounts together."""

    ACCOUNT = "account"
    ACCOUNT_HOST = "account+host"
    ACCOUNT_SITE = "account+site"
    HOST = "host"
    SITE = "site"  # registrable domain (`core.site`)
    ADDRESS = "address"  # each address that the target's name resolves to
    SOURCE = "source"  # the client's address; of IPv6 its /64, which is one customer's

    @property
    def of_account(self) -> bool:
        return self in (Per.ACCOUNT, Per.ACCOUNT_HOST, Per.ACCOUNT_SITE)


class Over(StrEnum):
    REFUSE = "refuse"
    PACE = "pace"  # requests wait their turn; octets are slowed


class Away(StrEnum):
    """What holds while the store that several machines share does not answer."""

    OPEN = "open"  # the limit is not enforced
    CLOSED = "closed"  # what it applies to is refused
    LOCAL = "local"  # this process enforces its share of it


class Calendar(Protocol):
    """The periods of a quota. What an hour, a day or a month is, is for the operator's clocks to
    say (`settings.calendar`)."""

    @property
    def every(self) -> str: ...

    def period(self, now: float) -> tuple[float, float]:
        """(start, end) in Unix seconds of the period that holds the Unix time `now`."""
        ...


@dataclass(frozen=True, slots=True)
class Limit:
    """One configured limit.

    `count` per `window` seconds with `burst` at once. With a `calendar`, `count` in each of its
    periods, and window and burst say nothing. For what is held, `count` at the same time and
    `window` is 0. `max_wait` seconds is how long `over: pace` may hold a request. `methods`,
    `ports` and `targets` (canonical host names, with everything below each) narrow what it
    applies to; None and () do not.
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
    calendar: Calendar | None = None
    methods: frozenset[str] | None = None
    ports: frozenset[int] | None = None
    targets: tuple[str, ...] = ()
    away: Away = Away.LOCAL

    @property
    def interval(self) -> float:
        """Seconds between two requests at the sustained rate (GCRA's emission interval T)."""
        return self.window / self.count

    def applies_to(self, method: str, port: int, host: str) -> bool:
        """Whether a request with this method, to this port of this canonical host, counts."""
        if self.methods is not None and method not in self.methods:
            return False
        if self.ports is not None and port not in self.ports:
            return False
        return not self.targets or any(
            host == name or host.endswith("." + name) for name in self.targets)


class Charge(NamedTuple):
    """What one request costs under one limit, and whose state it is charged to.

    `need` is how much must be free though only `cost` is charged: a download is let begin when
    there is room for a little, and pays as it flows. `member` is the host that a limit on distinct
    hosts asks about.
    """

    limit: Limit
    key: str
    cost: int = 1
    need: int = 0
    member: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """All charges of a request were taken together.

    `wait` seconds is how long the request was held before, for `paced_by`. `closest` is the state
    of the limit that is nearest to its edge, where it was asked for.
    """

    wait: float = 0.0
    paced_by: Limit | None = None
    closest: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class Exceeded:
    """At least one limit was over its edge, and nothing was charged.

    Of several, `limit` and `key` are those with the longest wait. `retry_after` seconds: a client
    that waits exactly that long conforms to every limit of the request. None for what is held,
    which comes free when one ends. `paceable`: every limit that is over its edge is `over: pace`
    and its wait no longer than its max_wait (for what is held: no wait is known, so none is too
    long). `unavailable`: the limit's state cannot be had, and the limit is `away: closed`.
    """

    limit: Limit
    retry_after: float | None
    state: RateLimit
    key: str = ""
    paceable: bool = False
    unavailable: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """State under one key, as it is now. `ahead`: seconds by which the tat lies in the future;
    `used`: what is held, or was used of the calendar period."""

    limit_id: str
    key: str
    ahead: float = 0.0
    used: int = 0


# Seconds. Sums of floats round; without it, a client that waits exactly as long as it was told
# could be refused. It is not lost: the tat that is stored is the exact one.
TOLERANCE = 1e-6


def gcra(tat: float, now: float, interval: float, burst: int, cost: int = 1,
         need: int = 0) -> tuple[float, float]:
    """One GCRA step: (new tat, wait).

    All times in seconds on one clock. `wait` is 0.0 when the request conforms now; otherwise the
    time until it would, and the new tat assumes that it then goes ahead. A caller that refuses
    instead simply does not store the new tat. A cost above the burst can never conform: the wait
    is then what it would take on an empty bucket, and never shrinks to 0. Where `need` is more
    than the cost, so much must be free, and only the cost is charged.
    """
    start = tat if tat > now else now
    wait = start + (need if need > cost else cost) * interval - burst * interval - now
    return start + cost * interval, wait if wait > TOLERANCE else 0.0


def remaining(tat: float, now: float, interval: float, burst: int) -> int:
    """How many requests of cost 1 would conform at `now`."""
    ahead = tat - now if tat > now else 0.0
    return min(burst, max(0, int((burst * interval - ahead + TOLERANCE) / interval)))
