"""Who is this? Basic on HTTP and CONNECT, SOCKS5, source network, htpasswd; and no password
anywhere but in the account's hash.

Loopback has 2**24 addresses: a client that binds to 127.0.0.2 comes from another network.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
from aiohttp import WSMsgType, web

from .dialogue import Answer, basic
from .harness import PASSWORD, PLAIN_PASSWORD, add_account, edit_yaml, wait_until
from .stage import Stage, staged

UTF8_NAME, UTF8_PASSWORD = "bücher-店", "pass:wörd-☃:"
LATIN1_PASSWORD = "pässwört"
GUESSED = tuple(f"guessed-{n}" for n in range(4))
OFFICE = "127.0.0.2"


def bcrypt_line(name: str, password: str) -> str:
    """As `htpasswd -B` writes it, at the lowest cost."""
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


def prepare(config: Path, ports: list[int]) -> None:
    def identity(data: Any) -> None:
        data["htpasswd"] = [{"file": "customers.htpasswd", "plan": "default"}]
        data["failures"] = {"per_source": "60/min", "per_name": "30/min"}

    edit_yaml(config / "identity.yaml", identity)
    (config / "customers.htpasswd").write_text(
        "".join(bcrypt_line(name, "right") for name in GUESSED))
    add_account(config, UTF8_NAME, UTF8_PASSWORD)
    add_account(config, "latin", LATIN1_PASSWORD)
    add_account(config, "office", PLAIN_PASSWORD, networks=[f"{OFFICE}/32"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("identity"), prepare=prepare, socks=True) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    yield running
    running.plain.handler = running.tls.handler = None


def ask(stage: Stage, way: str, *fields: tuple[str, str], source: str = "127.0.0.1") -> Answer:
    with stage.dialogue(source) as dialogue:
        if way == "connect":
            return dialogue.connect(stage.at(kind="tls"), fields)
        return dialogue.ask("GET", stage.url("/who"), fields)


def socks5(stage: Stage, name: str | None, password: str = "", *,
           source: str = "127.0.0.1") -> int:
    """The outcome of a SOCKS5 handshake (RFC 1928, RFC 1929): 0 when the tunnel is open, the
    reply code where it is refused, -1 where the authentication failed, -2 where no method was
    acceptable."""
    with closing(socket.create_connection(
            ("127.0.0.1", stage.proxy.socks_port), 5, source_address=(source, 0))) as peer:
        peer.sendall(b"\x05\x01\x00" if name is None else b"\x05\x01\x02")
        if peer.recv(2) != (b"\x05\x00" if name is None else b"\x05\x02"):
            return -2
        if name is not None:
            user, word = name.encode(), password.encode()
            peer.sendall(b"\x01" + bytes([len(user)]) + user + bytes([len(word)]) + word)
            if peer.recv(2) != b"\x01\x00":
                return -1
        host = b"site.test"
        peer.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host
                     + stage.plain.port.to_bytes(2, "big"))
        return peer.recv(10)[1]


# --- who is this? -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "connect"])
@pytest.mark.parametrize(("name", "password"), [("alice", PASSWORD), (UTF8_NAME, UTF8_PASSWORD)])
def test_basic(stage: Stage, way: str, name: str, password: str) -> None:
    """Split at the first colon, read as UTF-8 (RFC 7617)."""
    assert ask(stage, way, basic(name, password)).status == 200
    assert ask(stage, way, basic(name, password + "x")).status == 407
    assert ask(stage, way, basic(name, password.partition(":")[0])).status == 407


def test_a_client_that_encodes_latin_1(stage: Stage) -> None:
    """requests does, unasked."""
    proxy = f"http://latin:{LATIN1_PASSWORD}@127.0.0.1:{stage.proxy.port}"
    reply = requests.get(stage.url("/latin"), proxies={"http": proxy}, timeout=5)
    assert reply.status_code == 200
    token = base64.b64encode(f"latin:{LATIN1_PASSWORD}".encode("latin-1")).decode()
    assert ask(stage, "connect", ("Proxy-Authorization", f"Basic {token}")).status == 200


@pytest.mark.parametrize(("name", "password"), [("alice", PASSWORD), (UTF8_NAME, UTF8_PASSWORD)])
def test_socks5(stage: Stage, name: str, password: str) -> None:
    assert socks5(stage, name, password) == 0
    assert socks5(stage, name, password + "x") == -1
    assert socks5(stage, None) == 2  # nobody, from a network that is nobody's
    wait_until(lambda: all(end for _, end in stage.proxy.pairs(outbounds_way="socks5")))
    assert stage.proxy.pairs(outbounds_way="socks5", rule_ruleset="identity")


@pytest.mark.parametrize("way", ["plain", "connect"])
def test_source_network(stage: Stage, way: str) -> None:
    """It identifies, and it confines: the account's password works from nowhere else."""
    answer = ask(stage, way, source=OFFICE)
    assert answer.status == 200
    start, _ = stage.proxy.pairs(source_ip=OFFICE)[-1]
    assert start["user.id"].startswith("acct_")
    assert ask(stage, way, basic("office"), source=OFFICE).status == 200
    assert ask(stage, way, basic("office")).status == 407
    assert ask(stage, way).status == 407
    # credentials that are sent decide: wrong ones do not fall back on the network
    assert ask(stage, way, basic("office", "wrong"), source=OFFICE).status == 407
    assert ask(stage, way, ("Proxy-Authorization", "Bearer x"), source=OFFICE).status == 407


def test_source_network_over_socks5(stage: Stage) -> None:
    assert socks5(stage, None, source=OFFICE) == 0
    assert socks5(stage, "office", PLAIN_PASSWORD) == -1
    assert socks5(stage, "office", "wrong", source=OFFICE) == -1


def test_htpasswd_file_is_followed(stage: Stage) -> None:
    """A bcrypt line that is added works within two seconds, one that is taken away no longer."""
    file = stage.proxy.config / "customers.htpasswd"
    before = file.read_text()
    credentials = basic("newcomer", "be:right")
    assert ask(stage, "plain", credentials).status == 407
    file.write_text(before + bcrypt_line("newcomer", "be:right"))
    try:
        wait_until(lambda: ask(stage, "plain", credentials).status == 200, 2)
        assert ask(stage, "connect", credentials).status == 200
        start, _ = stage.proxy.pairs(user_id="htpasswd:newcomer")[0]
        assert start["outbounds.verdict"] == "allow"
        file.write_text(before + "newcomer:broken\n")  # a fault keeps the last good accounts
        wait_until(lambda: "customers.htpasswd" in stage.proxy.log, 2)
        assert ask(stage, "plain", credentials).status == 200
    finally:
        file.write_text(before)
    wait_until(lambda: ask(stage, "plain", credentials).status == 407, 2)


@pytest.mark.parametrize(("octets", "why"), [
    (b"GET / HTTP/1.1\r\n", "This is not SOCKS5."),
    (b"\x05\x01\x01", "No SOCKS5 method is offered that is accepted here."),  # GSSAPI alone
    (b"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "This is no SOCKS5 CONNECT"),
    (b"\x05\x01\x00\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x50", "This SOCKS5 address type"),
    (b"\x05\x01\x00\x05\x01", "The SOCKS5 handshake breaks off."),
])
def test_a_malformed_socks5_handshake_is_on_record(stage: Stage, octets: bytes, why: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", stage.proxy.socks_port), 5)) as peer:
        port = peer.getsockname()[1]
        peer.sendall(octets)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(100):
            pass
    # the opening may be read from the disk a moment before the closing is there
    (start, _), = wait_until(lambda: [
        pair for pair in stage.proxy.pairs(source_port=port) if pair[1]])
    assert start["event.action"] == "malformed"
    assert start["event.reason"].startswith(why)


def test_an_unreadable_header_is_a_failed_attempt(stage: Stage) -> None:
    for value in ("Basic", "Basic !!!", "Basic " + "A" * 4000, "Digest username=alice", ""):
        assert ask(stage, "plain", ("Proxy-Authorization", value)).status == 407
    assert stage.reached() == []


# --- guessing -----------------------------------------------------------------------------------


def guess(stage: Stage, source: str, names: tuple[str, ...], most: int) -> tuple[int, Answer]:
    """Guess until a 407 says when to come back: (wrong passwords looked at, that answer)."""
    with stage.dialogue(source) as dialogue:
        for tried in range(most):
            answer = dialogue.ask("GET", stage.url(), [
                basic(names[tried % len(names)], f"guess {tried}")])
            assert answer.status == 407
            if "retry-after" in answer:
                return tried, answer
    raise AssertionError(f"{most} guesses were not slowed")


def test_guessing_at_a_name_is_slowed_and_recovers(stage: Stage) -> None:
    """30 a minute: a burst of that many, then one every two seconds, from wherever they come."""
    name = GUESSED[0]
    tried, answer = guess(stage, "127.0.1.1", (name,), 45)
    assert 30 <= tried < 45
    assert 1 <= int(answer["retry-after"]) <= 2
    assert answer.problem["retry_after"] == int(answer["retry-after"])
    # the name is slowed, so another source is too: the right password is not looked at
    other = ask(stage, "plain", basic(name, "right"), source="127.0.1.2")
    assert other.status == 407 and "retry-after" in other
    assert ask(stage, "connect", basic(name, "right"), source="127.0.1.2").status == 407
    # the source is not: it may be somebody else's, too
    assert ask(stage, "plain", basic(GUESSED[3], "right"), source="127.0.1.1").status == 200
    # and after the time that was told it works
    waited = wait_until(
        lambda: ask(stage, "plain", basic(name, "right"), source="127.0.1.2").status == 200, 4)
    assert waited


def test_guessing_from_a_source_is_slowed(stage: Stage) -> None:
    """60 a minute, whatever the names; and over SOCKS5 just the same."""
    for number in range(20):
        assert socks5(stage, GUESSED[1 + number % 3], "wrong", source="127.0.2.1") == -1
    tried, answer = guess(stage, "127.0.2.1", GUESSED[1:], 80)
    assert 40 <= tried < 80
    assert int(answer["retry-after"]) == 1
    assert socks5(stage, "bob", PLAIN_PASSWORD, source="127.0.2.1") == -1


def test_a_customer_at_work_is_not_locked_out_by_a_guesser(stage: Stage) -> None:
    name = GUESSED[3]
    assert ask(stage, "plain", basic(name, "right")).status == 200
    guess(stage, "127.0.3.1", (name,), 45)
    assert ask(stage, "plain", basic(name, "right")).status == 200
    assert ask(stage, "plain", basic(name, "wrong")).status == 407
    assert ask(stage, "plain", basic(name, "right")).status == 200


# --- whose request is it? -----------------------------------------------------------------------


def test_an_account_is_not_inherited_by_the_connection(stage: Stage) -> None:
    """Plain requests bring credentials each time, whoever spoke on this connection before."""
    with stage.dialogue() as dialogue:
        assert dialogue.ask("GET", stage.url("/alice"), [basic()]).status == 200
        assert dialogue.ask("GET", stage.url("/nobody")).status == 407
        assert dialogue.ask("GET", stage.url("/bob"), [basic("bob")]).status == 200
        assert dialogue.connect("site.test:25", [basic()]).status == 403
        assert dialogue.ask("GET", stage.url("/nobody")).status == 407
        assert dialogue.connect(stage.at(kind="tls")).status == 407
        port = dialogue.local_port
    assert stage.reached() == ["/alice", "/bob"]
    mine = [start for start, _ in stage.proxy.pairs(source_port=port)]
    who = {start["url.path"]: start["user.id"] for start in mine
           if start["outbounds.verdict"] == "allow"}
    assert who["/alice"] != who["/bob"]
    assert all("user.id" not in start for start in mine if start.get("url.path") == "/nobody")


def test_a_request_inside_a_tunnel_is_the_tunnels(stage: Stage) -> None:
    """Somebody else's credentials inside change nothing, and go nowhere."""
    with stage.inspected() as inner:
        for fields in ([], [basic("bob")], [basic("bob", "wrong")]):
            answer = inner.ask("GET", "/in", [("Host", stage.at(kind="tls")), *fields])
            assert answer.status == 200
    inside = [start for start, _ in stage.proxy.pairs(outbounds_way="inspected",
                                                      destination_port=stage.tls.port)][-3:]
    tunnel = stage.proxy.pairs(outbounds_connection=inside[0]["outbounds.connection"],
                               event_action="tunnel")[0][0]
    assert {record["user.id"] for record in inside} == {tunnel["user.id"]}


# --- credentials go nowhere ---------------------------------------------------------------------


async def sockets_too(request: web.Request) -> web.StreamResponse:
    if request.headers.get("upgrade", "").lower() != "websocket":
        return web.Response(text="seen")
    peer = web.WebSocketResponse()
    await peer.prepare(request)
    async for message in peer:
        if message.type is WSMsgType.TEXT:
            await peer.send_str(message.data)
    return peer


@pytest.mark.parametrize("spelling", ["Proxy-Authorization", "proxy-authorization",
                                      "PROXY-AUTHORIZATION"])
def test_credentials_do_not_reach_a_target(stage: Stage, spelling: str) -> None:
    stage.plain.handler = stage.tls.handler = sockets_too
    credentials = (spelling, basic()[1])
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    # nominated by Connection, a field is for this hop only; and is taken off no less
    extra = [[], [("Connection", spelling)], [("Proxy-Connection", "keep-alive")]]
    with stage.dialogue() as dialogue:
        for fields in extra:
            assert dialogue.ask("GET", stage.url(), [credentials, *fields]).status == 200
        assert dialogue.ask("POST", stage.url(), [credentials], b"body").status == 200
    with stage.dialogue() as dialogue:
        dialogue.send("GET", stage.url(), [credentials, *upgrade])
        assert dialogue.socket.recv(12) == b"HTTP/1.1 101"
    with stage.inspected() as inner:
        host = ("Host", stage.at(kind="tls"))
        for fields in extra:
            assert inner.ask("GET", "/", [host, credentials, *fields]).status == 200
    with stage.inspected_h2() as h2:
        assert h2.ask("GET", stage.at(kind="h2"), "/", [credentials]).status == 200
    with stage.dialogue() as dialogue:  # in clear inside a tunnel
        assert dialogue.connect(stage.at(), [credentials]).status == 200
        assert dialogue.ask("GET", "/", [("Host", stage.at()), credentials]).status == 200
    seen = [*stage.plain.seen, *stage.tls.seen, *stage.h2.seen]
    assert len(stage.reached()) == 10
    for each in seen:
        assert not [name for name, _ in each.headers if name.lower().startswith("proxy-")]
        assert basic()[1].partition(" ")[2] not in str(each.headers)


@pytest.mark.parametrize("way", ["plain", "connect", "inspected", "inspected-h2"])
def test_credentials_sent_twice_are_refused(stage: Stage, way: str) -> None:
    """Which of them counts is anybody's guess; so none does, and none goes on."""
    twice = [basic(), basic("bob")]
    if way == "inspected":
        with stage.inspected() as inner:
            answer = inner.ask("GET", "/", [("Host", stage.at(kind="tls")), *twice])
    elif way == "inspected-h2":
        with stage.inspected_h2() as h2:
            answer = h2.ask("GET", stage.at(kind="h2"), "/", twice)
    else:
        answer = ask(stage, way, *twice)
    assert answer.status == 400
    assert stage.reached() == []


def socks_handshake(name: str, password: str, cut: int = 0) -> bytes:
    auth = bytes([1, len(name)]) + name.encode() + bytes([len(password)]) + password.encode()
    return b"\x05\x01\x02" + auth[: len(auth) - cut]


@pytest.mark.parametrize("mode", ["mitmdump", "serve"])
def test_no_password_is_left_anywhere(tmp_path: Path, mode: str) -> None:
    """Not in the flow dumps of `mitmdump -w`, the most talkative log, the records, the replies.

    Whole requests, refused ones, heads that cannot be read or break off, and SOCKS5 handshakes
    that break off, right and wrong passwords alike.
    """
    dump = tmp_path / "flows"
    secrets = [PASSWORD, "wrong-password", "in-the-url", "cut-off-password"]
    tokens = [basic("alice", secret)[1].partition(" ")[2] for secret in secrets]
    options = {"save_stream_file": str(dump), "flow_detail": "4", "termlog_verbosity": "debug",
               "proxy_debug": "true"} if mode == "mitmdump" else {}
    replies = b""
    with staged(tmp_path, mode=mode, socks=True, options=options) as stage:
        at = stage.at()

        def send(port: int, data: bytes, *, half_close: bool = False) -> None:
            nonlocal replies
            with closing(socket.create_connection(("127.0.0.1", port), 5)) as peer:
                peer.sendall(data)
                if half_close:
                    peer.shutdown(socket.SHUT_WR)
                peer.settimeout(0.5)
                try:
                    while chunk := peer.recv(65536):
                        replies += chunk
                except (TimeoutError, ConnectionResetError):
                    pass

        for secret in secrets:
            field = ": ".join(basic("alice", secret))
            for head in (
                f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{field}\r\nConnection: close",
                f"GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\n{field}",
                f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n{field}",
                f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\nHost: x\r\n{field}",
                f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{field}\r\n{field}",
                f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{field}\r\nno colon here",
                f"GET http://{at}/ HTTP/1.1\r\n{field}\x00\r\nHost: {at}",
                f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n {field}",
                f"{field}",
                f"CONNECT nowhere HTTP/1.1\r\n{field}",
                f"GET http://alice:{secret}@{at}/ HTTP/1.1\r\nHost: {at}",
                f"CONNECT alice:{secret}@{at} HTTP/1.1\r\nHost: {at}",
                f"GET http://{at}/ HTTP/1.1\r\nHost: alice:{secret}@{at}\r\n{field}",
                f"POST http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{field}\r\nContent-Length: 1\r\n"
                "Transfer-Encoding: chunked",
            ):
                send(stage.proxy.port, head.encode() + b"\r\n\r\n", half_close=True)
            send(stage.proxy.port, f"GET / HTTP/1.1\r\n{field}".encode(), half_close=True)
            handshake = socks_handshake("alice", secret)
            for data in (handshake, handshake[:-3], handshake[:-1], handshake + b"\x05\x01\x00\x09",
                         b"\x05\x01\x00" + handshake[3:], handshake[1:],
                         b"\x05\x02\x00\x02" + handshake[3:] + handshake,
                         b"GET / HTTP/1.1\r\n" + field.encode()):
                send(stage.proxy.socks_port, data, half_close=True)
        with stage.inspected() as inner:
            inner.ask("GET", "/", [("Host", stage.at(kind="tls")), basic("alice", secrets[1])])
        assert stage.proxy.stop() == 0
        left = {"replies": replies, "log": stage.proxy.log_path.read_bytes()}
        left |= {str(path): path.read_bytes() for path in stage.proxy.data.rglob("*")
                 if path.is_file() and not path.name.startswith("accounts.db")}
        assert any(name.endswith(".jsonl") for name in left)
        if mode == "mitmdump":
            left["dump"] = dump.read_bytes()
            assert b"site.test" in left["dump"]
            assert b"denied.example" in left["log"]
        for place, content in left.items():
            for secret in (*secrets, *tokens):
                assert secret.encode() not in content, (place, secret)
        # told apart: the searched-for would have been found, had it been there
        assert re.search(rb"[0-9a-f]{8}-", b"".join(left.values()))
        assert {"malformed", "request", "tunnel"} <= {
            record["event.action"] for record in stage.proxy.records()}
