"""The proof in a site's file, over real sockets: what is taken for one, and all that is not."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from outbounds.core.site_claims import FILE_PATH
from outbounds.robotstxt import ownership
from outbounds.robotstxt.contract import Egress
from outbounds.robotstxt.ownership import MAX_REDIRECTS, MAX_SIZE, NotFound, ProofFile

from .site import Resolver, Site

TOKEN = "0123456789abcdef" * 2
HOST = "foo.test"


@dataclass
class Access:
    """The proxy's side, in memory."""

    resolver: Resolver = field(default_factory=Resolver)
    records: list[tuple[object, ...]] = field(default_factory=list)
    seen_at_opening: list[int] = field(default_factory=list)
    connected_from: list[tuple[str, tuple[str, int], tuple[str, int]]] = field(
        default_factory=list)
    site: Site | None = None
    fails: bool = False

    async def resolve(self, host: str, port: int, account_id: str) -> Sequence[str]:
        return await self.resolver(host, port, account_id)

    async def opened(self, *, url: str, account_id: str, addresses: Sequence[str]) -> str:
        if self.fails:
            raise OSError("the disk is full")
        assert self.site is not None
        self.seen_at_opening.append(self.site.connections)
        self.records.append((url, account_id, tuple(addresses)))
        return str(len(self.records))

    def connected(self, record_id: str, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        self.connected_from.append((record_id, egress, dialled))

    def closed(self, record_id: str, status: int, octets: int, failure: str) -> None:
        self.records.append((record_id, status, octets, failure))


@pytest_asyncio.fixture
async def other() -> AsyncIterator[Site]:
    """What listens where http is, in the tests that have a site where https is."""
    served = Site()
    server = web.Server(served.serve)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    yield served
    listener.close()
    await server.shutdown(0.1)


@pytest.fixture
def places(site: Site, other: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # without TLS: which of them is asked, and when, is what matters here
    monkeypatch.setattr(ownership, "PLACES", (("http", site.port), ("http", other.port)))


@pytest.fixture
def access(site: Site) -> Access:
    return Access(site=site)


@pytest.fixture
def file(access: Access, places: None) -> ProofFile:
    return ProofFile(access, user_agent="Outbounds/1", deadline=2.0)


def say(site: Site, body: str | bytes = TOKEN, status: int = 200, path: str = FILE_PATH,
        **fields: str) -> None:
    site.say(body, status, HOST, path, **fields)


async def missing(file: ProofFile, host: str = HOST) -> str:
    with pytest.raises(NotFound) as raised:
        await file.look(host, TOKEN, "acme")
    return str(raised.value)


async def test_the_request_and_its_record(site: Site, file: ProofFile, access: Access,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    say(site)
    await file.look(HOST, TOKEN, "acme")
    request, = site.arrived
    assert (request.method, request.path_qs) == ("GET", FILE_PATH)
    assert request.headers["User-Agent"] == "Outbounds/1"
    assert request.headers["Accept-Encoding"] == "identity"
    assert TOKEN not in str(request.headers)
    assert access.resolver.asked == [(HOST, site.port, "acme")]
    assert access.records == [
        (f"http://{HOST}:{site.port}{FILE_PATH}", "acme", ("127.0.0.1",)), ("1", 200, 32, "")]
    assert access.seen_at_opening == [0]


@pytest.mark.parametrize("body", [
    TOKEN, TOKEN + "\n", f"# ours\r\n{TOKEN}\r\n", f"\ufeff{TOKEN}", f"  {TOKEN}  ",
    f"{'f' * 32}\n{TOKEN}", f"{TOKEN}\n".ljust(MAX_SIZE)],
    ids=["bare", "line", "CRLF", "BOM", "white space", "two accounts", "as long as may be"])
async def test_what_proves(site: Site, file: ProofFile, body: str) -> None:
    say(site, body)
    await file.look(HOST, TOKEN, "acme")


@pytest.mark.parametrize("body", [
    "", "f" * 32, f"token: {TOKEN}", TOKEN[:-1], TOKEN.upper(), f"{TOKEN}0", "\xff\xfe\x00"],
    ids=["empty", "another", "within a line", "cut", "upper case", "longer", "binary"])
async def test_what_does_not_prove(site: Site, other: Site, file: ProofFile, body: str) -> None:
    say(site, body)
    say(other)
    assert "does not hold the token on a line of its own" in await missing(file)
    assert other.arrived == []  # where https answers, http is not asked


@pytest.mark.parametrize("status", [201, 204, 206, 304, 401, 403, 404, 410, 429, 500, 503])
async def test_other_statuses_prove_nothing(site: Site, other: Site, file: ProofFile,
                                            status: int) -> None:
    say(site, b"" if status in (204, 304) else TOKEN, status)
    say(other)
    assert f"was answered with status {status}" in await missing(file)
    assert other.arrived == []


async def test_a_page_is_no_file(site: Site, file: ProofFile, access: Access) -> None:
    for kind in ("text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml"):
        say(site, TOKEN, Content_Type=kind)
        assert "is a page of HTML" in await missing(file)
    say(site, f"  <html><pre>\n{TOKEN}\n</pre>")
    assert "is a page of HTML" in await missing(file)
    assert [record[3] for record in access.records if len(record) == 4] == [
        f"http://{HOST}:{site.port}{FILE_PATH} is a page of HTML."] * 4


async def test_too_much_is_not_read(site: Site, file: ProofFile, access: Access) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await reply.prepare(request)
        await reply.write(f"{TOKEN}\n".encode())
        while sent < 5_000_000:
            await reply.write(b"x" * 65536)
            sent += 65536
        return reply

    site.on(endless, HOST, FILE_PATH)
    assert f"has more than {MAX_SIZE} octets" in await missing(file)
    assert sent < 5_000_000


async def test_what_nobody_asked_to_be_compressed(site: Site, file: ProofFile) -> None:
    say(site, gzip.compress(TOKEN.encode()), Content_Encoding="gzip")
    assert "was sent compressed" in await missing(file)


# --- redirects ----------------------------------------------------------------------------------


async def test_a_redirect_within_the_host(site: Site, other: Site, file: ProofFile,
                                          access: Access) -> None:
    """Each hop is vetted and on record."""
    say(site, "", 301, Location="/elsewhere")
    say(site, "", 307, path="/elsewhere", Location=f"http://{HOST}:{other.port}/third")
    say(other, path="/third")
    await file.look(HOST, TOKEN, "acme")
    assert [record[1:] for record in access.records if len(record) == 4] == [
        (301, 0, ""), (307, 0, ""), (200, 32, "")]
    assert len(access.resolver.asked) == 3
    assert access.seen_at_opening == [0, 1, 2]


@pytest.mark.parametrize("location", [
    "http://bar.test:{port}/", "//bar.test:{port}/", "http://{host}.bar.test:{port}/",
    "http://www.{host}:{port}/", "http://{host}:9/", "https://{host}:{port}/", "http://127.0.0.1/",
    "ftp://{host}/", "data:text/plain,{token}", "", "http://[", "http://bar.test:{port}@/"])
async def test_a_redirect_to_anywhere_else(site: Site, file: ProofFile, access: Access,
                                           location: str) -> None:
    """An open redirector is no proof: neither another host nor a port that anybody may have."""
    say(site, "", 302, Location=location.format(host=HOST, port=site.port, token=TOKEN))
    site.say(TOKEN, host="bar.test", path="/")
    site.say(TOKEN, host="www.foo.test", path="/")
    assert "redirects to" in await missing(file)
    assert len(site.arrived) == 1
    assert len(access.resolver.asked) == 1
    assert access.records[-1][1] == 302 and access.records[-1][3]


async def test_redirects_without_end(site: Site, file: ProofFile) -> None:
    say(site, "", 302, Location=FILE_PATH)
    assert f"redirects more than {MAX_REDIRECTS} times" in await missing(file)
    assert len(site.arrived) == MAX_REDIRECTS + 1


# --- where nobody answers -----------------------------------------------------------------------


async def test_http_where_https_cannot_be_had(
        other: Site, access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens; no TLS is spoken."""
    say(other)
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        for first in (nobody.getsockname()[1], other.port):
            monkeypatch.setattr(ownership, "PLACES", (("https", first), ("http", other.port)))
            file = ProofFile(access, user_agent="x", deadline=2.0)
            await file.look(HOST, TOKEN, "acme")
    ends = [record[1:] for record in access.records if len(record) == 4]
    assert ends == [(0, 0, "no connection"), (200, 32, "")] * 2


async def test_http_where_https_does_not_answer_in_time(
        other: Site, access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    say(other)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(ownership, "PLACES", (
            ("https", silent.getsockname()[1]), ("http", other.port)))
        await ProofFile(access, user_agent="x", deadline=1.0).look(HOST, TOKEN, "acme")
    assert access.records[1] == ("1", 0, 0, "no reply in time")


async def test_nobody_anywhere(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        monkeypatch.setattr(ownership, "PLACES", (("https", port), ("http", port)))
        said = await missing(ProofFile(access, user_agent="x", deadline=2.0))
    assert said.startswith(f"https://{HOST}:{port}{FILE_PATH} cannot be connected to")


async def test_what_is_no_http(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-x\r\n" + TOKEN.encode() + b"\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(ownership, "PLACES", (("http", port),))
        assert "cannot be read" in await missing(
            ProofFile(access, user_agent="x", deadline=2.0))
    assert access.records[-1][3]


async def test_addresses_that_may_not_be_reached(site: Site, file: ProofFile,
                                                 access: Access) -> None:
    for host in ("bad.test", "192.0.2.7", "::1"):
        assert "was not asked" in await missing(file, host)
    assert access.records == [] and site.connections == 0


async def test_nothing_is_sent_that_cannot_be_recorded(site: Site, file: ProofFile,
                                                       access: Access) -> None:
    say(site)
    access.fails = True
    assert "cannot be recorded" in await missing(file)
    assert site.connections == 0


async def test_it_leaves_from_where_customers_requests_do(
        site: Site, access: Access, places: None) -> None:
    say(site)
    file = ProofFile(access, user_agent="x", deadline=2.0, egress=Egress(address="127.0.0.5"))
    await file.look(HOST, TOKEN, "acme")
    assert site.arrived[0].remote == "127.0.0.5"


async def test_whoever_is_cancelled_closes_the_record(site: Site, file: ProofFile,
                                                      access: Access) -> None:
    hangs = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        hangs.set()
        await asyncio.sleep(60)
        return web.Response()

    site.on(hang, HOST, FILE_PATH)
    looking = asyncio.create_task(file.look(HOST, TOKEN, "acme"))
    await hangs.wait()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert access.records[-1] == ("1", 0, 0, "no reply in time")
