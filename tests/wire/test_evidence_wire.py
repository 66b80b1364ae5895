"""Nothing reaches a target before its opening record is on disk, whatever is killed meanwhile."""

from __future__ import annotations

import base64
import os
import resource
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.line import fields

from .harness import PASSWORD, Proxy, edit_yaml, free_port, lift_limits, make_config, wait_until
from .origin import Origin
from .sockets import (
    TcpOrigin,
    ask,
    basic,
    connect,
    dial,
    get,
    inspected,
    reply,
    socks,
)

Record = dict[str, Any]
NAMES = {name: ["127.0.0.1"] for name in ("site.test", "other.test", "denied.test")}


def on_disk(config: Path) -> list[Record]:
    """Every whole line of the log, read from the files as another process would."""
    return [fields(each.envelope, each.detail) for each in read_all(config / "var" / "evidence")]


def openings(records: list[Record], **wanted: Any) -> list[Record]:
    return [r for r in records if r["event.type"] == "start"
            and all(r.get(name.replace("_", ".")) == value for name, value in wanted.items())]


def collector(proxy: Proxy) -> int:
    """The process id of the collector that this proxy started."""
    def found() -> int | None:
        children = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children")
        for pid in children.read_text().split():
            with suppress(OSError):
                if b"outbounds.evidence.collector" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
        return None
    return int(wait_until(found))


# --- before the target hears of it ----------------------------------------------------------------


class Witness:
    """An origin that looks at the log the moment something reaches it."""

    def __init__(self, config: Path, context: ssl.SSLContext | None = None) -> None:
        self.config, self.context = config, context
        self.connected: list[list[Record]] = []        # the log when each connection came
        self.asked: dict[str, list[Record]] = {}       # the log when each path was asked for

    def serve(self, origin: TcpOrigin, peer: socket.socket) -> None:
        self.connected.append(on_disk(self.config))
        stream = peer
        if self.context is not None:
            stream = self.context.wrap_socket(peer, server_side=True)
        got = b""
        with suppress(ssl.SSLError):
            while data := stream.recv(65536):
                got += data
                if b"\r\n\r\n" in got:
                    self.asked[got.split(b" ")[1].decode()] = on_disk(self.config)
                    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    got = b""


@pytest.fixture
def witnesses(tmp_path: Path, certificates: tuple[Path, Any],
              trust: dict[str, str]) -> Iterator[tuple[Proxy, Witness, int, Witness, int]]:
    ports = [free_port(), free_port()]
    config = make_config(tmp_path / "config", ports)
    clear, sealed = Witness(config), Witness(config, certificates[1])
    with TcpOrigin(clear.serve, port=ports[0]), TcpOrigin(sealed.serve, port=ports[1]), \
            Proxy(config, names=NAMES, options=trust, socks=True) as proxy:
        yield proxy, clear, ports[0], sealed, ports[1]


def test_the_opening_is_on_disk_before_the_target_hears(
        witnesses: tuple[Proxy, Witness, int, Witness, int]) -> None:
    """For a plain request, the fetch of robots.txt, a CONNECT, a request inside it, and SOCKS5."""
    proxy, clear, port, sealed, tls_port = witnesses
    assert ask(proxy, f"http://site.test:{port}/plain").status == 200
    assert openings(clear.connected[0], event_action="robots-fetch")
    assert openings(clear.asked["/robots.txt"], event_action="robots-fetch",
                    destination_domain="site.test")
    [opening] = openings(clear.asked["/plain"], event_action="request", url_path="/plain")
    assert opening["outbounds.verdict"] == "allow"
    assert opening["user.id"]

    with inspected(proxy, "site.test", tls_port) as tunnel:
        assert openings(sealed.connected[0], event_action="tunnel", outbounds_way="connect")
        tunnel.sendall(get("/inside", f"site.test:{tls_port}", None))
        assert reply(tunnel).status == 200
    assert openings(sealed.asked["/robots.txt"], event_action="robots-fetch", url_scheme="https")
    assert openings(sealed.asked["/inside"], event_action="request", url_path="/inside")

    seen = len(sealed.connected)
    peer, code = socks(proxy, "site.test", tls_port, "bob")
    assert code == 0
    with peer:
        wait_until(lambda: len(sealed.connected) > seen)
        assert openings(sealed.connected[seen], event_action="tunnel", outbounds_way="socks5")


def test_every_kind_of_event_has_one_opening_and_one_closing(
        tmp_path: Path, origin: Origin, tls_origin: Origin, trust: dict[str, str]) -> None:
    raw_port = free_port()
    config = make_config(tmp_path / "config", [origin.port, tls_origin.port, raw_port])
    (config / "lists" / "blocked.txt").write_text("host denied.test\n")
    origin.robots = "User-agent: *\nDisallow: /private\n"
    where, secure = f"site.test:{origin.port}", f"site.test:{tls_origin.port}"
    with Proxy(config, names=NAMES, options=trust, socks=True) as proxy:
        assert ask(proxy, f"http://{where}/ok").status == 200
        assert ask(proxy, f"http://{where}/private").status == 403
        assert ask(proxy, f"http://{where}/robots.txt").status == 200
        assert ask(proxy, "http://denied.test/").status == 403
        assert ask(proxy, "http://unknown.test/").status == 502
        assert ask(proxy, f"http://site.test:{raw_port}/robots.txt").status == 502  # nobody there
        for broken in (get(f"http://{where}/", where, None),                        # 407
                       b"GET\r\n\r\n", get(f"http://{where}/", "other.test")):
            with dial(proxy.port) as peer:
                peer.sendall(broken)
                assert reply(peer).status in (400, 407, 421)
        for target, name in ((secure, "bob"), ("denied.test:443", "bob"), (where, "alice"),
                             (f"site.test:{raw_port}", "alice"), ("unknown.test:443", "alice")):
            peer, _ = connect(proxy, target, name)
            peer.close()
        peer, _ = connect(proxy, secure)
        with pytest.raises(ssl.SSLError):                                           # no trust
            ssl.create_default_context().wrap_socket(peer, server_hostname="site.test")
        peer.close()
        with inspected(proxy, "site.test", tls_origin.port) as tunnel:
            for path in ("/one", "/two"):
                tunnel.sendall(get(path, secure, None))
                assert reply(tunnel).status == 200
            tunnel.sendall(b"BREW / HTTP/1.1\r\nHost: %b\r\n\r\n" % secure.encode())
            assert reply(tunnel).status == 403
        for host, port in (("site.test", tls_origin.port), ("denied.test", 443)):
            peer, _ = socks(proxy, host, port)
            peer.close()
        with dial(proxy.socks_port) as peer:                                        # wrong password
            peer.sendall(b"\x05\x01\x02")
            assert peer.recv(2) == b"\x05\x02"
            peer.sendall(b"\x01\x05alice\x05wrong")
            assert peer.recv(2)[1:] != b"\x00"
        with dial(proxy.port) as peer:                                              # leaves early
            peer.sendall(get(f"http://{where}/left", where))
        with dial(proxy.port) as peer:                                              # breaks off
            peer.sendall(b"POST http://%b/half HTTP/1.1\r\nHost: %b\r\n%bContent-Length: 99\r\n\r\n"
                         % (where.encode(), where.encode(), basic()) + b"half")
            time.sleep(0.2)
        wait_until(lambda: all(end for _, end in proxy.pairs()) and
                   openings(proxy.records(), url_path="/half"))
        records = proxy.records()
        for kind in ("start", "end"):
            assert Counter(r["event.id"] for r in records if r["event.type"] == kind
                           ).most_common(1)[0][1] == 1
        starts = {r["event.id"]: r for r in records if r["event.type"] == "start"}
        ends = {r["event.id"]: r for r in records if r["event.type"] == "end"}
        assert starts.keys() == ends.keys()
        assert {r["event.action"] for r in starts.values()} == {
            "request", "tunnel", "robots-fetch", "malformed", "tls-failure"}
        assert {r["event.outcome"] for r in ends.values()} == {"success", "failure"}


# --- kills ----------------------------------------------------------------------------------------


class Load:
    """Clients that ask for one path after another, each only once, until told to stop."""

    def __init__(self, proxy: Proxy, where: str, clients: int = 4) -> None:
        self.proxy, self.where = proxy, where
        self.statuses: list[tuple[str, int]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            with suppress(OSError, HTTPException), dial(self.proxy.port, 5.0) as peer:
                while not self._stop.is_set():
                    number += 1
                    path = f"/{client}-{number}"
                    peer.sendall(get(f"http://{self.where}{path}", self.where))
                    self.statuses.append((path, reply(peer).status))
            time.sleep(0.01)

    def count(self, status: int) -> int:
        return sum(found == status for _, found in list(self.statuses))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def quiet(tmp_path: Path, origin: Origin) -> Path:
    """No robots.txt fetches, no limits; 1 s for an acknowledgement."""
    config = make_config(tmp_path / "config", [origin.port], robots="off")
    lift_limits(config)
    edit_yaml(config / "evidence.yaml", lambda data: data.update(ack_timeout="1s"))
    return config


def test_a_killed_collector_loses_nothing_and_lets_nothing_through(
        quiet: Path, origin: Origin) -> None:
    """kill -9 under load, three times: refused while it is away, resumed when it is back. What the
    target saw is on disk, and so is every request that was answered."""
    with Proxy(quiet, names=NAMES) as proxy:
        load = Load(proxy, f"site.test:{origin.port}")
        for _ in range(3):
            served, refused = load.count(200), load.count(503)
            wait_until(lambda served=served: load.count(200) > served + 50)
            os.kill(collector(proxy), signal.SIGKILL)
            wait_until(lambda refused=refused: load.count(503) > refused)
            served = load.count(200)
            wait_until(lambda served=served: load.count(200) > served + 50)
        load.stop()
        wait_until(lambda: all(end for _, end in proxy.pairs()))
        allowed = {r["url.path"] for r in openings(on_disk(quiet), outbounds_verdict="allow")}
        assert set(origin.paths()) <= allowed
        assert {path for path, status in load.statuses if status == 200} <= allowed
        assert {status for _, status in load.statuses} == {200, 503}
        refused_paths = {path for path, status in load.statuses if status == 503}
        assert not refused_paths & set(origin.paths())
        ids = Counter((r["event.id"], r["event.type"]) for r in on_disk(quiet))
        assert ids.most_common(1)[0][1] == 1  # sent again after the reconnect, written once


def test_a_killed_proxy_leaves_no_request_off_the_record(quiet: Path, origin: Origin) -> None:
    """kill -9 under load: every request that the target saw has its opening on disk, the collector
    closes what was open as unknown, and a new start carries on."""
    release = threading.Event()

    async def slow(request: Any) -> Any:
        import asyncio

        from aiohttp import web
        if request.path == "/slow":
            await asyncio.to_thread(release.wait, 15)
        return web.Response(text="ok")

    origin.handler = slow
    where = f"site.test:{origin.port}"
    proxy = Proxy(quiet, names=NAMES)
    with dial(proxy.port) as waiting:
        waiting.sendall(get(f"http://{where}/slow", where))
        load = Load(proxy, where)
        wait_until(lambda: load.count(200) > 200 and "/slow" in origin.paths())
        keeper = collector(proxy)
        proxy.kill()
        load.stop()
        release.set()
    wait_until(lambda: not Path(f"/proc/{keeper}").exists())  # it leaves once it has nobody left
    records = on_disk(quiet)
    assert set(origin.paths()) <= {r["url.path"] for r in openings(records)}
    assert {path for path, status in load.statuses if status == 200} <= {
        r["url.path"] for r in openings(records)}
    ends = {r["event.id"]: r for r in records if r["event.type"] == "end"}
    assert {r["event.id"] for r in openings(records)} == ends.keys()
    [opening] = openings(records, url_path="/slow")
    assert ends[opening["event.id"]]["event.outcome"] == "unknown"

    proxy.log_path.unlink()
    proxy.start()
    with proxy:
        assert ask(proxy, f"http://{where}/again").status == 200
        wait_until(lambda: all(end for _, end in proxy.pairs()))
        assert on_disk(quiet)[:len(records)] == records
        assert openings(on_disk(quiet), url_path="/again")


def test_a_collector_that_hangs_refuses_and_recovers(quiet: Path, origin: Origin) -> None:
    """SIGSTOP: 503 within the time for an acknowledgement, at once for those who come later."""
    with Proxy(quiet, names=NAMES) as proxy:
        url = f"http://site.test:{origin.port}"
        assert ask(proxy, f"{url}/before").status == 200
        pid = collector(proxy)
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            answer = ask(proxy, f"{url}/hangs")
            assert answer.status == 503
            assert answer.problem["type"] == "urn:outbounds:problem:evidence-unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
            assert 0.9 < time.monotonic() - started < 2.0
            started = time.monotonic()
            peer, answer = connect(proxy, f"site.test:{origin.port}")
            peer.close()
            assert answer.status == 503
            assert time.monotonic() - started < 0.3
            assert proxy.metrics()["outbounds_evidence_up"] == 0
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: ask(proxy, f"{url}/after").status == 200)
        assert "/hangs" not in origin.paths()
        wait_until(lambda: all(end for _, end in proxy.pairs()))
        [(_, end)] = proxy.pairs(url_path="/hangs")  # it was written after all
        assert end is not None
        assert (end["event.outcome"], end["http.response.status_code"]) == ("failure", 503)


def test_a_full_disk_refuses_and_recovers(quiet: Path, origin: Origin) -> None:
    """The collector's files may grow no more (RLIMIT_FSIZE): 503 until they may."""
    with Proxy(quiet, names=NAMES) as proxy:
        url = f"http://site.test:{origin.port}"
        assert ask(proxy, f"{url}/before").status == 200
        wait_until(lambda: all(end for _, end in proxy.pairs()))
        pid = collector(proxy)
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        size = max(path.stat().st_size for path in quiet.glob("var/evidence/**/*.jsonl"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100, hard))
        for path in ("/full", "/still-full"):
            answer = ask(proxy, f"{url}{path}")
            assert answer.status == 503
            assert answer.problem["type"] == "urn:outbounds:problem:evidence-unavailable"
        assert collector(proxy) == pid  # it did not need to die of it
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_until(lambda: ask(proxy, f"{url}/after").status == 200)
        assert not {"/full", "/still-full"} & set(origin.paths())
        wait_until(lambda: all(end for _, end in proxy.pairs()))
        on_disk(quiet)  # every line is whole


# --- secrets --------------------------------------------------------------------------------------


def test_no_secret_is_kept_anywhere(tmp_path: Path, origin: Origin, tls_origin: Origin,
                                    trust: dict[str, str]) -> None:
    """Pushed through every field that may hold one, refused or not; then every file of the data
    directory, and the log, is searched for each of them."""
    config = make_config(tmp_path / "config", [origin.port, tls_origin.port], robots="off")
    secrets = {name: f"s3cr3t-{number:02}-{name}" for number, name in enumerate((
        "query", "token", "fragment", "userinfo", "cookie", "authorization", "referer", "header",
        "body", "apikey", "login", "half", "garbage", "socks", "inside", "connect", "reply",
        "setcookie", "chunk", "digest"))}

    async def answer(request: Any) -> Any:
        from aiohttp import web
        return web.Response(text=secrets["reply"], headers={"Set-Cookie": secrets["setcookie"]})

    origin.handler = tls_origin.handler = answer
    where, secure = f"site.test:{origin.port}", f"site.test:{tls_origin.port}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in (
        ("Cookie", secrets["cookie"]), ("Authorization", f"Bearer {secrets['authorization']}"),
        ("Referer", f"http://x.test/?{secrets['referer']}"), ("X-Anything", secrets["header"]),
        ("User-Agent", f"agent Bearer {secrets['digest']}"),
        ("X-Api-Key", secrets["apikey"]))).encode()
    target = (f"/p?q={secrets['query']}&{secrets['token']}#{secrets['fragment']}")

    def wrong(secret: str) -> bytes:
        return b"Proxy-Authorization: Basic %b\r\n" % base64.b64encode(f"alice:{secret}".encode())

    with Proxy(config, names=NAMES, options=trust, socks=True) as proxy:
        for head in (
                get(f"http://{where}{target}", where, "alice", fields),
                get(f"http://{where}{target}", where, None, fields + wrong(secrets["login"])),
                get(f"http://u:{secrets['userinfo']}@{where}/", where, "alice", fields),
                get(f"http://{where}{target}", "other.test", "alice", fields),
                get(f"http://{where}{target}", where, "alice", fields + b"X: a\x00b\r\n"),
                f"GARBAGE {secrets['garbage']}\r\n".encode() + fields + b"\r\n",
                f"CONNECT {secrets['connect']} HTTP/1.1\r\n".encode() + fields + basic() + b"\r\n",
                f"POST http://{where}/b HTTP/1.1\r\nHost: {where}\r\n".encode() + basic() + fields
                + f"Content-Length: {len(secrets['body'])}\r\n\r\n{secrets['body']}".encode(),
                f"POST http://{where}/b HTTP/1.1\r\nHost: {where}\r\n".encode() + basic() + fields
                + f"Transfer-Encoding: chunked\r\n\r\n{secrets['chunk']}\r\n".encode()):
            with dial(proxy.port) as peer, suppress(OSError, HTTPException):
                peer.sendall(head)
                reply(peer)
        with dial(proxy.port) as peer:
            peer.sendall(f"GET http://{where}/ HTTP/1.1\r\nCookie: {secrets['half']}".encode())
        with inspected(proxy, "site.test", tls_origin.port) as tunnel:
            tunnel.sendall(get(f"/i?x={secrets['inside']}", secure, None, fields))
            assert reply(tunnel).status == 200
            tunnel.sendall(f"GARBAGE {secrets['inside']}\r\n\r\n".encode())
            reply(tunnel)
        with dial(proxy.socks_port) as peer:
            peer.sendall(b"\x05\x01\x02")
            peer.recv(2)
            peer.sendall(b"\x01\x05alice" + bytes([len(secrets["socks"])])
                         + secrets["socks"].encode())
            peer.recv(2)
        with dial(proxy.socks_port) as peer:  # broken off
            peer.sendall(b"\x05\x01\x02")
            peer.recv(2)
            peer.sendall(b"\x01\x05alice\xff" + secrets["socks"].encode())
        wait_until(lambda: all(end for _, end in proxy.pairs()))
        kept = len(proxy.pairs())
    assert kept >= 13
    wanted = [*secrets.values(), PASSWORD]
    encoded = [base64.b64encode(f"alice:{value}".encode())[:-4] for value in wanted]
    haystack = {path: path.read_bytes() for path in (config / "var").rglob("*") if path.is_file()}
    haystack[proxy.log_path] = proxy.log_path.read_bytes()
    assert len(haystack) >= 4
    for path, content in haystack.items():
        for needle in [value.encode() for value in wanted] + encoded:
            assert needle not in content, f"{needle!r} in {path}"
