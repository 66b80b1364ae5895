"""Attacks by spelling, with raw sockets against a running proxy: the same destination under another
name, in every place where a client can write one. Each is refused, and no target hears of it.

`denied.test` and all below it are on the list; `site.test` is at the same address and is not.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import h2.events
import pytest
import requests

from outbounds.core.destination import BadHost, parse_host

from .h2_origin import H2Origin
from .harness import PLAIN_PASSWORD, Proxy, free_port, lift_limits, make_config, wait_until
from .origin import Origin
from .sockets import (
    Http2,
    TcpOrigin,
    basic,
    closed,
    connect,
    dial,
    get,
    hello,
    inspected,
    reply,
    socks,
    swallow,
)

NAMES = {"site.test": ["127.0.0.1"], "denied.test": ["127.0.0.1"], "a.denied.test": ["127.0.0.1"],
         "other.test": ["127.0.0.1"], "xn--bcher-kva.test": ["127.0.0.1"],
         "mapped.test": ["::ffff:127.0.0.9"], "nat64.test": ["64:ff9b::127.0.0.9"],
         "sixtofour.test": ["2002:7f00:9::1"]}
LISTED = """\
domain denied.test
host bücher.test
network 127.0.0.9
url http://site.test/secret
"""


class Bench:
    def __init__(self, proxy: Proxy, origin: Origin, tls: Origin, h2: H2Origin, raw: int) -> None:
        self.proxy, self.origin, self.tls, self.h2, self.raw = proxy, origin, tls, h2, raw

    def arrived(self) -> int:
        return len(self.origin.seen) + len(self.tls.seen) + len(self.h2.seen)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory,
            certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("spellings")
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(free_port()))
        tls = stack.enter_context(Origin(free_port(), tls=certificates[1]))
        h2_origin = stack.enter_context(
            H2Origin(free_port(), Path(certificates[0]).parent / "leaf.pem"))
        raw = free_port()
        config = make_config(folder / "config", [origin.port, tls.port, h2_origin.port, raw],
                             robots="off")
        lift_limits(config)
        (config / "lists" / "blocked.txt").write_text(LISTED)
        proxy = stack.enter_context(Proxy(config, names=NAMES, socks=True, options={
            "ssl_verify_upstream_trusted_ca": str(certificates[0])}))
        yield Bench(proxy, origin, tls, h2_origin, raw)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """No target may have heard of what a test sent."""
    before = running.arrived()
    yield running
    assert running.arrived() == before


DENIED = [
    "denied.test", "DENIED.test", "denied.test.", "Denied.Test.", "a.denied.test",
    "b.a.denied.test", "xn--bcher-kva.test", "XN--BCHER-KVA.test", "xn--bcher-kva.test.",
    "127.0.0.9", "127.9", "0x7f.9", "0177.0.0.011", "2130706441", "0x7F000009", "127.0.0.9.",
    "[::ffff:127.0.0.9]", "[::FFFF:7F00:9]", "[::127.0.0.9]", "[64:ff9b::7f00:9]",
    "mapped.test", "nat64.test",
]
REFUSED = [  # not one meaning: refused whatever it may mean
    "denied%2etest", "%64enied.test", "denied.test%00", "denied.test%20", "[denied.test]",
    "denied.test\\", "site.test\\@denied.test", "site.test%40denied.test", "denied..test",
    ".denied.test", "denied.test..", "denied_test.", "[::ffff:127.9]", "127.0.0.9.1",
    "[::ffff:127.0.0.9%25lo]", "4294967296", "0x100000000", "a" * 64 + ".denied.test",
    "xn--.denied.test", "xn--a.test", "denied.test;site.test", "sixtofour.test",
]
RAW = ["denied\u3002test".encode(), "ｄenied.test".encode(), "b\u00fccher.test".encode(),
       b"b\xfccher.test", "denied.test\u00ad".encode(), b"denied.test\xff", "①②⑦.0.0.9".encode()]


def status(head: bytes, port: int) -> int:
    with dial(port) as peer:
        peer.sendall(head)
        return reply(peer).status


@pytest.mark.parametrize("spelling", DENIED)
def test_a_denied_destination_in_the_request_line(bench: Bench, spelling: str) -> None:
    port = bench.origin.port
    for target in (f"http://{spelling}:{port}/", f"HTTP://{spelling}:{port}/x?y",
                   f"http://site.test@{spelling}:{port}/", f"http://a:b@{spelling}:{port}/"):
        assert status(get(target, f"{spelling}:{port}"), bench.proxy.port) in (400, 403), target
    assert status(get(f"http://{spelling}:{port}/", f"{spelling}:{port}"), bench.proxy.port) == 403


@pytest.mark.parametrize("spelling", DENIED)
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_denied_destination_of_a_tunnel(bench: Bench, spelling: str, name: str) -> None:
    peer, answer = connect(bench.proxy, f"{spelling}:{bench.origin.port}", name)
    peer.close()
    assert answer.status == 403
    peer, code = socks(bench.proxy, spelling, bench.origin.port, name)
    peer.close()
    assert code == 2


@pytest.mark.parametrize("spelling", REFUSED)
def test_what_has_no_one_meaning_goes_nowhere(bench: Bench, spelling: str) -> None:
    port = bench.origin.port
    head = get(f"http://{spelling}:{port}/", f"{spelling}:{port}")
    assert status(head, bench.proxy.port) in (400, 403, 502)
    assert status(get(f"http://site.test:{port}/", f"{spelling}:{port}"),
                  bench.proxy.port) in (400, 421)
    peer, answer = connect(bench.proxy, f"{spelling}:{port}", "bob")
    peer.close()
    assert answer.status in (400, 403, 502)
    peer, code = socks(bench.proxy, spelling, port, "bob")
    peer.close()
    assert code != 0


@pytest.mark.parametrize("octets", RAW, ids=ascii)
def test_octets_beyond_ascii(bench: Bench, octets: bytes) -> None:
    """RFC 3986 knows no such host; a browser that maps them sends what they are mapped to."""
    at = b"%b:%d" % (octets, bench.origin.port)
    for head in (b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (at, at, basic()),
                 b"GET http://site.test:%d/ HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (
                     bench.origin.port, at, basic()),
                 b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (at, at, basic("bob"))):
        assert status(head, bench.proxy.port) in (400, 403, 421), head


@pytest.mark.parametrize("host", [
    "denied.test", "other.test", "127.0.0.1", "[::1]", "site.test@denied.test", "denied.test#",
    "x@site.test", "site.test, denied.test", "site.test denied.test", "site.test\tdenied.test",
    "site.test.denied.test", "site.test%00", "site.test\\", "//site.test", "http://site.test"])
@pytest.mark.parametrize("way", ["plain", "clear", "inspected"])
def test_the_request_line_and_host_must_agree(bench: Bench, way: str, host: str) -> None:
    port = (bench.tls if way == "inspected" else bench.origin).port
    with ExitStack() as stack:
        if way == "plain":
            peer: socket.socket = stack.enter_context(dial(bench.proxy.port))
            head = get(f"http://site.test:{port}/", f"{host}:{port}")
        else:
            if way == "clear":
                peer, answer = connect(bench.proxy, f"site.test:{port}", "bob")
                assert answer.status == 200
            else:
                peer = inspected(bench.proxy, "site.test", port)
            stack.enter_context(peer)
            head = get("/", f"{host}:{port}", None)
        peer.sendall(head)
        assert reply(peer).status in (400, 421)


@pytest.mark.parametrize("target", ["http://denied.test:{port}/", "https://denied.test:{port}/",
                                    "http://other.test:{port}/", "//denied.test/",
                                    "http://site.test@denied.test:{port}/"])
@pytest.mark.parametrize("host", ["site.test", "denied.test"])
def test_an_absolute_target_inside_a_tunnel(bench: Bench, target: str, host: str) -> None:
    """RFC 9112 section 3.2.2: servers go by it, and not by Host."""
    for way, origin in (("clear", bench.origin), ("inspected", bench.tls)):
        port = origin.port
        if way == "clear":
            peer, _ = connect(bench.proxy, f"site.test:{port}", "bob")
        else:
            peer = inspected(bench.proxy, "site.test", port)
        with peer:
            peer.sendall(get(target.format(port=port), f"{host}:{port}", None))
            got = reply(peer)
        if target.startswith("//") and host == "site.test":
            assert got.status == 200  # a path, and none that any list names
            origin.seen.pop()
        else:
            assert got.status in (400, 403, 421), (way, got)


# --- the server name of TLS -----------------------------------------------------------------------


def with_names(*names: bytes, kind: int = 0) -> bytes:
    """A ClientHello with a server_name extension (RFC 6066 section 3) that has these names."""
    whole = hello("a" * 20)
    old = b"\x00\x00" + (25).to_bytes(2) + (23).to_bytes(2) + b"\x00" + (20).to_bytes(2) + b"a" * 20
    assert whole.count(old) == 1
    entries = b"".join(bytes([kind]) + len(name).to_bytes(2) + name for name in names)
    block = len(entries).to_bytes(2) + entries
    return resized(whole, old, b"\x00\x00" + len(block).to_bytes(2) + block)


def resized(whole: bytes, old: bytes, new: bytes) -> bytes:
    """`whole` with one part of its extensions replaced, and the three lengths around it set."""
    grown = len(new) - len(old)
    body = whole[9:].replace(old, new)
    at = 34 + 1 + body[34]                                  # version, random, session id
    at += 2 + int.from_bytes(body[at:at + 2])               # cipher suites
    at += 1 + body[at]                                      # compression methods
    total = int.from_bytes(body[at:at + 2]) + grown
    body = body[:at] + total.to_bytes(2) + body[at + 2:]
    return (whole[:3] + (len(body) + 4).to_bytes(2) + b"\x01" + len(body).to_bytes(3) + body)


HELLOS = {
    "another site": lambda: hello("denied.test"),
    "upper case and dot": lambda: with_names(b"DENIED.TEST."),
    "two names": lambda: with_names(b"site.test", b"denied.test"),
    "the same name twice": lambda: with_names(b"site.test", b"site.test"),
    "no name in the list": lambda: with_names(),
    "an empty name": lambda: with_names(b""),
    "another kind of name": lambda: with_names(b"denied.test", kind=1),
    "an address": lambda: with_names(b"127.0.0.9"),
    "an address in hex": lambda: with_names(b"0x7f000009"),
    "a NUL": lambda: with_names(b"site.test\0.denied.test"),
    "octets": lambda: with_names("dénied.test".encode()),
    "a wildcard": lambda: with_names(b"*.denied.test"),
    "a list with a port": lambda: with_names(b"denied.test:443"),
    # RFC 8446 section 5.1: a server must not look at the version of the record
    "record version 3.9": lambda: b"\x16\x03\x09" + hello("denied.test")[3:],
    # OpenSSL counts warnings before the handshake, and goes on
    "a warning in front": lambda: b"\x15\x03\x01\x00\x02\x01\x5a" + hello("denied.test"),
    "split over records": lambda: split_records(hello("denied.test")),
}


def split_records(whole: bytes) -> bytes:
    content = whole[5:]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part
                    for part in (content[:3], content[3:90], content[90:]))


@pytest.mark.parametrize("way", ["connect", "socks"])
@pytest.mark.parametrize("case", HELLOS)
def test_a_server_name_that_is_not_the_tunnels(bench: Bench, case: str, way: str) -> None:
    with TcpOrigin(swallow, port=bench.raw) as target:
        if way == "connect":
            peer, answer = connect(bench.proxy, f"site.test:{bench.raw}", "bob")
            assert answer.status == 200
        else:
            peer, code = socks(bench.proxy, "site.test", bench.raw, "bob")
            assert code == 0
        with peer:
            port = peer.getsockname()[1]
            peer.sendall(HELLOS[case]())
            assert closed(peer)
        assert not any(target.received)
    end = wait_until(lambda: bench.proxy.pairs(source_port=port, event_action="tunnel")[-1][1])
    assert end["event.outcome"] == "failure" and end["event.reason"]


@pytest.mark.parametrize("name", [b"site.test", b"SITE.Test", b"site.test."])
def test_the_right_server_name_in_any_spelling(bench: Bench, name: bytes) -> None:
    with TcpOrigin(swallow, port=bench.raw) as target:
        peer, _ = connect(bench.proxy, f"site.test:{bench.raw}", "bob")
        with peer:
            sent = with_names(name)
            peer.sendall(sent)
            wait_until(lambda: target.received and bytes(target.received[-1]) == sent)


# --- HTTP/2 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("authority", [
    "denied.test", "DENIED.test", "other.test:{port}", "denied.test:{port}", "denied.test.:{port}",
    "site.test@denied.test", "x@site.test:{port}", "127.0.0.9:{port}", "0x7f.9:{port}",
    "[::1]:{port}", "site.test:{port}, denied.test", "site.test%00:{port}", "site.test:1", ""])
def test_an_authority_that_is_not_the_tunnels(bench: Bench, authority: str) -> None:
    client = Http2(bench.proxy, bench.h2.port)
    client.authority = authority.format(port=bench.h2.port)
    with closing(client.peer):
        client.connection.send_headers(1, client.fields("/x"), end_stream=True)
        client.send()
        for event in client.events():
            if isinstance(event, h2.events.ResponseReceived):
                fields: dict[Any, Any] = dict(event.headers)
                assert fields[":status"] in ("400", "421")
                return
            if isinstance(event, (h2.events.ConnectionTerminated, h2.events.StreamReset)):
                return
    raise AssertionError("no answer")


# --- WebSocket, redirects -------------------------------------------------------------------------

UPGRADE = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n")


def test_a_websocket_to_a_denied_host(bench: Bench) -> None:
    port = bench.origin.port
    with dial(bench.proxy.port) as peer:
        peer.sendall(get(f"http://denied.test:{port}/ws", f"denied.test:{port}", extra=UPGRADE))
        assert reply(peer).status == 403
    with dial(bench.proxy.port) as peer:
        peer.sendall(get(f"http://site.test:{port}/secret/ws", f"site.test:{port}", extra=UPGRADE))
        assert reply(peer).status == 403
    for peer, host, path in (
            (connect(bench.proxy, f"site.test:{port}", "bob")[0], f"denied.test:{port}", "/ws"),
            (connect(bench.proxy, f"site.test:{port}", "bob")[0], f"site.test:{port}", "/secret"),
            (inspected(bench.proxy, "site.test", bench.tls.port), f"denied.test:{bench.tls.port}",
             "/ws")):
        with peer:
            peer.sendall(get(path, host, None, UPGRADE))
            assert reply(peer).status in (403, 421)


def test_a_redirect_to_a_denied_host_is_refused_as_it_is_requested(running: Bench) -> None:
    """The answer passes, since it is the target's; following it is a request of its own."""
    port = running.origin.port

    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        while origin.head(peer):
            peer.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
                         b"Location: http://0x7f.9:%d/next\r\n\r\n" % port)

    before = running.arrived()
    proxies = {"http": running.proxy.url_for("bob", PLAIN_PASSWORD)}
    with TcpOrigin(serve, port=running.raw):
        answer = requests.get(f"http://site.test:{running.raw}/", proxies=proxies, timeout=10)
    assert [each.status_code for each in answer.history] == [302]
    assert (answer.status_code, answer.json()["rule"]) == (403, "blocked:3")
    assert running.arrived() == before


@pytest.mark.parametrize("path", [
    "/secret", "/%73ecret", "/%2573ecret", "//secret", "/./secret", "/x/../secret", "/secret;x",
    "/x%2f..%2fsecret", "/\\secret", "/x%3F/../secret", "/secret%00", "/SECRET/../secret",
    "/x/%2e%2E/secret", "/x#/../secret"])
def test_a_path_that_is_denied(bench: Bench, path: str) -> None:
    port = bench.origin.port
    with dial(bench.proxy.port) as peer:
        peer.sendall(get(f"http://site.test:{port}{path}", f"site.test:{port}"))
        assert reply(peer).status in (400, 403)
    peer, _ = connect(bench.proxy, f"site.test:{port}", "bob")
    with peer:
        peer.sendall(get(path, f"site.test:{port}", None))
        assert reply(peer).status in (400, 403)


# --- what clients make of a spelling --------------------------------------------------------------


class Eavesdropper:
    """A proxy that writes down request lines and refuses them."""

    def __enter__(self) -> Eavesdropper:
        self.targets: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                with peer:
                    head = peer.recv(65536)
                    self.targets.append(head.split(b" ")[1].decode("latin-1"))
                    peer.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n"
                                 b"Connection: close\r\n\r\n")


CLIENT_SPELLINGS = ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "127。0。0。1",
                    "１２７.0.0.1", "%31%32%37.0.0.1", "ex%61mple.com", "BÜCHER.example",
                    "faß.example", "example。com", "exam\u00adple.com", "[::FFFF:127.0.0.1]",
                    "[0:0:0:0:0:0:0:1]", "example.com."]


@pytest.mark.parametrize("client", ["curl", "requests"])
@pytest.mark.parametrize("spelling", CLIENT_SPELLINGS)
def test_what_a_client_asks_for_is_what_its_user_wrote(spelling: str, client: str) -> None:
    """Whatever a client makes of a spelling and sends, it is the host that we would have judged by
    the spelling itself; or one of the two is refused."""
    with Eavesdropper() as proxy:
        url, at = f"http://{spelling}/", f"http://127.0.0.1:{proxy.port}"
        if client == "curl":
            if shutil.which("curl") is None:
                pytest.skip("no curl here")
            subprocess.run(["curl", "-s", "-g", "-m", "5", "-x", at, url], check=False, timeout=10,
                           capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
        else:
            with suppress(requests.RequestException):
                requests.get(url, proxies={"http": at}, timeout=5)
    if not proxy.targets:
        return  # the client itself takes it for no host
    sent = proxy.targets[0].removeprefix("http://").partition("/")[0]
    try:
        assert parse_host(sent) == parse_host(spelling)
    except BadHost:
        pass
