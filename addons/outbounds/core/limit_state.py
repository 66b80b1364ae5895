"""How much of a limit is used up, for people: from what a store keeps to counts and times."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .limits import TOLERANCE, Limit, Live


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit, counted over one owner.

    `of` is the host or site it is counted on, "" where it is counted over all. `used` and
    `remaining` of `most` that may be had at once; `most` 0: the limit is not one of the
    configuration (a site's crawl-delay, a target's pause), and only the time says something.
    `debt` is what was used beyond it. `whole` seconds until nothing is used any more; None for
    what is held, which nobody knows the end of. `rate` is what comes back: `count` per `window`
    seconds, or per calendar period, which ends in `whole` seconds whatever is used.
    """

    limit: str
    unit: str
    per: str
    of: str = ""
    most: int = 0
    used: int = 0
    remaining: int = 0
    debt: int = 0
    whole: float | None = 0.0
    count: int = 0
    window: float = 0.0
    every: str = ""


def states(limits: Iterable[Limit], live: Iterable[Live], owner: str,
           now: float) -> list[LimitState]:
    """The state of each of an owner's `limits`, unused ones included, and of whatever else a store
    has kept under its name. `now` is Unix time."""
    kept: dict[str, list[Live]] = {}
    for each in live:
        kept.setdefault(each.limit_id, []).append(each)
    found = []
    for limit in limits:
        for each in kept.pop(limit.id, None) or [Live(limit.id, owner)]:
            found.append(_state(limit, each, _of(each, owner), now))
    for others in kept.values():
        found += [LimitState(each.limit_id, "", "", _of(each, owner), used=each.used,
                             whole=each.ahead) for each in others]
    return found


def _of(live: Live, owner: str) -> str:
    return live.key[len(owner) + 1:]


def _state(limit: Limit, live: Live, of: str, now: float) -> LimitState:
    every, most, used = "", limit.count, live.used
    whole: float | None = live.ahead
    if limit.unit.held:
        whole = None
    elif limit.calendar is not None:
        every = str(limit.calendar.every)
        whole = limit.calendar.period(now)[1] - now if used else 0.0
    else:
        most = limit.burst
        used = math.ceil((live.ahead - TOLERANCE) / limit.interval) if live.ahead > 0 else 0
    return LimitState(
        limit.id, limit.unit.value, limit.per.value, of, most, used, max(0, most - used),
        max(0, used - most), whole, limit.count, limit.window, every)
