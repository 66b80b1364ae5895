"""The store on a server that is killed, hangs, is slow or cut off: what is decided meanwhile, what
that may cost, and the way back. Each is done to a real server, or to the way to it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from server import Relay, Server
from store_scenario import ask, hosts, octets, per_second, quota, tunnels, visit
from valkey_setting import connected, decide, namespace, needs_server, settle

from outbounds.core.limits import Away, Exceeded, Limit, Taken
from outbounds.settings.calendar import Calendar, Every
from outbounds.settings.service import Store
from outbounds.stores.valkey import ValkeyStore
from outbounds.stores.valkey.local_share import share_of, shared
from wire.harness import wait_until

pytestmark = needs_server

DAY = Calendar(Every.DAY)
SIX = per_second("six", 6, 6, window=36_000.0)
# s. A test that sees more than this has seen something hang
HANGS = 5.0
# of a store whose server is to be found missing: the time that a decision waits, three times
SHORT = 0.1


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server().start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    relay = Relay(server.port)
    try:
        yield relay
    finally:
        relay.close()


@pytest.fixture
async def store(relay: Relay) -> AsyncIterator[ValkeyStore]:
    async with connected(relay.url, namespace(), within=SHORT) as store:
        yield store


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    await asyncio.to_thread(wait_until, condition, seconds)


async def gone(store: ValkeyStore) -> None:
    """Ask until the breaker has opened; each answer comes in time."""
    while not store.away:
        async with asyncio.timeout(HANGS):
            await decide(store, ask(per_second("other", 1000, 1000)))


async def admitted(store: ValkeyStore, charges: Any, tries: int) -> int:
    return sum([isinstance(await decide(store, charges), Taken) for _ in range(tries)])


# --- going, and coming back -----------------------------------------------------------------------


def kill(server: Server, relay: Relay) -> None:
    server.kill()


def hang(server: Server, relay: Relay) -> None:
    server.send(signal.SIGSTOP)


def slow(server: Server, relay: Relay) -> None:
    relay.delay = 4 * SHORT


def cut(server: Server, relay: Relay) -> None:
    relay.refuse = True
    relay.cut()


def deaf(server: Server, relay: Relay) -> None:
    relay.deaf = True


def mend(server: Server, relay: Relay) -> None:
    relay.delay, relay.refuse, relay.deaf = 0.0, False, False
    if server.process is None:
        server.start()
    server.send(signal.SIGCONT)


@pytest.mark.parametrize("fault", [kill, hang, slow, cut, deaf])
async def test_it_goes_and_comes_back_with_one_line_each(
        server: Server, relay: Relay, caplog: pytest.LogCaptureFixture,
        fault: Callable[[Server, Relay], None]) -> None:
    changes: list[bool] = []
    outcomes: Counter[str] = Counter()
    async with connected(relay.url, namespace(), within=SHORT, on_away=changes.append,
                         count=lambda outcome: outcomes.update([outcome])) as store:
        with caplog.at_level(logging.WARNING):
            for turn in range(2):
                fault(server, relay)
                await gone(store)
                outcomes.clear()
                for _ in range(100):
                    assert store.take_now(ask(SIX, key=f"k{turn}")) is not None  # at once
                assert outcomes == {"away": 100}
                mend(server, relay)
                await until(lambda: not store.away)
                outcomes.clear()
                assert isinstance(await decide(store, ask(SIX, key=f"new{turn}")), Taken)
                assert outcomes == {"server": 1}
    assert changes == [False, True, False, True, False]
    said = [each.getMessage() for each in caplog.records]
    assert ["is away:" in each for each in said] == [True, False, True, False], said
    assert all("is back after" in each for each in said[1::2])


async def test_nobody_waits_longer_than_the_time_out_for_a_server_that_hangs(
        server: Server, store: ValkeyStore) -> None:
    server.send(signal.SIGSTOP)
    try:
        async with asyncio.timeout(HANGS):
            outcomes = await asyncio.gather(*(decide(store, ask(SIX)) for _ in range(50)))
        assert sum(isinstance(each, Taken) for each in outcomes) == 6
    finally:
        server.send(signal.SIGCONT)


async def test_a_pause_of_the_event_loop_is_no_outage(relay: Relay) -> None:
    """The reply lies there when the loop goes on, and so does the deadline."""
    outcomes: Counter[str] = Counter()
    async with connected(relay.url, namespace(), within=SHORT,
                         count=lambda outcome: outcomes.update([outcome])) as store:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            waiting = [asyncio.ensure_future(decide(store, ask(SIX))) for _ in range(10)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # sent by now
            until_then = loop.time() + 3 * SHORT
            while loop.time() < until_then:
                pass
            await asyncio.gather(*waiting)
        assert outcomes == {"server": 50} and not store.away


async def test_a_start_without_a_server(server: Server) -> None:
    server.kill()
    store = ValkeyStore(Store(url=server.url, timeout=f"{SHORT}s"), "a")
    try:
        async with asyncio.timeout(HANGS):
            await store.start()
        assert store.away
        assert await admitted(store, ask(SIX), 10) == 6
        server.start()
        await until(lambda: not store.away)
    finally:
        await store.aclose()


async def test_one_that_hangs_does_not_hold_up_the_end(server: Server) -> None:
    async with connected(server.url, namespace(), within=SHORT) as store:
        server.send(signal.SIGSTOP)
        async with asyncio.timeout(HANGS):
            await store.aclose()
        await store.aclose()
        server.send(signal.SIGCONT)


async def test_nobody_asks_and_it_is_found_missing_all_the_same(
        server: Server, store: ValkeyStore) -> None:
    """A long transfer debits and waits for nothing: what it uses must be counted somewhere."""
    server.send(signal.SIGSTOP)
    try:
        for _ in range(400):
            store.debit(ask(octets("down", 10, 10)))
            if store.away:
                break
            await asyncio.sleep(0.01)
        assert store.away
        store.debit(ask(octets("down", 10, 10), cost=100))
        assert isinstance(store.debit(ask(octets("down", 10, 10))), Exceeded)
    finally:
        server.send(signal.SIGCONT)


# --- what holds meanwhile -------------------------------------------------------------------------


async def test_each_limit_by_its_when_away(server: Server, store: ValkeyStore) -> None:
    server.kill()
    await gone(store)
    opened, closed = replace(SIX, id="o", away=Away.OPEN), replace(SIX, id="c", away=Away.CLOSED)
    assert await admitted(store, ask(opened), 50) == 50
    assert await admitted(store, ask(SIX), 50) == 6
    outcome = await decide(store, ask(SIX, closed, key="new"))
    assert isinstance(outcome, Exceeded)
    assert (outcome.limit, outcome.unavailable, outcome.retry_after) == (closed, True, 1.0)
    assert await admitted(store, ask(SIX, key="new"), 50) == 6  # nothing of it was charged
    assert store.debit(ask(opened)) is None
    over = store.debit(ask(closed))
    assert over is not None and over.unavailable


@pytest.mark.parametrize(("limit", "counts"), [
    (per_second("x", 60, 60, window=36_000.0), 30), (quota(60, DAY), 30), (tunnels(60), 30),
    (hosts(60, 36_000.0), 30),
    # no share is nothing: this is where the bound is one of each process
    (per_second("x", 1, 1, window=36_000.0), 1), (quota(1, DAY), 1), (tunnels(1), 1)])
async def test_each_process_enforces_its_share(server: Server, limit: Limit, counts: int) -> None:
    name = namespace()
    async with connected(server.url, name, within=SHORT), \
            connected(server.url, name, within=SHORT) as two:
        server.kill()
        await gone(two)
        found = 0
        for i in range(100):
            charges = visit(limit, f"h{i}") if limit.id == "hosts" else ask(limit)
            found += isinstance(await decide(two, charges), Taken)
        assert found == counts
        assert isinstance(over := await decide(two, visit(limit, "another")), Exceeded)
        assert over.limit == limit  # the customer is told of the limit, not of our share


@pytest.mark.parametrize("among", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 60, 1001])
def test_the_bound_on_what_all_shares_let_through(count: int, among: int) -> None:
    """max(b, n) at once, and at a rate never more than the limit's own."""
    share = share_of(per_second("x", count, count), among, 1)
    assert share.burst * among <= max(count, among)
    assert among / share.interval == pytest.approx(count)
    for limit in (quota(count, DAY), tunnels(count)):
        assert share_of(limit, among, 1).count * among <= max(count, among)


def test_what_one_request_needs_fits_into_a_share() -> None:
    charge, = ask(octets("down", 1000, 100_000), cost=0, need=65_536)
    assert shared(charge, 10).need == shared(charge, 10).limit.burst == 10_000
    assert shared(ask(SIX, cost=5)[0], 6).limit.burst == 5
    gate = Limit("pause", SIX.unit, SIX.per, 1, 1.0, 0)
    assert shared(ask(gate, cost=0)[0], 6).limit.burst == 0


async def test_an_outage_costs_no_more_than_its_bound(server: Server) -> None:
    """Two processes, a limit of b at once and next to nothing per second: b before, max(b, n)
    while it is away, b when it is back with nothing in its memory."""
    name, b, n = namespace(), 10, 2
    limit = per_second("x", b, b, window=360_000.0)
    async with connected(server.url, name, within=SHORT) as one, \
            connected(server.url, name, within=SHORT) as other:
        both = (one, other)
        assert sum([await admitted(each, ask(limit), 20) for each in both]) == b
        server.kill()
        for each in both:
            await gone(each)
        assert sum([await admitted(each, ask(limit), 20) for each in both]) <= max(b, n)
        server.start()
        await until(lambda: not any(each.away for each in both))
        assert sum([await admitted(each, ask(limit), 20) for each in both]) <= b


async def test_a_server_that_hung_forgives_nothing(server: Server, store: ValkeyStore) -> None:
    assert await admitted(store, ask(SIX), 10) == 6
    server.send(signal.SIGSTOP)
    await gone(store)
    server.send(signal.SIGCONT)
    await until(lambda: not store.away)
    assert await admitted(store, ask(SIX), 10) == 0


async def test_what_a_quota_was_charged_here_is_told_to_the_server(
        server: Server, store: ValkeyStore) -> None:
    limit = quota(10, DAY)
    assert await admitted(store, ask(limit), 3) == 3
    for _ in range(3):  # however many outages: what is counted here stays counted, too
        server.send(signal.SIGSTOP)
        await gone(store)
        assert await admitted(store, ask(limit), 2) == 2
        server.send(signal.SIGCONT)
        await until(lambda: not store.away)
        await settle(store)
    assert [each.used for each in await store.live("a")] == [9]
    assert await admitted(store, ask(limit), 5) == 1


async def test_a_pause_that_a_target_asked_for_meanwhile_is_told_to_the_server(
        server: Server, store: ValkeyStore) -> None:
    gate = ask(Limit("pause", SIX.unit, SIX.per, 1, 1.0, 0), cost=0)
    server.send(signal.SIGSTOP)
    await gone(store)
    store.hold_off(gate[0], 100.0)
    assert isinstance(await decide(store, gate), Exceeded)
    server.send(signal.SIGCONT)
    await until(lambda: not store.away)
    over = await decide(store, gate)
    assert isinstance(over, Exceeded) and 60.0 < (over.retry_after or 0.0) <= 100.0
    assert await store.live("a") != ()


async def test_what_was_given_back_here_is_not_told(server: Server, store: ValkeyStore) -> None:
    limit = quota(10, DAY)
    server.send(signal.SIGSTOP)
    await gone(store)
    assert await admitted(store, ask(limit), 4) == 4
    store.give_back(ask(limit))
    server.send(signal.SIGCONT)
    await until(lambda: not store.away)
    await settle(store)
    assert [each.used for each in await store.live("a")] == [3]


async def test_what_was_sent_before_an_outage_and_is_read_after_it_is_void(
        server: Server, store: ValkeyStore) -> None:
    """The server finds it in its buffers when it goes on; each of them was decided long since."""
    limit = per_second("x", 100, 100, window=360_000.0)
    assert await admitted(store, ask(limit), 10) == 10
    for _ in range(3):
        server.send(signal.SIGSTOP)
        await asyncio.gather(*(decide(store, ask(limit)) for _ in range(10)))
        await gone(store)
        server.send(signal.SIGCONT)
        await until(lambda: not store.away)
    found = 10 + await admitted(store, ask(limit), 200)
    # those of the moment in which it fell silent may have been counted, and no others
    assert 70 <= found <= 100


# --- what is held ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [kill, hang, cut, deaf])
async def test_what_is_held_outlives_an_outage(
        server: Server, relay: Relay, fault: Callable[[Server, Relay], None]) -> None:
    """Taken before and during, ended during and after: never counted twice, never forgotten."""
    name, limit = namespace(), ask(tunnels(9))
    async with connected(relay.url, name, within=SHORT) as store, \
            connected(server.url, name, within=SHORT) as witness:
        assert await admitted(store, limit, 4) == 4
        fault(server, relay)
        await gone(store)
        store.release(limit)
        assert isinstance(await decide(store, limit), Taken)
        store.release(limit)
        store.release(limit)
        assert len(store) > 0
        mend(server, relay)
        await until(lambda: not store.away and not witness.away)
        await settle(store)
        assert [each.used for each in await witness.live("a")] == [2]
        assert await admitted(witness, limit, 20) == 7
        store.release(limit)
        store.release(limit)
        store.release(limit)  # more than there are
        await settle(store)
        assert [each.used for each in await witness.live("a")] == [7]


async def test_what_is_held_counts_here_too(server: Server, store: ValkeyStore) -> None:
    limit = ask(tunnels(5))
    assert await admitted(store, limit, 4) == 4
    server.kill()
    await gone(store)
    assert await admitted(store, limit, 5) == 1


async def test_a_late_answer_holds_nothing(relay: Relay) -> None:
    """It was decided here, and counted as held by that; the server's own count is taken back."""
    limit = ask(tunnels(9), SIX)
    outcomes: Counter[str] = Counter()
    async with connected(relay.url, namespace(), within=SHORT,
                         count=lambda outcome: outcomes.update([outcome])) as store:
        relay.delay = 2 * SHORT  # one is late, and that opens no breaker
        assert isinstance(await decide(store, limit), Taken)
        relay.delay = 0.0
        await until(lambda: not store._session._link or not store._session._link.waiting)
        await settle(store)
        assert outcomes == {"late": 1} and not store.away
        assert {each.limit_id: each.used for each in await store.live("a")
                if each.used} == {"tunnels": 1}
        store.release(limit)
        await settle(store)
        assert not [each for each in await store.live("a") if each.used]
