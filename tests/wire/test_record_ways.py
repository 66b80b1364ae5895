"""What is on record of each way through the proxy, while it is open and once it is over.

A complaint names our address and port, and a time. So every way must be found by them while it
lasts, as the target saw them; and each opening must say by which policy it was decided, by what
program it was asked, and how exact the clock was.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

from outbounds.evidence.schema import record_schema

from .dialogue import Dialogue, basic
from .harness import wait_until
from .sockets import connect, get, reply, socks
from .stage import Stage, staged

Record = dict[str, Any]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{PARENT}-01")
ROBOTS = "User-agent: *\nDisallow: /private\n"
UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))

peers: dict[str, tuple[str, int]] = {}
"""What the target saw of whoever asked for a path: address and port."""


async def answer(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    address, port, *_ = request.transport.get_extra_info("peername")
    peers[request.path] = address, port
    if request.headers.get("upgrade"):
        talk = web.WebSocketResponse()
        await talk.prepare(request)
        async for message in talk:
            await talk.send_str(str(message.data))
        return talk
    return web.Response(text="hello\n")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("ways"), socks=True) as running:
        for origin in (running.plain, running.tls):
            origin.handler, origin.robots = answer, ROBOTS
        running.h2.robots = ROBOTS
        yield running


def event(stage: Stage, **wanted: Any) -> list[Record]:
    """The records of the newest event whose opening has all `wanted` fields."""
    records = stage.proxy.records()
    opened = [each for each in records if each["event.type"] == "start" and all(
        each.get(name.replace("__", ".")) == value for name, value in wanted.items())]
    return [each for each in records if opened and each["event.id"] == opened[-1]["event.id"]]


def types(records: list[Record]) -> list[str]:
    return [each["event.type"] for each in records]


def opened(stage: Stage, **wanted: Any) -> list[Record]:
    """As `event`, once its connection is on record."""
    found: list[Record] = wait_until(
        lambda: (records := event(stage, **wanted)) and "connection" in types(records) and records)
    return found


def over(stage: Stage, **wanted: Any) -> list[Record]:
    """As `event`, once it is over."""
    found: list[Record] = wait_until(
        lambda: (records := event(stage, **wanted)) and "end" in types(records) and records)
    return found


def check(records: list[Record], peer: tuple[str, int] | None, port: int) -> None:
    """An opening, a connection that is the one which the target saw, and a closing that has it."""
    start, connection, end = records
    assert types(records) == ["start", "connection", "end"]
    assert connection["user.id"] == end["user.id"] == start["user.id"]
    assert connection.get("outbounds.connection") == start.get("outbounds.connection")
    seen = connection["source.nat.ip"], connection["source.nat.port"]
    assert seen == (end["source.nat.ip"], end["source.nat.port"])
    assert peer is None or seen == peer
    assert (connection["destination.ip"], connection["destination.port"]) == ("127.0.0.1", port)
    assert end["destination.ip"] == "127.0.0.1" and end["event.duration"] > 0
    assert start["@timestamp"] <= connection["@timestamp"] <= end["@timestamp"]


def check_opening(start: Record, way: str, *, robots: bool = True) -> None:
    for name in ("outbounds.policy.version", "outbounds.lists.version"):
        assert re.fullmatch("[0-9a-f]{12,64}", start[name]), name
    assert start["outbounds.verdict"] == "allow" and start["outbounds.way"] == way
    assert start["source.ip"] == "127.0.0.1" and start["source.port"] > 0
    assert start["destination.domain"] == "site.test" and start["destination.port"] > 0
    assert start["network.transport"] == "tcp" and start["user.id"]
    assert start.get("outbounds.clock.error", 1) > 0
    if robots:
        assert start["outbounds.robots.sha256"] == hashlib.sha256(ROBOTS.encode()).hexdigest()
        assert start["outbounds.robots.state"] == "fresh"


def test_a_plain_request(stage: Stage) -> None:
    with stage.dialogue() as client:
        for path in ("/plain/first", "/plain/second"):
            client.ask("GET", stage.url(path), [basic(), TRACEPARENT])
    first = over(stage, url__path="/plain/first")
    check(first, peers["/plain/first"], stage.plain.port)
    check_opening(first[0], "plain")
    assert (first[0]["http.version"], first[0]["http.request.method"]) == ("1.1", "GET")
    assert "tls.client.ja4" not in first[0]
    # the second found the connection there: its closing has it, and the first leads to the client
    second = over(stage, url__path="/plain/second")
    assert types(second) == ["start", "end"] and peers["/plain/second"] == peers["/plain/first"]
    assert second[1]["source.nat.port"] == first[1]["source.nat.port"]
    assert second[0]["outbounds.connection"] == first[1]["outbounds.connection"]


@pytest.mark.parametrize("kind", ["tls", "h2"])
def test_an_inspected_tunnel_and_what_is_in_it(stage: Stage, kind: str) -> None:
    path = f"/inspected/{kind}"
    if kind == "h2":
        with stage.inspected_h2() as inner:
            inner.ask("GET", stage.at(kind="h2"), path, [TRACEPARENT])
    else:
        with stage.inspected() as outer:
            outer.ask("GET", path, [("Host", stage.at(kind="tls")), TRACEPARENT])
    port = getattr(stage, kind).port
    tunnel = over(stage, outbounds__way="connect", destination__port=port)
    check(tunnel, peers.get(path), port)
    check_opening(tunnel[0], "connect", robots=False)
    request = over(stage, url__path=path)
    start, end = request
    check_opening(start, "inspected")
    # the request went over the tunnel's connection; the two are tied together
    assert end["source.nat.port"] == tunnel[1]["source.nat.port"]
    assert start["outbounds.connection"] == tunnel[0]["outbounds.connection"]
    assert start["tls.client.server_name"] == "site.test" and start["tls.version"] == "1.3"
    assert start["tls.cipher"].startswith("TLS_")
    # what is agreed on is what the target speaks, and this one does not say
    expected = ("2", "h2") if kind == "h2" else ("1.1", None)
    assert (start["http.version"], start.get("tls.next_protocol")) == expected
    assert re.fullmatch(r"t13d\d{4}h[12]_[0-9a-f]{12}_[0-9a-f]{12}", start["tls.client.ja4"])
    assert start["tls.client.ja4"] == tunnel[2]["tls.client.ja4"]


@pytest.mark.parametrize("way", ["connect", "socks5"])
def test_a_tunnel_that_nobody_looks_into(stage: Stage, way: str) -> None:
    path = f"/tunnel/{way}"
    if way == "connect":
        peer, _ = connect(stage.proxy, stage.at(kind="tls"), "bob")
    else:
        peer, code = socks(stage.proxy, "site.test", stage.tls.port, "bob")
        assert code == 0
    with closing(peer):
        context = ssl.create_default_context(cafile=str(stage.ca))
        with context.wrap_socket(peer, server_hostname="site.test") as inner:
            inner.sendall(get(path, "site.test", None))
            assert reply(inner).status == 200
            # while it is open it can be found by what the target sees
            records = opened(stage, outbounds__way=way, destination__port=stage.tls.port)
            assert types(records) == ["start", "connection"]
            assert (records[1]["source.nat.ip"], records[1]["source.nat.port"]) == peers[path]
            check_opening(records[0], way, robots=False)
    records = over(stage, outbounds__way=way, destination__port=stage.tls.port)
    check(records, peers[path], stage.tls.port)
    assert records[0]["outbounds.visibility"] == "tunnel"
    assert records[2]["source.bytes"] > 0 and records[2]["destination.bytes"] > 0
    # no ClientHello had come when the tunnel was opened: the closing has its fingerprint
    assert "tls.client.ja4" not in records[0]
    assert re.fullmatch(r"t13d\d{4}00_[0-9a-f]{12}_[0-9a-f]{12}", records[2]["tls.client.ja4"])


def test_a_request_in_clear_in_a_tunnel(stage: Stage) -> None:
    with stage.dialogue() as client:
        assert client.connect(stage.at(), [basic()]).status == 200
        client.ask("GET", "/clear", [("Host", stage.at())])
    tunnel = over(stage, outbounds__way="connect", destination__port=stage.plain.port)
    check(tunnel, peers["/clear"], stage.plain.port)
    start, end = over(stage, url__path="/clear")
    check_opening(start, "clear")
    assert end["source.nat.port"] == tunnel[1]["source.nat.port"]
    assert "tls.client.ja4" not in start and "tls.client.ja4" not in tunnel[2]


@pytest.mark.parametrize("way", ["plain", "reused", "inspected"])
def test_a_websocket_is_found_while_it_is_open(stage: Stage, way: str) -> None:
    path = f"/socket/{way}"
    if way == "inspected":
        with stage.inspected() as client:
            client.send("GET", path, [("Host", stage.at(kind="tls")), *UPGRADE])
            _found_while_open(stage, client, path)
    else:
        with stage.dialogue() as client:
            if way == "reused":
                client.ask("GET", stage.url("/socket/before"), [basic()])
            client.send("GET", stage.url(path), [basic(), *UPGRADE])
            _found_while_open(stage, client, path)
    records = over(stage, url__path=path)
    check(records, peers[path], stage.tls.port if way == "inspected" else stage.plain.port)


def _found_while_open(stage: Stage, client: Dialogue, path: str) -> None:
    records = opened(stage, url__path=path)
    assert types(records) == ["start", "connection"]
    assert (records[1]["source.nat.ip"], records[1]["source.nat.port"]) == peers[path]
    assert client.socket.recv(12) == b"HTTP/1.1 101"


def test_the_proxy_s_own_fetches(stage: Stage) -> None:
    with stage.dialogue() as client:
        client.ask("GET", stage.url("/own", host="other.test"), [basic()])
    records = over(stage, event__action="robots-fetch", destination__domain="other.test")
    check(records, None, stage.plain.port)
    assert records[2]["outbounds.robots.sha256"] == hashlib.sha256(ROBOTS.encode()).hexdigest()


def test_what_was_refused_has_no_connection(stage: Stage) -> None:
    with stage.dialogue() as client:
        assert client.ask("GET", stage.url("/private/x"), [basic()]).status == 403
    records = over(stage, url__path="/private/x")
    assert types(records) == ["start", "end"] and "source.nat.port" not in records[1]
    assert records[0]["rule.id"] and records[0]["rule.ruleset"] == "robots"
    assert records[0]["outbounds.robots.line"] == 2 and records[0]["rule.reference"]


@pytest.mark.parametrize(("value", "kept"), [
    (TRACEPARENT[1], True), (TRACEPARENT[1].upper(), False), ("00-0-0-0", False)])
def test_a_trace_goes_through_and_is_recorded(stage: Stage, value: str, kept: bool) -> None:
    path = f"/trace/{len(value)}-{kept}"
    with stage.dialogue() as client:
        answered = client.ask("GET", stage.url(path), [basic(), ("traceparent", value),
                                                       ("tracestate", "a=1")])
    assert answered.status == 200 and "traceparent" not in answered
    sent = next(dict(each.headers) for each in reversed(stage.plain.seen) if each.path == path)
    assert (sent["traceparent"], sent["tracestate"]) == (value, "a=1")
    start = over(stage, url__path=path)[0]
    assert (start.get("trace.id"), start.get("parent.id")) == (
        (TRACE, PARENT) if kept else (None, None))


def test_a_refusal_has_no_trace_of_it(stage: Stage) -> None:
    with stage.dialogue() as client:
        answered = client.ask("GET", stage.url("/private/y"), [basic(), TRACEPARENT])
    assert answered.status == 403 and TRACE not in answered.octets
    assert over(stage, url__path="/private/y")[0]["trace.id"] == TRACE


def test_the_records_are_on_disk_in_two_parts(stage: Stage) -> None:
    """As the published schema says: what can be erased is not in the envelope, whichever way it
    came."""
    schemas = record_schema()["$defs"]
    check_envelope, check_detail = (Draft202012Validator(schemas[part])
                                    for part in ("envelope", "detail"))
    evidence = Path(stage.proxy.data) / "evidence" / "segments"
    lines = [line for each in evidence.glob("*.jsonl") for line in each.read_bytes().splitlines()]
    assert lines
    for line in lines:
        envelope, _, detail = line.partition(b"\t")
        check_envelope.validate(json.loads(envelope))
        for name in (b"url.path", b"user_agent", b"trace.id", b"parent.id"):
            assert name not in envelope
        if detail:
            check_detail.validate(json.loads(detail))
            assert hashlib.sha256(detail).hexdigest().encode() in envelope
