"""config/limits.yaml: how much, of what, for whom; how requests wait; how targets are spared.

A limit has one of three shapes: what is counted and what flows has a sustained rate with a burst,
or a quota per calendar period; what is held has a number of what may be held at once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from . import quantity
from .calendar import TimeZone
from .fields import (
    ClauseRef,
    Duration,
    Host,
    LimitId,
    Method,
    Ports,
    PositiveDuration,
    PositiveSize,
    Rate,
    Strict,
)

OctetRate = Annotated[quantity.Rate, BeforeValidator(quantity.octet_rate)]
Quota = Annotated[quantity.Quota, BeforeValidator(quantity.quota)]
OctetQuota = Annotated[quantity.Quota, BeforeValidator(quantity.octet_quota)]
Per = Literal["account", "account+host", "account+site", "host", "site", "address", "source"]


class _Limit(Strict):
    """What every limit has. `methods`, `ports` and `targets` (each with everything below it) narrow
    what it applies to; `when_away` is what holds while the server that keeps the state is away."""

    id: LimitId
    per: Per
    over: Literal["refuse", "pace"] = "refuse"
    max_wait: PositiveDuration | None = None
    methods: tuple[Method, ...] | None = Field(default=None, min_length=1)
    ports: Ports | None = None
    targets: tuple[Host, ...] = ()
    when_away: Literal["open", "closed", "local"] = "local"
    clause: ClauseRef

    @model_validator(mode="after")
    def _waits_if_paced(self) -> _Limit:
        if (self.over == "pace") != (self.max_wait is not None):
            raise ValueError("over: pace needs max_wait, and over: refuse has none; "
                             "write both or neither")
        return self


def _one_of(rate: object, burst: object, quota: object, needs_burst: bool) -> None:
    if (rate is None) == (quota is None):
        raise ValueError("has both rate and quota, or neither; write one of them")
    if quota is not None and burst is not None:
        raise ValueError("a quota may be used at any pace within its period, so it has no burst; "
                         "for a pace as well write a second limit, with rate and burst")
    if rate is not None and burst is None and needs_burst:
        raise ValueError("rate needs burst, which is how much may come at once; add it")


class CountLimit(_Limit):
    """So many of what is counted: in all, or of different hosts."""

    unit: Literal["requests", "connections", "hosts", "refusals"]
    rate: Rate | None = None
    burst: int | None = Field(default=None, ge=1, le=10**9)
    quota: Quota | None = None

    @model_validator(mode="after")
    def _has_its_shape(self) -> CountLimit:
        _one_of(self.rate, self.burst, self.quota, self.unit != "hosts")
        if self.unit in ("hosts", "refusals") and self.per not in ("account", "source"):
            raise ValueError(f"{self.unit} are counted per account or per source; "
                             "write one of these")
        if self.over == "pace" and (self.unit not in ("requests", "connections") or self.quota):
            raise ValueError("only requests and connections at a rate can wait for their turn; "
                             "write over: refuse")
        return self


class OctetLimit(_Limit):
    """So many bytes, counted as they flow."""

    unit: Literal["bytes", "bytes-up", "bytes-down"]
    rate: OctetRate | None = None
    burst: PositiveSize | None = None
    quota: OctetQuota | None = None

    @model_validator(mode="after")
    def _has_its_shape(self) -> OctetLimit:
        _one_of(self.rate, self.burst, self.quota, True)
        if self.over == "pace" and self.quota:
            raise ValueError("a quota that is used up is back too late to wait for it; "
                             "write over: refuse")
        return self


class HeldLimit(_Limit):
    """So many at the same time."""

    unit: Literal["concurrent-requests", "tunnels"]
    max: int = Field(ge=1, le=10**9)


LimitEntry = Annotated[CountLimit | OctetLimit | HeldLimit, Field(discriminator="unit")]


class Queue(Strict):
    """How many requests may be held at once: of one account, and in all."""

    per_account: int = Field(default=100, ge=1, le=10**6)
    total: int = Field(default=10_000, ge=1, le=10**6)


class Adaptive(Strict):
    """Sparing a target in distress. `start`, `least`, `most`: requests under way to one host."""

    start: int = Field(default=20, ge=1, le=10**6)
    least: int = Field(default=1, ge=1, le=10**6)
    most: int = Field(default=1000, ge=1, le=10**6)
    max_wait: Duration = 10.0
    most_pause: PositiveDuration = 300.0
    clause: ClauseRef

    @model_validator(mode="after")
    def _in_order(self) -> Adaptive:
        if not self.least <= self.start <= self.most:
            raise ValueError("start is not between least and most; mend the three")
        return self


class LimitsFile(Strict):
    """`time_zone` is where the days and months of quotas begin."""

    time_zone: TimeZone = "UTC"
    limits: tuple[LimitEntry, ...]
    queue: Queue = Queue()
    adaptive: Adaptive | None = None
