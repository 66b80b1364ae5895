"""How many connections a source has open, and how fast it opens more.

Counted before anything is known of a client but its address, so a source is an address, and of
IPv6 the /64 (`core.charging.source_key`). Whole networks come from one address: these numbers are
to stop what no network of customers does, and are far above what one needs.

What is refused costs nothing: a client that waits as long as it was told is let in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from .limits import gcra


class TooMany(Enum):
    """Why a connection is refused; the value names the rule."""

    OPEN = "source-connections"  # this source has as many open as one may
    NEW = "source-new-connections"  # this source opens them faster than one may
    TOTAL = "all-connections"  # the proxy has as many open as it takes


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`per_source` open at once, `new` in each `window` seconds, `total` of all sources."""

    per_source: int
    new: int
    window: float
    total: int

    def share(self, workers: int) -> ConnectionLimits:
        """What one of `workers` processes may take that share a port: the kernel spreads
        connections evenly over them."""
        return ConnectionLimits(math.ceil(self.per_source / workers),
                                math.ceil(self.new / workers), self.window,
                                math.ceil(self.total / workers))


class ConnectionCounts:
    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.total = 0
        self._open: dict[str, int] = {}
        self._arrivals: dict[str, float] = {}  # GCRA state

    def __len__(self) -> int:
        """Sources that something is remembered of."""
        return len(self._open.keys() | self._arrivals.keys())

    def held(self, source: str) -> int:
        return self._open.get(source, 0)

    def arrive(self, source: str, now: float) -> tuple[TooMany, float] | None:
        """Count a new connection, or say why it is refused and after how many seconds it may come
        again: at the least, where that depends on when others end."""
        limits = self.limits
        if self.total >= limits.total:
            return TooMany.TOTAL, 1.0
        if self.held(source) >= limits.per_source:
            return TooMany.OPEN, 1.0
        tat, wait = gcra(self._arrivals.get(source, 0.0), now, limits.window / limits.new,
                         limits.new)
        if wait:
            return TooMany.NEW, wait
        self._arrivals[source] = tat
        self._open[source] = self.held(source) + 1
        self.total += 1
        return None

    def leave(self, source: str) -> None:
        """A connection that `arrive` let in is over."""
        self.total -= 1
        left = self._open[source] - 1
        if left:
            self._open[source] = left
        else:
            del self._open[source]

    def forget(self, now: float) -> None:
        """Drop what no longer matters: to be called now and then."""
        for source in [each for each, tat in self._arrivals.items() if tat <= now]:
            del self._arrivals[source]
