"""A server shared by the tests of one process, and stores on it; the contract's clock, on it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from server import BINARY, MISSING, Server

from outbounds.core.limits import Exceeded, Taken
from outbounds.settings.service import Store
from outbounds.stores import Charges
from outbounds.stores.keys import state_of
from outbounds.stores.valkey import ValkeyStore
from outbounds.stores.valkey.function import Function, function_of, shipped

needs_server = pytest.mark.skipif(BINARY is None, reason=MISSING)

_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    server = Server().start()
    try:
        yield server
    finally:
        server.close()


def namespace() -> str:
    """One that no other store has."""
    return f"test-{next(_numbers)}"


@asynccontextmanager
async def connected(url: str, name: str, *, instance: str = "a", within: float = 1.0,
                    function: Function | None = None, **more: Any) -> AsyncIterator[ValkeyStore]:
    """A store that has come to its server. `within` s is its time-out: long, so that a loaded
    machine is not taken for a server that is away."""
    store = ValkeyStore(Store(url=url, namespace=name, timeout=f"{within}s"), instance,
                        function=function, **more)
    try:
        await store.start()
        async with asyncio.timeout(20):
            while store.away:  # noqa: ASYNC110 - a loaded machine may fail the first proof
                await asyncio.sleep(0.01)
        yield store
    finally:
        await store.aclose()


async def settle(store: ValkeyStore) -> None:
    """Let everything arrive that was not waited for, and what that brings about."""
    session = store._session
    for _ in range(3):
        session.traffic.flush()
        await session.ask("PING")
        while session._rejoining is not None:
            await asyncio.wait((session._rejoining,))


async def decide(store: ValkeyStore, charges: Charges, report: bool = False) -> Taken | Exceeded:
    outcome = store.take_now(charges, report)
    return await store.take(charges, report) if outcome is None else outcome


def edge_of(store: ValkeyStore, charges: Charges) -> Exceeded | None:
    """What a debit would be told now, without the time that has really passed since."""
    known = [store._edges._until[state][1] for state in map(state_of, charges)
             if state in store._edges._until]
    return max(known, key=lambda each: each.retry_after or 0.0, default=None)


# --- a server's clock that a test moves -----------------------------------------------------------

CLOCK_KEY = "clock-of-the-tests"


def on_a_clock_of_the_test() -> Function:
    """The shipped function, but for where it reads the time, and that its keys stay: what has
    expired by the clock of the test must be seen to be so by what the function reads."""
    text = shipped().source.decode()
    for old, new in ((shipped().take[-12:].decode(), "@DIGEST@"),
                     ("redis.call('TIME')", f"{{0, redis.call('GET', '{CLOCK_KEY}')}}"),
                     ("math.ceil(us / 1000))", "math.ceil(us / 1000) + 1e13)")):
        assert old in text
        text = text.replace(old, new)
    return function_of(text)


class ServerClock:
    """As `store_scenario.Clock`."""

    def __init__(self, server: Server, now: float, wall: float) -> None:
        self._admin = server.admin()
        self._ahead = wall - now
        self.now = now
        self.advance(0.0)

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self._ahead

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self._admin.set(CLOCK_KEY, round(self.wall() * 1e6))
