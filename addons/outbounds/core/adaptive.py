"""How many requests a target bears at once: additive increase, multiplicative decrease.

As TCP finds out what a path carries (Jacobson, "Congestion Avoidance and Control", 1988; RFC 5681):
the ceiling grows by one for each round in which it was really used and the target was well, and is
cut when the target shows distress. Three kinds of distress:

| distress                               | what follows                                            |
|----------------------------------------|---------------------------------------------------------|
| 429 or 503 with Retry-After            | nobody asks for so long (a pause); then probes          |
| failures: 429, 503, no connection, no  | of a tenth of the replies or more: the ceiling × 0.75,  |
| answer in time                         | of half × 0.5; at the bottom a pause, longer each time  |
| latency against its own baseline       | the ceiling × 0.75 (`core.latency`)                     |

**One cut for one burst.** What was under way when the ceiling was cut says nothing about the cut,
so it is not counted, as after a loss TCP waits for its recovery point.

**After a pause** the ceiling is at its least, so that few requests probe. Two replies decide: two
in distress are another pause, and anything else ends the probing. Then the ceiling doubles with
each round up to half of what it was (slow start), and grows by one from there.

**A baseline that was learnt under load** would let the ceiling stand too high for ever: so now and
then it is halved for the length of a round, to see whether the target is faster when it is spared
(as BBR drains the path to measure it): often as long as it is, and seldom afterwards.

**What does not get better by sparing the target is not ours to cure.** Probes of which one is well
and one is not, or failures of a minority that stay through `STUBBORN` cuts, are the doing of some
URL or of somebody's own quota there: for `DISREGARD` seconds they count only where they are half of
all replies. After any pause it takes `FEW` replies in a row, rather than one, to ask for the next.
So a page that always answers 429 does not close its site for ever. And latency that stays through
`STUBBORN` cuts is how the target is now: it becomes the baseline.

A process sees the replies to its own requests only. Where several share a target, each finds its
ceiling from those, counted over all; what is shared exactly is the pause.
"""

from __future__ import annotations

from math import inf

from .latency import BATCH, QUICK, Latency
from .rules import AdaptiveTerms

LATENCY_CUT = 0.75
FAILURE_CUT = 0.75
OUTAGE_CUT = 0.5
FEW = 3  # failures that could be chance
MINORITY = 0.1  # share of failures below which a target is well
OUTAGE = 0.5
ROUND = 60.0  # seconds after which a round that was never completed begins anew
STUBBORN = 4  # cuts in a row that did not help
DISREGARD = 600.0  # seconds
FIRST_PAUSE = 1.0  # seconds, doubled each time, where the target did not name any
PROBES = 2
DIP_OFTEN, DIP_SELDOM = 4, 48  # rounds from one to the next

BUSY = frozenset({429, 503})  # RFC 6585 section 4; RFC 9110 section 15.6.4


class Health:
    """One target. All times in seconds on one clock; `terms` may change with the configuration.

    What comes back is "" or what has just been decided, a word for the metrics: "latency",
    "failures", "pause", "disregard", "baseline".
    """

    __slots__ = (
        "_cuts", "_dip_after", "_dip_from", "_disregarded_until", "_failures", "_grow_until",
        "_latency", "_pause", "_probes", "_replies", "_round", "_rounds", "_row", "_used",
        "_wary_until", "before", "ceiling", "paused_until", "since", "terms", "under_way", "why")

    def __init__(self, terms: AdaptiveTerms) -> None:
        self.terms = terms
        self.ceiling = float(terms.start)
        self.before = 0.0  # the ceiling before it was cut last
        self.under_way = 0
        self.paused_until = -inf
        self.since = -inf  # what began before says nothing any more
        self.why = ""
        self._latency = Latency()
        self._grow_until = 0.0  # slow start up to here
        self._pause = FIRST_PAUSE
        self._probes: list[bool] | None = None  # whether each was well; None: no probing
        self._disregarded_until = -inf
        self._cuts = 0
        self._dip_from: float | None = None  # the ceiling before it was halved to measure
        self._dip_after = DIP_OFTEN
        self._rounds = 0  # since then
        self._round = -inf
        self._replies = 0
        self._failures = 0
        self._row = 0  # failures since the last that was well
        self._wary_until = -inf
        self._used = False

    @property
    def places(self) -> int:
        """How many may be under way."""
        return int(max(self.terms.least, min(self.ceiling, self.terms.most)))

    @property
    def reduced(self) -> bool:
        return self.places < self.before

    @property
    def baseline(self) -> float | None:
        return self._latency.baseline

    def paused(self, now: float) -> float:
        """Seconds of the pause that are left, 0.0 without one."""
        return max(0.0, self.paused_until - now)

    def started(self, now: float) -> None:
        self.under_way += 1
        if self.under_way >= self.places:
            self._used = True

    def pressed(self) -> None:
        """Somebody was refused a place, or had to wait for one: the ceiling is really used."""
        self._used = True

    def left(self) -> None:
        """One is no longer under way, and nothing was learnt by it."""
        self.under_way = max(0, self.under_way - 1)

    def finished(self, now: float, began: float, *, status: int = 0, failed: bool = False,
                 retry_after: float | None = None, latency: float | None = None) -> str:
        """One that was `started` at `began` is over. `status` 0: there was no reply, which is
        distress only where it `failed`. `retry_after` seconds as the target asked for."""
        self.left()
        return self.heard(now, began, status=status, failed=failed, retry_after=retry_after,
                          latency=latency)

    def heard(self, now: float, began: float, *, status: int = 0, failed: bool = False,
              retry_after: float | None = None, latency: float | None = None) -> str:
        """The same for what was never counted as under way, such as the dial of a tunnel."""
        distress = failed or status in BUSY
        if not distress and not status and latency is None:
            return ""
        if began < self.since:
            # it may still lengthen a pause: the target says how long, whenever it was asked
            if distress and retry_after and now < self.paused_until:
                self.paused_until = max(self.paused_until, now + self._capped(retry_after))
                self.since = self.paused_until
            return ""
        if self._probes is not None:
            return self._probed(now, distress, retry_after)
        self._row = self._row + 1 if distress else 0
        wary = now < max(self._wary_until, self._disregarded_until)
        if distress and retry_after:
            if self._row >= (FEW if wary else 1):
                return self.pause(now, self._capped(retry_after),
                                  f"it answered {status} and asked for a pause")
            self._wary_until = now + DISREGARD  # it has not stopped
        if now - self._round > ROUND:
            self._new_round(now)
        self._replies += 1
        if distress:
            self._failures += 1
            return self._failing(now)
        return self._doing_well(now, latency)

    # --- distress -------------------------------------------------------------------------------

    def pause(self, now: float, seconds: float, why: str) -> str:
        """Nobody asks for so long, and then few: also for one that another process found out."""
        self.paused_until = max(self.paused_until, now + seconds)
        grow_until = max((self._dip_from or self.ceiling) / 2, self._grow_until)
        self._cut(now, 0.0, why)
        self._grow_until = grow_until
        self._probes = []
        # what began in the pause was judged before it
        self.since = self.paused_until
        return "pause"

    def _probed(self, now: float, distress: bool, retry_after: float | None) -> str:
        assert self._probes is not None
        self._probes.append(not distress)
        if len(self._probes) < PROBES and distress:
            return ""
        if not any(self._probes):
            asked = self._capped(retry_after) if retry_after else 0.0
            return self.pause(now, max(asked, self._longer()), self.why)
        stubborn = not all(self._probes)
        self._probes = None
        self._pause = FIRST_PAUSE
        self._wary_until = now + DISREGARD
        self._new_round(now)
        if stubborn:
            self._disregarded_until = now + DISREGARD
            return "disregard"
        return ""

    def _failing(self, now: float) -> str:
        if self._failures < FEW or (self._replies < self.places and not self._silent(now)):
            return ""
        share = self._failures / self._replies
        if share < (MINORITY if now >= self._disregarded_until else OUTAGE):
            return ""
        if share >= OUTAGE:
            if self.places <= self.terms.least:
                return self.pause(now, self._longer(), "it failed again and again")
            self._cut(now, OUTAGE_CUT, "half of the requests or more failed")
            return "failures"
        self._cuts += 1
        self._cut(now, FAILURE_CUT, "requests failed")
        if self._cuts < STUBBORN:
            return "failures"
        self._cuts = 0
        self._disregarded_until = now + DISREGARD
        return "disregard"

    def _silent(self, now: float) -> bool:
        """Nothing but failures, though whatever is well would have come back by now. Before that
        it may be just that failures are faster."""
        usual = self._latency.baseline
        return self._failures == self._replies and \
            now - self._round >= (FIRST_PAUSE if usual is None else 2 * usual)

    def _doing_well(self, now: float, latency: float | None) -> str:
        if self._grow_until > self.ceiling and self._used:
            self.ceiling += 1.0
        before = self._latency.baseline
        if latency is None:
            slow = False if self._replies >= max(BATCH, self.places) else None
        else:
            slow = self._latency.add(latency, self.places, spared=self._dip_from is not None)
        if slow is None:
            return ""
        dipped = self._dip_from is not None
        if self._dip_from is not None:
            self.ceiling, self._dip_from, self._rounds = self._dip_from, None, 0
            faster = before and self._latency.baseline and self._latency.baseline < 0.85 * before
            self._dip_after = DIP_OFTEN if faster else min(2 * self._dip_after, DIP_SELDOM)
        if slow:
            self._cuts += 1
            self._cut(now, LATENCY_CUT, "it became slow")
            if self._cuts < STUBBORN:
                return "latency"
            self._cuts = 0
            self._latency.forget()
            return "baseline"
        if self._failures < FEW or self._failures / self._replies < MINORITY:
            self._cuts = 0
        if dipped:
            self._latency.skip(self.under_way)
        elif self._used:
            self.ceiling = min(self.ceiling + 1.0, float(self.terms.most))
            self._rounds += 1
            # there is nothing to find out of one that is quick, or whose latency is not known
            if self._rounds >= self._dip_after and latency is not None and latency > QUICK:
                self._dip(now)
        if self.ceiling >= self.before:
            self.before = 0.0
        self._new_round(now)
        return ""

    def _dip(self, now: float) -> None:
        self._dip_from = self.ceiling
        self.ceiling = max(float(self.terms.least), self.ceiling / 2)
        self.since = now
        self._latency.skip(self.under_way)

    def _cut(self, now: float, factor: float, why: str) -> None:
        whole = self._dip_from or self.ceiling
        self.before = max(self.before, float(int(whole)))
        self.ceiling = max(float(self.terms.least), min(whole, self.terms.most) * factor)
        self._grow_until, self._dip_from = 0.0, None
        self.why = why
        self.since = now
        self._latency.skip(self.under_way)
        self._new_round(now)

    def _longer(self) -> float:
        pause = min(self._pause, self.terms.most_pause)
        self._pause = min(2 * self._pause, self.terms.most_pause)
        return pause

    def _capped(self, seconds: float) -> float:
        return min(max(seconds, 0.0), self.terms.most_pause)

    def _new_round(self, now: float) -> None:
        self._round, self._replies, self._failures = now, 0, 0
        self._used = self.under_way >= self.places
