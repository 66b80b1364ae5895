"""Who is throttled most: accounts, targets and rules, in the last minutes and the last hour.

A summary (`core.heavy_hitters`) for each minute: noting an event touches that of this minute only,
a question adds up those it is about, and what is an hour old is forgotten with its minute.
Whatever the traffic, memory is bounded; a name that matters is never crowded out by many that do
not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..core.case import Case
from ..core.heavy_hitters import HeavyHitters
from ..core.verdict import Kind

MINUTE = 60.0  # seconds
KEPT = 61  # minutes: an hour, and the one that has begun
ROOM = 100  # names in a minute's summary


@dataclass(frozen=True, slots=True)
class Throttled:
    """`refused` (429) and `paced` requests of one name, and the seconds these `waited` in all.
    `others`: at most so many more may have been its own, or another name's."""

    name: str
    refused: int
    paced: int
    waited: float
    others: int = 0


Top = dict[str, list[Throttled]]
KINDS = ("accounts", "targets", "rules")


class _Minute:
    __slots__ = ("kinds", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.kinds = tuple(HeavyHitters(ROOM) for _ in KINDS)


class Throttling:
    """`clock`: seconds, never backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minutes: deque[_Minute] = deque([_Minute(0)], maxlen=KEPT)

    def note(self, case: Case) -> None:
        """A decided case; nothing to note if no limit had anything against it."""
        verdict = case.verdict
        account_id = case.account.id if case.account is not None else ""
        if verdict.kind is Kind.LIMIT:
            self.note_refused(account_id, case.request.host.text, verdict.rule)
        elif verdict.wait > 0:
            self.note_paced(account_id, case.request.host.text, verdict.rule, verdict.wait)

    def note_refused(self, account_id: str, host: str, rule: str) -> None:
        """A request that a limit refused. "" is nobody: that kind is left out."""
        for summary, name in zip(self._now().kinds, (account_id, host, rule), strict=True):
            if name:
                summary.count(name).refused += 1

    def note_paced(self, account_id: str, host: str, rule: str, seconds: float) -> None:
        """A request that was let through after so many seconds."""
        for summary, name in zip(self._now().kinds, (account_id, host, rule), strict=True):
            if name:
                counted = summary.count(name)
                counted.paced += 1
                counted.waited += seconds

    def top(self, minutes: int, most: int = 10) -> Top:
        """The most throttled of each kind, over so many whole minutes and the one under way."""
        first = int(self._clock() / MINUTE) - minutes
        taken = [each for each in self._minutes if each.number >= first]
        return {kind: _added((Throttled(name, c.refused, c.paced, c.waited, c.error)
                              for minute in taken for name, c in minute.kinds[index]), most)
                for index, kind in enumerate(KINDS)}

    def _now(self) -> _Minute:
        number = int(self._clock() / MINUTE)
        latest = self._minutes[-1]
        if latest.number != number:
            latest = _Minute(number)
            self._minutes.append(latest)
        return latest


def merged(tops: Iterable[Top], most: int = 10) -> Top:
    """The tops of several workers as one. What was no worker's top is not in it."""
    tops = list(tops)
    return {kind: _added((each for top in tops for each in top[kind]), most) for kind in KINDS}


def _added(found: Iterable[Throttled], most: int) -> list[Throttled]:
    sums: dict[str, Throttled] = {}
    for each in found:
        known = sums.get(each.name)
        sums[each.name] = each if known is None else Throttled(
            each.name, known.refused + each.refused, known.paced + each.paced,
            known.waited + each.waited, known.others + each.others)
    return sorted(sums.values(), key=lambda each: (-(each.refused + each.paced), each.name))[:most]
