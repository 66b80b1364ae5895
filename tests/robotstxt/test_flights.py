"""Who waits for whom: one flight per origin, whoever comes and goes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from outbounds.core.questions import RobotsAnswer
from outbounds.robotstxt import Fetcher, RobotsCache

from .conftest import AGENT
from .site import Handler, Recorded, Resolver, Site

RULES = "user-agent: *\ndisallow: /x\n"


async def ask(cache: RobotsCache, site: Site, host: str = "foo.test") -> RobotsAnswer:
    return await cache.get(site.origin(host), "acme", "192.0.2.1:5")


def gated(gate: asyncio.Event, body: str = RULES) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text=body)

    return handler


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to pass within 2 s")


async def arrivals(site: Site, count: int) -> None:
    await until(lambda: len(site.arrived) >= count)


async def test_one_flight_for_all_who_ask(site: Site, cache: RobotsCache) -> None:
    gate = asyncio.Event()
    site.on(gated(gate))
    asking = [asyncio.create_task(ask(cache, site)) for _ in range(50)]
    await arrivals(site, 1)
    gate.set()
    answers = await asyncio.gather(*asking)
    assert len({id(answer) for answer in answers}) == 1
    assert len(site.arrived) == 1


async def test_a_caller_that_leaves_does_not_end_the_flight(
    site: Site, cache: RobotsCache
) -> None:
    gate = asyncio.Event()
    site.on(gated(gate))
    first = asyncio.create_task(ask(cache, site))
    second = asyncio.create_task(ask(cache, site))
    await arrivals(site, 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    assert (await second).state == "fresh"
    assert len(site.arrived) == 1


async def test_the_flight_lands_when_all_have_left(site: Site, cache: RobotsCache) -> None:
    gate = asyncio.Event()
    site.on(gated(gate))
    only = asyncio.create_task(ask(cache, site))
    await arrivals(site, 1)
    only.cancel()
    gate.set()
    await until(lambda: cache.peek(site.origin()) is not None)


async def test_closing_tells_who_waits(site: Site, cache: RobotsCache) -> None:
    site.on(gated(asyncio.Event()))
    asking = asyncio.create_task(ask(cache, site))
    await arrivals(site, 1)
    await cache.aclose()
    assert (await asking).state == "unreachable"


async def test_a_hung_site_delays_no_other_and_is_remembered(
    site: Site, resolver: Resolver, recorder: Recorded
) -> None:
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, deadline=0.3)
    cache = RobotsCache(fetcher)
    site.on(gated(asyncio.Event()))
    site.say(RULES, host="bar.test")
    hung = asyncio.create_task(ask(cache, site))
    await arrivals(site, 1)
    assert (await ask(cache, site, "bar.test")).state == "fresh"
    assert not hung.done()
    assert (await hung).state == "unreachable"
    assert cache.peek(site.origin()) is not None


@pytest.mark.parametrize(("flights", "per_account"), [(2, 9), (9, 2)])
async def test_flights_are_bounded(
    site: Site, fetcher: Fetcher, flights: int, per_account: int
) -> None:
    cache = RobotsCache(fetcher, flights=flights, flights_per_account=per_account)
    gate = asyncio.Event()
    hosts = ["a.test", "b.test", "c.test"]
    for host in hosts:
        site.on(gated(gate), host)
    asking = [asyncio.create_task(ask(cache, site, host)) for host in hosts[:2]]
    await arrivals(site, 2)
    refused = await ask(cache, site, "c.test")
    assert (refused.robots, refused.state, refused.retry_after) == (None, "unreachable", 1.0)
    assert cache.peek(site.origin("c.test")) is None, "not the site's doing, so not remembered"
    other = asyncio.create_task(cache.get(site.origin("c.test"), "other", "c"))
    await asyncio.sleep(0.05)
    assert other.done() is (flights == 2), "another account has room of its own"
    gate.set()
    await asyncio.gather(*asking, other)
    assert (await ask(cache, site, "c.test")).state == "fresh"


async def test_a_landed_flight_gives_its_place_back(site: Site, fetcher: Fetcher) -> None:
    cache = RobotsCache(fetcher, flights=1, flights_per_account=1)
    for host in ("a.test", "b.test", "c.test"):
        site.say(RULES, host=host)
        assert (await ask(cache, site, host)).state == "fresh"
        await until(lambda: not len(cache._flights))
    assert not cache._flights._of_account, "nothing is kept per account that ever asked"
