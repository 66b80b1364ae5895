"""A gate of a command's own, for where it asks what the proxy would: the same parts, put together
without a proxy, and nothing in them yet. What it fetches is on record as what the proxy fetches is,
and hence only where a collector runs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ..core.account import Account
from ..core.request import Credentials
from ..core.site_claims import in_force as in_force_sites
from ..evidence.client import EvidenceClient, EvidenceUnavailable
from ..evidence.privacy import load_key
from ..evidence.record import Encoder
from ..lists.closed_file import ClosedFileError
from ..lists.compiled import BadGeneration
from ..lists.in_force import with_closed, with_lists_in_force
from ..proxy.gate import Gate
from ..proxy.metrics import Metrics
from ..proxy.own_addresses import own_addresses
from ..proxy.recorder import Recorder
from ..proxy.reload import read_settings
from ..proxy.robots_access import RobotsAccess, robots_cache
from ..proxy.robots_engine import make_engine
from ..resolver import Resolver
from ..robotstxt.ownership_file import SitesFileError, read_sites, sites_path
from ..settings import Settings, SettingsError
from ..stores.memory import MemoryStore

NOT_IN_FORCE = (SettingsError, BadGeneration, ClosedFileError, SitesFileError)
"""What `in_force` raises."""


def in_force(config_dir: Path) -> Settings:
    """The settings with what else decides: compiled lists, closed targets, owned sites."""
    settings = with_closed(with_lists_in_force(read_settings(config_dir)))
    lapse = settings.robots.ownership.lapse
    owned = in_force_sites(read_sites(sites_path(settings.service.data)), lapse)
    return replace(settings, policy=replace(settings.policy, owned=owned))


class _Known:
    """Stands where the proxy has its Identifier: the account was named by the operator."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def current(self, account: Account) -> Account | None:
        return self._account

    def refresh(self) -> None:
        """Nothing to look up again: the account was read a moment ago."""

    def identify_now(self, credentials: Credentials | None, source_ip: str) -> Account:
        return self._account

    async def identify(self, credentials: Credentials | None, source_ip: str) -> Account:
        return self._account


@asynccontextmanager
async def own_gate(settings: Settings, account: Account) -> AsyncIterator[Gate]:
    """Everybody whom this gate meets is `account`."""
    settings = settings.with_own(own_addresses())
    session, metrics = secrets.token_hex(8), Metrics()
    resolver = Resolver(settings.service.dns)
    evidence = EvidenceClient(settings.evidence.socket, session)
    evidence.start()
    try:
        await evidence.wait_available(1.0)
    except EvidenceUnavailable:
        pass  # then the robots control says that the fetch could not be put on record
    recorder = Recorder(evidence, Encoder(session, load_key(settings.service.data)), metrics)
    cache = robots_cache(settings, RobotsAccess(resolver, recorder, lambda: gate))
    gate = Gate(settings.policy, _Known(account), resolver, cache, MemoryStore(), metrics,
                engine=make_engine(settings))
    try:
        yield gate
    finally:
        await gate.engine.aclose()
        await cache.aclose()
        # without a collector nothing will be acknowledged however long one waits
        await evidence.close(5.0 if evidence.available else 0.0)
        resolver.close()
