"""How the targets are: `core.adaptive` for each host, and the charges that come of it.

The **ceiling** is a limit like any other, on requests under way to a host over all accounts; its
number is what this process has found out, its count is the store's, over every process that shares
it. The **pause** is a rate of which nothing is ever charged: it conforms when its tat has passed,
and `hold_off` is what moves that. So a pause that one process finds out holds in all that share the
store; the others learn of it when their first request is refused (`over`), and begin again with
probes like the one that found it.

The pause is asked about in every request where the store is shared, since only it may know of one;
where it is not, only while a pause lasts.

A host is remembered while something is under way to it or it is paused, and otherwise until
`MAX_HOSTS` others were asked since: one that is forgotten starts afresh, at `start`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..core.adaptive import BUSY, Health
from ..core.destination import Host
from ..core.limits import Charge, Exceeded, Limit, Over, Per, Unit
from ..core.rules import AdaptiveTerms
from . import retry_after

PAUSE, CEILING = "target-pause", "target-ceiling"
MAX_HOSTS = 20_000
TELLS = 3.0  # a latency of so many times our own lag is the target's
_LOOK = 8  # hosts that one more may look at to find one to forget


class HoldsOff(Protocol):
    """What is asked of a store, or of `pacing.Pacer`."""

    def hold_off(self, charge: Charge, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class TargetState:
    """A host that is spared: requests that may be under way, out of how many before, and that are;
    seconds that a pause has left; seconds to a response head when it is not pressed."""

    host: str
    ceiling: int
    before: int
    under_way: int
    paused: float
    why: str
    baseline: float | None


@dataclass(slots=True)
class _Known:
    health: Health
    pause: Charge
    ceiling: Charge
    held_off: float = float("-inf")  # until when the store was told


def _nothing(_: str) -> None:
    return None


class TargetHealth:
    """`terms` None: targets are not watched, and nothing is charged. `shared`: the store is, with
    other processes. `clock`: seconds, never backwards; `wall`: Unix seconds, for dates; `lag`:
    seconds by which this process itself is late. `count` is
    told what is decided, in a word of `core.adaptive.Health`."""

    def __init__(self, store: HoldsOff, terms: Callable[[], AdaptiveTerms | None],
                 clock: Callable[[], float] = time.monotonic, *, shared: bool = False,
                 wall: Callable[[], float] = time.time, lag: Callable[[], float] = lambda: 0.0,
                 count: Callable[[str], None] = _nothing, max_hosts: int = MAX_HOSTS) -> None:
        self._store = store
        self._terms = terms
        self._clock = clock
        self._wall = wall
        self._lag = lag
        self._shared = shared
        self._count = count
        self._max_hosts = max_hosts
        self._hosts: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hosts)

    def charges(self, host: Host, tunnel: bool) -> tuple[Charge, ...]:
        """What a request to this host is charged. A tunnel is held up by a pause, but takes none
        of the places: how many requests go through it nobody knows."""
        terms = self._terms()
        if terms is None:
            return ()
        known = self._known(host.text, terms)
        charges: tuple[Charge, ...] = ()
        if self._shared or known.health.paused(self._clock()):
            charges = (known.pause,)
        return charges if tunnel else (*charges, self._ceiling(known, host.text, terms))

    # --- what is seen ---------------------------------------------------------------------------

    def started(self, host: Host) -> float:
        """A request is on its way; the moment, to be handed back with `finished`."""
        now, terms = self._clock(), self._terms()
        if terms is not None:
            self._known(host.text, terms).health.started(now)
        return now

    def finished(self, host: Host, began: float, *, status: int = 0,
                 retry_after: str | None = None, latency: float | None = None,
                 failed: bool = False) -> None:
        """It is over. `status` of the reply, 0 without one; `retry_after` the field as it came;
        `latency` seconds to the response head, None where there was none; `failed`: the target
        could not be reached, or did not answer in time. What ended because the client left, or
        because of us, has neither status nor failed."""
        known = self._hosts.get(host.text)
        if known is None:
            return
        asked = self._asked(status, retry_after)
        now = self._clock()
        if latency is not None and latency < TELLS * self._lag():
            latency = None  # it may well be our own
        word = known.health.finished(now, began, status=status, failed=failed, retry_after=asked,
                                     latency=latency)
        self._decided(known, word, now)

    def dialled(self, host: Host, *, failed: bool) -> None:
        """A tunnel's dial succeeded, or failed: all that is seen of a target behind a tunnel. A
        connection reset or refused by us is not the target's failure."""
        terms = self._terms()
        if terms is None:
            return
        known, now = self._known(host.text, terms), self._clock()
        word = known.health.heard(now, now, failed=failed, status=0 if failed else 200)
        self._decided(known, word, now)

    def dial_failed(self, host: Host) -> None:
        self.dialled(host, failed=True)

    def over(self, outcome: Exceeded) -> None:
        """What the store has refused (`Pacer`'s `over`): that a ceiling is really used, and the
        pauses that other processes have found out."""
        known = self._hosts.get(outcome.key)
        if known is None:
            return
        if outcome.limit.id == CEILING:
            known.health.pressed()
        elif outcome.limit.id == PAUSE and outcome.retry_after is not None:
            now = self._clock()
            if not known.health.paused(now):
                known.health.pause(now, outcome.retry_after, "another process found it in distress")

    def states(self) -> tuple[TargetState, ...]:
        """The hosts that are spared now: paused, or with a ceiling that was cut and has not yet
        grown back."""
        now = self._clock()
        return tuple(
            TargetState(host, health.places, int(health.before), health.under_way,
                        health.paused(now), health.why, health.baseline)
            for host, known in self._hosts.items()
            if (health := known.health).reduced or health.paused(now))

    # --- what is kept ---------------------------------------------------------------------------

    def _asked(self, status: int, field: str | None) -> float | None:
        return retry_after.seconds(field, self._wall()) if field and status in BUSY else None

    def _decided(self, known: _Known, word: str, now: float) -> None:
        if word:
            self._count(word)
        left = known.health.paused(now)
        if left and known.held_off < known.health.paused_until:
            known.held_off = known.health.paused_until
            self._store.hold_off(known.pause, left)

    def _known(self, host: str, terms: AdaptiveTerms) -> _Known:
        known = self._hosts.get(host)
        if known is not None:
            self._hosts.move_to_end(host)
            if known.health.terms is not terms:
                known.health.terms = terms
                known.pause = _pause(host, terms)
            return known
        if len(self._hosts) >= self._max_hosts:
            self._forget_one()
        health = Health(terms)
        known = self._hosts[host] = _Known(
            health, _pause(host, terms), _ceiling(host, health.places, terms))
        return known

    def _forget_one(self) -> None:
        """Of the oldest few, the first that nothing speaks for; where all are in use, none: the
        hosts under way are bounded by the connections."""
        now = self._clock()
        for _ in range(_LOOK):
            host, known = next(iter(self._hosts.items()))
            if not known.health.under_way and not known.health.paused(now):
                del self._hosts[host]
                return
            self._hosts.move_to_end(host)

    def _ceiling(self, known: _Known, host: str, terms: AdaptiveTerms) -> Charge:
        limit = known.ceiling.limit
        if limit.count != known.health.places or limit.max_wait != terms.max_wait \
                or limit.clause != terms.clause:
            known.ceiling = _ceiling(host, known.health.places, terms)
        return known.ceiling


def _pause(host: str, terms: AdaptiveTerms) -> Charge:
    return Charge(Limit(PAUSE, Unit.REQUESTS, Per.HOST, 1, 1.0, 0, Over.PACE, terms.max_wait,
                        terms.clause), host, cost=0)


def _ceiling(host: str, places: int, terms: AdaptiveTerms) -> Charge:
    return Charge(Limit(CEILING, Unit.CONCURRENT, Per.HOST, places, 0.0, places, Over.PACE,
                        terms.max_wait, terms.clause), host)
