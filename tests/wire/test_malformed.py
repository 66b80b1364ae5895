"""What is not one well-formed request is answered per contract or closed, and on record.

Raw sockets, in the clear and inside an inspected tunnel. After every test the proxy must still
serve, and nothing of what was refused may have reached a target.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import h2.events
import h2.exceptions
import pytest

from .h2_origin import H2Origin
from .harness import Proxy, edit_yaml, free_port, lift_limits, make_config, wait_until
from .origin import Origin
from .sockets import (
    Http2,
    Reply,
    TcpOrigin,
    ask,
    basic,
    closed,
    connect,
    dial,
    get,
    hello,
    inspected,
    reply,
    small_http,
    swallow,
)

HEAD_TIMEOUT = 1.5
# a refused client may go on sending for two seconds; these tests wait for the end of it
LINGER_LESS = """
from outbounds.proxy import http1_guard, http_guard
http1_guard.LINGER = http_guard.LINGER = 0.2
"""


class Bench:
    def __init__(self, proxy: Proxy, origin: Origin, tls_origin: Origin, h2_origin: H2Origin,
                 raw_port: int) -> None:
        self.proxy, self.origin, self.tls_origin = proxy, origin, tls_origin
        self.h2_origin = h2_origin
        self.raw_port = raw_port
        self._earlier: set[str] = set()

    def arrived(self) -> int:
        return len(self.origin.seen) + len(self.tls_origin.seen) + len(self.h2_origin.seen)

    def open(self, way: str) -> tuple[socket.socket, int]:
        """A connection ready for a request head, and its port at our end."""
        if way == "plain":
            peer = dial(self.proxy.port)
        else:
            peer = inspected(self.proxy, "site.test", self.tls_origin.port)
        return peer, peer.getsockname()[1]

    def mark(self) -> None:
        """Forget what is on record: ports are used again by later clients."""
        self._earlier = {start["event.id"] for start, _ in self.proxy.pairs()}

    def pairs(self, **wanted: Any) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        return [pair for pair in self.proxy.pairs(**wanted)
                if pair[0]["event.id"] not in self._earlier]

    def fill(self, way: str, template: bytes) -> bytes:
        """%T the target, %H the host, %A the credentials where the way needs them."""
        port = (self.origin if way == "plain" else self.tls_origin).port
        host = b"site.test:%d" % port
        target = b"http://%b/x" % host if way == "plain" else b"/x"
        return (template.replace(b"%T", target).replace(b"%H", host)
                .replace(b"%A", basic() if way == "plain" else b""))

    def records(self, port: int) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """What is on record of the client at `port`, without its tunnel; all of it closed."""
        def found() -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
            return [pair for pair in self.pairs(source_port=port)
                    if pair[0]["event.action"] != "tunnel"]
        wait_until(lambda: found() and all(end for _, end in found()))
        return found()

    def works(self) -> None:
        assert ask(self.proxy, f"http://site.test:{self.origin.port}/fine").status == 200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory,
            certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("malformed")
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(free_port()))
        tls_origin = stack.enter_context(Origin(free_port(), tls=certificates[1]))
        h2_origin = stack.enter_context(
            H2Origin(free_port(), Path(certificates[0]).parent / "leaf.pem"))
        raw_port = free_port()
        config = make_config(folder / "config", [
            origin.port, tls_origin.port, h2_origin.port, raw_port], robots="off")
        lift_limits(config)
        edit_yaml(config / "outbounds.yaml",
                  lambda data: data["heads"].update(timeout=f"{HEAD_TIMEOUT:g}s"))
        (config / "lists" / "blocked.txt").write_text("host denied.test\n")
        names = {name: ["127.0.0.1"] for name in ("site.test", "other.test", "denied.test")}
        with Proxy(config, names=names, patch=LINGER_LESS, options={
                "ssl_verify_upstream_trusted_ca": str(certificates[0])}) as proxy:
            yield Bench(proxy, origin, tls_origin, h2_origin, raw_port)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    running.mark()
    yield running
    running.works()


WAYS = ["plain", "inspected"]
POST = b"POST %T HTTP/1.1\r\nHost: %H\r\n%A"

MALFORMED: dict[str, bytes] = {
    "one word": b"GET\r\n\r\n",
    "two words": b"GET %T\r\n%A\r\n",
    "four words": b"GET %T HTTP/1.1 x\r\nHost: %H\r\n%A\r\n",
    "no such version": b"GET %T HTTP/9.9\r\nHost: %H\r\n%A\r\n",
    "no version": b"GET %T FTP/1.1\r\nHost: %H\r\n%A\r\n",
    "noise": b"\x00\x01\x02\x03 \xff\xfe\r\n\r\n",
    "NUL in the target": b"GET %T\x00y HTTP/1.1\r\nHost: %H\r\n%A\r\n",
    "CR in the target": b"GET %T\ry HTTP/1.1\r\nHost: %H\r\n%A\r\n",
    "bare CR in a value": b"GET %T HTTP/1.1\r\nHost: %H\r\n%AX: a\rB: c\r\n\r\n",
    "NUL in a value": b"GET %T HTTP/1.1\r\nHost: %H\r\n%AX: a\x00b\r\n\r\n",
    "DEL in a value": b"GET %T HTTP/1.1\r\nHost: %H\r\n%AX: a\x7fb\r\n\r\n",
    "folded line": b"GET %T HTTP/1.1\r\nHost: %H\r\n%AX: a\r\n b\r\n\r\n",
    "line without colon": b"GET %T HTTP/1.1\r\nHost: %H\r\n%ABroken\r\n\r\n",
    "space before colon": b"GET %T HTTP/1.1\r\nHost: %H\r\n%AX-Y : z\r\n\r\n",
    "empty name": b"GET %T HTTP/1.1\r\nHost: %H\r\n%A: z\r\n\r\n",
    "two Hosts": b"GET %T HTTP/1.1\r\nHost: %H\r\nHost: %H\r\n%A\r\n",
    "two Hosts that differ": b"GET %T HTTP/1.1\r\nHost: %H\r\nHost: other.test\r\n%A\r\n",
    "no Host": b"GET %T HTTP/1.1\r\n%A\r\n",
    "empty Host": b"GET %T HTTP/1.1\r\nHost: \r\n%A\r\n",
    "Host that is none": b"GET %T HTTP/1.1\r\nHost: a b\r\n%A\r\n",
    "CL.TE": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "negative length": POST + b"Content-Length: -5\r\n\r\n",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 6\r\n\r\nhello!",
    "length in words": POST + b"Content-Length: five\r\n\r\nhello",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"0\r\n\r\n",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_refused_and_recorded(bench: Bench, way: str, name: str) -> None:
    """400 on the contract; one opening and one closing; the target hears nothing."""
    arrived = bench.arrived()
    peer, port = bench.open(way)
    with peer:
        peer.sendall(bench.fill(way, MALFORMED[name]))
        answer = reply(peer)
        assert answer.status == 400, answer
        assert answer.problem["control"] == "protocol"
        # where the framing is in doubt nothing more may be read; an unclear Host is no such doubt
        assert "Host" in name or closed(peer)
    [(start, end)] = bench.records(port)
    assert end is not None
    assert (start["event.action"], start["outbounds.verdict"]) == ("malformed", "refuse")
    assert end["http.response.status_code"] == 400
    assert start["event.id"] in answer.problem["instance"]
    assert bench.arrived() == arrived


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "lower-case method": (b"get %T HTTP/1.1\r\nHost: %H\r\n%A\r\n", 403, "method"),
    "TRACE": (b"TRACE %T HTTP/1.1\r\nHost: %H\r\n%A\r\n", 403, "method"),
    "unknown method": (b"BREW %T HTTP/1.1\r\nHost: %H\r\n%A\r\n", 403, "method"),
    "method that is no token": (b"G(T %T HTTP/1.1\r\nHost: %H\r\n%A\r\n", 403, "method"),
    "empty line in front": (b"\r\nTRACE %T HTTP/1.1\r\nHost: %H\r\n%A\r\n", 403, "method"),
    "PRI": (b"PRI * HTTP/1.1\r\nHost: %H\r\n%A\r\n", 403, "method"),
    "Host that disagrees": (b"GET %T HTTP/1.1\r\nHost: other.test\r\n%A\r\n", 421, "names-agree"),
    "port that disagrees": (b"GET %T HTTP/1.1\r\nHost: site.test:81\r\n%A\r\n", 421,
                            "names-agree"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_is_well_formed_and_not_offered(bench: Bench, way: str, name: str) -> None:
    arrived = bench.arrived()
    template, status, rule = REFUSED[name]
    peer, port = bench.open(way)
    with peer:
        peer.sendall(bench.fill(way, template))
        answer = reply(peer)
        assert (answer.status, answer.problem["rule"]) == (status, rule)
    [(start, _)] = bench.records(port)
    assert start["rule.id"] == rule
    assert bench.arrived() == arrived


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("head", [
    b"GET %T HTTP/1.1\r\nHost: %H\r\n%AX: " + b"a" * 70_000 + b"\r\n\r\n",
    b"GET %T" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: %H\r\n%A\r\n",
    b"GET %T HTTP/1.1\r\nHost: %H\r\n%A" + b"".join(b"X%d: y\r\n" % n for n in range(10_000))
    + b"\r\n",
    b"GET %T HTTP/1.1\r\nHost: %H\r\n%A" + b"X: y\r\n" * 250 + b"\r\n",
], ids=["long field", "long target", "10,000 fields", "250 fields"])
def test_a_head_that_is_too_large(bench: Bench, way: str, head: bytes) -> None:
    arrived = bench.arrived()
    peer, port = bench.open(way)
    with peer:
        peer.sendall(bench.fill(way, head))
        answer = reply(peer)
        assert answer.status == 431
        assert answer.problem["type"] == "urn:outbounds:problem:head-too-large"
    [(start, _)] = bench.records(port)
    assert start["event.action"] == "malformed"
    assert bench.arrived() == arrived


@pytest.mark.parametrize("way", WAYS)
def test_an_endless_line_takes_no_memory(bench: Bench, way: str) -> None:
    """Nothing is kept of what comes after the bound, however long it goes on."""
    bench.works()
    before = bench.proxy.rss()
    peer, port = bench.open(way)
    sent = 0
    with peer:
        peer.sendall(bench.fill(way, b"GET %T HTTP/1.1\r\nX: "))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            while sent < 64 << 20:
                peer.sendall(b"a" * 65536)
                sent += 65536
        assert bench.proxy.rss() - before < 8 << 20
    assert len(bench.records(port)) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_head_is_ended(bench: Bench, way: str) -> None:
    """408 some time after the first octet, although the client keeps sending one now and then."""
    peer, port = bench.open(way)
    with peer:
        started = time.monotonic()
        peer.settimeout(0.3)
        got = b""
        for octet in bench.fill(way, b"GET %T HTTP/1.1\r\nHost: %H\r\nX: " + b"a" * 100):
            with suppress(TimeoutError, ssl.SSLWantReadError):
                peer.sendall(bytes([octet]))
                got = peer.recv(4096)
                break
        took = time.monotonic() - started
        assert got.startswith(b"HTTP/1.1 408 ")
        assert HEAD_TIMEOUT - 0.1 < took < HEAD_TIMEOUT + 1.5
    [(_, end)] = bench.records(port)
    assert end is not None
    assert end["http.response.status_code"] == 408


def test_an_idle_connection_is_no_slow_head(bench: Bench) -> None:
    """Between two requests a client may be silent for longer than a head may take."""
    with dial(bench.proxy.port) as peer:
        for _ in range(2):
            peer.sendall(bench.fill("plain", b"GET %T HTTP/1.1\r\nHost: %H\r\n%A\r\n"))
            assert reply(peer).status == 200
            time.sleep(HEAD_TIMEOUT + 0.3)


@pytest.mark.parametrize("way", WAYS)
def test_a_head_that_breaks_off(bench: Bench, way: str) -> None:
    """On record, without what it held; nothing is answered, since nobody asked anything yet."""
    arrived = bench.arrived()
    peer, port = bench.open(way)
    with peer:
        peer.sendall(bench.fill(way, b"GET %T HTTP/1.1\r\nHost: %H\r\nCookie: broken-off-secret"))
        if isinstance(peer, ssl.SSLSocket):
            with suppress(ssl.SSLError):
                peer.unwrap()
        else:
            peer.shutdown(socket.SHUT_WR)
            assert closed(peer)
    [(start, end)] = bench.records(port)
    assert end is not None
    assert start["event.action"] == "malformed"
    assert bench.arrived() == arrived
    assert "broken-off-secret" not in bench.proxy.log


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_trailers_of_a_request_are_dropped(bench: Bench, way: str) -> None:
    """mitmproxy hangs on them; RFC 9110 section 6.5.1 lets a proxy drop them."""
    peer, port = bench.open(way)
    with peer:
        for _ in range(2):  # and the connection goes on
            peer.sendall(bench.fill(way, POST + b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
                                                b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"))
            assert reply(peer).status == 200
    seen = (bench.origin if way == "plain" else bench.tls_origin).seen[-1]
    assert seen.body == 5
    assert len(bench.records(port)) == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chunk", [b"-1\r\nx\r\n", b"zz\r\nx\r\n", b"5\r\nhello!!\r\n",
                                   b"5;" + b"a" * 100_000])
def test_a_broken_chunk_ends_the_exchange(bench: Bench, way: str, chunk: bytes) -> None:
    """The request is on record as failed, and no second one is read out of the rest."""
    peer, port = bench.open(way)
    with peer, suppress(HTTPException, OSError):
        peer.sendall(bench.fill(way, POST + b"Transfer-Encoding: chunked\r\n\r\n") + chunk
                     + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n")
        assert reply(peer).status in (400, 502)
    for start, end in bench.records(port):
        assert end is not None
        assert end["event.outcome"] == "failure", start
    assert "/smuggled" not in bench.origin.paths() + bench.tls_origin.paths()


def test_trailers_of_a_response_are_dropped(bench: Bench) -> None:
    def trailing(origin: TcpOrigin, peer: socket.socket) -> None:
        while origin.head(peer):
            peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"2\r\nok\r\n0\r\nX: y\r\n\r\n")

    with TcpOrigin(trailing, port=bench.raw_port), dial(bench.proxy.port) as peer:
        for _ in range(2):
            peer.sendall(get(f"http://site.test:{bench.raw_port}/",
                             f"site.test:{bench.raw_port}"))
            assert reply(peer).body == b"ok"


def test_a_response_that_is_none(bench: Bench) -> None:
    """502 in our own words; no octet of what the target sent reaches the client."""
    for nonsense in (b"SSH-2.0-server\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                     b"Content-Length: 6\r\n\r\nhello!", b"HTTP/1.1 abc OK\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nX-Inject\x00ed: 1\r\n\r\n", b""):
        def answers(origin: TcpOrigin, peer: socket.socket, nonsense: bytes = nonsense) -> None:
            origin.head(peer)
            peer.sendall(nonsense)

        with TcpOrigin(answers, port=bench.raw_port):
            answer = ask(bench.proxy, f"http://site.test:{bench.raw_port}/")
        assert answer.status == 502, nonsense
        assert answer.problem["control"] == "upstream"


@pytest.mark.parametrize("protocol", [b"anything", b"h2c", b"TLS/1.0, websocket2"])
def test_no_upgrade_to_a_raw_tunnel(bench: Bench, protocol: bytes) -> None:
    """`Upgrade: anything` is not passed on, and a 101 that comes all the same ends the exchange:
    mitmproxy would make an unlimited tunnel of it."""
    def switches(origin: TcpOrigin, peer: socket.socket) -> None:
        origin.head(peer)
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                     b"Upgrade: %b\r\n\r\n" % protocol)
        with suppress(OSError):
            origin.read(peer)

    with TcpOrigin(switches, port=bench.raw_port) as target, dial(bench.proxy.port) as peer:
        own = peer.getsockname()[1]
        peer.sendall(get(f"http://site.test:{bench.raw_port}/", f"site.test:{bench.raw_port}",
                         "alice", b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol))
        with suppress(HTTPException, OSError):
            assert reply(peer).status == 502
        with suppress(OSError):
            peer.sendall(b"raw octets")
        assert closed(peer)
        assert b"raw octets" not in target.received[0]
        assert b"pgrade:" not in target.received[0]
    [(_, end)] = bench.records(own)
    assert end is not None
    assert end["event.outcome"] == "failure"


# --- more than one request, and odd targets ------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_pipelined_requests_are_judged_one_by_one(bench: Bench, way: str) -> None:
    peer, port = bench.open(way)
    with peer:
        one = bench.fill(way, b"GET %T HTTP/1.1\r\nHost: %H\r\n%A\r\n")
        bad = bench.fill(way, b"TRACE %T HTTP/1.1\r\nHost: %H\r\n%A\r\n")
        peer.sendall(one + bad + one + one)
        # one reader for all: the replies may come in one piece
        got = b""
        with suppress(TimeoutError):
            peer.settimeout(1.0)
            while chunk := peer.recv(65536):
                got += chunk
    statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 403, 200, 200]
    assert [start["outbounds.verdict"] for start, _ in bench.records(port)] == [
        "allow", "refuse", "allow", "allow"]


def test_each_pipelined_request_needs_credentials(bench: Bench) -> None:
    """The first one's do not cover the second."""
    arrived = bench.arrived()
    with dial(bench.proxy.port) as peer:
        url, host = f"http://site.test:{bench.origin.port}/x", f"site.test:{bench.origin.port}"
        peer.sendall(get(url, host) + get(url, host, None))
        got = b""
        with suppress(TimeoutError):
            peer.settimeout(1.0)
            while chunk := peer.recv(65536):
                got += chunk
    assert [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]] == [200, 407]
    assert bench.arrived() == arrived + 1


def test_a_failed_connect_authenticates_nothing(bench: Bench) -> None:
    arrived = bench.arrived()
    with dial(bench.proxy.port) as peer:
        peer.sendall(b"CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n"
                     + basic() + b"\r\n")
        assert reply(peer).status == 403
        with suppress(OSError, HTTPException):
            peer.sendall(get(f"http://site.test:{bench.origin.port}/x",
                             f"site.test:{bench.origin.port}", None))
            assert reply(peer).status == 407
    assert bench.arrived() == arrived


def test_https_through_a_plain_request_is_judged_and_recorded(bench: Bench) -> None:
    """`GET https://…` without a tunnel: an ordinary request, on record as https."""
    with dial(bench.proxy.port) as peer:
        port = peer.getsockname()[1]
        peer.sendall(get(f"https://site.test:{bench.tls_origin.port}/absolute",
                         f"site.test:{bench.tls_origin.port}"))
        assert reply(peer).status == 200
    [(start, _)] = bench.records(port)
    assert (start["url.scheme"], start["url.path"]) == ("https", "/absolute")
    denied = ask(bench.proxy, "https://denied.test/")
    assert (denied.status, denied.problem["control"]) == (403, "destination")


@pytest.mark.parametrize("way", WAYS)
def test_options_star(bench: Bench, way: str) -> None:
    peer, port = bench.open(way)
    with peer:
        peer.sendall(bench.fill(way, b"OPTIONS * HTTP/1.1\r\nHost: %H\r\n%A\r\n"))
        status = reply(peer).status
    [(start, end)] = bench.records(port)
    assert end is not None
    assert end["http.response.status_code"] == status
    assert (start["outbounds.verdict"] == "allow") == (status not in (400, 403))


@pytest.mark.parametrize("target", ["site.test:25", "site.test:6667", "site.test:1",
                                    "denied.test:443"])
def test_connect_where_nobody_may(bench: Bench, target: str) -> None:
    peer, answer = connect(bench.proxy, target)
    peer.close()
    assert answer.status == 403
    assert answer.problem["control"] in ("protocol", "destination")


@pytest.mark.parametrize("target", ["site.test", "site.test:", ":443", "http://site.test/", "/",
                                    "*", "site.test:443:443", "[::1", "site.test:1e2"])
def test_connect_to_nothing(bench: Bench, target: str) -> None:
    with dial(bench.proxy.port) as peer:
        port = peer.getsockname()[1]
        peer.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n".encode() + basic() + b"\r\n")
        assert reply(peer).status == 400
    assert len(bench.records(port)) == 1


# --- inside a tunnel ------------------------------------------------------------------------------


def tunnel(bench: Bench, target: TcpOrigin, name: str = "bob") -> socket.socket:
    seen = len(target.peers)
    peer, answer = connect(bench.proxy, f"site.test:{target.port}", name)
    assert answer.status == 200
    wait_until(lambda: len(target.received) > seen)  # our thread may accept it a little later
    return peer


@pytest.mark.parametrize("pieces", ["whole", "octets"])
@pytest.mark.parametrize("sni", ["other.test", "denied.test", "SITE.TEST.evil.test"])
def test_another_server_name_never_reaches_the_target(
        bench: Bench, sni: str, pieces: str) -> None:
    """An uninspected tunnel to site.test in which the client asks for another site: closed, on
    record, and the target gets no octet."""
    with TcpOrigin(swallow, port=bench.raw_port) as target, tunnel(bench, target) as peer:
        port = peer.getsockname()[1]
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            if pieces == "whole":
                peer.sendall(hello(sni))
            else:
                for octet in hello(sni):
                    peer.sendall(bytes([octet]))
        assert closed(peer)
        assert target.received == [b""]
    [(start, _)] = bench.records(port)
    assert start["event.action"] == "tls-failure"
    assert start["tls.client.server_name"] == sni
    [(_, end)] = bench.pairs(source_port=port, event_action="tunnel")
    assert end is not None
    assert end["event.outcome"] == "failure"


def test_a_server_name_in_octets_arrives_whole(bench: Bench) -> None:
    """Octet by octet, the right name passes, unchanged; and so does a hello without any."""
    for sent in (hello("site.test"), hello(None), hello("SITE.test")):
        with TcpOrigin(swallow, port=bench.raw_port) as target, tunnel(bench, target) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in sent:
                peer.sendall(bytes([octet]))
            wait_until(lambda target=target, sent=sent: bytes(target.received[0]) == sent)


@pytest.mark.parametrize("request_line", [
    b"TRACE / HTTP/1.1\r\n", b"\r\n\r\nTRACE / HTTP/1.1\r\n", b"trace / HTTP/1.1\r\n"])
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_request_in_a_clear_tunnel_is_judged_however_it_arrives(
        bench: Bench, name: str, request_line: bytes) -> None:
    """Octet by octet, with empty lines in front, in lower case: mitmproxy would take these for
    another protocol and pass them on."""
    with TcpOrigin(swallow, port=bench.raw_port) as target, tunnel(bench, target, name) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in request_line:
            peer.sendall(bytes([octet]))
        peer.sendall(b"Host: site.test:%d\r\n\r\n" % bench.raw_port)
        answer = reply(peer)
        assert (answer.status, answer.problem["rule"]) == (403, "method")
        assert target.received == [b""]


def test_an_endless_client_hello_is_ended_or_passed_on(bench: Bench) -> None:
    """It is not kept: a record that never completes stops being waited for."""
    bench.works()
    before = bench.proxy.rss()
    with TcpOrigin(swallow, port=bench.raw_port) as target, tunnel(bench, target) as peer:
        record = b"\x16\x03\x01\x40\x00"
        with suppress(OSError):
            peer.sendall(record + b"\x01\xff\xff\xff" + b"\x00" * 16380)
            for _ in range(2000):
                peer.sendall(record + b"\x00" * 16384)
        assert bench.proxy.rss() - before < 8 << 20


@pytest.mark.parametrize("octets", [b"AMQP\x00\x00\x09\x01", b"PING\r\n",
                                    b"\x00" * 64, b"\x16\x03\x09\xff\xffgarbage"])
def test_other_protocols_in_an_uninspected_tunnel_are_counted(
        bench: Bench, octets: bytes) -> None:
    """What a tunnel to a permitted port carries is not seen, but it is measured."""
    def echo(origin: TcpOrigin, peer: socket.socket) -> None:
        if data := origin.read(peer):
            peer.sendall(data * 2)
            origin.read(peer)

    with TcpOrigin(echo, port=bench.raw_port) as target, tunnel(bench, target) as peer:
        port = peer.getsockname()[1]
        peer.sendall(octets)
        if octets.startswith(b"\x16"):  # a record that never ends: kept back
            time.sleep(0.2)
            continue_or_not = bytes(target.received[0])
            assert continue_or_not in (b"", octets)
            return
        got = b""
        while len(got) < 2 * len(octets) and (data := peer.recv(4096)):
            got += data
    wait_until(lambda: bench.pairs(source_port=port)[0][1])
    [(_, end)] = bench.pairs(source_port=port)
    assert end is not None
    assert (end["source.bytes"], end["destination.bytes"]) == (len(octets), 2 * len(octets))


def test_garbage_where_tls_is_inspected(bench: Bench) -> None:
    """A handshake that fails is on record, and the tunnel ends."""
    peer, answer = connect(bench.proxy, f"site.test:{bench.tls_origin.port}")
    assert answer.status == 200
    with peer:
        port = peer.getsockname()[1]
        peer.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        assert closed(peer)
    assert [start["event.action"] for start, _ in bench.records(port)] == ["tls-failure"]
    wait_until(lambda: all(end for _, end in bench.pairs(source_port=port)))


def test_a_client_that_does_not_trust_the_authority(bench: Bench) -> None:
    """The handshake fails on the client's side; that is on record with its account."""
    peer, answer = connect(bench.proxy, f"site.test:{bench.tls_origin.port}")
    assert answer.status == 200
    port = peer.getsockname()[1]
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(peer, server_hostname="site.test")
    peer.close()
    found = bench.records(port)
    assert [start["event.action"] for start, _ in found] == ["tls-failure"]
    assert found[0][0]["user.id"]


# --- HTTP/2 ---------------------------------------------------------------------------------------


def test_rapid_reset_is_bounded(tmp_path: Path, running: Bench, trust: dict[str, str]) -> None:
    """1,500 streams opened and reset at once: as many reach the target as the limits allow, each
    of them on record, and the proxy lives."""
    origin = running.h2_origin
    before = len(origin.seen)
    config = make_config(tmp_path / "config", [origin.port], robots="off")
    with Proxy(config, names={"site.test": ["127.0.0.1"]}, options=trust) as proxy:
        client = Http2(proxy, origin.port)
        with suppress(OSError, h2.exceptions.ProtocolError):
            for _ in range(1500):
                stream = client.connection.get_next_available_stream_id()
                client.connection.send_headers(stream, client.fields("/reset"), end_stream=True)
                client.connection.reset_stream(stream)
                client.send()
        client.peer.close()
        wait_until(lambda: proxy.metrics()["outbounds_client_connections"] == 0, 20)
        wait_until(lambda: all(end for _, end in proxy.pairs()), 20)
        # the burst, and what is paced: ten a second for the five seconds that one may wait
        assert len(origin.seen) - before <= 60 + 50
        let_through = [start for start, _ in proxy.pairs(event_action="request")
                       if start["outbounds.verdict"] in ("allow", "pace")]
        assert len(origin.seen) - before <= len(let_through) <= 60 + 60
        assert ask(proxy, f"https://{client.authority}/").status in (200, 429)


@pytest.mark.parametrize(("more", "status"), [
    ((("host", "other.test"),), 421), ((("transfer-encoding", "chunked"),), 400),
    ((("connection", "close"),), 400), ((("X-Upper", "y"),), 400), ((("x", "a\r\nb: c"),), 400),
    ((("x", "a\x00b"),), 400), ((("content-length", "-1"),), 400)])
def test_http2_fields_that_would_smuggle(
        bench: Bench, more: tuple[tuple[str, str], ...], status: int) -> None:
    """Refused with a reply, or the connection ended with GOAWAY; never passed on."""
    arrived = bench.arrived()
    client = Http2(bench.proxy, bench.h2_origin.port)
    port = client.peer.getsockname()[1]
    client.connection.send_headers(1, client.fields("/x", *more), end_stream=True)
    client.send()
    answered = ended = False
    for event in client.events():
        if isinstance(event, h2.events.ResponseReceived):
            assert dict(event.headers)[":status"] == str(status)
            answered = True
            break
        if isinstance(event, (h2.events.ConnectionTerminated, h2.events.StreamReset)):
            ended = True
            break
    client.peer.close()
    assert answered or ended
    assert bench.arrived() == arrived
    assert len(bench.records(port)) == 1


def test_http2_garbage_after_the_preface(bench: Bench) -> None:
    client = Http2(bench.proxy, bench.h2_origin.port)
    port = client.peer.getsockname()[1]
    client.peer.sendall(b"\x00\x00\x05\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff\xff")
    assert any(isinstance(event, h2.events.ConnectionTerminated) for event in client.events())
    client.peer.close()
    assert len(bench.records(port)) == 1


def test_replies_are_typed(bench: Bench) -> None:
    """A small check of the harness itself: a refusal without its problem body would be noticed."""
    with TcpOrigin(small_http, port=bench.raw_port):
        answer: Reply = ask(bench.proxy, f"http://site.test:{bench.raw_port}/")
    assert answer.body == b"ok"
    with pytest.raises(AssertionError):
        answer.problem  # noqa: B018
