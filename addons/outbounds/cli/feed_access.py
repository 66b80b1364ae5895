"""How the command that builds lists gets at feeds: vetted addresses, and a place in the evidence.

A feed is fetched in the proxy's own name, as the account `outbounds`. It goes to permitted
addresses only, as any request does: special-purpose addresses, the proxy's own, and what the
operator denies by hand are out of reach. The compiled lists are not asked. They come from feeds,
and one that named its own publisher, or that of the others, could put an end to its correction.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from .. import __version__
from ..core.account import Account
from ..core.destination import parse_host
from ..core.questions import NoSuchHost
from ..core.rules import Policy
from ..evidence.client import EvidenceClient, EvidenceUnavailable
from ..evidence.privacy import load_key
from ..evidence.record import Encoder
from ..fetching import Pair
from ..lists.feeds import Fetcher
from ..proxy.dial import DialRefused, Permission, vet
from ..proxy.metrics import Metrics
from ..proxy.own_addresses import own_addresses
from ..proxy.own_fetches import OwnFetches
from ..proxy.recorder import Recorder
from ..resolver import Resolver
from ..settings import Settings

ACCOUNT = Account("outbounds", "outbounds")
"""The proxy itself. Not an account that anybody could log in with."""
_WAIT = 2.0  # s for the collector to answer


def feed_access(settings: Settings) -> AbstractAsyncContextManager[Fetcher | None]:
    """Opens the way to the feeds; None where no collector answers, since nothing is sent without
    a record that is safe."""
    return _open(settings.with_own(own_addresses()))


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Fetcher | None]:
    session, resolver = secrets.token_hex(8), Resolver(settings.service.dns)
    evidence = EvidenceClient(settings.evidence.socket, session,
                              timeout=settings.evidence.ack_timeout)
    evidence.start()
    try:
        try:
            await evidence.wait_available(_WAIT)
        except EvidenceUnavailable:
            yield None
            return
        recorder = Recorder(evidence, Encoder(session, load_key(settings.service.data)), Metrics())
        access = FeedAccess(resolver, recorder, settings.policy)
        contact = settings.service.contact
        yield Fetcher(access.resolve, access, user_agent=f"Outbounds/{__version__}" + (
            f" (+{contact})" if contact else ""))
    finally:
        # without a collector nothing will be acknowledged however long one waits
        await evidence.close(5.0 if evidence.available else 0.0)
        resolver.close()


class FeedAccess:
    """What a feed's fetcher asks: `outbounds.lists.feeds.Resolve` and `Recorder`."""

    def __init__(self, resolver: Resolver, recorder: Recorder, policy: Policy) -> None:
        self._resolver = resolver
        self._policy = policy
        self._fetches = OwnFetches(recorder)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses that may be dialled. Raises BadHost, DialRefused."""
        name = parse_host(host)
        permission = Permission(name, port, ACCOUNT, self._policy, time.time())
        for hit in permission.denials(self._policy.denylist.match(name, port, "", "")):
            raise DialRefused(f"it is on the list {hit.list_id!r} (line {hit.line})", hit.rule,
                              hit.clause)
        found = await self._resolver.resolve(name, ACCOUNT.id)
        if isinstance(found, NoSuchHost):
            raise DialRefused(found.detail.rstrip("."), "no-such-host")
        return [str(address) for address in vet(permission, found)]

    async def opened(self, *, url: str, addresses: Sequence[str]) -> str:
        """Raises EvidenceUnavailable: then nothing may be sent."""
        return await self._fetches.opened("feed-fetch", url, addresses, user_id=ACCOUNT.id,
                                          **self._policy.versions)

    def connected(self, record_id: str, egress: Pair, dialled: Pair) -> None:
        self._fetches.connected(record_id, egress, dialled)

    def closed(self, record_id: str, status: int, octets: int, outcome: str) -> None:
        self._fetches.closed(record_id, status, octets,
                             failure=outcome not in ("complete", "unchanged", "redirect"),
                             reason="" if outcome == "complete" else outcome)
