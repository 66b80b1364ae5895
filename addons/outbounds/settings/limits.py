"""config/limits.yaml: how much, of what, for whom; how requests wait; how targets are spared.

Four shapes of a limit share one set of keys: a sustained rate with a burst, a quota per calendar
period, a number of what may be held at once; which of them a unit may have is said in `_SHAPES`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ..core.calendar import Every
from . import quantity
from .fields import (
    ClauseRef,
    Duration,
    Host,
    LimitId,
    Method,
    Ports,
    PositiveDuration,
    Strict,
)

Unit = Literal["requests", "connections", "hosts", "refusals", "bytes", "bytes-up", "bytes-down",
               "concurrent-requests", "tunnels"]
Per = Literal["account", "account+host", "account+site", "host", "site", "address", "source"]

_HELD = ("concurrent-requests", "tunnels")
_OCTETS = ("bytes", "bytes-up", "bytes-down")
_NOT_PACED = ("hosts", "refusals")

TimeZone = Annotated[str, AfterValidator(quantity.time_zone)]
Amount = Annotated[quantity.Amount, BeforeValidator(quantity.amount)]
Share = Annotated[quantity.Share, BeforeValidator(quantity.share)]


class LimitEntry(Strict):
    """One limit. `rate` with `burst`, or `quota`, or `max`: one of the three, as the unit asks."""

    id: LimitId
    unit: Unit
    per: Per
    rate: Share | None = None
    burst: Amount | None = None
    quota: Share | None = None
    max: int | None = Field(default=None, ge=1, le=10**9)
    over: Literal["refuse", "pace"] = "refuse"
    max_wait: PositiveDuration | None = None
    methods: tuple[Method, ...] | None = Field(default=None, min_length=1)
    ports: Ports | None = None
    targets: tuple[Host, ...] = ()
    when_away: Literal["open", "closed", "local"] = "local"
    clause: ClauseRef

    @model_validator(mode="after")
    def _has_its_shape(self) -> LimitEntry:
        if self.unit in _HELD:
            if self.max is None or self.rate or self.quota or self.burst:
                raise ValueError(f"{self.unit} are counted while they last; "
                                 "write max, and neither rate, burst nor quota")
            return self
        if self.max is not None:
            raise ValueError(f"max is for what is counted while it lasts; for {self.unit} write "
                             "rate and burst, or quota")
        if (self.rate is None) == (self.quota is None):
            raise ValueError(f"{self.unit} need either rate, or quota; write one of them")
        for key, share in (("rate", self.rate), ("quota", self.quota)):
            if share is not None and share.octets != (self.unit in _OCTETS):
                example = "10MiB" if self.unit in _OCTETS else "600"
                raise ValueError(f"{key} is in the wrong unit for {self.unit}; write it as "
                                 f"{example}/{share.every}")
        if self.rate is not None and self.rate.every == Every.MONTH:
            raise ValueError("a month has no fixed length, so no steady rate; write quota, which "
                             "begins again with each calendar month")
        if self.quota is not None and self.quota.every not in tuple(Every):
            raise ValueError("a quota is per h, day or month; for less write rate and burst")
        return self

    @model_validator(mode="after")
    def _has_a_burst(self) -> LimitEntry:
        if self.quota is not None and self.burst is not None:
            raise ValueError("a quota may be used at any pace within its period; "
                             "leave burst out, or write a second limit with rate and burst")
        if self.rate is not None and self.burst is None and self.unit != "hosts":
            raise ValueError("rate needs burst: how much may come at once")
        if self.burst is not None and self.burst.octets != (self.unit in _OCTETS):
            raise ValueError("burst is in the wrong unit; "
                             f"write it as {'100MiB' if self.unit in _OCTETS else '60'}")
        return self

    @model_validator(mode="after")
    def _waits_if_paced(self) -> LimitEntry:
        if (self.over == "pace") != (self.max_wait is not None):
            raise ValueError("over: pace needs max_wait, and over: refuse has none; "
                             "write both or neither")
        if self.over == "pace" and (self.unit in _NOT_PACED or self.quota is not None):
            raise ValueError("only requests, connections and octets at a rate, and what is held, "
                             "can wait for their turn; write over: refuse")
        return self

    @model_validator(mode="after")
    def _counts_what_can_be_counted(self) -> LimitEntry:
        if self.unit == "refusals" and self.per not in ("account", "source"):
            raise ValueError("what is refused never reaches a target, so it is counted per account "
                             "or per source; write one of these")
        if self.unit == "hosts" and self.per not in ("account", "source"):
            raise ValueError("distinct hosts are counted per account or per source; "
                             "write one of these")
        return self


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

    @field_validator("limits")
    @classmethod
    def _none_is_ours(cls, limits: tuple[LimitEntry, ...]) -> tuple[LimitEntry, ...]:
        for entry in limits:
            if entry.id in RESERVED:
                raise ValueError(f"the id {entry.id} is one that the proxy uses itself; "
                                 "choose another")
        return limits


# ids of the limits that no file defines
RESERVED = frozenset({"crawl-delay", "target-pause", "target-ceiling"})
