"""The running service: its parts put together from Settings, started, reloaded, stopped.

The order of `start` matters: the dial is guarded before anything can be dialled, the accounts are
watched before anyone is identified from memory, and until the collector answers every request is
refused, because its record cannot be made safe.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mitmproxy import ctx, http

from .. import __version__
from ..core.account import Account
from ..evidence import options
from ..evidence.client import EvidenceClient, EvidenceUnavailable
from ..evidence.supervisor import CollectorProcess
from ..identity.accounts_file import AccountsFile
from ..identity.htpasswd import Htpasswd
from ..identity.verifier import Identifier
from ..resolver import Resolver
from ..settings import Settings
from ..stores.memory import MemoryStore
from ..stores.valkey import ValkeyStore
from .account_changes import follow
from .approvals import Approvals
from .clients import Clients
from .dial import VettedGetaddrinfo
from .dispatch import leave_out_idle_updates
from .evidence_watch import open_evidence
from .exchanges import Exchanges
from .gate import Gate
from .http1_guard import HeadLimits
from .identification import htpasswd_of, make_identifier
from .install import install
from .limit_store import open_store
from .list_keeper import ListKeeper
from .metrics import Metrics
from .metrics_page import serve_page
from .modes import unjudged_mode
from .operator_access import OperatorAccess
from .own_addresses import own_addresses
from .prerequisites import Prerequisites
from .prerequisites import StartError as StartError
from .reload import Reloader
from .replies import Replies
from .robots_access import RobotsAccess, needs_new_cache, prune_daily, robots_cache
from .robots_engine import engine_after, make_engine
from .route_fields import RouteFields
from .runtime import Runtime
from .sever import sever
from .sites_tls import egress
from .slow_clients import SlowClients
from .tunnels import Tunnels
from .unjudged import STARTING, UNJUDGED, reply_unjudged
from .workers.link import Link

logger = logging.getLogger("outbounds")

class Service:
    """`link` leads to the supervisor where this process is one of several workers."""

    def __init__(self, settings: Settings, accounts: AccountsFile, htpasswd: Htpasswd,
                 link: Link | None = None) -> None:
        self._htpasswd = htpasswd
        self.link = link
        self.settings = settings
        self.accounts = accounts
        self.metrics = Metrics()
        self.clients = Clients()
        self.replies = Replies(settings.service.name, settings.identity.realm)
        self.resolver = Resolver(settings.service.dns, count=self.metrics.count_dns)
        self.runtime: Runtime | None = None
        self._collector: CollectorProcess | None = None
        self._evidence: EvidenceClient | None = None
        self._keeper: ListKeeper | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stop_metrics: Callable[[], None] | None = None
        self.approvals: Approvals
        self.exchanges: Exchanges
        self.tunnels: Tunnels
        self.operators: OperatorAccess
        self.slow_clients: SlowClients
        self.identifier: Identifier
        self.stopping = False

    @classmethod
    def load(cls, config_dir: Path, link: Link | None = None) -> Service:
        """Raises SettingsError with every fault of the files, StartError for what they point to."""
        found = Prerequisites.load(config_dir)
        return cls(found.settings, found.accounts, found.htpasswd, link)

    # --- start ----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """What must stand before the first listener opens: the guards, and mitmproxy's options."""
        self._install(self.settings)
        wanted = {
            "validate_inbound_headers": True,  # off, request smuggling would be let through
            "onboarding": False,  # mitm.it is answered to anyone, unrecorded
            "block_global": False,  # who may connect is for identity to say
            "proxyauth": None,  # two gatekeepers would contradict each other
            "proxy_debug": False,  # logs every octet that clients send, their passwords included
            "store_streamed_bodies": False,
        }
        ctx.options.update_known(**wanted)
        leave_out_idle_updates(ctx.master.addons)
        self._assemble()
        VettedGetaddrinfo(asyncio.get_running_loop(), self.resolver,
                          self.approvals.refused).install(asyncio.get_running_loop())

    def _assemble(self) -> None:
        settings, metrics = self.settings, self.metrics
        worker, workers = (self.link.place.index, self.link.place.count) if self.link else (0, 1)
        self._evidence, recorder = open_evidence(settings, metrics)
        self.identifier = self._make_identifier(settings, self._htpasswd)
        self._access = RobotsAccess(self.resolver, recorder, lambda: gate)
        robots = robots_cache(settings, self._access, egress(ctx.options),
                              metrics.count_robots_fetch)
        store = open_store(settings.service, self.link, metrics)
        gate = Gate(settings.policy, self.identifier, self.resolver, robots, store, metrics,
                    engine=make_engine(settings, metrics.count_engine),
                    shared=not isinstance(store, MemoryStore))
        self.runtime = Runtime(
            settings, gate, recorder, self.replies, RouteFields(settings.forged_headers),
            self.clients, metrics,
            lambda client: sever(ctx.master.addons.get("proxyserver").connections, client))
        self.approvals = Approvals(self.runtime)
        self.exchanges = Exchanges(self.runtime)
        self.tunnels = Tunnels(self.runtime, self.exchanges)
        self.slow_clients = SlowClients(
            self.runtime, self.exchanges, ctx.master.addons.get("proxyserver"), workers)
        self.operators = OperatorAccess(self.runtime, worker, targets=gate.health.states,
                                        waiting_of=gate.pacer.waiting_of,
                                        egress=egress(ctx.options))
        metrics.set_policy(settings.policy.version)
        metrics.watch_cache("dns", self.resolver.__len__)
        metrics.watch_cache("robots", lambda: len(gate.robots))
        metrics.watch_cache("limits", gate.store.__len__)
        metrics.watch_cache("targets", gate.health.__len__)
        metrics.waiting.set_function(gate.pacer.waiting)

    async def start(self) -> None:
        """Raises OSError, EvidenceUnavailable, StartError."""
        settings = self.settings
        assert self.runtime is not None and self._evidence is not None
        if strange := unjudged_mode(ctx.options.mode):
            raise StartError(f"mitmproxy's mode {strange!r} is not enforced; run Outbounds with "
                             "regular and socks5 only")
        keeper = self._keeper = ListKeeper(settings, self._adopt, self.metrics,
                                           builds=self.link is None or self.link.place.index == 1)
        self._adopt(await keeper.complete())
        await self.operators.start()
        if settings.evidence.collector == "spawn" and self.link is None:
            self._collector = CollectorProcess(
                settings.evidence.directory, settings.evidence.socket,
                options=options.words(settings), report=logger.error)
            await self._collector.start()
        if isinstance(self.runtime.gate.store, ValkeyStore):
            await self.runtime.gate.store.start()
        self._evidence.start()
        try:
            await self._evidence.wait_available(10.0)
        except EvidenceUnavailable as error:
            logger.warning("The evidence collector does not answer: %s. Until it does, %s.", error,
                           "requests go out unrecorded" if settings.evidence.fail == "open"
                           else "all requests are refused")
        if self.link is None:
            self._stop_metrics = serve_page(self.metrics.registry, settings)
        reloader, gate = Reloader(settings, keeper.adopt, self.metrics), self.runtime.gate
        self._tasks = [
            asyncio.create_task(self.identifier.watch(), name="watch accounts"),
            asyncio.create_task(reloader.watch(), name="watch config"),
            asyncio.create_task(keeper.watch(), name="watch lists"),
            asyncio.create_task(self.slow_clients.watch(), name="watch slow clients"),
            asyncio.create_task(self.runtime.captures.watch(), name="watch captures"),
            asyncio.create_task(prune_daily(lambda: gate.robots), name="prune robots snapshots"),
        ]
        if not self.accounts.count() and not settings.identity.htpasswd:
            logger.warning("There are no accounts yet; everybody gets 407. Make one with: "
                           "outbounds accounts add NAME --config %s", settings.folder)
        proxyserver = ctx.master.addons.get("proxyserver")
        # What is here by now stays. Walking over all of it again and again, the collector of
        # garbage held up every request for 75 ms at a time (scripts/bench lists: swaps).
        gc.collect()
        gc.freeze()
        self.runtime.starting = False
        page = settings.service.metrics
        logger.info("Outbounds %s enforces policy %s from %s; listening on %s%s.", __version__,
                    settings.policy.version[:12], settings.folder,
                    ", ".join(f"{at[0]}:{at[1]}" for at in proxyserver.listen_addrs()),
                    f"; metrics on http://{page.host}:{page.port}/metrics" if not self.link else "")
        if self.link is not None:
            self.link.ready(self.metrics.registry)

    async def stop(self) -> None:
        """Idempotent. Ends what is open, so that the last closing records are written."""
        if self.stopping:
            return
        self.stopping = True
        for task in self._tasks:
            task.cancel()
        if self._keeper is not None:
            await self._keeper.stop()
        if self.runtime is not None:  # first: what comes free below must let nobody in who waits
            self.runtime.gate.pacer.close()
            self.slow_clients.refused.close()
        for client in self.clients:
            self.tunnels.close(client, reason="the proxy stopped")
            self.exchanges.abandon(client, "the proxy stopped")
        if self.runtime is not None:
            await self.operators.aclose()
            await self.runtime.gate.robots.aclose()
            await self.runtime.gate.engine.aclose()
            await self.runtime.gate.store.aclose()
            self.identifier.close()
            await self.runtime.captures.close()
            await self.runtime.recorder.aclose(2.0)
        if self._collector is not None:
            await self._collector.stop()
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
        self.resolver.close()
        self.accounts.close()

    # --- while running --------------------------------------------------------------------------

    def _install(self, settings: Settings) -> None:
        heads = settings.service.heads
        install(HeadLimits(heads.max_size, heads.max_fields, heads.timeout), self.unjudged)

    def _make_identifier(self, settings: Settings, htpasswd: Htpasswd) -> Identifier:
        return make_identifier(settings.identity, self.accounts, htpasswd,
                               partial(follow, self.clients),
                               self.clients.live_accounts,
                               self.link.place.count if self.link is not None else 1)

    def _adopt(self, settings: Settings) -> None:
        """Put settings in force, for every decision from now on. Raises HtpasswdError, before
        anything has changed. Listeners, metrics, data and evidence stay as they were at start."""
        assert self.runtime is not None
        old, gate = self.settings, self.runtime.gate
        if settings.identity != old.identity:
            self._change_identifier(self._make_identifier(settings,
                                                          htpasswd_of(settings.identity)))
        if needs_new_cache(old, settings):
            gate.robots = robots_cache(settings, self._access, egress(ctx.options),
                                       self.metrics.count_robots_fetch)
        gate.engine = engine_after(gate.engine, old, settings, self.metrics.count_engine)
        self.resolver.configure(settings.service.dns)
        self.slow_clients.configure(settings.service.clients, settings.service.targets)
        self._install(settings)
        self.replies = self.runtime.replies = Replies(settings.service.name,
                                                      settings.identity.realm)
        listening = ctx.master.addons.get("proxyserver").listen_addrs()
        ports = {settings.service.metrics.port, *(address[1] for address in listening)}
        settings = settings.with_own(own_addresses(), ports)
        runtime = self.runtime
        self.settings = runtime.settings = settings
        gate.policy = replace(settings.policy, closed=gate.policy.closed,
                              owned=gate.policy.owned)
        runtime.route_fields = RouteFields(settings.forged_headers)
        self.metrics.set_policy(settings.policy.version)
        if settings.warnings != old.warnings or runtime.starting:
            for warning in settings.warnings:
                logger.warning("%s", warning)

    def _change_identifier(self, identifier: Identifier) -> None:
        assert self.runtime is not None
        retired, self.identifier = self.identifier, identifier
        self.runtime.gate.identifier = identifier
        self._tasks[0].cancel()
        self._tasks[0] = asyncio.create_task(identifier.watch(), name="watch accounts")
        # those who wait for the old one's answer still get it
        asyncio.get_running_loop().call_later(60.0, retired.close)
        # whoever has lost their place in between, such as in an htpasswd file, is told to nobody
        for account_id in self.clients.live_accounts():
            follow(self.clients, identifier.current(Account(account_id, "")), account_id)

    def unjudged(self, flow: http.HTTPFlow) -> http.Response:
        """The reply to a flow that reached no verdict."""
        runtime = None if self.stopping else self.runtime
        verdict = STARTING if runtime is None else UNJUDGED
        return reply_unjudged(flow, verdict, self.runtime, self.replies, self.metrics)
