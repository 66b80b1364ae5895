"""What a robots.txt asks beside its rules: how often, at which hours, and for which uses.

None of it is in RFC 9309. Crawl-delay, Request-rate and Visit-time are read as the sites that use
them mean them; Content-Signal as contentsignals.org describes it, Content-Usage as the IETF's
aipref drafts do. What is not written exactly so says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

PURPOSES = ("search", "ai-input", "ai-train")
"""The uses of what is fetched that a site can speak about and an account can declare."""


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
    """

    crawl_delay: float | None = None
    request_rates: tuple[RequestRate, ...] = ()
    visit_times: tuple[Hours, ...] = ()


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Preference:
    """What a file says about one use (`PURPOSES`) of one path; `line` is where, from 1."""

    purpose: str
    allowed: bool
    line: int
