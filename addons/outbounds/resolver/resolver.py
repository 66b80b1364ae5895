"""The resolver: answers remembered for as long as they hold, one look-up a name at a time.

asyncio's own resolver runs on the loop's thread pool, which everything else shares: two dozen slow
look-ups of one account held up another client's request for 14.7 s. Here nothing waits in a
thread, and one account may only have a few look-ups under way.

**A remembered answer carries no permission.** Whoever dials vets every address again, and what was
vetted for the check is not taken for vetted at the dial; so a name that changes its address gains
nothing by it, from the cache or not. What the floor on TTLs buys is that a check and the dial
after it mostly see one answer.

Nothing is served past its time: neither while a new look-up is under way nor when it fails (no
"serve stale", RFC 8767), and nothing is refreshed ahead of its time. When a name in use runs out,
its next request waits for one look-up, and all others of the name wait with it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

from cachetools import TLRUCache

from ..core.destination import Address, Host
from ..core.questions import NoSuchHost
from ..settings.service import Dns
from .found import Found, Outcome
from .lookup import Lookup

Answer = tuple[Address, ...] | NoSuchHost
LookUp = Callable[[str], Awaitable[Found]]

# seconds; a failure must be remembered for a second at least and five minutes at most (RFC 9520
# section 3.2): long enough that the next request need not wait for the same failure
FAILURE_LIFE = 5.0
PARTIAL_LIFE = 30.0  # the family that failed is asked again before long


def lifetime(found: Found, settings: Dns) -> float:
    """Seconds to remember what was found."""
    if not found.addresses:
        life = max(found.ttl, settings.ttl_floor) if found.outcome.authoritative else FAILURE_LIFE
        return min(life, settings.negative_ceiling)
    # the floor is for zones; a change of this machine's own files is seen soon, whatever it is
    floor = 0.0 if found.outcome is Outcome.LOCAL else settings.ttl_floor
    life = min(max(found.ttl, floor), settings.ttl_ceiling)
    return min(life, PARTIAL_LIFE) if found.outcome is Outcome.PARTIAL else life


class Resolver:
    """Resolves as `settings` say. `look_up` finds an answer, by default as the settings say too;
    `count` is told of every answer that was given; `per_account` look-ups fly at once."""

    def __init__(self, settings: Dns | None = None, look_up: LookUp | None = None, *,
                 count: Callable[[Outcome], None] = lambda outcome: None,
                 per_account: int = 4) -> None:
        self._given = look_up
        self._count = count
        self._flights: dict[str, asyncio.Task[Answer]] = {}
        self._busy: defaultdict[str, int] = defaultdict(int)
        self._per_account = per_account
        self._use(settings or Dns())

    def configure(self, settings: Dns) -> None:
        """From now on resolve as `settings` say. If they are others, what is remembered came from
        other servers, or for other times: it is forgotten."""
        if settings != self._settings:
            self._use(settings)

    def _use(self, settings: Dns) -> None:
        self._settings = settings
        self._look_up = self._given or Lookup(settings)
        self._cache: TLRUCache[str, tuple[Answer, float]] = TLRUCache(
            settings.names, lambda name, kept, now: now + kept[1], time.monotonic)

    def __len__(self) -> int:
        return len(self._cache)

    def peek(self, host: Host) -> Answer | None:
        """The remembered answer, or None."""
        kept = self._cache.get(host.text)
        if kept is None:
            return None
        self._count(Outcome.CACHED)
        return kept[0]

    async def resolve(self, host: Host, account_id: str) -> Answer:
        """Every address of the name. Never raises for a name that cannot be resolved."""
        if host.address is not None:
            return (host.address,)
        deadline = time.monotonic() + self._settings.timeout
        while True:
            known = self.peek(host)
            if known is not None:
                return known
            flight = self._flights.get(host.text) or self._start(host.text, account_id)
            if flight is not None:
                # shielded: a client that leaves must not end the look-up others are waiting for
                return await asyncio.shield(flight)
            if time.monotonic() >= deadline:
                return NoSuchHost(f"Too many names are being looked up for this account; "
                                  f"{host.text} had to wait too long.")
            await asyncio.sleep(0.01)

    def _start(self, name: str, account_id: str) -> asyncio.Task[Answer] | None:
        """A look-up under way, or None where the account has no place free."""
        if self._busy.get(account_id, 0) >= self._per_account:
            return None
        # here and not in the task, which begins later: others would find the place free
        self._busy[account_id] += 1
        flight = asyncio.create_task(self._fly(name), name=f"dns {name}")
        self._flights[name] = flight
        flight.add_done_callback(lambda done: self._landed(name, account_id))
        return flight

    async def _fly(self, name: str) -> Answer:
        cache, settings = self._cache, self._settings
        found = await self._look_up(name)
        answer: Answer = found.addresses or NoSuchHost(found.detail)
        # into the cache of its own settings: by now there may be others
        cache[name] = answer, lifetime(found, settings)
        self._count(found.outcome)
        return answer

    def _landed(self, name: str, account_id: str) -> None:
        self._flights.pop(name, None)
        self._busy[account_id] -= 1
        if not self._busy[account_id]:
            del self._busy[account_id]

    def close(self) -> None:
        """End what is under way. Who waits for it is cancelled."""
        for flight in list(self._flights.values()):
            flight.cancel()
