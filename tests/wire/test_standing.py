"""`outbounds accounts …` on a running proxy: a suspension ends what the account has open, now.

The commands are run as an operator runs them. What they change holds from the account's next
request on, and for what is open within one second; nobody else notices.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from aiohttp import web

from .dialogue import H2Dialogue, basic
from .harness import PLAIN_PASSWORD, add_account, wait_until
from .stage import Stage, staged

WITHIN = 1.0  # second

# each test suspends an account of its own; `seen` ones are inspected
HIDDEN, SEEN = "hidden", "seen"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("standing"), socks=True) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    running.plain.handler = running.tls.handler = drip
    yield running
    running.plain.handler = running.tls.handler = None


@pytest.fixture
def account(stage: Stage, request: pytest.FixtureRequest) -> Callable[[str], tuple[str, str]]:
    """Makes an account for this test: (name, id)."""
    def make(kind: str) -> tuple[str, str]:
        name = f"{kind}-{time.monotonic_ns()}"
        fields: dict[str, Any] = {}
        if kind == SEEN:
            fields = {"inspect": True, "consent": "2026-01-01"}
        return name, add_account(stage.proxy.config, name, PLAIN_PASSWORD, **fields)

    return make


async def drip(request: web.Request) -> web.StreamResponse:
    """A download without an end, for whoever asks for /endless."""
    if request.path != "/endless":
        return web.Response(text="short")
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 10_000)
        await asyncio.sleep(0.01)


def suspend(stage: Stage, name: str, reason: str = "complaint 4711") -> float:
    """Run the command; the moment at which it had ended."""
    output = stage.command("accounts", "suspend", name, "--reason", reason)
    assert output.startswith(f"Suspended {name} ")
    return time.monotonic()


def ended(peer: socket.socket, since: float) -> float:
    """Read whatever comes until the connection ends; seconds since `since`."""
    peer.settimeout(5)
    try:
        while peer.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - since


def closing_record(stage: Stage, account_id: str, action: str) -> dict[str, Any]:
    def found() -> Any:
        ends = [end for _, end in stage.proxy.pairs(user_id=account_id, event_action=action,
                                                    outbounds_verdict="allow")]
        return ends and all(ends) and ends

    record: dict[str, Any] = wait_until(found)[-1]
    return record


@contextmanager
def open_as(stage: Stage, way: str, name: str) -> Iterator[socket.socket]:
    """Something that goes on by itself: an idle tunnel, or a download that has begun."""
    with stage.dialogue() as dialogue:
        at = stage.at(kind="plain" if way == "clear" else "tls")
        if way == "plain":
            dialogue.send("GET", stage.url("/endless"), [basic(name)])
        else:
            assert dialogue.connect(at, [basic(name)]).status == 200
            if way not in ("idle", "clear"):
                dialogue.start_tls("site.test", stage.ca if way == "tunnelled" else stage.proxy.ca)
            if way != "idle":
                dialogue.send("GET", "/endless", [("Host", at)])
        if way != "idle":
            got = b""
            while len(got) < 50_000:
                got += dialogue.socket.recv(65536)
            assert got.startswith(b"HTTP/1.1 200")
        yield dialogue.socket


WAYS = {"idle": HIDDEN, "tunnelled": HIDDEN, "plain": HIDDEN, "clear": HIDDEN, "inspected": SEEN}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_open_is_closed_within_a_second(
    stage: Stage, account: Callable[[str], tuple[str, str]], way: str
) -> None:
    name, account_id = account(WAYS[way])
    with open_as(stage, way, name) as open_socket, open_as(stage, "plain", "alice") as other:
        since = suspend(stage, name)
        assert ended(open_socket, since) < WITHIN
        other.settimeout(2)
        assert other.recv(1000)  # somebody else's download goes on
    actions = {"plain": ["request"], "idle": ["tunnel"], "tunnelled": ["tunnel"]}
    for action in actions.get(way, ["tunnel", "request"]):
        end = closing_record(stage, account_id, action)
        assert end["event.outcome"] == "failure"
        assert end["event.reason"] == "the account was suspended"
    if way != "idle":  # the octets until then are counted
        assert end.get("http.response.bytes", 0) + end.get("destination.bytes", 0) >= 50_000


def test_a_download_over_http2_is_closed_within_a_second(
    stage: Stage, account: Callable[[str], tuple[str, str]]
) -> None:
    """The origin speaks HTTP/1.1 there; the client's side ends with the connection."""
    name, account_id = account(SEEN)
    with stage.dialogue() as dialogue:
        assert dialogue.connect(stage.at(kind="h2"), [basic(name)]).status == 200
        inner = dialogue.start_tls("site.test", stage.proxy.ca, h2=True)
        assert isinstance(inner, H2Dialogue)
        assert inner.ask("GET", stage.at(kind="h2"), "/").status == 200
        since = suspend(stage, name)
        assert ended(dialogue.socket, since) < WITHIN
    assert closing_record(stage, account_id, "tunnel")["event.reason"] == (
        "the account was suspended")
    assert closing_record(stage, account_id, "request")["event.outcome"] == "success"


def test_a_socks5_tunnel_is_closed_within_a_second(
    stage: Stage, account: Callable[[str], tuple[str, str]]
) -> None:
    name, account_id = account(HIDDEN)

    def handshake(peer: socket.socket) -> bytes:
        user, word = name.encode(), PLAIN_PASSWORD.encode()
        peer.sendall(b"\x05\x01\x02")
        assert peer.recv(2) == b"\x05\x02"
        peer.sendall(b"\x01" + bytes([len(user)]) + user + bytes([len(word)]) + word)
        assert peer.recv(2) == b"\x01\x00"  # who they are is known; whether they may comes next
        peer.sendall(b"\x05\x01\x00\x03\x09site.test" + stage.tls.port.to_bytes(2, "big"))
        return peer.recv(10)[1:2]

    place = ("127.0.0.1", stage.proxy.socks_port)
    with closing(socket.create_connection(place, 5)) as peer:
        assert handshake(peer) == b"\x00"
        assert ended(peer, suspend(stage, name)) < WITHIN
    assert closing_record(stage, account_id, "tunnel")["event.reason"] == (
        "the account was suspended")
    with closing(socket.create_connection(place, 5)) as peer:
        assert handshake(peer) == b"\x02"  # not allowed by ruleset


def test_the_next_request_is_refused_and_resumed(
    stage: Stage, account: Callable[[str], tuple[str, str]]
) -> None:
    """The next one after the command, not the one after a while; on a connection that is open."""
    name, _ = account(HIDDEN)
    with stage.dialogue() as dialogue:
        assert dialogue.ask("GET", stage.url("/before"), [basic(name)]).status == 200
        suspend(stage, name, "complaint 4712")
        refused = dialogue.ask("GET", stage.url("/during"), [basic(name)])
        assert refused.status == 403
        assert refused.problem["detail"] == "This account is suspended. Reason: complaint 4712"
        tunnel = dialogue.connect(stage.at(kind="tls"), [basic(name)])
        assert tunnel.status == 403
        assert tunnel.reason.endswith("Reason: complaint 4712")
        # a password that is wrong learns nothing of the standing
        assert dialogue.ask("GET", stage.url(), [basic(name, "wrong")]).status == 407

        assert stage.command("accounts", "resume", name).startswith(f"Resumed {name}")
        assert dialogue.ask("GET", stage.url("/after"), [basic(name)]).status == 200
    assert stage.reached() == ["/before", "/after"]


def test_a_changed_password_holds_at_once(
    stage: Stage, account: Callable[[str], tuple[str, str]]
) -> None:
    """The old one was verified a moment ago and would be remembered for minutes."""
    name, _ = account(HIDDEN)
    with stage.dialogue() as dialogue, open_as(stage, "tunnelled", name) as tunnel:
        assert dialogue.ask("GET", stage.url(), [basic(name)]).status == 200
        output = stage.command("accounts", "set-password", name, "--password-stdin",
                               stdin="a:new one\n")
        assert "a:new one" not in output
        assert dialogue.ask("GET", stage.url("/old"), [basic(name)]).status == 407
        assert dialogue.ask("GET", stage.url("/new"), [basic(name, "a:new one")]).status == 200
        tunnel.settimeout(2)
        assert tunnel.recv(1000)  # opened by the customer, with what was right then
    assert "/old" not in stage.reached() and "/new" in stage.reached()


def test_an_account_that_is_added_can_be_used_at_once(stage: Stage) -> None:
    output = stage.command("accounts", "add", "fresh", "--inspect", "--consent", "2026-02-03")
    password = re.search(r"^The password of fresh is (\S+)$", output, re.MULTILINE)
    assert password
    with stage.dialogue() as dialogue:
        assert dialogue.ask("GET", stage.url(), [basic("fresh", password[1])]).status == 200
        assert dialogue.connect(stage.at(kind="tls"), [basic("fresh", password[1])]).status == 200
        dialogue.start_tls("site.test", stage.proxy.ca)  # inspected, as was agreed to
        assert dialogue.ask("GET", "/in", [("Host", stage.at(kind="tls"))]).status == 200
