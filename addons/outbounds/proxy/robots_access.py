"""What the robots.txt fetcher gets from the proxy: vetted addresses, and a place in the evidence.

A robots.txt fetch is a request to a target like any other: it goes to permitted addresses only,
and its record is safe on disk before it goes out.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from .. import __version__
from ..core.account import Account
from ..core.destination import parse_host
from ..core.questions import NoSuchHost
from ..core.rules import Policy
from ..evidence.record import Record
from ..resolver import Resolver
from ..robotstxt import Fetcher, RobotsCache, Unreachable
from ..settings import Settings
from .dial import DialRefused, Permission, vet
from .recorder import Recorder


def robots_cache(settings: Settings, access: RobotsAccess,
                 context: ssl.SSLContext | None = None) -> RobotsCache:
    """The cache and its fetcher as configured; `context` None trusts the system's authorities."""
    contact = settings.service.contact
    agent = f"Outbounds/{__version__}" + (f" (+{contact})" if contact else "")
    fetcher = Fetcher(access.resolve, access, ssl_context=context,
                      user_agent=settings.robots.fetch.user_agent or agent,
                      deadline=settings.robots.fetch.timeout)
    return RobotsCache(fetcher, octets=settings.robots.cache.memory)


class RobotsAccess:
    """`policy` returns the one in force, `current` an account as it stands now."""

    def __init__(self, resolver: Resolver, recorder: Recorder, policy: Callable[[], Policy],
                 current: Callable[[Account], Account | None]) -> None:
        self._resolver = resolver
        self._recorder = recorder
        self._policy = policy
        self._current = current
        self._open: dict[str, tuple[Record, float]] = {}

    async def resolve(self, host: str, port: int, account_id: str) -> Sequence[str]:
        """Addresses that may be dialled. Raises BadHost, DialRefused, Unreachable."""
        name = parse_host(host)
        policy = self._policy()
        account = self._current(Account(account_id, ""))
        if account is None:
            raise DialRefused("this account no longer exists", "credentials")
        permission = Permission(name, port, account, policy, time.time())
        permission.refuse_closed()
        for hit in permission.denials(policy.denylist.match(name, port, "", "")):
            raise DialRefused(f"{host} is on the list {hit.list_id!r}", hit.rule, hit.clause)
        found = await self._resolver.resolve(name, account_id)
        if isinstance(found, NoSuchHost):
            raise Unreachable(found.detail)
        return [str(address) for address in vet(permission, found)]

    async def opened(self, *, url: str, account_id: str, client: str,
                     addresses: Sequence[str]) -> str:
        """Raises EvidenceUnavailable: then nothing may be sent."""
        parts = urlsplit(url)
        record = await self._recorder.open_bare(
            "robots-fetch", user_id=account_id, source_ip=client,
            destination_domain=parts.hostname or "", destination_ip=",".join(addresses)[:64],
            destination_port=parts.port or (443 if parts.scheme == "https" else 80),
            url_scheme=parts.scheme, http_request_method="GET", verdict="allow",
            **self._policy().versions)
        self._open[record.id] = (record, time.monotonic())
        return record.id

    def closed(self, record_id: str, status: int, octets: int, outcome: str) -> None:
        record, started = self._open.pop(record_id)
        good = outcome in ("complete", "redirect")
        self._recorder.close(record, time.monotonic() - started, status=status,
                             response_bytes=octets, outcome="success" if good else "failure",
                             reason="" if outcome == "complete" else outcome)
