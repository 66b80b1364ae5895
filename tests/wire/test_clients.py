"""The clients that customers use, each unchanged, through the proxy in every way there is.

Plain; tunnelled, where the proxy sees no more than the target's name (bob); and inspected (alice);
to origins that speak HTTP/1.1 and HTTP/2. Then SOCKS5, WebSocket, a crawler, and what the clients
say when they are refused.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import socks
from aiohttp import WSMsgType, web

from .dialogue import basic
from .h2_origin import ENDLESS
from .harness import edit_yaml, wait_until
from .stage import Stage, staged

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

WAYS = {  # way: (account, origin)
    "plain": ("alice", "plain"),
    "tunnelled": ("bob", "tls"),
    "tunnelled-h2": ("bob", "h2"),
    "inspected": ("alice", "tls"),
    "inspected-h2": ("alice", "h2"),
}


def prepare(config: Path, ports: list[int]) -> None:
    (config / "lists" / "blocked.txt").write_text(
        "domain denied.site.test\nurl site.test/denied/\n")
    edit_yaml(config / "protocol.yaml", lambda data: data["methods"].remove("DELETE"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    hosts = ("denied.site.test", "crawled.site.test", "shut.site.test", "tokens.site.test")
    with staged(tmp_path_factory.mktemp("clients"), prepare=prepare, hosts=hosts,
                names={"elsewhere.test": ["127.0.0.2"]}, socks=True) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    yield running
    running.plain.handler = running.tls.handler = None
    running.plain.robots = running.tls.robots = None


# --- one GET with each client: (status, body, HTTP version towards the proxy) -------------------


def curl(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["curl", "-sS", "--max-time", "10", "--noproxy", "", *words],
                          capture_output=True, text=True, timeout=15, check=False)


def with_curl(stage: Stage, url: str, name: str, ca: Path) -> tuple[int, str, str]:
    done = curl(stage, "-x", stage.proxy.url_for(name), "--cacert", str(ca),
                "-w", "\n%{http_code} %{http_version}", url)
    assert done.returncode == 0, done.stderr
    body, _, last = done.stdout.rpartition("\n")
    status, version = last.split()
    return int(status), body, version


def with_requests(stage: Stage, url: str, name: str, ca: Path) -> tuple[int, str, str]:
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(url, proxies={s: stage.proxy.url_for(name) for s in ("http", "https")},
                            verify=str(ca), timeout=10)
    return reply.status_code, reply.text, {11: "1.1"}[reply.raw.version]


def with_httpx(stage: Stage, url: str, name: str, ca: Path,
               h2: bool = False) -> tuple[int, str, str]:
    with httpx.Client(proxy=stage.proxy.url_for(name), http2=h2, trust_env=False,
                      verify=ssl.create_default_context(cafile=str(ca))) as client:
        reply = client.get(url)
    return reply.status_code, reply.text, reply.http_version.removeprefix("HTTP/")


def with_httpx_h2(stage: Stage, url: str, name: str, ca: Path) -> tuple[int, str, str]:
    return with_httpx(stage, url, name, ca, h2=True)


def with_aiohttp(stage: Stage, url: str, name: str, ca: Path) -> tuple[int, str, str]:
    async def get() -> tuple[int, str, str]:
        context = ssl.create_default_context(cafile=str(ca))
        async with aiohttp.ClientSession() as session, session.get(
                url, proxy=stage.proxy.url_for(name), ssl=context) as reply:
            assert reply.version
            return reply.status, await reply.text(), f"{reply.version.major}.{reply.version.minor}"

    return asyncio.run(get())


CLIENTS: list[Any] = [
    pytest.param(with_curl, marks=needs_curl, id="curl"),
    pytest.param(with_requests, id="requests"), pytest.param(with_httpx, id="httpx"),
    pytest.param(with_httpx_h2, id="httpx-h2"), pytest.param(with_aiohttp, id="aiohttp"),
]
SPEAK_H2 = (with_curl, with_httpx_h2)


def test_a_client_that_leaves_with_the_whole_body_has_been_served(stage: Stage) -> None:
    """curl does not wait for the end of an HTTP/2 stream when it has as much as was announced."""
    url = stage.url(ENDLESS, kind="h2")
    assert with_curl(stage, url, "alice", stage.proxy.ca)[:2] == (200, f"hello from {ENDLESS}\n")
    (_, end), = wait_until(lambda: [
        pair for pair in stage.proxy.pairs(event_action="request", url_path=ENDLESS) if pair[1]])
    assert end["event.outcome"] == "success"
    assert end["http.response.bytes"] == len(f"hello from {ENDLESS}\n")


def curl_speaks_h2() -> bool:
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False)
    return "HTTP2" in version.stdout


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_in_every_way(
    stage: Stage, client: Callable[..., tuple[int, str, str]], way: str
) -> None:
    """It gets the page, the origin gets the request and no credentials, and both are recorded."""
    name, kind = WAYS[way]
    before = {start["event.id"] for start, _ in stage.proxy.pairs()}
    path = "/" + way
    ca = stage.proxy.ca if name == "alice" else stage.ca
    status, body, version = client(stage, stage.url(path + "?q=1", kind=kind), name, ca)
    assert (status, body) == (200, f"hello from {path}\n")

    origin = getattr(stage, kind)
    assert origin.paths() == [path + "?q=1"]
    seen = origin.seen[-1]
    assert not [field for field, _ in seen.headers if field.lower().startswith("proxy-")]
    if kind == "h2" and client in SPEAK_H2 and (client is not with_curl or curl_speaks_h2()):
        assert version == seen.version == "2"  # HTTP/2 from end to end

    def fresh() -> list[tuple[dict[str, Any], dict[str, Any]]]:
        pairs = [(start, end) for start, end in stage.proxy.pairs()
                 if start["event.id"] not in before and start["event.action"] != "robots-fetch"]
        return [(start, end) for start, end in pairs if end] if all(e for _, e in pairs) else []

    pairs = wait_until(fresh)
    assert all(start["outbounds.verdict"] == "allow" for start, _ in pairs)
    kinds = [(start["event.action"], start["outbounds.way"], start["outbounds.visibility"])
             for start, _ in pairs]
    assert kinds == {
        "plain": [("request", "plain", "full")],
        "tunnelled": [("tunnel", "connect", "tunnel")],
        "inspected": [("tunnel", "connect", "full"), ("request", "inspected", "full")],
    }[way.removesuffix("-h2")]
    start, end = pairs[-1]
    assert end["event.outcome"] == "success"
    assert end["source.nat.ip"] == end["destination.ip"] == "127.0.0.1"
    assert end["source.nat.port"] > 0
    if name == "alice":
        assert start["url.path"] == path
        assert end["http.response.bytes"] == len(body)
    else:
        assert "url.path" not in start
        assert end["source.bytes"] > 200 and end["destination.bytes"] > len(body)


# --- what they say when they are refused --------------------------------------------------------


@needs_curl
def test_curl_shows_why_a_tunnel_was_refused(stage: Stage) -> None:
    done = curl(stage, "-v", "-x", stage.proxy.url_for(),
                stage.url(host="denied.site.test", kind="tls"))
    assert done.returncode == 56
    assert "403 Destination denied: denied.site.test is on the list 'blocked'." in done.stderr


def test_requests_shows_why_a_tunnel_was_refused(stage: Stage) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match=r"403 Destination denied: denied\."):
        with_requests(stage, stage.url(host="denied.site.test", kind="tls"), "alice",
                      stage.proxy.ca)


def test_httpx_shows_why_a_tunnel_was_refused(stage: Stage) -> None:
    with pytest.raises(httpx.ProxyError, match=r"403 Destination denied: denied\."):
        with_httpx(stage, stage.url(host="denied.site.test", kind="tls"), "alice", stage.proxy.ca)


def test_aiohttp_shows_why_a_tunnel_was_refused(stage: Stage) -> None:
    with pytest.raises(aiohttp.ClientHttpProxyError, match=r"Destination denied: denied\.") as got:
        with_aiohttp(stage, stage.url(host="denied.site.test", kind="tls"), "alice",
                     stage.proxy.ca)
    assert got.value.status == 403


@pytest.mark.parametrize("way", ["plain", "inspected", "inspected-h2"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_can_read_the_reason(
    stage: Stage, client: Callable[..., tuple[int, str, str]], way: str
) -> None:
    name, kind = WAYS[way]
    status, body, _ = client(stage, stage.url("/denied/", kind=kind), name, stage.proxy.ca)
    assert status == 403
    assert json.loads(body)["rule"] == "blocked:2"
    assert stage.reached() == []


# --- a crawler ----------------------------------------------------------------------------------

SITE = {
    "/": ["/a", "/b", "/private/x", "/open/"], "/a": ["/c", "/private/y"], "/b": ["/a", "/"],
    "/c": ["/private/", "/query?x=1"], "/open/": ["/private/allowed.html"], "/query": ["/d"],
    "/d": [], "/private/allowed.html": ["/private/z"],
    "/private/": ["/e"], "/private/x": [], "/private/y": [], "/private/z": [], "/e": [],
}
ROBOTS = """\
User-agent: *
Disallow: /

User-agent: examplebot
Disallow: /private/
Allow: /private/allowed.html
"""


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_a_crawler_that_minds_no_robots_txt_minds_it_here(stage: Stage, kind: str) -> None:
    """It fetches every page that it may, not one that it may not, and comes to an end."""
    async def page(request: web.Request) -> web.StreamResponse:
        links = SITE.get(request.path)
        if links is None:
            return web.Response(status=404)
        text = "".join(f'<a href="{link}">{link}</a>' for link in links)
        return web.Response(text=f"<html>{text}</html>", content_type="text/html")

    origin = getattr(stage, kind)
    origin.handler, origin.robots = page, ROBOTS
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("crawl.py")),
         stage.url("/", "crawled.site.test", kind), stage.proxy.url_for()],
        capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ended"] == "finished"
    allowed = {"/", "/a", "/b", "/c", "/d", "/open/", "/query", "/private/allowed.html"}
    refused = {"/private/", "/private/x", "/private/y", "/private/z"}
    assert found["seen"] == {**dict.fromkeys(allowed, 200), **dict.fromkeys(refused, 403)}
    assert sorted(path.partition("?")[0] for path in origin.paths()) == sorted(allowed)
    assert [seen.path for seen in origin.seen].count("/robots.txt") == 1
    assert len(stage.proxy.pairs(rule_ruleset="robots", destination_port=origin.port)) == 4


# --- SOCKS5 -------------------------------------------------------------------------------------


def socks_curl(stage: Stage, scheme: str, name: str, url: str, *words: str
               ) -> subprocess.CompletedProcess[str]:
    user = stage.proxy.url_for(name).partition("//")[2].rpartition("@")[0]
    return curl(stage, "-x", f"{scheme}://{user}@127.0.0.1:{stage.proxy.socks_port}",
                "--cacert", str(stage.proxy.ca if name == "alice" else stage.ca), *words, url)


def by_address(stage: Stage, host: str, kind: str) -> tuple[str, str]:
    """curl options by which it resolves `host` itself, so that the proxy is given an address."""
    return "--resolve", f"{stage.at(host, kind)}:127.0.0.1"


@needs_curl
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
def test_curl_over_socks5(stage: Stage, scheme: str, way: str) -> None:
    """The names resolved by the proxy (socks5h), or by the client (socks5)."""
    name, kind = WAYS[way]
    done = socks_curl(stage, scheme, name, stage.url("/socks", kind=kind),
                      *(by_address(stage, "site.test", kind) if scheme == "socks5" else ()))
    assert (done.returncode, done.stdout) == (0, "hello from /socks\n"), done.stderr
    assert stage.reached() == ["/socks"]


@needs_curl
@pytest.mark.parametrize("kind", ["plain", "tls", "h2"])
def test_socks5_to_an_address_is_judged_by_the_name_inside(stage: Stage, kind: str) -> None:
    """Dialling a denied site by its address gets round no list."""
    done = socks_curl(stage, "socks5", "alice", stage.url("/", "denied.site.test", kind),
                      *by_address(stage, "denied.site.test", kind))
    assert json.loads(done.stdout)["rule"] == "blocked:1", done
    assert stage.reached() == []


@needs_curl
def test_socks5_to_an_address_is_judged_by_the_sni_of_a_tunnel(stage: Stage) -> None:
    """Uninspected, only the ClientHello can be read: the tunnel is closed, and the record says."""
    host, bob = "denied.site.test", stage_id(stage, "bob")
    done = socks_curl(stage, "socks5", "bob", stage.url("/", host, "tls"),
                      *by_address(stage, host, "tls"))
    assert done.returncode == 35
    assert stage.reached() == []
    found = wait_until(lambda: [record for record in stage.proxy.records()
                                if record.get("tls.client.server_name") == host
                                and record.get("user.id") == bob])
    assert {record["event.action"] for record in found} == {"tls-failure"}
    assert {record["rule.id"] for record in found} == {"blocked:1"}


@needs_curl
def test_socks5_to_an_address_that_is_not_the_names(stage: Stage) -> None:
    """A name that is not at the address dialled names another target."""
    host = "elsewhere.test"
    done = socks_curl(stage, "socks5", "alice", stage.url("/", host),
                      *by_address(stage, host, "plain"))
    assert json.loads(done.stdout)["status"] == 421
    assert stage.reached() == []


@needs_curl
def test_socks5_refusals_have_their_own_codes(stage: Stage) -> None:
    done = socks_curl(stage, "socks5h", "alice", stage.url("/", "denied.site.test", "tls"))
    assert done.returncode == 97 and "(2)" in done.stderr  # not allowed by ruleset
    done = socks_curl(stage, "socks5h", "alice", "http://nowhere.test/")
    assert done.returncode == 97 and "(4)" in done.stderr  # host unreachable
    done = curl(stage, "-x", f"socks5h://alice:wrong@127.0.0.1:{stage.proxy.socks_port}",
                stage.url())
    assert done.returncode == 97
    done = curl(stage, "-x", f"socks5h://127.0.0.1:{stage.proxy.socks_port}", stage.url())
    assert done.returncode == 97
    assert stage.reached() == []


def test_pysocks(stage: Stage) -> None:
    password = "pass:word-with-colon"
    with closing(socks.socksocket()) as peer:
        peer.set_proxy(socks.SOCKS5, "127.0.0.1", stage.proxy.socks_port, True, "alice", password)
        peer.settimeout(5)
        peer.connect(("site.test", stage.plain.port))
        peer.sendall(f"GET /pysocks HTTP/1.1\r\nHost: {stage.at()}\r\n"
                     "Connection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: peer.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 200") and reply.endswith(b"hello from /pysocks\n")
    with closing(socks.socksocket()) as peer:
        peer.set_proxy(socks.SOCKS5, "127.0.0.1", stage.proxy.socks_port, True, "alice", "wrong")
        peer.settimeout(5)
        with pytest.raises(socks.ProxyError):
            peer.connect(("site.test", stage.plain.port))
    assert stage.reached() == ["/pysocks"]


# --- WebSocket ----------------------------------------------------------------------------------


async def echo(request: web.Request) -> web.StreamResponse:
    peer = web.WebSocketResponse()
    await peer.prepare(request)
    async for message in peer:
        if message.type is WSMsgType.TEXT:
            await peer.send_str(message.data * 2)
        elif message.type is WSMsgType.BINARY:
            await peer.send_bytes(message.data)
    return peer


@pytest.mark.parametrize("way", ["plain", "tunnelled", "inspected"])
def test_websocket(stage: Stage, way: str) -> None:
    """Messages pass both ways, and the closing record has their octets."""
    name, kind = WAYS[way]
    origin = getattr(stage, kind)
    origin.handler = echo
    before = len(stage.proxy.pairs(user_id=stage_id(stage, name)))

    async def talk() -> None:
        context = ssl.create_default_context(
            cafile=str(stage.proxy.ca if name == "alice" else stage.ca))
        url = stage.url("/ws", kind=kind).replace("http", "ws", 1)
        async with aiohttp.ClientSession() as session, session.ws_connect(
                url, proxy=stage.proxy.url_for(name), ssl=context) as peer:
            for word in ("one", "three"):
                await peer.send_str(word)
                assert await peer.receive_str(timeout=5) == word * 2
            await peer.send_bytes(b"\x00" * 100)
            assert await peer.receive_bytes(timeout=5) == b"\x00" * 100

    asyncio.run(talk())
    assert origin.paths() == ["/ws"]

    def ended() -> Any:
        pairs = stage.proxy.pairs(user_id=stage_id(stage, name))[before:]
        pairs = [p for p in pairs if p[0]["event.action"] != "robots-fetch"]
        return pairs if pairs and all(end for _, end in pairs) else None

    start, end = wait_until(ended)[-1]
    if way == "tunnelled":
        assert end["source.bytes"] > 108 and end["destination.bytes"] > 116
    else:
        assert start["url.path"] == "/ws"
        assert end["http.response.status_code"] == 101
        assert (end["http.request.bytes"], end["http.response.bytes"]) == (108, 116)
        assert end["event.outcome"] == "success"


def stage_id(stage: Stage, name: str) -> str:
    """The id of the account `name`."""
    for line in stage.command("accounts", "list", "--json").splitlines():
        account = json.loads(line)
        if account["name"] == name:
            return str(account["id"])
    raise AssertionError(f"no account {name}")


def test_no_other_upgrade_opens_a_tunnel(stage: Stage) -> None:
    """`Upgrade: anything` would be a raw tunnel that nobody judged; it does not go upstream."""
    with stage.dialogue() as dialogue:
        answer = dialogue.ask("GET", stage.url("/up"), [
            basic(), ("Connection", "upgrade"), ("Upgrade", "h2c")])
    assert answer.status == 200
    assert "upgrade" not in {name.lower() for name, _ in stage.plain.seen[-1].headers}


# --- HTTP in clear through a CONNECT tunnel, as Node's undici sends it --------------------------


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_every_rule_holds_for_http_in_clear_inside_a_tunnel(stage: Stage, name: str) -> None:
    stage.plain.robots = "User-agent: *\nDisallow: /hidden\n"
    host = "shut.site.test" if name == "alice" else "tokens.site.test"
    at = stage.at(host)
    with stage.dialogue() as dialogue:
        assert dialogue.connect(at, [basic(name)]).status == 200
        for method, path, named, status, rule in (
                ("GET", "/fine", at, 200, ""),
                ("GET", "/hidden/x", at, 403, "robots:2"),
                ("DELETE", "/fine", at, 403, "method"),
                ("GET", "/fine", "other.test", 421, "names-agree"),
                ("GET", "/robots.txt", at, 200, ""),
                ("GET", "/also", at, 200, "")):
            answer = dialogue.ask(method, path, [
                ("Host", named), basic("alice", "a-secret-inside"), ("X-Forwarded-For", "1.2.3.4")])
            assert answer.status == status, (path, answer)
            if rule:
                assert answer.problem["rule"] == rule
    assert stage.plain.paths() == ["/fine", "/also"]
    for seen in stage.plain.seen:
        assert not {field.lower() for field, _ in seen.headers} & {
            "proxy-authorization", "x-forwarded-for"}
    records = [start for start, _ in stage.proxy.pairs(outbounds_way="clear",
                                                        destination_domain=host)]
    assert len(records) == 6
    assert {record["outbounds.visibility"] for record in records} == {"full"}


def test_http_in_clear_can_be_denied_by_its_url(stage: Stage) -> None:
    with stage.dialogue() as dialogue:
        assert dialogue.connect(stage.at(), [basic("bob")]).status == 200
        answer = dialogue.ask("GET", "/denied/x", [("Host", stage.at())])
        assert answer.problem["rule"] == "blocked:2"
        assert dialogue.ask("GET", "/next", [("Host", stage.at())]).status == 200
    assert stage.plain.paths() == ["/next"]


def test_node_over_connect(stage: Stage) -> None:
    """Node itself, by its own http module: CONNECT, then the request in clear on that socket."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    token = basic("bob")[1]
    script = f"""
const http = require("http");
const open = http.request({{host: "127.0.0.1", port: {stage.proxy.port}, method: "CONNECT",
  path: "{stage.at()}", headers: {{Host: "{stage.at()}", "Proxy-Authorization": "{token}"}}}});
open.on("connect", (reply, socket) => {{
  console.log(reply.statusCode);
  http.get({{createConnection: () => socket, host: "site.test", port: {stage.plain.port},
    path: process.argv[1]}}, r => {{ console.log(r.statusCode); r.resume();
    r.on("end", () => process.exit(0)); }});
}});
open.end();
"""
    for path, statuses in (("/node", ["200", "200"]), ("/denied/node", ["200", "403"])):
        done = subprocess.run([node, "-e", script, path], capture_output=True, text=True,
                              timeout=15, check=False)
        assert done.stdout.split() == statuses, done.stderr
    assert stage.plain.paths() == ["/node"]
