"""What the robots.txt fetcher gets from the proxy: vetted addresses, leave under the limits of the
target, and a place in the evidence.

A robots.txt fetch is a request to a target like any other: it goes to permitted addresses only,
counts against what the target can take, and its record is safe on disk before it goes out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from yarl import URL

from .. import __version__
from ..core.account import Account
from ..core.destination import parse_host
from ..core.questions import NoSuchHost
from ..fetching import Pair
from ..resolver import Resolver
from ..robotstxt import Egress, Fetcher, RobotsCache, Snapshots, Unreachable, Visit
from ..robotstxt.parsing import Parsing
from ..settings import Settings
from .dial import DialRefused, Permission, vet
from .gate import Gate
from .own_fetches import OwnFetches
from .recorder import Recorder
from .robots_visit import admit

OPERATOR = "operator:"
"""Begins what stands for an account where an operator has a file fetched; their name follows. Such
a fetch may go where a customer without exceptions of their own may, and is put on record as the
operator's. No account's id has a colon in it."""


logger = logging.getLogger("outbounds")

PRUNE_EVERY = 86_400.0  # seconds


def _nothing(_: str) -> None:
    return None


def user_agent(settings: Settings) -> str:
    """Who asks, where the proxy asks a site in its own name, and whom to turn to."""
    contact = settings.service.contact
    return settings.robots.fetch.user_agent or (
        f"Outbounds/{__version__}" + (f" (+{contact})" if contact else ""))


def robots_cache(settings: Settings, access: RobotsAccess, egress: Egress | None = None,
                 count: Callable[[str], None] = _nothing) -> RobotsCache:
    """The cache and its fetcher as configured; `count` as in `RobotsCache`."""
    fetch = settings.robots.fetch
    parsing = Parsing()
    fetcher = Fetcher(access.resolve, access, admit=access.admit, egress=egress,
                      user_agent=user_agent(settings), deadline=fetch.timeout,
                      at_once_per_site=fetch.at_once_per_site, parsing=parsing)
    snapshots = Snapshots(settings.service.data / "robots", settings.robots.snapshots.keep)
    return RobotsCache(fetcher, octets=settings.robots.cache.memory, flights=fetch.at_once,
                       flights_per_account=fetch.at_once_per_account, snapshots=snapshots,
                       count=count, parsing=parsing)


def needs_new_cache(old: Settings, new: Settings) -> bool:
    """Whether what was changed is of the fetching and keeping of files. What is asked of those who
    go by them is not: every copy stays good."""
    return any((
        old.robots.fetch != new.robots.fetch, old.robots.cache != new.robots.cache,
        old.robots.snapshots != new.robots.snapshots,
        old.service.contact != new.service.contact,
    ))


async def prune_daily(cache: Callable[[], RobotsCache]) -> None:
    """Remove the snapshots of what is seen no more, now and then once a day. Runs until it is
    cancelled; one process of several is enough."""
    while True:
        snapshots = cache().snapshots
        try:
            if snapshots is not None:
                await asyncio.to_thread(snapshots.prune, time.time())
        except OSError as error:
            logger.warning("Old robots.txt files cannot be removed: %s", error)
        await asyncio.sleep(PRUNE_EVERY)


class RobotsAccess:
    """`gate` returns the one in force; it need not be there before the first fetch."""

    def __init__(self, resolver: Resolver, recorder: Recorder, gate: Callable[[], Gate]) -> None:
        self._resolver = resolver
        self._gate = gate
        self._fetches = OwnFetches(recorder)

    def _account(self, account_id: str) -> Account:
        if account_id.startswith(OPERATOR):
            return Account(account_id, "")
        account = self._gate().identifier.current(Account(account_id, ""))
        if account is None:
            raise DialRefused("this account no longer exists", "credentials")
        return account

    async def resolve(self, host: str, port: int, account_id: str) -> Sequence[str]:
        """Addresses that may be dialled. Raises BadHost, DialRefused, Unreachable."""
        name = parse_host(host)
        account, policy = self._account(account_id), self._gate().policy
        permission = Permission(name, port, account, policy, time.time())
        permission.refuse_closed()
        for hit in permission.denials(policy.denylist.match(name, port, "", "")):
            raise DialRefused(f"{host} is on the list {hit.list_id!r}", hit.rule, hit.clause)
        found = await self._resolver.resolve(name, account_id)
        if isinstance(found, NoSuchHost):
            raise Unreachable(found.detail)
        return [str(address) for address in vet(permission, found)]

    async def admit(self, url: URL, account_id: str, client: str, addresses: Sequence[str]
                    ) -> Visit:
        """Raises NotAsked where a limit of the target is reached, DialRefused."""
        return await admit(self._gate(), self._account(account_id), url, client, addresses)

    async def opened(self, *, url: str, account_id: str, client: str,
                     addresses: Sequence[str]) -> str:
        """Raises EvidenceUnavailable: then nothing may be sent."""
        who = {"operator": account_id.removeprefix(OPERATOR)} \
            if account_id.startswith(OPERATOR) else {"user_id": account_id}
        return await self._fetches.opened("robots-fetch", url, addresses, **who, source_ip=client,
                                          **self._gate().policy.versions)

    def connected(self, record_id: str, egress: Pair, dialled: Pair) -> None:
        self._fetches.connected(record_id, egress, dialled)

    def closed(self, record_id: str, status: int, octets: int, outcome: str, *,
               digest: str = "", state: str = "") -> None:
        self._fetches.closed(record_id, status, octets,
                             failure=outcome not in ("complete", "redirect"),
                             reason="" if outcome == "complete" else outcome,
                             robots_sha256=digest, robots_state=state)
