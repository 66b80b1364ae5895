from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from outbounds.lists.feeds import Fetcher
from outbounds.lists.feeds.fetch import Timeouts
from outbounds.lists.feeds.state import FeedFolder

from .publisher import Names, Publisher, Recorded


@pytest_asyncio.fixture
async def publisher() -> AsyncIterator[Publisher]:
    served = Publisher()
    server = web.Server(served.serve)

    def protocol() -> asyncio.BaseProtocol:
        served.connections += 1
        return server()

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    yield served
    listener.close()
    await server.shutdown(0.1)


@pytest.fixture
def recorder(publisher: Publisher) -> Recorded:
    return Recorded(publisher)


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def fetcher(names: Names, recorder: Recorded) -> Fetcher:
    return Fetcher(names, recorder, user_agent="Outbounds/1.0 (+https://proxy.example/contact)",
                   timeouts=Timeouts(connect=2.0, silence=0.5, total=3.0))


@pytest.fixture
def folder(tmp_path: Path) -> FeedFolder:
    return FeedFolder(tmp_path / "feed")
