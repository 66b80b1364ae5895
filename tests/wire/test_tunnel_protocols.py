"""Tunnels that turn out to carry a refused protocol: closed on both sides, on record and counted.

Raw sockets, through CONNECT and SOCKS5. What the other side must not have got is looked at there.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from .harness import (
    Proxy,
    edit_yaml,
    free_port,
    lift_limits,
    make_config,
    wait_until,
)
from .origin import Origin
from .sockets import (
    TcpOrigin,
    ask,
    basic,
    closed,
    connect,
    dial,
    hello,
    reply,
    socks,
    swallow,
    tls,
)

PATIENCE = 0.4
PATCH = f"""
from outbounds.proxy import tunnel_watch
tunnel_watch.PATIENCE = {PATIENCE}
"""
CLAUSES = {"smtp": "P-spam", "ssh": "P-probe", "ftp": "P-probe", "irc": "S-usenet",
           "nntp": "S-usenet"}


class Bench:
    def __init__(self, proxy: Proxy, tls_origin: Origin, port: int, ca: Path) -> None:
        self.proxy, self.tls_origin, self.port, self.ca = proxy, tls_origin, port, ca

    def open(self, way: str, target: TcpOrigin, name: str = "bob", host: str = "site.test"
             ) -> socket.socket:
        seen = len(target.received)
        if way == "connect":
            peer = dial(self.proxy.port)
            at = f"{host}:{target.port}".encode()
            peer.sendall(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (at, at, basic(name)))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += peer.recv(1)  # no more: a target may have spoken already
            assert head.startswith(b"HTTP/1.1 200 "), head
        else:
            peer, code = socks(self.proxy, host, target.port, name)
            assert code == 0
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait_until(lambda: len(target.received) > seen)
        return peer

    def ending(self, peer_port: int) -> dict[str, Any]:
        """The closing record of the tunnel whose client has this port."""
        def end() -> Any:
            pairs = self.proxy.pairs(source_port=peer_port, event_action="tunnel")
            return pairs[-1][1] if pairs else None
        found: dict[str, Any] = wait_until(end)
        return found

    def refused(self) -> float:
        return self.proxy.metrics().get(
            'outbounds_verdicts_total{control="protocol",result="refuse",rule="tunnel"}', 0.0)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory,
          certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("protocols")
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(free_port(), tls=certificates[1]))
        port = free_port()
        config = make_config(folder / "config", [origin.port, port], robots="off")
        lift_limits(config)
        edit_yaml(config / "exceptions.yaml", lambda data: data.update(exceptions=[{
            "id": "mail-agreed", "rule": "tunnel/smtp", "host": "mail.test",
            "until": "2099-12-31", "reason": "approved"}]))
        names = {name: ["127.0.0.1"] for name in ("site.test", "mail.test")}
        yield Bench(stack.enter_context(Proxy(
            config, names=names, socks=True, patch=PATCH,
            options={"ssl_verify_upstream_trusted_ca": str(certificates[0])})),
            origin, port, certificates[0])


def says(*greeting: bytes) -> Callable[[TcpOrigin, socket.socket], None]:
    """A target that speaks first, and then only listens."""
    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        for piece in greeting:
            peer.sendall(piece)
            time.sleep(0.02)
        swallow(origin, peer)
    return serve


def assert_ended(bench: Bench, target: TcpOrigin, peer: socket.socket, name: str,
                 refused: float) -> None:
    port = peer.getsockname()[1]
    assert closed(peer)
    end = bench.ending(port)
    assert (end["event.outcome"], end["rule.id"]) == ("failure", f"tunnel/{name}")
    assert (end["rule.ruleset"], end["rule.reference"]) == ("protocol", CLAUSES[name])
    assert end["outbounds.verdict"] == "refuse"
    assert name.upper() in end["event.reason"]
    wait_until(lambda: bench.refused() == refused + 1)


WAYS = ["connect", "socks"]
GREETED = {"smtp": b"220 mail.test ESMTP Postfix\r\n", "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
           "ftp": b"220 (vsFTPd 3.0.5)\r\n", "irc": b":irc.test NOTICE * :*** Looking up\r\n",
           "nntp": b"200 news.test InterNetNews NNRP ready\r\n"}
SPOKEN = {"smtp": b"EHLO me\r\nMAIL FROM:<a@b.test>\r\n", "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
          "irc": b"CAP LS 302\r\nNICK a\r\n", "nntp": b"MODE READER\r\n",
          "ftp": b"PASV\r\n"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pieces", ["whole", "octets"])
@pytest.mark.parametrize("name", GREETED)
def test_a_greeting_is_not_delivered(bench: Bench, way: str, name: str, pieces: str) -> None:
    greeting, before = GREETED[name], bench.refused()
    cut = [greeting] if pieces == "whole" else [bytes([o]) for o in greeting[:12]] + [greeting[12:]]
    with TcpOrigin(says(*cut), port=bench.port) as target, \
            bench.open(way, target) as peer:
        assert_ended(bench, target, peer, name, before)
        assert bytes(target.received[-1]) == b""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pieces", ["whole", "octets"])
@pytest.mark.parametrize("name", SPOKEN)
def test_a_clients_first_line_is_not_passed_on(
        bench: Bench, way: str, name: str, pieces: str) -> None:
    before = bench.refused()
    with TcpOrigin(swallow, port=bench.port) as target, bench.open(way, target) as peer:
        with suppress(OSError):
            for piece in [SPOKEN[name]] if pieces == "whole" else \
                    [bytes([octet]) for octet in SPOKEN[name]]:
                peer.sendall(piece)
        assert_ended(bench, target, peer, name, before)
        assert bytes(target.received[-1]) == b""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("word", "name"), [
    (b"EHLO me\r\n", "smtp"), (b"USER anonymous\r\n", "ftp"), (b"NOOP\r\n", "smtp")])
def test_behind_a_silent_greeting_the_clients_word_decides(
        bench: Bench, way: str, word: bytes, name: str) -> None:
    before, greeting = bench.refused(), b"220 welcome\r\n"
    with TcpOrigin(says(greeting), port=bench.port) as target, bench.open(way, target) as peer:
        assert peer.recv(4096) == greeting
        peer.sendall(word)
        assert_ended(bench, target, peer, name, before)
        assert bytes(target.received[-1]) == b""


def test_a_dated_exception_lets_it_through(bench: Bench) -> None:
    greeting = GREETED["smtp"]
    with TcpOrigin(says(greeting), port=bench.port) as target, \
            bench.open("connect", target, host="mail.test") as peer:
        port = peer.getsockname()[1]
        assert peer.recv(4096) == greeting
        peer.sendall(SPOKEN["smtp"])
        wait_until(lambda: bytes(target.received[-1]) == SPOKEN["smtp"])
    end = bench.ending(port)
    assert (end["event.outcome"], end["outbounds.exception"]) == ("success", "mail-agreed")


def test_behind_a_client_hello_the_target_must_speak_tls(bench: Bench) -> None:
    """SMTP servers forgive a ClientHello; what follows it would be mail."""
    before = bench.refused()
    with TcpOrigin(says(), port=bench.port) as target, bench.open("connect", target) as peer:
        peer.sendall(hello("site.test") + b"\r\nMAIL FROM:<a@b.test>\r\n")
        assert_ended(bench, target, peer, "smtp", before)
        assert b"MAIL" not in target.received[-1]

    def late(origin: TcpOrigin, peer: socket.socket) -> None:
        origin.read(peer)
        peer.sendall(b"220 welcome\r\n")
        swallow(origin, peer)

    with TcpOrigin(late, port=bench.port) as target, bench.open("connect", target) as peer:
        peer.sendall(hello("site.test"))
        assert_ended(bench, target, peer, "smtp", before + 1)


@pytest.mark.parametrize("way", WAYS)
def test_tls_passes_untouched(bench: Bench, way: str) -> None:
    target = f"site.test:{bench.tls_origin.port}"
    if way == "connect":
        peer, _ = connect(bench.proxy, target, "bob")
    else:
        peer, _ = socks(bench.proxy, "site.test", bench.tls_origin.port, "bob")
    with tls(peer, bench.ca, "site.test") as secure:
        secure.sendall(f"GET /tls HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        assert reply(secure).body == b"hello from /tls\n"


OTHERS: list[tuple[bytes, bytes]] = [
    (b"", b"* OK IMAP4rev1 ready\r\n"), (b"", b"RFB 003.008\n"), (b"PING\r\n", b""),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b""), (b"PING", b""), (b"E", b""), (b"", b"22"),
    (b"GET /no-end", b"")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client", "server"), OTHERS)
def test_no_side_waits_for_ever(bench: Bench, way: str, client: bytes, server: bytes) -> None:
    """Whoever speaks first is heard, after a while even where it may become a refused one."""
    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        peer.sendall(server)
        got = b""
        while len(got) < len(client) + 4:
            got += origin.read(peer)
        peer.sendall(b"answer")

    with TcpOrigin(serve, port=bench.port) as target, bench.open(way, target) as peer:
        if client:
            peer.sendall(client)
            wait_until(lambda: bytes(target.received[-1]) == client, 5.0)
        got = b""
        while len(got) < len(server):
            got += peer.recv(4096)
        assert got == server
        peer.sendall(b"more")
        assert peer.recv(4096) == b"answer"
        port = peer.getsockname()[1]
    end = bench.ending(port)
    replied = 10 if way == "socks" else 0  # the SOCKS5 reply counts as delivered
    assert end["source.bytes"] == len(client) + 4
    assert end["destination.bytes"] == len(server) + 6 + replied


def test_a_half_closed_tunnel_is_passed_on_as_such(bench: Bench) -> None:
    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        swallow(origin, peer)
        peer.sendall(b"all read")

    with TcpOrigin(serve, port=bench.port) as target, bench.open("socks", target) as peer:
        peer.sendall(b"PIN")
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(4096) == b"all read"
        assert bytes(target.received[-1]) == b"PIN"


@pytest.mark.parametrize(("begun", "rest", "rule"), [
    (b"EH", b"LO me\r\n", "tunnel/smtp"), (b"GET / HT", b"TP/1.1\r\n\r\n", "head-timeout")])
def test_whoever_waits_long_gets_round_nothing(
        bench: Bench, begun: bytes, rest: bytes, rule: str) -> None:
    """A beginning that came too slowly is passed on, but never its end."""
    with TcpOrigin(swallow, port=bench.port) as target, bench.open("connect", target) as peer:
        port = peer.getsockname()[1]
        peer.sendall(begun)
        wait_until(lambda: bytes(target.received[-1]) == begun)
        peer.sendall(rest)
        assert closed(peer)
        assert bytes(target.received[-1]) == begun
    assert bench.ending(port)["rule.id"] == rule


def test_a_client_hello_is_never_let_through_unread(bench: Bench) -> None:
    """Not after a while, and not for its length: its server name is the tunnel's target."""
    with TcpOrigin(swallow, port=bench.port) as target, bench.open("connect", target) as peer:
        peer.sendall(hello("other.test")[:50])
        time.sleep(PATIENCE * 2)
        assert bytes(target.received[-1]) == b""
    with TcpOrigin(swallow, port=bench.port) as target, bench.open("connect", target) as peer:
        port = peer.getsockname()[1]
        with suppress(OSError):
            peer.sendall(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"\0" * 16380)
            for _ in range(8):
                peer.sendall(b"\x16\x03\x01\x40\x00" + b"\0" * 16384)
        assert closed(peer)
        assert bytes(target.received[-1]) == b""
    assert bench.ending(port)["rule.id"] == "head-too-large"


def test_an_inspected_tunnel_says_what_it_refused(bench: Bench) -> None:
    before = bench.refused()
    with TcpOrigin(says(GREETED["smtp"]), port=bench.port) as target, \
            bench.open("connect", target, "alice") as peer:
        assert_ended(bench, target, peer, "smtp", before)


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_http_in_clear_can_be_refused(
        tmp_path: Path, origin: Origin, name: str) -> None:
    config = make_config(tmp_path / "config", [origin.port], robots="off")
    edit_yaml(config / "protocol.yaml", lambda data: data["refused_in_tunnels"].append(
        {"protocols": ["http"], "clause": "P-probe"}))
    with Proxy(config, names={"site.test": ["127.0.0.1"]}) as proxy:
        peer, answer = connect(proxy, f"site.test:{origin.port}", name)
        assert answer.status == 200
        with peer:
            port = peer.getsockname()[1]
            for octet in b"GET / HTTP/1.1\r\n":
                with suppress(OSError):
                    peer.sendall(bytes([octet]))
            assert closed(peer)
        end = wait_until(lambda: proxy.pairs(source_port=port)[0][1])
        assert end["rule.id"] == "tunnel/http"
        assert origin.seen == []
        assert ask(proxy, f"http://site.test:{origin.port}/").status == 200
