"""One fetch over real sockets: statuses, redirects, hostile bodies, evidence, vetting."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web

from outbounds.robotstxt import Fetcher, Unreachable

from .conftest import AGENT
from .site import Recorded, Resolver, Site

RULES = "user-agent: *\ndisallow: /x\n"


async def unreachable(fetcher: Fetcher, site: Site, host: str = "foo.test") -> Unreachable:
    with pytest.raises(Unreachable) as raised:
        await fetcher.fetch(site.origin(host), "acme", "192.0.2.1:5")
    return raised.value


async def test_the_request(site: Site, fetcher: Fetcher, recorder: Recorded,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    site.say(RULES, Cache_Control="max-age=77", Set_Cookie="a=b")
    for _ in range(2):
        fetched = await fetcher.fetch(site.origin(), "acme", "192.0.2.1:5")
    assert fetched.status == 200
    assert fetched.body == RULES.encode()
    assert (fetched.media_type, fetched.lifetime) == ("text/plain", 77)
    request = site.arrived[-1]
    assert (request.method, request.path_qs) == ("GET", "/robots.txt")
    assert request.headers["User-Agent"] == AGENT
    assert request.headers["Host"] == f"foo.test:{site.port}"
    assert request.headers["Accept-Encoding"] == "gzip, br, zstd"
    assert "Cookie" not in request.headers
    assert recorder.events[0] == (
        "opened", f"http://foo.test:{site.port}/robots.txt", "acme", "192.0.2.1:5", ("127.0.0.1",))
    assert recorder.events[1] == ("closed", "record-1", 200, len(RULES), "complete")


async def test_nothing_is_sent_before_its_record_is_safe(
    site: Site, fetcher: Fetcher, recorder: Recorded
) -> None:
    site.say("", 302, Location=f"http://bar.test:{site.port}/robots.txt")
    site.say(RULES, host="bar.test")
    await fetcher.fetch(site.origin(), "acme", "c")
    assert recorder.seen_at_opening == [0, 1], "connections that existed when a record was opened"


async def test_the_connection_is_told_of_before_the_request_is_sent(
    site: Site, fetcher: Fetcher, recorder: Recorded
) -> None:
    """A complaint names our address and port: they are known while a fetch is under way."""
    at_request: list[object] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        at_request.extend([tuple(peer[:2]), list(recorder.connected_from)])
        return web.Response(text=RULES)

    site.on(handler)
    await fetcher.fetch(site.origin(), "acme", "c")
    peer, told = at_request
    assert told == [("record-1", peer, ("127.0.0.1", site.port))]


async def test_a_recorder_that_fails_sends_nothing(
    site: Site, fetcher: Fetcher, recorder: Recorded
) -> None:
    site.say(RULES)
    recorder.fails = True
    assert "cannot be recorded" in str(await unreachable(fetcher, site))
    assert site.connections == 0


@pytest.mark.parametrize("status", [200, 203, 400, 401, 403, 404, 410, 418, 499])
async def test_statuses_that_answer(site: Site, fetcher: Fetcher, status: int) -> None:
    site.say(RULES, status)
    fetched = await fetcher.fetch(site.origin(), "acme", "c")
    assert fetched.status == status
    assert bool(fetched.body) is (status < 300)


@pytest.mark.parametrize(("status", "retry"), [(429, 120), (500, 120), (503, 120), (599, 120),
                                               (304, 120), (300, 120), (600, 120)])
async def test_statuses_that_do_not(
    site: Site, fetcher: Fetcher, recorder: Recorded, status: int, retry: float
) -> None:
    site.say(RULES, status, Retry_After="120")
    failure = await unreachable(fetcher, site)
    assert str(status) in str(failure)
    assert failure.retry == retry
    assert recorder.outcomes == [(status, "unreachable")]


# --- redirects: section 2.3.1.2 -----------------------------------------------------------------


def chain(site: Site, length: int) -> None:
    """`length` redirects over as many authorities, then the rules."""
    for n in range(length):
        host = "foo.test" if n == 0 else f"hop{n}.test"
        site.say("", (301, 302, 303, 307, 308)[n % 5], host,
                 Location=f"http://hop{n + 1}.test:{site.port}/robots.txt")
    site.say(RULES, host=f"hop{length}.test")


async def test_five_redirects_are_followed(
    site: Site, fetcher: Fetcher, recorder: Recorded, resolver: Resolver
) -> None:
    chain(site, 5)
    assert (await fetcher.fetch(site.origin(), "acme", "c")).body == RULES.encode()
    assert [outcome for _, outcome in recorder.outcomes] == ["redirect"] * 5 + ["complete"]
    assert list(dict.fromkeys(host for host, _, _ in resolver.asked)) == \
        ["foo.test", *(f"hop{n}.test" for n in range(1, 6))], "every hop is vetted"


async def test_six_are_too_many(site: Site, fetcher: Fetcher) -> None:
    chain(site, 6)
    assert "more than 5 times" in str(await unreachable(fetcher, site))
    assert len(site.arrived) == 6


async def test_a_loop_ends(site: Site, fetcher: Fetcher) -> None:
    site.say("", 302, Location="/robots.txt")
    assert "more than 5 times" in str(await unreachable(fetcher, site))
    assert len(site.arrived) == 6


async def test_a_relative_redirect_and_user_info(site: Site, fetcher: Fetcher) -> None:
    site.say("", 302, Location=f"//user:secret@foo.test:{site.port}/r?x#y")
    site.say(RULES, path="/r")
    await fetcher.fetch(site.origin(), "acme", "c")
    assert site.arrived[-1].path_qs == "/r?x"
    assert "Authorization" not in site.arrived[-1].headers


@pytest.mark.parametrize("location", [
    "", "ftp://foo.test/", "javascript:alert(1)", "file:///etc/passwd", "http://foo.test:99999/",
    "http://[::1", "data:text/plain,x",
])
async def test_a_redirect_to_nowhere(
    site: Site, fetcher: Fetcher, recorder: Recorded, location: str
) -> None:
    site.say("", 302, Location=location)
    assert "redirects to no http" in str(await unreachable(fetcher, site))
    assert recorder.outcomes == [(302, "error")]


@pytest.mark.parametrize("host", [
    "bad.test", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433",
    "127.1", "[::%31]", "0x7f.1", "0177.0.0.1",
])
async def test_every_hop_is_vetted_ip_literals_too(
    site: Site, fetcher: Fetcher, recorder: Recorded, host: str
) -> None:
    site.say("", 302, Location=f"http://{host}:{site.port}/robots.txt")
    failure = await unreachable(fetcher, site)
    assert site.connections == 1
    assert len(recorder.events) == 2, "the refused hop was not opened"
    assert str(failure)


async def test_what_the_resolver_says_to_the_customer_is_kept(
    site: Site, recorder: Recorded
) -> None:
    async def resolve(host: str, port: int, account_id: str) -> list[str]:
        raise Unreachable("No such name.", 77)

    failure = await unreachable(Fetcher(resolve, recorder, user_agent=AGENT), site)
    assert (str(failure), failure.retry) == ("No such name.", 77)


async def test_an_ip_literal_is_vetted(site: Site, fetcher: Fetcher, resolver: Resolver) -> None:
    site.say(RULES, host="127.0.0.1")
    assert (await fetcher.fetch(site.origin("127.0.0.1"), "acme", "c")).status == 200
    assert set(resolver.asked) == {("127.0.0.1", site.port, "acme")}


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "127.1", "::1"])
async def test_a_literal_is_dialled_only_as_it_was_vetted(
    site: Site, recorder: Recorded, host: str
) -> None:
    async def resolve(host: str, port: int, account_id: str) -> list[str]:
        return ["192.0.2.7"]

    fetcher = Fetcher(resolve, recorder, user_agent=AGENT, deadline=2.0)
    await unreachable(fetcher, site, host)
    assert site.connections == 0
    assert recorder.events == []


async def test_only_vetted_addresses_are_dialled(
    site: Site, fetcher: Fetcher, recorder: Recorded
) -> None:
    await unreachable(fetcher, site, "elsewhere.test")  # 127.0.0.9, where nobody listens
    assert site.connections == 0
    assert recorder.outcomes == [(0, "error")]


# --- bodies and time ----------------------------------------------------------------------------


async def test_a_huge_file_is_not_read_to_its_end(
    site: Site, fetcher: Fetcher, recorder: Recorded
) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await reply.prepare(request)
        while True:
            await reply.write(b"disallow: /x\n" * 5000)
            sent += 65_000

    site.on(endless)
    fetched = await fetcher.fetch(site.origin(), "acme", "c")
    assert 500 * 1024 - 13 < len(fetched.body) <= 500 * 1024
    await asyncio.sleep(0.05)
    assert sent < 30_000_000
    assert recorder.outcomes == [(200, "complete")]


async def test_a_bomb(site: Site, fetcher: Fetcher, recorder: Recorded) -> None:
    site.say(gzip.compress(b"#\n" * (32 << 20), 9), Content_Encoding="gzip")
    assert len((await fetcher.fetch(site.origin(), "acme", "c")).body) == 500 * 1024


async def test_compressed_rules(site: Site, fetcher: Fetcher) -> None:
    site.say(gzip.compress(RULES.encode()), Content_Encoding="gzip")
    assert (await fetcher.fetch(site.origin(), "acme", "c")).body == RULES.encode()


async def test_a_coding_that_was_not_asked_for(site: Site, fetcher: Fetcher) -> None:
    site.say(b"\x0b\x02\x80", Content_Encoding="compress")
    assert "'compress' was not asked for" in str(await unreachable(fetcher, site))


@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nuser-agent: *\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nuser-\r\n",
    b"SSH-2.0-OpenSSH\r\n", b"",
])
async def test_a_reply_cut_short_is_no_short_file(
    site: Site, fetcher: Fetcher, recorder: Recorded, reply: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unreachable, match="the connection failed"):
        await fetcher.fetch(("http", "foo.test", port), "acme", "c")
    assert recorder.outcomes[0][1] == "error"
    server.close()


async def test_a_hung_server_is_given_up(
    site: Site, resolver: Resolver, recorder: Recorded
) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    site.on(hang)
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, deadline=0.1)
    assert "within 0.1 s" in str(await unreachable(fetcher, site))
    assert recorder.outcomes == [(0, "cancelled")]


async def test_a_slow_drip_is_given_up(site: Site, resolver: Resolver, recorder: Recorded) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        for _ in range(100):
            await reply.write(b"#")
            await asyncio.sleep(0.02)
        return reply

    site.on(drip)
    fetcher = Fetcher(resolver, recorder, user_agent=AGENT, deadline=0.15)
    assert "within 0.15 s" in str(await unreachable(fetcher, site))
    assert recorder.outcomes == [(200, "cancelled")]


async def test_no_tls_without_a_valid_certificate(site: Site, fetcher: Fetcher) -> None:
    with pytest.raises(Unreachable, match="the connection failed"):
        await fetcher.fetch(("https", "foo.test", site.port), "acme", "c")
    assert site.arrived == []
