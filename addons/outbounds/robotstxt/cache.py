"""Which rules bind a request now: one flight per origin, and what is remembered of it.

The origin (scheme, host, port) is what rules bind (RFC 9309 section 2.3), even where a redirect
was followed to another. What came of a flight is remembered for a while:

| state       | after                  | rules              | for                               |
|-------------|------------------------|--------------------|-----------------------------------|
| fresh       | 2xx, 304               | the file's         | Cache-Control, 1 min to 24 h, 1 h |
| absent      | 4xx but 429            | none: all allowed  | the same                          |
| stale       | a failure, with a copy | the last good copy | Retry-After, 30 s to 10 min, 30 s |
| unreachable | a failure, without     | none: all refused  | the same                          |

After that it is asked for again. A copy that the site has confirmed within the last 24 hours, which
is how long one may be used (section 2.4), answers meanwhile, as "stale"; with an older one, or
without, whoever asks waits for the flight.

A copy outlives its freshness by up to 30 days for use while the site fails (section 2.4 lifts the
24 hours where it is unreachable). That there was no file is no copy.

Nothing that a file says decides anything before the file is safe as evidence.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..core.questions import RobotsAnswer
from ..core.robots import Robots
from .contract import Fetched, NotAsked, Origin, Unreachable
from .fetch import Fetcher
from .flights import Flights
from .parsing import LARGE, Parsing
from .remembered import Entry as Kept
from .remembered import File, Remembered, pack
from .snapshots import Snapshots

log = logging.getLogger(__name__)

COPY_KEPT = 30 * 86_400.0
SERVED_STALE = 86_400.0

_NO_RULES = Robots.parse(b"")
_OUTCOMES = {200: "fresh", 304: "unchanged"}


def _nothing(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of an origin. `expires` seconds from now it is asked for again, negative
    where that was due; `url` gave the copy after all redirects, with `status`, "" and 0 where
    there is none; `size` is octets of the copy."""

    answer: RobotsAnswer
    expires: float
    url: str
    status: int
    size: int


class RobotsCache:
    """Answers what a site's rules are, asking the site only when it has to."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        octets: int = 256 << 20,
        flights: int = 512,
        flights_per_account: int = 256,
        snapshots: Snapshots | None = None,
        count: Callable[[str], None] = _nothing,
        parsing: Parsing | None = None,
    ) -> None:
        """`octets` of memory bound what is remembered (least recently used goes first). `flights`
        under way at once, in all and per account, bound what one customer who names many hosts
        can take from the others; beyond them the answer is "unreachable" without asking.
        `snapshots` None keeps no evidence of what was read. `count` is told the outcome of each
        fetch: fresh, unchanged, absent, unreachable or, where the site was not asked, refused."""
        self.snapshots = snapshots
        self._fetcher = fetcher
        self._clock, self._wall = clock, wall
        self._count = count
        self._flights = Flights(flights, flights_per_account)
        self._parsing = parsing or Parsing()
        self._remembered = Remembered(octets)

    def __len__(self) -> int:
        return len(self._remembered)

    @property
    def octets(self) -> int:
        """Estimate of the memory in use."""
        return self._remembered.octets + self._remembered.octets_parsed

    def peek(self, origin: Origin) -> RobotsAnswer | None:
        """The answer, if it is known without asking the site or parsing a large file."""
        kept = self._remembered.get(origin)
        if kept is None:
            return None
        left = kept.until - self._clock()
        if left <= 0:
            return None
        answer = kept.answer
        if answer is None:
            file = kept.file
            if file is None or (file.robots is None and file.size > LARGE):
                return None
            body = file.unpacked()
            answer = self._answer(origin, kept, file.robots or Robots.parse(body), body)
        self._remembered.used(origin, kept)
        return answer if answer.retry_after is None else replace(answer, retry_after=left)

    async def get(self, origin: Origin, account_id: str, client: str) -> RobotsAnswer:
        """The answer, after a fetch for `account_id` if need be. Whoever asks meanwhile waits for
        the same fetch; a caller that goes away does not end it. Raises nothing of its own."""
        known = self.peek(origin)
        if known is not None:
            return known
        kept, now = self._remembered.get(origin), self._clock()
        if kept is not None and now < kept.until:
            answer = await self._parsed(origin, kept)
            return answer if answer.retry_after is None \
                else replace(answer, retry_after=max(0.0, kept.until - now))
        flight = self._flight(origin, account_id, client)
        if kept is not None and kept.file is not None and now < kept.confirmed + SERVED_STALE:
            how = "is being refreshed" if flight is not None else "waits to be refreshed"
            return await self._stale(
                origin, kept, f"The robots.txt of {origin[1]} {how}.", None)
        return await self._landing(origin, flight)

    async def refresh(self, origin: Origin, account_id: str, client: str) -> RobotsAnswer:
        """The answer after a fetch now, whatever is remembered; one that is under way will do."""
        return await self._landing(origin, self._flight(origin, account_id, client))

    async def entry(self, origin: Origin) -> Entry | None:
        """What is remembered of an origin; fetches nothing."""
        kept = self._remembered.get(origin)
        if kept is None:
            return None
        answer = await self._parsed(origin, kept)
        return Entry(answer, kept.until - self._clock(), kept.url, kept.status,
                     kept.file.size if kept.file else 0)

    def origins(self) -> Iterable[Origin]:
        """Whose rules are remembered, those used longest ago first."""
        return self._remembered

    async def aclose(self) -> None:
        """End all flights. Waiting callers are told "unreachable"."""
        await self._flights.aclose()
        self._parsing.close()

    # --- flights --------------------------------------------------------------------------------

    def _flight(self, origin: Origin, account_id: str, client: str
                ) -> asyncio.Task[RobotsAnswer] | None:
        flight = self._flights.join(
            origin, account_id, lambda: self._fly(origin, account_id, client))
        if flight is None:
            self._count("refused")
        return flight

    async def _landing(self, origin: Origin, flight: asyncio.Task[RobotsAnswer] | None
                       ) -> RobotsAnswer:
        if flight is None:
            return await self._without(origin, NotAsked(
                f"Too many robots.txt files are being fetched to ask {origin[1]} now."))
        await asyncio.wait((flight,))
        if flight.cancelled():
            return await self._without(origin, NotAsked("The proxy is shutting down."))
        return flight.result()

    async def _fly(self, origin: Origin, account_id: str, client: str) -> RobotsAnswer:
        copy = self._copy(origin)
        try:
            fetched = await self._fetcher.fetch(
                origin, account_id, client, copy.known if copy else None)
            answer = await self._arrived(origin, fetched, copy)
        except Unreachable as failure:
            self._count("refused" if isinstance(failure, NotAsked) else "unreachable")
            return await self._failed(origin, failure)
        except Exception:
            log.exception("robots.txt of %s: fault in the fetcher, refusing", origin)
            self._count("unreachable")
            return await self._failed(origin, Unreachable(
                f"The robots.txt of {origin[1]} could not be fetched for a fault of the proxy."))
        self._count("absent" if answer.state == "absent"
                    else _OUTCOMES.get(fetched.status, "fresh"))
        return answer

    async def _arrived(self, origin: Origin, fetched: Fetched, copy: Kept | None) -> RobotsAnswer:
        """Remember what the site said. Raises Unreachable where that cannot be kept on record."""
        now, wall = self._clock(), self._wall()
        if fetched.status >= 400:
            detail = f"{origin[1]} has no robots.txt (status {fetched.status})."
            answer = RobotsAnswer(_NO_RULES, "absent", detail=detail, fetched=wall)
            self._remembered.put(origin, Kept(
                "absent", now + fetched.lifetime, fetched.status, confirmed=now, answer=answer))
            return answer
        if fetched.status == 304:
            assert copy is not None and copy.file is not None
            file, status = copy.file, copy.status
        else:
            digest, status = fetched.digest, fetched.status
            file = self._remembered.known(digest) or await pack(digest, fetched.body)
        await self._on_record(origin, file)
        kept = Kept("fresh", now + fetched.lifetime, status,
                    fetched.known.url if fetched.known else "", file=file, known=fetched.known,
                    confirmed=now, fetched=wall, kept=now + COPY_KEPT)
        return await self._put(origin, kept)

    async def _on_record(self, origin: Origin, file: File) -> None:
        if self.snapshots is None or not self.snapshots.due(file.digest):
            return
        try:
            await asyncio.to_thread(self.snapshots.keep, file.digest, file.unpacked())
        except OSError as error:
            log.error("robots.txt of %s: cannot be kept, refusing: %s", origin, error)
            raise NotAsked(f"The robots.txt of {origin[1]} cannot be kept as evidence.") from error

    # --- what is said where the site says nothing -----------------------------------------------

    def _copy(self, origin: Origin) -> Kept | None:
        """The last good copy, while it may still be used."""
        kept = self._remembered.get(origin)
        if kept is None or kept.file is None or self._clock() >= kept.kept:
            return None
        return kept

    async def _failed(self, origin: Origin, failure: Unreachable) -> RobotsAnswer:
        until, detail, copy = self._clock() + failure.retry, str(failure), self._copy(origin)
        if copy is None:
            answer = RobotsAnswer(None, "unreachable", "", detail, failure.retry)
            self._remembered.put(origin, Kept("unreachable", until, detail=detail, answer=answer))
            return answer
        return await self._put(
            origin, replace(copy, state="stale", until=until, detail=detail, answer=None))

    async def _put(self, origin: Origin, kept: Kept) -> RobotsAnswer:
        """Remember an entry with a file; its answer."""
        file = kept.file
        assert file is not None
        robots, body = file.robots, file.body  # gone with the entry that is replaced
        self._remembered.put(origin, kept)
        if robots is None or body is None:
            return await self._parsed(origin, kept)
        return self._answer(origin, kept, robots, body)

    async def _without(self, origin: Origin, failure: Unreachable) -> RobotsAnswer:
        """The last good copy, or a refusal; for this once."""
        copy = self._copy(origin)
        if copy is None:
            return RobotsAnswer(None, "unreachable", "", str(failure), failure.retry)
        return await self._stale(origin, copy, str(failure), failure.retry)

    async def _stale(self, origin: Origin, copy: Kept, detail: str, retry_after: float | None
                     ) -> RobotsAnswer:
        return replace(await self._parsed(origin, copy), state="stale", detail=detail,
                       retry_after=retry_after)

    # --- parsing --------------------------------------------------------------------------------

    async def _parsed(self, origin: Origin, kept: Kept) -> RobotsAnswer:
        """The answer of an entry, with its file parsed again if it is no more."""
        if kept.answer is not None:
            return kept.answer
        file = kept.file
        assert file is not None
        body = file.unpacked()
        robots = file.robots
        if robots is None:
            try:
                robots = await self._parsing.parsed(body, file.digest)
            except NotAsked as failure:
                return RobotsAnswer(None, "unreachable", "", str(failure), failure.retry)
        return self._answer(origin, kept, robots, body)

    def _answer(self, origin: Origin, kept: Kept, robots: Robots, body: bytes) -> RobotsAnswer:
        assert kept.file is not None
        retry = None if kept.state == "fresh" else max(0.0, kept.until - self._clock())
        answer = RobotsAnswer(robots, kept.state, kept.file.digest, kept.detail, retry, body,
                              kept.fetched)
        self._remembered.hold(origin, kept, answer)
        return answer
