"""What a robots.txt asks beside its rules, as this proxy keeps it: a pace, and hours of the day.

A site asks one client for it, so both are counted per account and host. Where a request goes by
several names the strictest of what their groups ask holds: the slowest pace, and the hours that
they have in common.

A pace has no burst. "30 requests in 60 s" is kept as one every 2 s, because a bucket that holds 30
and is refilled meanwhile lets nearly 60 through in the first minute, and a crawler that waits for
each turn is what the site has in mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .limits import Limit, Over, Per, Unit
from .robots_terms import Hours, Terms
from .rules import RobotsPolicy

CRAWL_DELAY = "crawl-delay"
REQUEST_RATE = "request-rate"
VISIT_TIME = "visit-time"

_DAY = 1440  # minutes
_ALL_DAY = (1 << _DAY) - 1


def paces(asked: Sequence[Terms], policy: RobotsPolicy, now: float) -> tuple[Limit, ...]:
    """The limits that the pace asked for comes to at the Unix time `now`: the longest crawl-delay,
    and the slowest of the request rates whose hours it is. Neither is slower than one request in
    `policy.max_delay`."""
    return tuple(_paces(asked, policy, now))


def _paces(asked: Sequence[Terms], policy: RobotsPolicy, now: float) -> Iterator[Limit]:
    delay = max((each.crawl_delay or 0.0 for each in asked), default=0.0)
    if delay and CRAWL_DELAY in policy.honour:
        yield from _pace(CRAWL_DELAY, 1, delay, policy)
    rates = [rate for each in asked for rate in each.request_rates
             if rate.hours is None or not rate.hours.wait(now)]
    if rates and REQUEST_RATE in policy.honour:
        slowest = max(rates, key=lambda rate: rate.seconds / rate.count)
        yield from _pace(REQUEST_RATE, slowest.count, slowest.seconds, policy)


def _pace(name: str, count: int, seconds: float, policy: RobotsPolicy) -> Iterator[Limit]:
    if seconds / count > policy.max_delay:
        count, seconds = 1, policy.max_delay
    if seconds:  # max_delay is 0: no site slows anybody down
        yield Limit(name, Unit.REQUESTS, Per.ACCOUNT_HOST, count, seconds, 1, Over.PACE,
                    policy.max_wait, policy.clause)


def until_visit_time(asked: Sequence[Terms], now: float) -> float | None:
    """Seconds from the Unix time `now` until the hours at which all of `asked` may come; 0 within
    them, None where they have no minute in common. Who waits exactly so long comes within them."""
    common = _ALL_DAY
    for each in asked:
        if each.visit_times:
            common &= _minutes(each.visit_times)
    if common == _ALL_DAY:
        return 0.0
    if not common:
        return None
    second = now % 86_400.0
    minute = int(second // 60.0)
    if common >> minute & 1:
        return 0.0
    later = (common >> minute) or (common << _DAY >> minute)  # today, or else tomorrow
    return 60.0 * (minute + (later & -later).bit_length() - 1) - second


def _minutes(hours: Iterable[Hours]) -> int:
    """The minutes of the day that lie in any of `hours`, a bit each: whatever a file lists, two
    agents' hours are compared in one step."""
    found = 0
    for each in hours:
        length = (each.end - each.start) % _DAY or _DAY
        span = ((1 << length) - 1) << each.start
        found |= span | span >> _DAY
    return found & _ALL_DAY
