"""Slow abuse, and slow targets, by bare sockets; and that what is slow in honesty lives on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import h2.events
import pytest

from .h2_origin import H2Origin
from .harness import Proxy, edit_yaml, free_port, lift_limits, make_config, wait_until
from .origin import Origin
from .sockets import (
    Http2,
    TcpOrigin,
    ask,
    closed,
    connect,
    dial,
    get,
    hello,
    inspected,
    reply,
    swallow,
    tls,
)

HANDSHAKE, BODY, READ, IDLE, TUNNEL, REPLY, BETWEEN, DIAL = 1.5, 2.0, 2.5, 3.0, 5.0, 3.0, 4.0, 2.0
"""Seconds of the configuration of the tests, far from what is shipped."""

NAMES = {"site.test": ["127.0.0.1"]}
PAUSE = 0.2  # between the octets of those who send just enough not to be idle
LONG = 60.0  # seconds for what takes a few, on a machine that is busy


def shorten(config: Path) -> None:
    def change(data: Any) -> None:
        data["heads"]["timeout"] = f"{HANDSHAKE:g}s"
        data["clients"].update({
            "handshake": f"{HANDSHAKE:g}s", "idle": f"{IDLE:g}s", "tunnel_idle": f"{TUNNEL:g}s",
            "slow_bodies": {"at_least": "1KiB/s", "over": f"{BODY:g}s"},
            "slow_reads": {"at_least": "16B/s", "over": f"{READ:g}s"},
            "http2_resets": "50/min"})
        data["targets"] = {"connect": f"{DIAL:g}s", "reply": f"{REPLY:g}s",
                           "idle": f"{BETWEEN:g}s"}
    edit_yaml(config / "outbounds.yaml", change)


class Target:
    """What the path of a request asks for: /silent no answer, /half half of one, /endless more
    than anybody takes, /early an answer before the body, /drip a slow one, /ws a WebSocket."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def __call__(self, origin: TcpOrigin, peer: socket.socket) -> None:
        while head := origin.head(peer):
            path = head.split()[1].decode()
            if path.startswith("/silent"):
                swallow(origin, peer)
            elif path.startswith("/half"):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                swallow(origin, peer)
            elif path.startswith("/endless"):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                while not self.stop.is_set():
                    peer.sendall(bytes(65536))
            elif path.startswith("/early"):
                peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
                swallow(origin, peer)
            elif path.startswith("/drip"):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
                for _ in range(12):
                    time.sleep(BETWEEN / 8)
                    peer.sendall(b".")
            elif path.startswith("/ws"):
                peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             b"Connection: Upgrade\r\n"
                             b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzhZRbK+xOo=\r\n\r\n")
                swallow(origin, peer)
            elif b"Content-Length" in head:
                while not origin.received[-1].endswith(b"END"):
                    if not origin.read(peer):
                        return
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else:
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Bench:
    def __init__(self, proxy: Proxy, port: int, raw: int, tls_port: int, h2_port: int) -> None:
        self.proxy, self.port, self.raw = proxy, port, raw
        self.tls_port, self.h2_port = tls_port, h2_port

    def url(self, path: str) -> str:
        return f"http://site.test:{self.port}{path}"

    def send(self, path: str, extra: bytes = b"", method: bytes = b"GET") -> socket.socket:
        peer = dial(self.proxy.port, LONG)
        host = f"site.test:{self.port}"
        peer.sendall(get(self.url(path), host, extra=extra).replace(b"GET", method, 1))
        return peer

    def ending(self, path: str) -> str:
        """What the closing record of a request says."""
        return self.closing(lambda start: start.get("url.path") == path)

    def tunnel_ending(self, port: int) -> str:
        """What the closing record of the latest tunnel to a port says."""
        return self.closing(lambda start: start.get("destination.port") == port
                            and start["event.action"] == "tunnel")

    def closing(self, wanted: Callable[[dict[str, Any]], bool]) -> str:
        def found() -> Any:
            pairs = [pair for pair in self.proxy.pairs() if wanted(pair[0])]
            return pairs[-1][1] if pairs else None
        return str(wait_until(found, LONG).get("event.reason", ""))

    def ended(self, why: str) -> float:
        return self.proxy.metrics().get(f'outbounds_slow_clients_total{{why="{why}"}}', 0.0)


@pytest.fixture(scope="module", params=["serve", "mitmdump"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
          certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("slow")
    target, raw = Target(), free_port()
    with TcpOrigin(target, port=free_port()) as origin, \
            Origin(free_port(), tls=certificates[1]) as secure, \
            H2Origin(free_port(), certificates[0].parent / "leaf.pem") as http2:
        ports = [origin.port, raw, secure.port, http2.port]
        config = make_config(folder / "config", ports, robots="off")
        lift_limits(config)
        shorten(config)
        with Proxy(config, request.param, names=NAMES, socks=True, options={
                "ssl_verify_upstream_trusted_ca": str(certificates[0])}) as proxy:
            for name in ("alice", "bob"):
                assert ask(proxy, f"http://site.test:{origin.port}/warm", name).status == 200
            yield Bench(proxy, *ports)
        target.stop.set()


def drip(peer: socket.socket, data: bytes, seconds: float = LONG) -> bool:
    """Send octet by octet, just often enough not to be idle; whether the peer ended that."""
    peer.settimeout(PAUSE)
    deadline = time.monotonic() + seconds
    for octet in data:
        try:
            peer.sendall(bytes([octet]))
            if peer.recv(65536) == b"":
                return True
        except TimeoutError:
            pass
        except OSError:
            return True
        if time.monotonic() > deadline:
            break
    return False


# --- half-open ----------------------------------------------------------------------------------

@pytest.mark.parametrize("sent", [b"", b"\x05", b"\x05\x01\x02\x01\x05ali"],
                         ids=["nothing", "half a greeting", "half of the credentials"])
def test_a_socks5_handshake_must_end_in_time(bench: Bench, sent: bytes) -> None:
    before = bench.ended("handshake")
    with dial(bench.proxy.socks_port) as peer:
        peer.sendall(sent)
        if len(sent) > 3:
            assert peer.recv(2) == b"\x05\x02"
        assert closed(peer, LONG)
    assert bench.ended("handshake") == before + 1
    assert "SOCKS5" in bench.closing(lambda start: start["event.action"] == "malformed")


def test_a_socks5_handshake_octet_by_octet_must_end_in_time(bench: Bench) -> None:
    with dial(bench.proxy.socks_port) as peer:
        assert drip(peer, b"\x05\xff" + bytes(255))


@pytest.mark.parametrize("name", ["alice", "bob"], ids=["inspected", "not inspected"])
def test_a_client_hello_must_end_in_time(bench: Bench, name: str) -> None:
    peer, answer = connect(bench.proxy, f"site.test:{bench.tls_port}", name)
    with peer:
        assert answer.status == 200
        assert drip(peer, hello("site.test"), LONG / 2)
    assert "ClientHello" in bench.tunnel_ending(bench.tls_port)


def test_a_tls_handshake_must_end_in_time(bench: Bench) -> None:
    peer, answer = connect(bench.proxy, f"site.test:{bench.tls_port}")
    with peer:
        assert answer.status == 200
        peer.sendall(hello("site.test"))
        assert peer.recv(5)[:1] == b"\x16"
        peer.settimeout(LONG)
        with suppress(OSError):
            while peer.recv(65536):
                pass
    assert "TLS handshake" in bench.tunnel_ending(bench.tls_port)


def test_a_head_inside_tls_must_end_in_time(bench: Bench) -> None:
    with inspected(bench.proxy, "site.test", bench.tls_port) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: ")
        peer.settimeout(LONG)
        assert reply(peer).status == 408


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n"], ids=["nothing", "half of it"])
def test_the_preface_of_http2_must_come_in_time(bench: Bench, sent: bytes) -> None:
    with inspected(bench.proxy, "site.test", bench.h2_port, "h2") as peer:
        peer.sendall(sent)
        assert quiet_end(peer)
    assert "HTTP/2" in bench.tunnel_ending(bench.h2_port)


def test_a_frame_of_http2_must_end_in_time(bench: Bench) -> None:
    client = Http2(bench.proxy, bench.h2_port)
    with client.peer:
        wait = client.peer.recv(65536)
        assert wait
        client.peer.sendall(b"\x00\x01\x00\x01\x05\x00\x00\x00\x01half a field block")
        assert quiet_end(client.peer)
    assert "HTTP/2" in bench.tunnel_ending(bench.h2_port)


def quiet_end(peer: socket.socket) -> bool:
    """Read until the other side ends, in whatever way."""
    peer.settimeout(LONG)
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


# --- bodies -------------------------------------------------------------------------------------

def test_a_body_that_drips_gets_408(bench: Bench) -> None:
    before = bench.ended("slow-body")
    with bench.send("/post-drip", b"Content-Length: 100000\r\n", b"POST") as peer:
        stop = threading.Event()

        def feed() -> None:
            with suppress(OSError):
                while not stop.wait(PAUSE):
                    peer.sendall(b".")

        feeding = threading.Thread(target=feed)
        feeding.start()
        answer = reply(peer)
        stop.set()
        feeding.join()
    assert answer.status == 408
    assert answer.problem["type"].endswith("body-timeout")
    assert "slowly" in bench.ending("/post-drip")
    assert bench.ended("slow-body") == before + 1


def test_a_body_in_http2_gets_408_and_the_connection_goes_on(bench: Bench) -> None:
    client = Http2(bench.proxy, bench.h2_port)
    with client.peer:
        client.connection.send_headers(1, client.fields("/slow", ("content-length", "5000"),
                                                        method="POST"))
        client.connection.send_data(1, b"a little")
        client.send()
        status = {}
        for event in client.events(LONG):
            if isinstance(event, h2.events.ResponseReceived):
                status[event.stream_id] = dict(event.headers)[":status"]
                if event.stream_id == 3:
                    break
                client.connection.send_headers(3, client.fields("/next"), end_stream=True)
                client.send()
    assert status == {1: "408", 3: "200"}


def test_a_body_that_is_slow_but_keeps_pace_arrives(bench: Bench) -> None:
    with bench.send("/post-steady", b"Content-Length: 8003\r\n", b"POST") as peer:
        for _ in range(16):  # for twice the time that is looked at
            time.sleep(BODY / 8)
            peer.sendall(bytes(500))
        peer.sendall(b"END")
        assert reply(peer).status == 200


def test_a_body_after_the_answer_has_begun_may_take_its_time(bench: Bench) -> None:
    with bench.send("/early", b"Transfer-Encoding: chunked\r\n", b"POST") as peer:
        assert b"hi" in read_for(peer, BODY * 1.5)
        peer.sendall(b"1\r\n.\r\n")
        assert read_for(peer, 0.5) == b""


def read_for(peer: socket.socket, seconds: float) -> bytes:
    """What comes in that time; AssertionError if the other side ends."""
    got, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        peer.settimeout(left)
        with suppress(TimeoutError):
            data = peer.recv(65536)
            assert data, "the connection was ended"
            got += data
    return got


# --- reads --------------------------------------------------------------------------------------

def test_a_client_that_reads_nothing_is_cut_off(bench: Bench) -> None:
    before = bench.ended("slow-read")
    with bench.send("/endless-a"):
        assert "did not take" in bench.ending("/endless-a")
    assert bench.ended("slow-read") == before + 1


def test_a_client_that_reads_slowly_is_not(bench: Bench) -> None:
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with peer:
        peer.connect(("127.0.0.1", bench.proxy.port))
        peer.sendall(get(bench.url("/endless-b"), f"site.test:{bench.port}"))
        for _ in range(int(READ * 2 / PAUSE)):
            time.sleep(PAUSE)
            assert peer.recv(8192)


def test_a_client_that_gives_no_window_is_cut_off(bench: Bench) -> None:
    client = Http2(bench.proxy, bench.h2_port)
    with client.peer:
        # RFC 9113 section 6.5.2: SETTINGS_INITIAL_WINDOW_SIZE 0
        client.connection.update_settings({4: 0})
        client.connection.send_headers(1, client.fields("/windowless"), end_stream=True)
        client.send()
        assert quiet_end(client.peer)
    assert "window" in bench.tunnel_ending(bench.h2_port)


def test_a_target_that_takes_a_body_slowly_is_not_the_clients_fault(bench: Bench) -> None:
    """Everything between the two is full; then the target goes on."""
    go_on = threading.Event()

    def late_reader(origin: TcpOrigin, peer: socket.socket) -> None:
        assert go_on.wait(LONG)
        swallow(origin, peer)

    with TcpOrigin(late_reader, port=bench.raw) as origin, dial(bench.proxy.port, LONG) as peer:
        host = f"site.test:{bench.raw}"
        size = 64 * 1024 * 1024
        peer.sendall(get(f"http://{host}/post-late", host, extra=b"Content-Length: %d\r\n" % size)
                     .replace(b"GET", b"POST", 1))
        sending = threading.Thread(target=peer.sendall, args=(bytes(size),))
        sending.start()
        assert read_for(peer, BODY * 1.5) == b""
        go_on.set()
        sending.join(LONG)
        wait_until(lambda: sum(map(len, origin.received)) > size, LONG)


# --- idle ---------------------------------------------------------------------------------------

def test_a_connection_without_a_request_ends(bench: Bench) -> None:
    with bench.send("/then-idle") as peer:
        assert reply(peer).status == 200
        started = time.monotonic()
        assert closed(peer, LONG)
        assert time.monotonic() - started > IDLE - 0.5


def test_empty_lines_are_no_request(bench: Bench) -> None:
    with dial(bench.proxy.port) as peer:
        assert drip(peer, b"\r\n" * 200)


def test_a_tunnel_without_octets_ends_and_says_so(bench: Bench) -> None:
    with TcpOrigin(swallow, port=bench.raw):
        peer, answer = connect(bench.proxy, f"site.test:{bench.raw}", "bob")
        with peer:
            assert answer.status == 200
            for _ in range(3):  # all the while something passes it lives
                peer.sendall(b"\x00")
                assert read_for(peer, TUNNEL / 2.5) == b""
            assert closed(peer, LONG)
    assert "nothing passed the tunnel" in bench.tunnel_ending(bench.raw)


def test_a_websocket_outlives_what_a_connection_without_a_request_does_not(bench: Bench) -> None:
    with bench.send("/ws", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") as peer:
        assert b"101" in read_for(peer, IDLE + 1.0)
        peer.settimeout(LONG)
        assert quiet_end(peer)
    assert "nothing passed the WebSocket" in bench.ending("/ws")


# --- targets ------------------------------------------------------------------------------------

def test_a_target_that_does_not_answer_is_a_504(bench: Bench) -> None:
    with bench.send("/silent-a") as peer:
        answer = reply(peer)
    assert answer.status == 504
    assert answer.problem["type"].endswith("target-timeout")
    assert "in time" in bench.ending("/silent-a")


def test_a_target_that_stops_in_the_middle_breaks_off(bench: Bench) -> None:
    with bench.send("/half-a") as peer:
        assert quiet_end(peer)
    assert "in time" in bench.ending("/half-a")


def test_a_target_that_answers_slowly_is_waited_for(bench: Bench) -> None:
    with bench.send("/drip") as peer:
        assert reply(peer).body == b"." * 12


@pytest.mark.parametrize("way", ["plain", "tunnel"])
def test_a_target_that_does_not_take_the_connection_is_a_504(bench: Bench, way: str) -> None:
    with full_backlog(bench.raw):
        if way == "plain":
            answer = ask(bench.proxy, f"http://site.test:{bench.raw}/")
        else:
            peer, answer = connect(bench.proxy, f"site.test:{bench.raw}", "bob")
            peer.close()
    assert answer.status == 504
    assert answer.problem["type"].endswith("target-timeout")


@contextmanager
def full_backlog(port: int) -> Iterator[None]:
    """A port that is listened on, and where no connection is completed any more."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=0))
        assert listener
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield


def test_tls_that_a_target_does_not_answer_is_a_504(bench: Bench) -> None:
    with TcpOrigin(swallow, port=bench.raw):
        peer, answer = connect(bench.proxy, f"site.test:{bench.raw}")
        assert answer.status == 200
        with tls(peer, bench.proxy.ca, "site.test", "http/1.1") as inner:
            inner.settimeout(LONG)
            inner.sendall(get("/tls-silent", f"site.test:{bench.raw}", None))
            assert reply(inner).status == 504


# --- floods -------------------------------------------------------------------------------------

def test_streams_that_are_reset_at_once_end_the_connection(bench: Bench) -> None:
    client = Http2(bench.proxy, bench.h2_port)
    with client.peer:
        for stream in range(1, 401, 2):
            client.connection.send_headers(stream, client.fields("/reset"), end_stream=True)
            client.connection.reset_stream(stream)
        with suppress(OSError):
            client.send()
        ends = [event for event in client.events(LONG)
                if isinstance(event, h2.events.ConnectionTerminated)]
    assert ends and ends[0].error_code == 0xb  # ENHANCE_YOUR_CALM
    assert "reset" in bench.closing(lambda start: start["event.action"] == "malformed")


def test_pings_have_a_budget(bench: Bench) -> None:
    """Each thousand is answered before the next is sent: what the proxy had not read when it hangs
    up would reset the connection, and take the goodbye along."""
    client = Http2(bench.proxy, bench.h2_port)
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)
    answered, ends = 0, []
    with client.peer:
        client.peer.settimeout(LONG)
        for sent in range(1000, 20_000, 1000):
            client.peer.sendall(ping * 1000)
            while answered < sent and not ends:
                data = client.peer.recv(65536)
                assert data, "hung up without a word"
                for event in client.connection.receive_data(data):
                    answered += isinstance(event, h2.events.PingAckReceived)
                    if isinstance(event, h2.events.ConnectionTerminated):
                        ends.append(event)
            if ends:
                break
    assert answered >= 10_000
    assert ends and ends[0].error_code == 0xb


# --- too many -----------------------------------------------------------------------------------

def crowded(folder: Path, port: int, mode: str, **connections: Any) -> Proxy:
    config = make_config(folder / "config", [port], robots="off")
    edit_yaml(config / "outbounds.yaml",
              lambda data: data["clients"]["connections"].update(connections))
    return Proxy(config, mode, names=NAMES, socks=True)


def refused(peer: socket.socket, url: str) -> Any:
    """The reply to a connection that is one too many, which has sent its request, too."""
    with suppress(OSError):
        peer.sendall(get(url, url.split("/")[2]))
    return reply(peer)


@pytest.mark.parametrize("mode", ["serve", "mitmdump"])
def test_a_source_may_have_so_many_connections_open(tmp_path: Path, mode: str) -> None:
    with Origin(free_port()) as origin, \
            crowded(tmp_path, origin.port, mode, per_source=3) as proxy, ExitStack() as stack:
        url = f"http://site.test:{origin.port}/"
        assert ask(proxy, url).status == 200
        metric = 'outbounds_slow_clients_total{why="source-connections"}'
        wait_until(lambda: proxy.metrics()["outbounds_client_connections"] == 0)
        peers = [stack.enter_context(dial(proxy.port)) for _ in range(3)]
        for _ in range(2):
            with dial(proxy.port) as peer:
                answer = refused(peer, url)
                assert answer.status == 429
                assert answer.headers["Retry-After"] == "1"
                assert answer.problem["rule"] == "source-connections"
        with dial(proxy.socks_port) as peer:  # all ports together; and SOCKS5 has no words for it
            assert closed(peer)
        assert proxy.metrics()[metric] == 3
        with socket.create_connection(("127.0.0.1", proxy.port), 10,
                                      source_address=("127.0.0.2", 0)) as peer:
            peer.sendall(get(url, url.split("/")[2]))
            assert reply(peer).status == 200

        peers[0].close()
        wait_until(lambda: ask(proxy, url).status == 200)
        records = wait_until(lambda: proxy.pairs(event_action="connection"))
        assert {start["source.ip"] for start, _ in records} == {"127.0.0.1"}
        assert {start["rule.id"] for start, _ in records} == {"source-connections"}


def test_a_source_may_open_so_many_connections_in_a_time(tmp_path: Path) -> None:
    with Origin(free_port()) as origin, crowded(
            tmp_path, origin.port, "serve", new_per_source="4/min") as proxy:
        url = f"http://site.test:{origin.port}/"
        statuses = [ask(proxy, url).status for _ in range(4)]
        answer = ask(proxy, url)
    assert statuses == [200] * 4
    assert answer.status == 429
    assert 10 < int(answer.headers["Retry-After"]) <= 15  # one in 15 s
    # it was stopped while that connection still lingered: on record all the same, and no noise
    assert [start["rule.id"] for start, _ in proxy.pairs(event_action="connection")] == [
        "source-new-connections"]
    assert "Traceback" not in proxy.log


def test_all_sources_together_may_have_so_many_connections_open(tmp_path: Path) -> None:
    with Origin(free_port()) as origin, crowded(
            tmp_path, origin.port, "serve", total=2) as proxy, ExitStack() as stack:
        for source in ("127.0.0.1", "127.0.0.2"):
            stack.enter_context(socket.create_connection(
                ("127.0.0.1", proxy.port), 10, source_address=(source, 0)))
        answer = wait_until(lambda: ask(proxy, f"http://site.test:{origin.port}/"))
    assert answer.status == 503
    assert answer.problem["rule"] == "all-connections"
