"""Bodies pass through and are never held: refused ones are not even received."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h2.events
import pytest

from .dns_server import late
from .h2_origin import H2Origin
from .harness import Proxy, free_port, lift_limits, make_config, set_dns, wait_until
from .origin import Origin
from .sockets import (
    Http2,
    TcpOrigin,
    ask,
    basic,
    connect,
    dial,
    get,
    hello,
    inspected,
    reply,
    swallow,
    tls,
)

MB = 1 << 20
GB = 1 << 30
BLOCK = bytes(MB)
NAMES = {name: ["127.0.0.1"] for name in ("site.test", "other.test")}


class Bench:
    def __init__(self, proxy: Proxy, raw_port: int, tls_port: int, h2_port: int,
                 context: ssl.SSLContext, origin_ca: Path) -> None:
        self.h2_port = h2_port
        self.proxy, self.raw_port, self.tls_port = proxy, raw_port, tls_port
        self.context, self.origin_ca = context, origin_ca

    def closing(self, path: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((end for _, end in self.proxy.pairs(url_path=path) if end), None)
        end: dict[str, Any] = wait_until(found)
        return end


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory,
          certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bodies")
    raw_port = free_port()
    with Origin(free_port(), tls=certificates[1]) as tls_origin, \
            H2Origin(free_port(), certificates[0].parent / "leaf.pem") as h2_origin:
        tls_port = tls_origin.port
        config = make_config(
            folder / "config", [raw_port, tls_port, h2_origin.port], robots="off")
        lift_limits(config)
        set_dns(config, ttl_floor="0s")
        with Proxy(config, names=NAMES, options={
                "ssl_verify_upstream_trusted_ca": str(certificates[0])}) as proxy:
            proxy.dns.scripts["other.test"] = late(1.8, ["127.0.0.1"])
            for name in ("alice", "bob"):  # argon2id takes 64 MiB for a moment
                ask(proxy, f"https://site.test:{tls_port}/warm", name)
            yield Bench(proxy, raw_port, tls_port, h2_origin.port, certificates[1],
                        certificates[0])


class Watch:
    """The most that the proxy's memory grew while this was in force."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy, self.grown = proxy, 0
        self._before = proxy.rss()
        self._stop = threading.Event()

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self.grown = max(self.grown, self._proxy.rss() - self._before)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.grown = max(self.grown, self._proxy.rss() - self._before)


# --- uploads that are refused ---------------------------------------------------------------------


def post(bench: Bench, way: str, framing: bytes, *, credentials: bool = True,
         expect: bool = False) -> tuple[socket.socket, bytes]:
    """A connection, and the head of an upload that is refused for its method."""
    port = bench.raw_port if way == "plain" else bench.tls_port
    host = f"site.test:{port}"
    target = f"http://{host}/up" if way == "plain" else "/up"
    peer = dial(bench.proxy.port) if way == "plain" else inspected(bench.proxy, "site.test", port)
    head = (f"BREW {target} HTTP/1.1\r\nHost: {host}\r\n".encode() + framing
            + (b"Expect: 100-continue\r\n" if expect else b"")
            + (basic() if way == "plain" and credentials else b"") + b"\r\n")
    return peer, head


FRAMINGS = {"length": b"Content-Length: %d\r\n" % GB, "chunked": b"Transfer-Encoding: chunked\r\n"}


def pour(peer: socket.socket, framing: str, most: int = GB) -> int:
    """Send a body until the reply can be read; how many octets went out."""
    sent = 0
    block = BLOCK if framing == "length" else b"%x\r\n%b\r\n" % (MB, BLOCK)
    view = memoryview(block)
    offset = 0
    peer.setblocking(False)
    try:
        while sent < most:
            readable, writable, _ = select.select([peer], [peer], [], 10)
            if readable:
                break
            assert writable, "neither a reply nor room to send for 10 s"
            with suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                count = peer.send(view[offset:offset + 262_144])
                sent += count
                offset = (offset + count) % len(block)
    finally:
        peer.settimeout(10)
    return sent


@pytest.mark.parametrize("way", ["plain", "inspected"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_refused_upload_is_answered_at_once(bench: Bench, way: str, framing: str) -> None:
    """1 GB announced: the reply comes after a few megabytes at most, to a client that is still
    sending, and is not reset away while it goes on."""
    with Watch(bench.proxy) as watch:
        started = time.monotonic()
        peer, head = post(bench, way, FRAMINGS[framing])
        with peer:
            peer.sendall(head)
            sent = pour(peer, framing)
            took = time.monotonic() - started
            with suppress(OSError):  # goes on sending, as some do, before it reads
                for _ in range(3):
                    peer.sendall(BLOCK)
            answer = reply(peer)
        assert (answer.status, answer.problem["rule"]) == (403, "method")
    assert took < 2.0
    assert sent < 32 * MB
    assert watch.grown < 20 * MB


@pytest.mark.parametrize("way", ["plain", "inspected"])
def test_a_refused_upload_that_asked_first_costs_nothing(bench: Bench, way: str) -> None:
    """With Expect: 100-continue the refusal comes instead of the 100."""
    peer, head = post(bench, way, FRAMINGS["length"], expect=True)
    with peer:
        peer.sendall(head)
        assert reply(peer).status == 403


def test_a_stranger_cannot_upload(bench: Bench) -> None:
    """407 before the body; the built-in proxyauth would take all of it in first."""
    with Watch(bench.proxy) as watch:
        peer, head = post(bench, "plain", FRAMINGS["length"], credentials=False)
        with peer:
            peer.sendall(head)
            sent = pour(peer, "length")
            assert reply(peer).status == 407
    assert sent < 32 * MB
    assert watch.grown < 20 * MB


def test_a_client_that_never_reads_is_hung_up_on(bench: Bench) -> None:
    """It sends its gigabyte whatever comes; the proxy takes a bounded part of it."""
    with Watch(bench.proxy) as watch:
        peer, head = post(bench, "plain", FRAMINGS["length"])
        sent = 0
        with peer, suppress(OSError):
            peer.sendall(head)
            while sent < GB:
                peer.sendall(BLOCK)
                sent += MB
    assert sent < 64 * MB
    assert watch.grown < 20 * MB


@pytest.mark.parametrize("way", ["plain", "connect"])
def test_what_is_sent_during_a_decision_is_not_kept(bench: Bench, way: str) -> None:
    """The name takes 1.8 s to look up; what the client pours in meanwhile stays with it."""
    host = f"other.test:{bench.raw_port}"
    head = (f"POST http://{host}/up HTTP/1.1\r\nHost: {host}\r\n" if way == "plain"
            else f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n").encode() + (
                FRAMINGS["length"] if way == "plain" else b"") + basic() + b"\r\n"
    # nobody listens there: the decision ends in a 502
    with Watch(bench.proxy) as watch, dial(bench.proxy.port) as peer:
        peer.sendall(head)
        sent = 0
        peer.settimeout(0.3)
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline and sent < 400 * MB:
            with suppress(TimeoutError):
                sent += peer.send(BLOCK)
        peer.settimeout(10)
        with suppress(OSError):
            assert reply(peer).status == 502
    assert watch.grown < 20 * MB


def test_pipelined_octets_are_not_kept(bench: Bench) -> None:
    """A target that holds its answer back does not turn the proxy into a store for what follows."""
    hold = threading.Event()

    def holds(origin: TcpOrigin, peer: socket.socket) -> None:
        origin.head(peer)
        hold.wait(10)

    host = f"site.test:{bench.raw_port}"
    with TcpOrigin(holds, port=bench.raw_port), Watch(bench.proxy) as watch, \
            dial(bench.proxy.port) as peer:
        peer.sendall(get(f"http://{host}/", host))
        sent = 0
        peer.settimeout(0.3)
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline and sent < 400 * MB:
            try:
                sent += peer.send(BLOCK)
            except TimeoutError:
                pass
            except OSError:
                break
        hold.set()
    assert watch.grown < 20 * MB


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_what_follows_a_client_hello_is_not_kept(
        bench: Bench, name: str) -> None:
    """A target that never answers the handshake does not turn the proxy into a store."""
    with TcpOrigin(swallow, port=bench.raw_port), Watch(bench.proxy) as watch:
        peer, answer = connect(bench.proxy, f"site.test:{bench.raw_port}", name)
        assert answer.status == 200
        with peer:
            peer.sendall(hello("site.test"))
            peer.settimeout(0.3)
            sent, deadline = 0, time.monotonic() + 1.5
            while time.monotonic() < deadline and sent < 200 * MB:
                try:
                    sent += peer.send(BLOCK)
                except TimeoutError:
                    pass
                except OSError:
                    break
    assert watch.grown < 20 * MB


def test_a_refused_upload_over_http2(bench: Bench) -> None:
    """The reply comes at once, RST_STREAM(NO_ERROR) ends the upload, the connection goes on."""
    client = Http2(bench.proxy, bench.h2_port)
    with client.peer, Watch(bench.proxy) as watch:
        client.connection.send_headers(1, client.fields("/up", method="BREW"))
        client.send()
        sent, status, ended = 0, "", False
        for event in client.events():
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.StreamReset):
                assert event.error_code == 0
                ended = True
                break
            elif not status and (room := client.connection.local_flow_control_window(1)):
                sent += min(room, 16_384)
                client.connection.send_data(1, bytes(min(room, 16_384)))
                client.send()
        assert (status, ended) == ("403", True)
        client.connection.send_headers(3, client.fields("/after"), end_stream=True)
        client.send()
        assert next(dict(event.headers)[":status"] for event in client.events()
                    if isinstance(event, h2.events.ResponseReceived)) == "200"
    assert sent <= MB
    assert watch.grown < 20 * MB


def test_http2_octets_during_a_decision_stay_within_the_window(bench: Bench) -> None:
    """The window is given back only once there is a decision, and then the upload goes on."""
    client = Http2(bench.proxy, bench.h2_port, "other.test")
    octets, sent = 4 * MB, 0
    with client.peer:
        window = client.connection.local_flow_control_window
        client.connection.send_headers(1, client.fields(
            "/up", ("content-length", str(octets)), method="POST"))
        client.send()
        begun, first = time.monotonic(), 0
        for event in client.events():
            if isinstance(event, h2.events.ResponseReceived):
                assert dict(event.headers)[":status"] == "200"
                break
            while sent < octets and (room := min(window(1), 16_384, octets - sent)):
                client.connection.send_data(1, bytes(room), end_stream=sent + room == octets)
                client.send()
                sent += room
            if time.monotonic() - begun < 1.0:
                first = sent
    assert sent == octets
    assert first <= MB  # a window, and not more, before the name was known


# --- downloads and tunnels ------------------------------------------------------------------------


def sends(octets: int, context: ssl.SSLContext | None = None,
          ) -> Callable[[TcpOrigin, socket.socket], None]:
    """Answers with `octets` of body."""
    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        stream = context.wrap_socket(peer, server_side=True) if context else peer
        while b"\r\n\r\n" not in stream.recv(65536):
            pass
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % octets)
        for _ in range(octets // MB):
            stream.sendall(BLOCK)
        stream.recv(1)
    return serve


def drain(peer: socket.socket, octets: int) -> int:
    """Read a response with a body of `octets`; the length of the head that came first."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(65536)
    start = head.index(b"\r\n\r\n") + 4
    left = octets - (len(head) - start)
    buffer = memoryview(bytearray(MB))
    while left > 0:
        count = peer.recv_into(buffer, min(left, MB))
        assert count, f"{left} octets are missing"
        left -= count
    return start


def test_a_download_of_two_gigabytes(bench: Bench) -> None:
    """In the clear: less than 50 MB of memory, and every octet counted."""
    host = f"site.test:{bench.raw_port}"
    with TcpOrigin(sends(2 * GB), port=bench.raw_port), dial(bench.proxy.port, 60) as peer, \
            Watch(bench.proxy) as watch:
        peer.sendall(get(f"http://{host}/big", host))
        drain(peer, 2 * GB)
    assert watch.grown < 50 * MB
    assert bench.closing("/big")["http.response.bytes"] == 2 * GB


def test_an_inspected_download(bench: Bench) -> None:
    """300 MB through TLS on both sides."""
    with TcpOrigin(sends(300 * MB, bench.context), port=bench.raw_port), \
            inspected(bench.proxy, "site.test", bench.raw_port) as peer, \
            Watch(bench.proxy) as watch:
        peer.settimeout(60)
        peer.sendall(get("/big-inside", f"site.test:{bench.raw_port}", None))
        drain(peer, 300 * MB)
    assert watch.grown < 50 * MB
    assert bench.closing("/big-inside")["http.response.bytes"] == 300 * MB


def test_a_download_in_a_tunnel_that_is_not_inspected(bench: Bench) -> None:
    """2 GB of TLS that stays closed, in a tunnel of bob's; counted as it passed."""
    with TcpOrigin(sends(2 * GB, bench.context), port=bench.raw_port):
        raw, answer = connect(bench.proxy, f"site.test:{bench.raw_port}", "bob")
        assert answer.status == 200
        port = raw.getsockname()[1]
        raw.settimeout(60)
        with tls(raw, bench.origin_ca, "site.test") as peer, Watch(bench.proxy) as watch:
            peer.sendall(get("/", f"site.test:{bench.raw_port}", None))
            drain(peer, 2 * GB)
    assert watch.grown < 50 * MB
    wait_until(lambda: bench.proxy.pairs(source_port=port, event_action="tunnel")[-1][1])
    end = bench.proxy.pairs(source_port=port, event_action="tunnel")[-1][1]
    assert end is not None
    assert 2 * GB < end["destination.bytes"] < 2 * GB * 1.01
    assert 300 < end["source.bytes"] < 10_000


def test_a_raw_tunnel_is_counted_to_the_octet(bench: Bench) -> None:
    """64 MB each way, of nothing that the proxy knows; no memory stays with it."""
    def echo(origin: TcpOrigin, peer: socket.socket) -> None:
        while data := peer.recv(MB):
            peer.sendall(data)

    with TcpOrigin(echo, port=bench.raw_port), Watch(bench.proxy) as watch:
        peer, answer = connect(bench.proxy, f"site.test:{bench.raw_port}", "bob")
        assert answer.status == 200
        port = peer.getsockname()[1]
        with peer:
            buffer = memoryview(bytearray(MB))
            for _ in range(64):
                peer.sendall(b"\x00" * MB)
                left = MB
                while left:
                    left -= peer.recv_into(buffer, left)
    assert watch.grown < 20 * MB
    wait_until(lambda: bench.proxy.pairs(source_port=port)[-1][1])
    end = bench.proxy.pairs(source_port=port)[-1][1]
    assert end is not None
    assert (end["source.bytes"], end["destination.bytes"]) == (64 * MB, 64 * MB)


@pytest.mark.parametrize("way", ["plain", "inspected"])
def test_a_slow_reader_throttles_the_target(bench: Bench, way: str) -> None:
    """A client that does not read makes the target wait, instead of the proxy keep it all."""
    pushed = 0

    def pushes(origin: TcpOrigin, peer: socket.socket) -> None:
        nonlocal pushed
        stream = peer if way == "plain" else bench.context.wrap_socket(peer, server_side=True)
        stream.recv(65536)
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GB)
        for _ in range(GB // MB):
            stream.sendall(BLOCK)
            pushed += MB

    host = f"site.test:{bench.raw_port}"
    with TcpOrigin(pushes, port=bench.raw_port), Watch(bench.proxy) as watch:
        peer = (dial(bench.proxy.port) if way == "plain"
                else inspected(bench.proxy, "site.test", bench.raw_port))
        with peer:
            peer.sendall(get(f"http://{host}/" if way == "plain" else "/", host,
                             "alice" if way == "plain" else None))
            time.sleep(1.5)
            assert 0 < pushed < 64 * MB
    assert watch.grown < 20 * MB


def test_a_long_websocket_takes_no_memory(bench: Bench) -> None:
    """Thousands of messages each way, counted and forgotten."""
    import wsproto
    from wsproto.events import AcceptConnection, BytesMessage, Request

    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while data := peer.recv(MB):
            server.receive_data(data)
            for event in server.events():
                if isinstance(event, Request):
                    peer.sendall(server.send(AcceptConnection()))
                elif isinstance(event, BytesMessage):
                    peer.sendall(server.send(BytesMessage(bytes(event.data))))

    size, count = 65_536, 1000
    with TcpOrigin(serve, port=bench.raw_port), dial(bench.proxy.port) as peer:
        client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        host = f"site.test:{bench.raw_port}"
        hello = client.send(Request(host=host, target="/socket"))
        peer.sendall(hello.replace(b"GET /socket", f"GET http://{host}/socket".encode())
                     .replace(b"\r\n", b"\r\n" + basic(), 1))

        def event() -> Any:
            while True:
                for found in client.events():
                    return found
                client.receive_data(peer.recv(MB))

        event()  # accepted
        with Watch(bench.proxy) as watch:
            for _ in range(count):
                peer.sendall(client.send(BytesMessage(b"x" * size)))
                received = 0
                while received < size:
                    received += len(event().data)
    assert watch.grown < 20 * MB
    end = bench.closing("/socket")
    assert end["http.request.bytes"] == end["http.response.bytes"] == size * count


def test_an_upload_arrives_whole(bench: Bench) -> None:
    """200 MB, allowed: passed on as it comes, counted."""
    received = 0

    def takes(origin: TcpOrigin, peer: socket.socket) -> None:
        nonlocal received
        data = b""
        while b"\r\n\r\n" not in data:
            data += peer.recv(65536)
        received = len(data) - data.index(b"\r\n\r\n") - 4
        while received < 200 * MB:
            received += len(peer.recv(MB))
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    host = f"site.test:{bench.raw_port}"
    with TcpOrigin(takes, port=bench.raw_port), dial(bench.proxy.port) as peer, \
            Watch(bench.proxy) as watch:
        peer.sendall(f"POST http://{host}/whole HTTP/1.1\r\nHost: {host}\r\n"
                     f"Content-Length: {200 * MB}\r\n".encode() + basic() + b"\r\n")
        for _ in range(200):
            peer.sendall(BLOCK)
        assert reply(peer).status == 200
    assert received == 200 * MB
    assert watch.grown < 20 * MB
    assert bench.closing("/whole")["http.request.bytes"] == 200 * MB


def test_the_metrics_page_counts_octets_too(bench: Bench) -> None:
    """In both directions; after the tests above."""
    metrics = bench.proxy.metrics()
    assert metrics['outbounds_bytes_total{direction="down"}'] > 2 * GB
    assert metrics['outbounds_bytes_total{direction="up"}'] > 200 * MB

