from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from outbounds.robotstxt import Fetcher, RobotsCache

from .site import Clock, Recorded, Resolver, Site, Wall

AGENT = "OutboundsProxy/1.0 (+https://proxy.example/contact)"


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    served = Site()
    server = web.Server(served.serve)
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.BaseProtocol:
        served.connections += 1
        return server()

    listener = await loop.create_server(protocol, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    yield served
    listener.close()
    await server.shutdown(0.1)


@pytest.fixture
def recorder(site: Site) -> Recorded:
    return Recorded(site=site)


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fetcher(resolver: Resolver, recorder: Recorded) -> Fetcher:
    return Fetcher(resolver, recorder, user_agent=AGENT, deadline=2.0)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def outcomes() -> list[str]:
    """What the cache counts."""
    return []


@pytest_asyncio.fixture
async def cache(fetcher: Fetcher, clock: Clock, wall: Wall, outcomes: list[str]
                ) -> AsyncIterator[RobotsCache]:
    remembered = RobotsCache(fetcher, clock=clock, wall=wall, count=outcomes.append)
    yield remembered
    await remembered.aclose()
