"""Under the target's limits, a few at a time for each site, from the customers' own address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from outbounds.robotstxt import Egress, Fetched, Fetcher, NotAsked, Unreachable

from .conftest import AGENT
from .site import Handler, Recorded, Resolver, Site

RULES = "user-agent: *\ndisallow: /x\n"


@dataclass
class Limits:
    """Lets everything through that is not `refused`, and remembers what became of it."""

    refused: str = ""
    faulty: bool = False
    events: list[tuple[object, ...]] = field(default_factory=list)
    latencies: list[float | None] = field(default_factory=list)

    async def __call__(self, url: URL, account_id: str, client: str, addresses: Sequence[str]
                       ) -> Limits:
        if self.faulty:
            raise RuntimeError("a fault")
        if url.host == self.refused:
            raise NotAsked(f"{url.host} was not asked: a limit.", 7)
        self.events.append(("admitted", url.host, account_id, client, tuple(addresses)))
        return self

    def unsent(self) -> None:
        self.events.append(("unsent",))

    def finished(self, *, status: int, retry_after: str | None, latency: float | None,
                 failed: bool) -> None:
        self.events.append(("finished", status, retry_after, failed))
        self.latencies.append(latency)


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def fetcher(resolver: Resolver, recorder: Recorded, limits: Limits) -> Fetcher:
    return Fetcher(resolver, recorder, user_agent=AGENT, deadline=2.0, admit=limits,
                   at_once_per_site=2)


async def fetch(fetcher: Fetcher, site: Site, host: str = "foo.test") -> Fetched:
    return await fetcher.fetch(site.origin(host), "acme", "192.0.2.1")


async def test_every_hop_is_charged_to_its_own_target(
    site: Site, fetcher: Fetcher, limits: Limits
) -> None:
    site.say("", 302, Location=f"http://bar.test:{site.port}/robots.txt")
    site.say(RULES, host="bar.test")
    await fetch(fetcher, site)
    assert limits.events == [
        ("admitted", "foo.test", "acme", "192.0.2.1", ("127.0.0.1",)),
        ("finished", 302, None, False),
        ("admitted", "bar.test", "acme", "192.0.2.1", ("127.0.0.1",)),
        ("finished", 200, None, False),
    ]
    assert all(latency is not None and 0 <= latency < 2 for latency in limits.latencies)


async def test_a_limit_that_is_reached_asks_nobody(
    site: Site, fetcher: Fetcher, limits: Limits, recorder: Recorded
) -> None:
    limits.refused = "foo.test"
    with pytest.raises(NotAsked, match="a limit") as raised:
        await fetch(fetcher, site)
    assert raised.value.retry == 7
    assert (site.connections, recorder.events, limits.events) == (0, [], [])


async def test_limits_that_cannot_be_had_ask_nobody(
    site: Site, fetcher: Fetcher, limits: Limits, recorder: Recorded
) -> None:
    limits.faulty = True
    with pytest.raises(NotAsked, match="cannot be had"):
        await fetch(fetcher, site)
    assert (site.connections, recorder.events) == (0, [])


async def test_what_cannot_be_recorded_is_given_back(
    site: Site, fetcher: Fetcher, limits: Limits, recorder: Recorded
) -> None:
    recorder.fails = True
    with pytest.raises(NotAsked, match="cannot be recorded"):
        await fetch(fetcher, site)
    assert limits.events[-1] == ("unsent",)
    assert len(limits.events) == 2


async def test_what_is_closed_while_this_waits_is_not_asked(
    site: Site, recorder: Recorded, limits: Limits
) -> None:
    async def resolve(host: str, port: int, account_id: str) -> list[str]:
        if limits.events:
            raise PermissionError("closed by the operator")
        return ["127.0.0.1"]

    fetcher = Fetcher(resolve, recorder, user_agent=AGENT, admit=limits)
    with pytest.raises(Unreachable, match="was not asked"):
        await fetch(fetcher, site)
    assert limits.events[-1] == ("unsent",)
    assert (site.connections, recorder.events) == (0, [])


@pytest.mark.parametrize(("status", "fields"), [
    (200, {}), (404, {}), (429, {"Retry_After": "9"}),
    (503, {"Retry_After": "Sat, 01 Aug 2026 10:00:00 GMT"}), (500, {}),
])
async def test_how_the_target_answered_is_told(
    site: Site, fetcher: Fetcher, limits: Limits, status: int, fields: dict[str, str]
) -> None:
    site.say(RULES, status, **fields)
    if status < 429:
        await fetch(fetcher, site)
    else:
        with pytest.raises(Unreachable):
            await fetch(fetcher, site)
    assert limits.events[-1] == ("finished", status, fields.get("Retry_After"), False)


async def test_a_target_that_cannot_be_reached_has_failed(
    site: Site, fetcher: Fetcher, limits: Limits
) -> None:
    with pytest.raises(Unreachable):
        await fetch(fetcher, site, "elsewhere.test")
    assert limits.events[-1] == ("finished", 0, None, True)
    assert limits.latencies == [None]


async def test_a_target_that_does_not_answer_has_failed(
    site: Site, resolver: Resolver, recorder: Recorded, limits: Limits
) -> None:
    gate = asyncio.Event()
    site.on(waiting(gate))
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, deadline=0.3, admit=limits)
    with pytest.raises(Unreachable, match="did not arrive"):
        await fetch(fetcher, site)
    assert limits.events[-1] == ("finished", 0, None, True)
    gate.set()


async def test_one_whom_we_do_not_believe_has_not(
    site: Site, resolver: Resolver, recorder: Recorded, limits: Limits
) -> None:
    """What it said was no TLS, but it said something."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, deadline=2.0, admit=limits,
                      egress=Egress(context))
    with pytest.raises(Unreachable):
        await fetcher.fetch(("https", "foo.test", site.port), "acme", "c")
    assert limits.events[-1] == ("finished", 0, None, False)


def waiting(gate: asyncio.Event) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text=RULES)

    return handler


async def arrivals(site: Site, count: int) -> None:
    for _ in range(400):
        if len(site.arrived) >= count:
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"not {count} requests within 2 s")


async def test_one_site_is_asked_a_few_files_at_a_time(
    site: Site, fetcher: Fetcher, limits: Limits
) -> None:
    """Subdomains of one registrable domain are one site; others go ahead meanwhile."""
    gate = asyncio.Event()
    hosts = [f"{name}.shop.test" for name in "abcde"]
    for host in hosts:
        site.on(waiting(gate), host)
    site.say(RULES, host="other.test")
    fetching = [asyncio.create_task(fetch(fetcher, site, host)) for host in hosts]
    await arrivals(site, 2)
    await fetch(fetcher, site, "other.test")
    assert [request.host.partition(":")[0] for request in site.arrived] == \
        ["a.shop.test", "b.shop.test", "other.test"]
    gate.set()
    assert {fetched.status for fetched in await asyncio.gather(*fetching)} == {200}
    assert len(site.arrived) == 6
    assert not len(fetcher._places), "nothing is kept of a site that nobody asks"


async def test_who_waits_in_line_is_bounded_by_the_deadline_too(
    site: Site, resolver: Resolver, recorder: Recorded
) -> None:
    gate = asyncio.Event()
    for host in ("a.shop.test", "b.shop.test"):
        site.on(waiting(gate), host)
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, deadline=0.3, at_once_per_site=1)
    both = await asyncio.gather(fetch(fetcher, site, "a.shop.test"),
                                fetch(fetcher, site, "b.shop.test"), return_exceptions=True)
    assert [type(failure) for failure in both] == [Unreachable, Unreachable]
    assert len(site.arrived) == 1
    assert not len(fetcher._places)
    gate.set()


# --- the way out --------------------------------------------------------------------------------


async def test_leaves_from_the_address_that_customers_leave_from(
    site: Site, resolver: Resolver, recorder: Recorded
) -> None:
    site.say(RULES)
    for address in ("127.0.0.2", "127.0.0.3"):
        fetcher = Fetcher(resolver, recorder, user_agent=AGENT, egress=Egress(address=address))
        await fetch(fetcher, site)
        assert site.arrived[-1].remote == address


async def test_an_address_that_is_not_ours_leaves_by_no_other(
    site: Site, resolver: Resolver, recorder: Recorded
) -> None:
    site.say(RULES)
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, egress=Egress(address="192.0.2.1"))
    with pytest.raises(Unreachable):
        await fetch(fetcher, site)
    assert site.connections == 0


@pytest_asyncio.fixture
async def sixth() -> AsyncIterator[Site]:
    """The same on ::1."""
    served = Site()
    runner = web.ServerRunner(web.Server(served.serve))
    await runner.setup()
    try:
        await web.TCPSite(runner, "::1", 0).start()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    served.port = runner.addresses[0][1]
    yield served
    await runner.cleanup()


async def test_an_ipv6_literal(sixth: Site, recorder: Recorded) -> None:
    async def resolve(host: str, port: int, account_id: str) -> list[str]:
        assert host == "::1"
        return ["::1"]

    sixth.say(RULES, host="[::1]")
    fetcher = Fetcher(resolve, recorder, user_agent=AGENT)
    assert (await fetch(fetcher, sixth, "::1")).body == RULES.encode()
    assert sixth.arrived[0].headers["Host"] == f"[::1]:{sixth.port}"
    assert recorder.events[0][1] == f"http://[::1]:{sixth.port}/robots.txt"


async def test_an_ipv6_site_is_not_reached_from_an_ipv4_address(
    sixth: Site, recorder: Recorded
) -> None:
    async def resolve(host: str, port: int, account_id: str) -> list[str]:
        return ["::1"]

    sixth.say(RULES, host="[::1]")
    fetcher = Fetcher(resolve, recorder, user_agent=AGENT, egress=Egress(address="127.0.0.2"))
    with pytest.raises(Unreachable):
        await fetch(fetcher, sixth, "::1")
    assert sixth.arrived == []
