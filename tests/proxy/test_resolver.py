"""The resolver: one look-up a name, remembered, and nobody's slow names in another's way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import pytest

from outbounds.core.destination import Address, parse_host
from outbounds.core.questions import NoSuchHost
from outbounds.proxy.resolver import Resolver, system_lookup

ADDRESS = (ip_address("93.184.216.34"),)


class Names:
    """Stands where the system's resolver is asked, in a thread. `slow` names wait for `go`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.slow: set[str] = set()
        self.go = threading.Event()
        self.answers: dict[str, Any] = {}
        self.busy = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, name: str) -> tuple[Address, ...]:
        with self._lock:
            self.asked.append(name)
            self.busy += 1
            self.most = max(self.most, self.busy)
        try:
            if name in self.slow:
                assert self.go.wait(10)
            answer = self.answers.get(name, ADDRESS)
            if isinstance(answer, BaseException):
                raise answer
            return tuple(answer)
        finally:
            with self._lock:
                self.busy -= 1


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def make(names: Names) -> AsyncIterator[Callable[..., Resolver]]:
    made = []

    def build(**options: Any) -> Resolver:
        made.append(Resolver(names, **options))
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


async def test_an_answer_is_remembered_for_its_time_only(make: Any, names: Names) -> None:
    resolver = make(ttl=0.1)
    assert await resolver.resolve(host(), "acct") == ADDRESS
    assert resolver.peek(host()) == ADDRESS and len(resolver) == 1
    assert await resolver.resolve(host(), "other") == ADDRESS
    assert names.asked == ["a.example"]
    await until(lambda: resolver.peek(host()) is None)
    await resolver.resolve(host(), "acct")
    assert names.asked == ["a.example"] * 2


@pytest.mark.parametrize(("fault", "detail"), [
    (OSError(-2, "Name or service not known"),
     "a.example does not resolve: Name or service not known."),
    (UnicodeError("label too long"), "a.example does not resolve: failed."),
    ((), "a.example has no addresses."),
])
async def test_a_failure_is_an_answer_remembered_for_less(
        make: Any, names: Names, fault: Any, detail: str) -> None:
    """The next request need not wait for the same failure, and a mended name is soon found."""
    names.answers["a.example"] = fault
    resolver = make(ttl=1000.0, negative_ttl=0.1)
    for _ in range(3):
        assert await resolver.resolve(host(), "acct") == NoSuchHost(detail)
    assert names.asked == ["a.example"] and resolver.peek(host()) == NoSuchHost(detail)
    names.answers.clear()
    await until(lambda: resolver.peek(host()) is None)
    assert await resolver.resolve(host(), "acct") == ADDRESS


async def test_what_nobody_foresaw_is_raised_and_not_remembered(make: Any, names: Names) -> None:
    names.answers["a.example"] = RuntimeError("x")
    resolver = make()
    with pytest.raises(RuntimeError):
        await resolver.resolve(host(), "acct")
    names.answers.clear()
    assert await resolver.resolve(host(), "acct") == ADDRESS


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


async def test_a_hung_look_up_takes_no_place_of_others(make: Any, names: Names) -> None:
    """24 slow names of one account delayed another's request by 14.7 s on the shared pool."""
    names.slow.update(f"slow{i}.example" for i in range(24))
    resolver = make(per_account=4, threads=8, timeout=0.2)
    hung = [asyncio.create_task(resolver.resolve(host(f"slow{i}.example"), "greedy"))
            for i in range(24)]
    await until(lambda: len(names.asked) == 4)
    started = time.monotonic()
    assert await resolver.resolve(host("quick.example"), "modest") == ADDRESS
    assert time.monotonic() - started < 0.15  # far below the hang, which goes on
    for outcome in await asyncio.gather(*hung):
        assert isinstance(outcome, NoSuchHost)
    # given up, but the threads still hang: the places stay taken until these are back
    assert len([name for name in names.asked if name.startswith("slow")]) == 4
    outcome = await resolver.resolve(host("one-more.example"), "greedy")
    assert outcome == NoSuchHost("Too many names are being looked up for this account; "
                                 "one-more.example had to wait too long.")
    names.go.set()
    await until(lambda: names.busy == 0)
    await until(lambda: not resolver._busy)  # nothing kept for accounts that look up nothing
    assert await resolver.resolve(host("after.example"), "greedy") == ADDRESS


async def test_a_look_up_that_takes_too_long_is_given_up(make: Any, names: Names) -> None:
    names.slow.add("a.example")
    outcome = await make(timeout=0.05).resolve(host(), "acct")
    assert outcome == NoSuchHost("Looking up a.example took longer than 0.05 s.")


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


async def test_the_cache_is_bounded(make: Any) -> None:
    resolver = make(max_names=10)
    for i in range(50):
        await resolver.resolve(host(f"n{i}.example"), "acct")
    assert len(resolver) == 10


def test_the_system_knows_this_machine() -> None:
    assert ip_address("127.0.0.1") in system_lookup("localhost") or \
        ip_address("::1") in system_lookup("localhost")
    with pytest.raises(OSError):
        system_lookup("no-such-name.invalid")
