"""What a fetch is charged for, and when copies may be kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from yarl import URL

from outbounds.core.account import Account
from outbounds.core.limits import Limit, Over, Per, Unit
from outbounds.core.rules import AdaptiveTerms
from outbounds.proxy.gate import Gate
from outbounds.proxy.metrics import Metrics
from outbounds.proxy.reload import read_settings
from outbounds.proxy.robots_access import needs_new_cache, prune_daily
from outbounds.proxy.robots_visit import TargetVisit, admit
from outbounds.resolver import Resolver
from outbounds.robotstxt import Fetcher, NotAsked, RobotsCache, Snapshots
from outbounds.settings import Settings
from outbounds.stores.memory import MemoryStore

CONFIG = Path(__file__).resolve().parents[2] / "config"
ACCOUNT = Account("acme-id", "acme", plan="default")
TARGETS = (Per.HOST, Per.SITE, Per.ADDRESS)
HERE = "http://www.shop.test/robots.txt"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read_settings(CONFIG)


def limit(unit: Unit, per: Per, count: int = 5) -> Limit:
    held = unit.held
    return Limit(f"{per.value}-{unit.value}", unit, per, count, 0.0 if held else 3600.0, count,
                 Over.REFUSE)


async def never(*_: object) -> None:
    raise AssertionError("nobody is asked here")


def gate_with(settings: Settings, *limits: Limit, adaptive: AdaptiveTerms | None = None) -> Gate:
    policy = settings.policy
    plan = replace(policy.plans["default"], limits=tuple(each.id for each in limits))
    policy = replace(policy, plans={"default": plan}, limits={each.id: each for each in limits},
                     adaptive=adaptive)
    cache = RobotsCache(Fetcher(never, never, user_agent="x"))  # type: ignore[arg-type]
    return Gate(policy, None, Resolver(settings.service.dns), cache,  # type: ignore[arg-type]
                MemoryStore(), Metrics())


async def visit(gate: Gate, url: str = HERE, addresses: tuple[str, ...] = ("192.0.2.1",)
                ) -> TargetVisit:
    return await admit(gate, ACCOUNT, URL(url), "198.51.100.7", addresses)


@pytest.mark.parametrize("per", TARGETS)
@pytest.mark.parametrize("unit", [Unit.REQUESTS, Unit.CONNECTIONS, Unit.CONCURRENT])
async def test_what_protects_a_target_is_charged(
    settings: Settings, unit: Unit, per: Per
) -> None:
    gate = gate_with(settings, limit(unit, per, 2))
    for _ in range(2):
        await visit(gate)
    with pytest.raises(NotAsked, match=f"the limit '{per.value}-{unit.value}' of this target"):
        await visit(gate)
    await visit(gate, "http://other.test/robots.txt", ("192.0.2.9",))


@pytest.mark.parametrize("per", [Per.ACCOUNT, Per.ACCOUNT_HOST, Per.ACCOUNT_SITE, Per.SOURCE])
async def test_what_is_a_customers_is_not(settings: Settings, per: Per) -> None:
    gate = gate_with(settings, limit(Unit.REQUESTS, per, 1))
    for _ in range(3):
        await visit(gate)


async def test_each_address_counts(settings: Settings) -> None:
    gate = gate_with(settings, limit(Unit.REQUESTS, Per.ADDRESS, 1))
    await visit(gate, addresses=("192.0.2.1", "2001:db8::1"))
    with pytest.raises(NotAsked):
        await visit(gate, "http://other.test/robots.txt", ("2001:db8::1",))


async def test_what_is_held_is_given_back(settings: Settings) -> None:
    gate = gate_with(settings, limit(Unit.CONCURRENT, Per.HOST, 1))
    for end in ("finished", "unsent", "finished"):
        made = await visit(gate)
        with pytest.raises(NotAsked):
            await visit(gate)
        if end == "unsent":
            made.unsent()
        else:
            made.finished(status=200, retry_after=None, latency=0.1, failed=False)


async def test_what_was_not_sent_costs_nothing(settings: Settings) -> None:
    gate = gate_with(settings, limit(Unit.REQUESTS, Per.HOST, 1))
    for _ in range(3):
        (await visit(gate)).unsent()


async def test_narrowed_limits_are_for_whom_they_are(settings: Settings) -> None:
    narrowed = replace(limit(Unit.REQUESTS, Per.HOST, 1), targets=("shop.test",))
    gate = gate_with(settings, narrowed, replace(narrowed, id="posts", methods=frozenset({"POST"}),
                                                 count=1))
    for _ in range(3):
        await visit(gate, "http://other.test/robots.txt")
    await visit(gate)
    with pytest.raises(NotAsked, match=narrowed.id) as raised:
        await visit(gate)
    assert 1 <= raised.value.retry <= 600, "however long the limit's own time is"


@pytest.mark.parametrize(("told", "paused"), [
    ({"status": 503, "retry_after": "60"}, True), ({"status": 429, "retry_after": "60"}, True),
    ({"status": 200, "retry_after": None}, False), ({"status": 404, "retry_after": None}, False),
])
async def test_distress_is_told(
    settings: Settings, told: dict[str, object], paused: bool
) -> None:
    gate = gate_with(settings, adaptive=AdaptiveTerms(max_wait=0.0))
    made = await visit(gate)
    made.finished(latency=0.1, failed=False, **told)
    assert [state.host for state in gate.health.states()] == ["www.shop.test"] * paused
    if paused:
        with pytest.raises(NotAsked, match="target-pause") as raised:
            await visit(gate)
        assert 30 < raised.value.retry <= 60


# --- copies and snapshots -----------------------------------------------------------------------

CHANGES: list[tuple[str, Callable[[Settings], Settings], bool]] = [
    ("nothing", lambda s: s, False),
    ("policy", lambda s: of_robots(s, mode="observe", max_delay=1.0, identity="account"), False),
    ("fetch", lambda s: of_robots(s, fetch=s.robots.fetch.model_copy(update={"timeout": 3.0})),
     True),
    ("cache", lambda s: of_robots(s, cache=s.robots.cache.model_copy(update={"memory": 1 << 20})),
     True),
    ("snapshots", lambda s: of_robots(
        s, snapshots=s.robots.snapshots.model_copy(update={"keep": 9e6})), True),
    ("contact", lambda s: replace(s, service=s.service.model_copy(
        update={"contact": "https://other.example/"})), True),
]


def of_robots(settings: Settings, **fields: object) -> Settings:
    return replace(settings, robots=settings.robots.model_copy(update=fields))


@pytest.mark.parametrize(("change", "needed"), [(change, needed) for _, change, needed in CHANGES],
                         ids=[name for name, _, _ in CHANGES])
def test_only_a_change_of_the_fetching_needs_a_new_cache(
    settings: Settings, change: Callable[[Settings], Settings], needed: bool
) -> None:
    assert needs_new_cache(settings, change(settings)) is needed


async def test_prunes_at_once_and_goes_on(settings: Settings, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "robots", 86_400.0)
    snapshots.keep("ab" + "0" * 62, b"x")
    file, = (tmp_path / "robots").rglob("*.txt")
    os.utime(file, (0, 0))
    gate = gate_with(settings)
    gate.robots.snapshots = snapshots
    pruning = asyncio.create_task(prune_daily(lambda: gate.robots))
    try:
        for _ in range(500):
            if not file.exists():
                break
            await asyncio.sleep(0.01)
        assert not file.exists()
        assert not pruning.done()
    finally:
        pruning.cancel()
