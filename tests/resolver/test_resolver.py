"""The resolver: one look-up a name, kept for its time; no slow name in the way of another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import pytest

from outbounds.core.destination import parse_host
from outbounds.core.questions import NoSuchHost
from outbounds.resolver import Found, Outcome, Resolver
from outbounds.resolver.resolver import FAILURE_LIFE, PARTIAL_LIFE, lifetime
from outbounds.settings.service import Dns

ADDRESS = (ip_address("93.184.216.34"),)
GONE = Found((), 60.0, Outcome.NO_SUCH_NAME, "a.example does not resolve.")


class Names:
    """Stands where name servers are asked. `slow` names wait for `go`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.slow: set[str] = set()
        self.go = asyncio.Event()
        self.answers: dict[str, Any] = {}
        self.busy = self.most = 0
        self.ttl = 60.0

    async def __call__(self, name: str) -> Found:
        self.asked.append(name)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            if name in self.slow:
                await self.go.wait()
            answer = self.answers.get(name) or Found(ADDRESS, self.ttl, Outcome.ANSWERED)
            if isinstance(answer, BaseException):
                raise answer
            assert isinstance(answer, Found)
            return answer
        finally:
            self.busy -= 1


@pytest.fixture
async def names() -> Names:
    return Names()


@pytest.fixture
async def make(names: Names) -> AsyncIterator[Callable[..., Resolver]]:
    made = []

    def build(per_account: int = 4, count: Any = lambda outcome: None, **settings: Any) -> Resolver:
        made.append(Resolver(Dns.model_construct(**settings), names, per_account=per_account,
                             count=count))
        return made[-1]

    yield build
    names.go.set()
    for resolver in made:
        resolver.close()


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def host(name: str = "a.example") -> Any:
    return parse_host(name)


# --- how long -----------------------------------------------------------------------------------

LIVES = [
    # (ttl, outcome, seconds) under floor 5, ceiling 3600, negative ceiling 60
    (300.0, Outcome.ANSWERED, 300.0),
    (0.0, Outcome.ANSWERED, 5.0),
    (4.9, Outcome.ANSWERED, 5.0),
    (86_400.0, Outcome.ANSWERED, 3600.0),
    (2.0**31 - 1, Outcome.ANSWERED, 3600.0),
    (5.0, Outcome.LOCAL, 5.0),
    (300.0, Outcome.PARTIAL, PARTIAL_LIFE),
    (0.0, Outcome.PARTIAL, 5.0),
    (30.0, Outcome.NO_SUCH_NAME, 30.0),  # RFC 2308 section 5
    (0.0, Outcome.NO_SUCH_NAME, 5.0),
    (900.0, Outcome.NO_SUCH_NAME, 60.0),
    (900.0, Outcome.NO_ADDRESS, 60.0),
    (900.0, Outcome.FAILED, FAILURE_LIFE),  # RFC 2308 section 7, RFC 9520 section 3.2
    (0.0, Outcome.TIMED_OUT, FAILURE_LIFE),
]


@pytest.mark.parametrize(("ttl", "outcome", "seconds"), LIVES)
def test_how_long_an_answer_is_remembered(ttl: float, outcome: Outcome, seconds: float) -> None:
    addresses = ADDRESS if outcome in (Outcome.ANSWERED, Outcome.LOCAL, Outcome.PARTIAL) else ()
    assert lifetime(Found(addresses, ttl, outcome), Dns()) == seconds


def test_a_high_floor_holds_for_zones_and_not_for_the_machines_own_files() -> None:
    high = Dns(ttl_floor="1h")
    assert lifetime(Found(ADDRESS, 5.0, Outcome.ANSWERED), high) == 3600.0
    assert lifetime(Found(ADDRESS, 5.0, Outcome.LOCAL), high) == 5.0
    assert lifetime(Found((), 5.0, Outcome.NO_SUCH_NAME), high) == 60.0


def test_a_low_ceiling_bounds_whatever_is_remembered() -> None:
    low = Dns(ttl_floor="0s", ttl_ceiling="2s", negative_ceiling="1s")
    for outcome in (Outcome.ANSWERED, Outcome.PARTIAL, Outcome.LOCAL):
        assert lifetime(Found(ADDRESS, 900.0, outcome), low) == 2.0
    for outcome in (Outcome.NO_SUCH_NAME, Outcome.FAILED, Outcome.TIMED_OUT):
        assert lifetime(Found((), 900.0, outcome), low) == 1.0


async def test_an_answer_is_remembered_for_its_time_only(make: Any, names: Names) -> None:
    names.ttl = 0.1
    resolver = make(ttl_floor=0.0)
    assert await resolver.resolve(host(), "acct") == ADDRESS
    assert resolver.peek(host()) == ADDRESS and len(resolver) == 1
    assert await resolver.resolve(host(), "other") == ADDRESS
    assert names.asked == ["a.example"]
    await until(lambda: resolver.peek(host()) is None)
    await resolver.resolve(host(), "acct")
    assert names.asked == ["a.example"] * 2


async def test_without_a_floor_a_ttl_of_0_is_never_remembered(make: Any, names: Names) -> None:
    names.ttl = 0.0
    resolver = make(ttl_floor=0.0)
    for _ in range(3):
        assert await resolver.resolve(host(), "acct") == ADDRESS
        assert resolver.peek(host()) is None
    assert names.asked == ["a.example"] * 3


async def test_nothing_is_served_past_its_time_when_a_new_look_up_fails(
        make: Any, names: Names) -> None:
    names.ttl = 0.05
    resolver = make(ttl_floor=0.0)
    await resolver.resolve(host(), "acct")
    await until(lambda: resolver.peek(host()) is None)
    names.answers["a.example"] = Found((), 0.0, Outcome.FAILED, "failed")
    assert await resolver.resolve(host(), "acct") == NoSuchHost("failed")


async def test_what_is_not_there_is_remembered_too(make: Any, names: Names) -> None:
    """The next request need not wait for the same answer, and a mended name is soon found."""
    names.answers["a.example"] = GONE
    resolver = make(ttl_floor=0.0, negative_ceiling=0.1)
    for _ in range(3):
        assert await resolver.resolve(host(), "acct") == NoSuchHost(GONE.detail)
    assert names.asked == ["a.example"] and resolver.peek(host()) == NoSuchHost(GONE.detail)
    names.answers.clear()
    await until(lambda: resolver.peek(host()) is None)
    assert await resolver.resolve(host(), "acct") == ADDRESS


async def test_the_cache_is_bounded(make: Any) -> None:
    resolver = make(names=10)
    for i in range(50):
        await resolver.resolve(host(f"n{i}.example"), "acct")
    assert len(resolver) == 10


async def test_names_that_do_not_exist_do_not_drive_out_those_in_use(
        make: Any, names: Names) -> None:
    resolver = make(names=10)
    await resolver.resolve(host("used.example"), "acct")
    for i in range(50):
        names.answers[f"n{i}.example"] = GONE
        await resolver.resolve(host(f"n{i}.example"), "acct")
        assert resolver.peek(host("used.example")) == ADDRESS


async def test_new_settings_forget_what_the_old_servers_said(make: Any, names: Names) -> None:
    resolver = make()
    await resolver.resolve(host(), "acct")
    names.slow.add("b.example")
    under_way = asyncio.create_task(resolver.resolve(host("b.example"), "acct"))
    await until(lambda: "b.example" in names.asked)
    resolver.configure(Dns(ttl_ceiling="1min"))
    assert resolver.peek(host()) is None
    names.go.set()
    assert await under_way == ADDRESS  # who asked is answered
    assert resolver.peek(host("b.example")) is None  # and nobody else


# --- one look-up ----------------------------------------------------------------------------------


async def test_an_address_is_its_own_answer(make: Any, names: Names) -> None:
    assert await make().resolve(host("93.184.216.34"), "acct") == ADDRESS
    assert names.asked == []


async def test_many_at_once_share_one_look_up(make: Any, names: Names) -> None:
    names.slow.add("a.example")
    resolver = make()
    asking = [asyncio.create_task(resolver.resolve(host(), f"acct{i}")) for i in range(50)]
    await until(lambda: names.asked)
    names.go.set()
    assert await asyncio.gather(*asking) == [ADDRESS] * 50
    assert names.asked == ["a.example"]


async def test_a_name_in_use_that_runs_out_is_looked_up_once(make: Any, names: Names) -> None:
    names.ttl = 0.05
    resolver = make(ttl_floor=0.0)
    await resolver.resolve(host(), "acct")
    await until(lambda: resolver.peek(host()) is None)
    names.slow.add("a.example")
    asking = [asyncio.create_task(resolver.resolve(host(), f"acct{i}")) for i in range(50)]
    await until(lambda: len(names.asked) == 2)
    names.go.set()
    await asyncio.gather(*asking)
    assert names.asked == ["a.example"] * 2


async def test_what_nobody_foresaw_is_raised_and_not_remembered(make: Any, names: Names) -> None:
    names.answers["a.example"] = RuntimeError("x")
    resolver = make()
    with pytest.raises(RuntimeError):
        await resolver.resolve(host(), "acct")
    names.answers.clear()
    assert await resolver.resolve(host(), "acct") == ADDRESS


async def test_a_caller_that_leaves_ends_nobody_elses_look_up(make: Any, names: Names) -> None:
    names.slow.add("a.example")
    resolver = make()
    first = asyncio.create_task(resolver.resolve(host(), "acct"))
    second = asyncio.create_task(resolver.resolve(host(), "acct"))
    await until(lambda: names.asked)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    names.go.set()
    assert await second == ADDRESS
    assert names.asked == ["a.example"] and resolver.peek(host()) == ADDRESS


async def test_closing_ends_what_is_under_way(make: Any, names: Names) -> None:
    names.slow.add("a.example")
    resolver = make()
    asking = asyncio.create_task(resolver.resolve(host(), "acct"))
    await until(lambda: names.asked)
    resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert names.busy == 0


# --- places ---------------------------------------------------------------------------------------


async def test_one_account_holds_no_more_than_its_places(make: Any, names: Names) -> None:
    """Asked for in one tick, as a page with many hosts does."""
    wanted = [f"n{i}.example" for i in range(20)]
    names.slow.update(wanted)
    resolver = make(per_account=3, timeout=10.0)
    asking = [asyncio.create_task(resolver.resolve(host(name), "acct")) for name in wanted]
    await until(lambda: len(names.asked) == 3)
    await asyncio.sleep(0.05)
    assert len(names.asked) == 3
    names.go.set()
    assert await asyncio.gather(*asking) == [ADDRESS] * 20
    assert names.most == 3 and sorted(names.asked) == sorted(wanted)


async def test_a_slow_look_up_takes_no_place_of_others(make: Any, names: Names) -> None:
    """24 slow names of one account delayed another's request by 14.7 s on a shared pool."""
    names.slow.update(f"slow{i}.example" for i in range(24))
    resolver = make(per_account=4, timeout=0.2)
    slow = [asyncio.create_task(resolver.resolve(host(f"slow{i}.example"), "greedy"))
            for i in range(24)]
    await until(lambda: len(names.asked) == 4)
    started = time.monotonic()
    assert await resolver.resolve(host("quick.example"), "modest") == ADDRESS
    assert time.monotonic() - started < 0.15
    assert await resolver.resolve(host("one-more.example"), "greedy") == NoSuchHost(
        "Too many names are being looked up for this account; "
        "one-more.example had to wait too long.")
    names.go.set()
    await asyncio.gather(*slow)
    await until(lambda: not resolver._busy)  # nothing kept for accounts that look up nothing
    assert await resolver.resolve(host("after.example"), "greedy") == ADDRESS


# --- what is counted ------------------------------------------------------------------------------


async def test_every_answer_is_counted_by_its_outcome(make: Any, names: Names) -> None:
    counted: Counter[Outcome] = Counter()
    resolver = make(count=lambda outcome: counted.update([outcome]))
    names.answers["gone.example"] = GONE
    for _ in range(3):
        await resolver.resolve(host(), "acct")
        await resolver.resolve(host("gone.example"), "acct")
    resolver.peek(host())
    resolver.peek(host("never.example"))
    await resolver.resolve(host("192.0.2.1"), "acct")
    assert counted == {Outcome.ANSWERED: 1, Outcome.NO_SUCH_NAME: 1, Outcome.CACHED: 5}
