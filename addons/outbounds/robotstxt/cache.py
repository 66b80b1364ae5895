"""Which rules bind a request now: one flight per origin, and what is remembered of it.

The origin (scheme, host, port) is what rules bind (RFC 9309 section 2.3), even where a redirect
was followed to another. What came of a flight is remembered for a while:

| state       | after                  | rules              | for                               |
|-------------|------------------------|--------------------|-----------------------------------|
| fresh       | 2xx                    | the file's         | Cache-Control, 1 min to 24 h, 1 h |
| absent      | 4xx but 429            | none: all allowed  | the same                          |
| stale       | a failure, with a copy | the last good copy | Retry-After, 30 s to 10 min, 30 s |
| unreachable | a failure, without     | none: all refused  | the same                          |

A copy outlives its freshness by up to 30 days for use while the site fails (section 2.4 lifts the
24 hours where it is unreachable). That there was no file is no copy.

A page where the file should be (a login, an error sent as 200) has no rules in it, and read as a
robots.txt it would allow everything; so it is a failure.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from cachetools import TLRUCache

from outbounds.core.questions import RobotsAnswer
from outbounds.core.robots import Robots
from outbounds.core.robots_parse import whole_lines

from .fetch import Fetched, Fetcher, Origin, Unreachable
from .freshness import RETRY_SHORTEST

log = logging.getLogger(__name__)

COPY_KEPT = 30 * 86_400.0

# What an entry costs in memory, at worst: measured on files of one short rule after another.
_ENTRY_OCTETS = 4096
_OCTETS_PER_OCTET = 24

# Above this size parsing takes more than about 10 ms, which the event loop should not stand still.
_PARSE_IN_THREAD = 64 * 1024

_PAGES = frozenset({
    "text/html", "application/xhtml+xml", "application/xml", "text/xml", "application/json",
})


@dataclass(frozen=True, slots=True)
class _Entry:
    """`answer` holds until `until`; `copy` is the last good one, kept until `kept` (clock)."""

    answer: RobotsAnswer
    until: float
    copy: RobotsAnswer | None
    kept: float
    octets: int


class RobotsCache:
    """Answers what a site's rules are, asking the site only when it has to."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        clock: Callable[[], float] = time.monotonic,
        octets: int = 256 << 20,
        flights: int = 512,
        flights_per_account: int = 256,
    ) -> None:
        """`octets` of memory bound what is remembered (least recently used goes first). `flights`
        under way at once, in all and per account, bound what one customer who names many hosts
        can take from the others; beyond them the answer is "unreachable" without asking."""
        self._fetcher = fetcher
        self._clock = clock
        self._limit, self._limit_per_account = flights, flights_per_account
        self._flights: dict[Origin, asyncio.Task[RobotsAnswer]] = {}
        self._of_account: Counter[str] = Counter()
        self._entries: TLRUCache[Origin, _Entry] = TLRUCache(
            octets, lambda origin, entry, now: entry.kept, clock, lambda entry: entry.octets
        )

    def __len__(self) -> int:
        return len(self._entries)

    def peek(self, origin: Origin) -> RobotsAnswer | None:
        """The answer, if it is known without asking the site."""
        try:
            entry = self._entries[origin]
        except KeyError:
            return None
        left = entry.until - self._clock()
        if left <= 0:
            return None
        if entry.answer.retry_after is None:
            return entry.answer
        return replace(entry.answer, retry_after=left)

    async def get(self, origin: Origin, account_id: str, client: str) -> RobotsAnswer:
        """The answer, after a fetch for `account_id` if need be. Whoever asks meanwhile waits for
        the same fetch; a caller that goes away does not end it. Raises nothing of its own."""
        known = self.peek(origin)
        if known is not None:
            return known
        flight = self._flights.get(origin)
        if flight is None:
            if len(self._flights) >= self._limit \
                    or self._of_account[account_id] >= self._limit_per_account:
                return self._without(origin, Unreachable(
                    f"Too many robots.txt files are being fetched to ask {origin[1]} now.", 1.0))
            flight = asyncio.create_task(self._fly(origin, account_id, client))
            self._flights[origin] = flight
            self._of_account[account_id] += 1
            flight.add_done_callback(lambda _: self._landed(origin, account_id))
        await asyncio.wait((flight,))
        if flight.cancelled():
            return self._without(origin, Unreachable("The proxy is shutting down.", 1.0))
        return flight.result()

    async def aclose(self) -> None:
        """End all flights. Waiting callers are told "unreachable"."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, origin: Origin, account_id: str) -> None:
        del self._flights[origin]
        self._of_account[account_id] -= 1
        if not self._of_account[account_id]:
            del self._of_account[account_id]

    async def _fly(self, origin: Origin, account_id: str, client: str) -> RobotsAnswer:
        try:
            fetched = await self._fetcher.fetch(origin, account_id, client)
            answer = await _read(origin, fetched)
        except Unreachable as failure:
            return self._failed(origin, failure)
        except Exception:
            log.exception("robots.txt of %s: fault in the fetcher, refusing", origin)
            return self._failed(origin, Unreachable(
                f"The robots.txt of {origin[1]} could not be fetched for a fault of the proxy."))
        until = self._clock() + fetched.lifetime
        if answer.state == "fresh":
            octets = _ENTRY_OCTETS + _OCTETS_PER_OCTET * len(fetched.body)
            self._remember(origin, _Entry(
                answer, until, answer, self._clock() + COPY_KEPT, octets))
        else:
            self._remember(origin, _Entry(answer, until, None, until, _ENTRY_OCTETS))
        return answer

    def _failed(self, origin: Origin, failure: Unreachable) -> RobotsAnswer:
        answer = self._without(origin, failure)
        until = self._clock() + failure.retry
        last = self._entries.get(origin)
        if last is None or last.copy is None:
            self._remember(origin, _Entry(answer, until, None, until, _ENTRY_OCTETS))
        else:
            self._remember(origin, replace(last, answer=answer, until=until))
        return answer

    def _without(self, origin: Origin, failure: Unreachable) -> RobotsAnswer:
        """The answer where the site gave none: the last good copy, or a refusal."""
        last = self._entries.get(origin)
        if last is not None and last.copy is not None:
            return replace(
                last.copy, state="stale", detail=str(failure), retry_after=failure.retry)
        return RobotsAnswer(None, "unreachable", "", str(failure), failure.retry)

    def _remember(self, origin: Origin, entry: _Entry) -> None:
        if entry.octets <= self._entries.maxsize:
            self._entries[origin] = entry


async def _read(origin: Origin, fetched: Fetched) -> RobotsAnswer:
    """The rules in a reply. Raises Unreachable where these are no rules."""
    if fetched.status >= 400:
        return RobotsAnswer(Robots.parse(b""), "absent",
                            detail=f"{origin[1]} has no robots.txt (status {fetched.status}).")
    body = whole_lines(fetched.body)
    if len(body) > _PARSE_IN_THREAD:
        robots = await asyncio.to_thread(Robots.parse, body)
    else:
        robots = Robots.parse(body)
    # a site that sends its rules under a wrong media type still has rules; markup has none
    markup = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    if markup or (fetched.media_type in _PAGES and not robots.named):
        raise Unreachable(
            f"{origin[1]} sends a page ({fetched.media_type}) where its robots.txt should be.",
            RETRY_SHORTEST)
    return RobotsAnswer(robots, "fresh", hashlib.sha256(body).hexdigest())
