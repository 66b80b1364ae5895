"""What a robots.txt asks beside its rules: how often, at which hours, and for which uses.

None of it is in RFC 9309. Crawl-delay, Request-rate and Visit-time are read as the sites that use
them mean them; Content-Signal as contentsignals.org describes it, Content-Usage as the IETF's
aipref drafts do (both in `robots_usage`). What is not written exactly so says nothing.

Of what asks for more and more only so much is kept as a request can be measured against: of the
rates the slowest, of the hours the first, since every further one would open the site wider.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

PURPOSES = ("search", "ai-input", "ai-train")
"""The uses of what is fetched that a site can speak about and an account can declare."""

KEPT = 8
"""Rates, and likewise hours, that are kept for one agent."""

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}", re.ASCII)
_RATE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})([smh]?)(?:[ \t]+(\S+))?", re.ASCII | re.IGNORECASE)
_HOURS = re.compile(r"([0-9]{2})([0-9]{2})[ \t]*-[ \t]*([0-9]{2})([0-9]{2})", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of each day, in minutes after midnight UTC; over midnight where `end` is not after
    `start`."""

    start: int
    end: int

    def wait(self, now: float) -> float:
        """Seconds from the Unix time `now` until these hours begin; 0 within them."""
        since = now % 86_400.0 - 60.0 * self.start
        length = 60.0 * ((self.end - self.start) % 1440 or 1440)
        return 0.0 if since % 86_400.0 < length else -since % 86_400.0


@dataclass(frozen=True, slots=True)
class RequestRate:
    """At most `count` requests in `seconds`; within `hours` of the day, or at all times."""

    count: int
    seconds: float
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a file asks of one agent. `crawl_delay` is seconds between requests, the longest that
    was asked for; `visit_times` are the hours at which it may come, at any time if there are none.
    At most `KEPT` rates, the slowest, and as many hours.
    """

    crawl_delay: float | None = None
    request_rates: tuple[RequestRate, ...] = ()
    visit_times: tuple[Hours, ...] = ()

    def and_also(self, other: Terms) -> Terms:
        """What both ask for."""
        delays = [each for each in (self.crawl_delay, other.crawl_delay) if each is not None]
        rates = tuple(dict.fromkeys(self.request_rates + other.request_rates))
        if len(rates) > KEPT:
            rates = tuple(sorted(rates, key=lambda rate: rate.count / rate.seconds)[:KEPT])
        hours = tuple(dict.fromkeys(self.visit_times + other.visit_times))[:KEPT]
        return Terms(max(delays, default=None), rates, hours)


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Preference:
    """What a file says about one use (`PURPOSES`) of one path; `line` is where, from 1."""

    purpose: str
    allowed: bool
    line: int


def crawl_delay(text: str) -> Terms | None:
    """Digits and at most one point; float() would also take nan, inf and 1e9."""
    return Terms(crawl_delay=float(text)) if _SECONDS.fullmatch(text) else None


def request_rate(text: str) -> Terms | None:
    """"1/5" (seconds), "30/1m", "1/10s 0600-0845". None at all, or in no time, is no rate."""
    found = _RATE.fullmatch(text)
    if found is None:
        return None
    count, seconds = int(found[1]), float(int(found[2]) * _UNITS[found[3].lower()])
    hours = _hours(found[4]) if found[4] else None
    if not count or not seconds or (found[4] and hours is None):
        return None
    return Terms(request_rates=(RequestRate(count, seconds, hours),))


def visit_time(text: str) -> Terms | None:
    """"0600-0845", in UTC."""
    hours = _hours(text)
    return Terms(visit_times=(hours,)) if hours else None


def _hours(text: str) -> Hours | None:
    found = _HOURS.fullmatch(text)
    if found is None:
        return None
    start_hour, start_minute, end_hour, end_minute = map(int, found.groups())
    # midnight as an end may be written 2400
    if start_hour > 23 or start_minute > 59 or end_minute > 59 or end_hour * 60 + end_minute > 1440:
        return None
    return Hours(start_hour * 60 + start_minute, (end_hour * 60 + end_minute) % 1440)


READ: dict[str, Callable[[str], Terms | None]] = {
    "crawl-delay": crawl_delay, "crawldelay": crawl_delay, "crawl delay": crawl_delay,
    "request-rate": request_rate, "requestrate": request_rate, "request rate": request_rate,
    "visit-time": visit_time, "visittime": visit_time, "visit time": visit_time,
}
"""What reads the value of a record, by its key."""
