"""The store on a server keeps the contract of stores, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from server import Server
from storetest import StoreContract
from valkey_setting import (
    ServerClock,
    connected,
    edge_of,
    namespace,
    needs_server,
    on_a_clock_of_the_test,
    settle,
    shared_server,
)

from outbounds.core.limits import Exceeded
from outbounds.stores import Charges

__all__ = ["shared_server"]


@needs_server
class TestValkeyStore(StoreContract):
    SLACK: ClassVar[float] = 3e-6  # the server's clock has whole µs
    server: Server

    @pytest.fixture(autouse=True)
    def _server(self, shared_server: Server) -> None:
        type(self).server = shared_server

    def make_clock(self, now: float = 1000.0, wall: float = 1.8e9) -> Any:
        return ServerClock(self.server, now, wall)

    @asynccontextmanager
    async def opened(self, clock: Any, max_keys: int = 0) -> AsyncIterator[Any]:
        async with connected(self.server.url, namespace(),
                             function=on_a_clock_of_the_test()) as store:
            yield store

    def about_live(self, seconds: float) -> Any:
        """What is ahead is told by this machine's clock, set by the server's last answer: the
        time that has really passed since is gone from it, however still the test's clock is."""
        return pytest.approx(seconds - 10.0, abs=10.0)

    async def settle(self, store: Any) -> None:
        await settle(store)

    async def debit(self, store: Any, charges: Charges) -> Exceeded | None:
        store.debit(charges)
        await settle(store)
        return edge_of(store, charges)
