"""What sites ask beside their rules, and who is bound by what, on the wire.

The origins are shared, the host names are not: rules bind a scheme, host and port, so each test
has a site of its own by having a name of its own.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from .dialogue import Answer, basic
from .harness import PLAIN_PASSWORD, add_account, edit_yaml, free_port, wait_until
from .sockets import TcpOrigin
from .stage import Stage, staged

HOSTS = tuple(f"{name}.site.test" for name in (
    "rate", "hasty", "off-hours", "on-hours", "tunnel", "uses", "declared", "silent", "watched",
    "exempt", "bound", "changing", "late", "tagged", "odd", "mine"))
WHOLE = "User-agent: *\nDisallow: /\n"
MAX_WAIT = 2  # seconds


def octets_that_are_no_text(origin: TcpOrigin, peer: socket.socket) -> None:
    asked = origin.head(peer)
    status = b"404 Not Found" if b"/robots.txt" in asked else b"200 OK"
    peer.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nX-Robots-Tag: no\xffai\r\n"
                 b"X-Robots-Tag: noindex\r\nConnection: close\r\n\r\n")


@pytest.fixture(scope="module")
def odd() -> Iterator[TcpOrigin]:
    with TcpOrigin(octets_that_are_no_text, port=free_port()) as origin:
        yield origin


def prepare(config: Path, ports: list[int]) -> None:
    watched, exempt = (add_account(config, name, PLAIN_PASSWORD) for name in ("watched", "exempt"))
    add_account(config, "trainer", PLAIN_PASSWORD, purposes=["search", "ai-train"])
    add_account(config, "changing", PLAIN_PASSWORD)
    edit_yaml(config / "robots.yaml", lambda data: data.update(max_wait=f"{MAX_WAIT}s", modes=[
        {"id": "partner", "mode": "off", "accounts": [exempt], "reason": "a contract"},
        {"id": "trial", "mode": "observe", "accounts": [watched], "reason": "a trial"},
        {"id": "our-own", "mode": "off", "hosts": ["mine.site.test"], "reason": "ours"}]))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, odd: TcpOrigin) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("terms"), prepare=prepare, hosts=HOSTS,
                extra_ports=[odd.port]) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    yield running
    running.plain.robots = running.tls.robots = running.h2.robots = None
    running.plain.handler = running.tls.handler = None
    running.h2.fields.clear()


def ask(stage: Stage, host: str, path: str = "/", *, kind: str = "plain",
        name: str = "bob") -> Answer:
    """One request: plain, or inside TLS that alice lets be inspected."""
    if kind == "plain":
        with stage.dialogue() as dialogue:
            return dialogue.ask("GET", stage.url(path, host), [basic(name)])
    if kind == "tls":
        with stage.inspected(host, kind) as inner:
            return inner.ask("GET", path, [("Host", stage.at(host, kind))])
    with stage.inspected_h2(host, kind) as h2:
        return h2.ask("GET", stage.at(host, kind), path, [])


def records(stage: Stage, host: str, path: str = "/") -> tuple[dict[str, Any], dict[str, Any]]:
    """Opening and closing record of the last request for it that has ended."""
    def find() -> Any:
        pairs = stage.proxy.pairs(destination_domain=host, url_path=path)
        return pairs[-1] if pairs and pairs[-1][1] is not None else None

    found: tuple[dict[str, Any], dict[str, Any]] = wait_until(find)
    return found


def in_parallel(number: int, one: Callable[[], Answer]) -> list[Answer]:
    found: list[Answer] = []
    threads = [threading.Thread(target=lambda: found.append(one())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == number
    return found


# --- pace ---------------------------------------------------------------------------------------


def test_a_client_that_does_not_care_keeps_to_the_request_rate(stage: Stage) -> None:
    """4 in 2 s is one every 0.5 s; other accounts have a pace of their own."""
    arrived: list[float] = []

    async def note(request: web.Request) -> web.StreamResponse:
        arrived.append(time.monotonic())
        return web.Response(text="here")

    stage.plain.robots = "User-agent: *\nRequest-rate: 4/2\n"
    stage.plain.handler = note
    began = time.monotonic()
    assert [ask(stage, "rate.site.test").status for _ in range(5)] == [200] * 5
    for number, moment in enumerate(arrived):
        assert moment - began >= 0.5 * number  # none is ever let through early
    start, _ = records(stage, "rate.site.test")
    assert (start["outbounds.verdict"], start["rule.id"]) == ("pace", "request-rate")
    assert start["rule.reference"] == "P-robots" and start["outbounds.wait"] > 0
    assert ask(stage, "rate.site.test", "/second", name="trainer").status == 200
    start, _ = records(stage, "rate.site.test", "/second")
    assert start["outbounds.verdict"] == "allow"


def test_who_would_wait_too_long_is_told_when_to_come(stage: Stage) -> None:
    """Clients that come all at once, and again at once when they are refused."""
    stage.plain.robots = "User-agent: *\nRequest-rate: 1/1\n"
    began = time.monotonic()
    found = in_parallel(8, lambda: ask(stage, "hasty.site.test"))
    spent = time.monotonic() - began
    passed = [answer for answer in found if answer.status == 200]
    refused = [answer for answer in found if answer.status == 429]
    assert len(passed) + len(refused) == 8
    assert 2 <= len(passed) <= 1 + spent  # one a second
    for answer in refused:
        assert answer.problem["rule"] == "request-rate"
        assert answer["ratelimit-policy"] == '"request-rate";q=1;w=1'
        assert 1 <= int(answer["retry-after"]) <= 8
    assert len(stage.plain.paths()) == len(passed)


# --- hours --------------------------------------------------------------------------------------


def hours_from_now(begin: int, end: int) -> tuple[str, float]:
    """(a Visit-time from `begin` to `end` hours after this one began, Unix time that it begins)."""
    hour = time.time() // 3600
    first, last = (int(hour + each) % 24 for each in (begin, end))
    return f"{first:02}00-{last:02}00", (hour + begin) * 3600.0


@pytest.mark.parametrize("kind", ["plain", "tls", "h2"])
def test_outside_its_hours_a_site_says_when_it_opens(stage: Stage, kind: str) -> None:
    hours, opens = hours_from_now(3, 5)
    getattr(stage, kind).robots = f"User-agent: *\nVisit-time: {hours}\n"
    before = time.time()
    answer = ask(stage, "off-hours.site.test", kind=kind)
    after = time.time()
    assert (answer.status, answer.problem["rule"]) == (429, "visit-time")
    assert math.ceil(opens - after) <= int(answer["retry-after"]) <= math.ceil(opens - before)
    assert answer.problem["retry_after"] == int(answer["retry-after"])
    assert (answer.problem["control"], answer.problem["clause"]) == ("robots", "P-robots")
    assert stage.reached() == []
    start, _ = stage.record(answer)
    assert (start["rule.id"], start["outbounds.robots.state"]) == ("visit-time", "fresh")


def test_within_its_hours_it_is_open(stage: Stage) -> None:
    hours, _ = hours_from_now(-1, 3)
    stage.plain.robots = f"User-agent: *\nVisit-time: {hours}\n"
    assert ask(stage, "on-hours.site.test").status == 200


def test_hours_hold_for_tunnels_that_nobody_sees_into(stage: Stage) -> None:
    hours, _ = hours_from_now(3, 5)
    stage.tls.robots = f"User-agent: *\nVisit-time: {hours}\n"
    with stage.dialogue() as dialogue:
        answer = dialogue.connect(stage.at("tunnel.site.test", "tls"), [basic("bob")])
    assert (answer.status, answer.problem["rule"]) == (429, "visit-time")
    assert "at other hours of the day only" in answer.reason and "retry-after" in answer


# --- uses ---------------------------------------------------------------------------------------

SIGNALS = "User-agent: *\nContent-Signal: search=yes, ai-train=no\nDisallow: /none\n"


@pytest.mark.parametrize("kind", ["plain", "tls", "h2"])
def test_what_a_site_says_of_uses_is_on_record(stage: Stage, kind: str) -> None:
    getattr(stage, kind).robots = SIGNALS
    assert ask(stage, "uses.site.test", f"/{kind}", kind=kind).status == 200
    start, _ = records(stage, "uses.site.test", f"/{kind}")
    assert start["outbounds.robots.usage"] == "search=yes ai-train=no"


def test_an_account_is_held_to_what_it_declared(stage: Stage) -> None:
    """And changes hold from the next request on, without a restart."""
    stage.plain.robots = SIGNALS
    answer = ask(stage, "declared.site.test", name="trainer")
    assert (answer.status, answer.problem["rule"]) == (403, "content-use/ai-train")
    assert "(line 2), which this account declared to do" in answer.problem["detail"]
    assert stage.reached() == []
    start, _ = stage.record(answer)
    assert start["outbounds.robots.usage"] == "search=yes ai-train=no"
    assert start["outbounds.robots.line"] == 2

    assert ask(stage, "declared.site.test", name="changing").status == 200
    stage.command("accounts", "set-purposes", "changing", "ai-input", "ai-train")
    assert ask(stage, "declared.site.test", name="changing").status == 403
    stage.command("accounts", "set-purposes", "changing", "ai-input")
    assert ask(stage, "declared.site.test", name="changing").status == 200


def test_where_a_site_is_silent_nothing_is_refused_or_recorded(stage: Stage) -> None:
    stage.plain.robots = "User-agent: *\nDisallow: /none\n"
    assert ask(stage, "silent.site.test", name="trainer").status == 200
    start, _ = records(stage, "silent.site.test")
    assert "outbounds.robots.usage" not in start


# --- modes --------------------------------------------------------------------------------------


def test_one_account_is_only_watched(stage: Stage) -> None:
    stage.plain.robots = WHOLE
    assert ask(stage, "watched.site.test", name="bob").status == 403
    assert ask(stage, "watched.site.test", "/seen", name="watched").status == 200
    start, end = records(stage, "watched.site.test", "/seen")
    assert start["outbounds.robots.exempt"] == "mode:trial"
    assert "disallows this path" in start["outbounds.observed"]
    assert (start["outbounds.robots.line"], start["outbounds.verdict"]) == (2, "allow")
    assert end["http.response.status_code"] == 200


def test_hours_and_uses_are_watched_too(stage: Stage) -> None:
    hours, _ = hours_from_now(3, 5)
    stage.plain.robots = f"User-agent: *\nVisit-time: {hours}\n"
    assert ask(stage, "late.site.test", name="watched").status == 200
    start, _ = records(stage, "late.site.test")
    assert "at other hours of the day only" in start["outbounds.observed"]


@pytest.mark.parametrize(("host", "name", "entry"), [
    ("exempt.site.test", "exempt", "mode:partner"), ("mine.site.test", "bob", "mode:our-own")])
def test_where_it_is_off_the_site_is_not_even_asked(stage: Stage, host: str, name: str,
                                                    entry: str) -> None:
    stage.plain.robots = WHOLE
    assert ask(stage, host, "/x", name=name).status == 200
    assert [seen.path for seen in stage.plain.seen] == ["/x"]
    start, _ = records(stage, host, "/x")
    assert start["outbounds.robots.exempt"] == entry
    assert "outbounds.robots.state" not in start


def test_a_mode_that_is_taken_away_binds_again(stage: Stage) -> None:
    stage.plain.robots = WHOLE
    file = stage.proxy.config / "robots.yaml"
    before = file.read_bytes()
    try:
        assert ask(stage, "bound.site.test", name="exempt").status == 200
        edit_yaml(file, lambda data: data.update(modes=data["modes"][1:]))
        wait_until(lambda: ask(stage, "bound.site.test", name="exempt").status == 403)
        assert ask(stage, "bound.site.test", name="watched").status == 200
    finally:
        file.write_bytes(before)
        wait_until(lambda: ask(stage, "bound.site.test", name="exempt").status == 200)


# --- what a reply says --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "tls", "h2"])
def test_what_the_reply_says_of_its_use_is_on_record(stage: Stage, kind: str) -> None:
    """And passes untouched."""
    said = [("X-Robots-Tag", "googlebot: nofollow"), ("X-Robots-Tag", "noindex, noai"),
            ("Content-Usage", "train-ai=n")]

    async def tagged(request: web.Request) -> web.StreamResponse:
        response = web.Response(text="tagged")
        for name, value in said:
            response.headers.add(name, value)
        return response

    stage.plain.handler = stage.tls.handler = tagged
    stage.h2.fields += [(name.lower().encode(), value.encode()) for name, value in said]
    answer = ask(stage, "tagged.site.test", f"/{kind}", kind=kind)
    assert answer.status == 200
    passed = [(name, value) for name, value in answer.headers if name in (
        "x-robots-tag", "content-usage")]
    assert passed == [(name.lower(), value) for name, value in said]
    start, end = records(stage, "tagged.site.test", f"/{kind}")
    assert end["outbounds.robots.tag"] == "googlebot: nofollow, noindex, noai"
    assert end["outbounds.robots.content_usage"] == "train-ai=n"
    assert "outbounds.robots.tag" not in start


def test_octets_that_are_no_text_are_on_record_as_such(stage: Stage, odd: TcpOrigin) -> None:
    with stage.dialogue() as dialogue:
        dialogue.socket.sendall(
            b"GET http://odd.site.test:%d/ HTTP/1.1\r\nHost: odd.site.test:%d\r\n%s: %s\r\n\r\n" % (
                odd.port, odd.port, *(each.encode() for each in basic("bob"))))
        head = b""
        while b"\r\n\r\n" not in head:
            head += dialogue.socket.recv(65536)
    assert head.startswith(b"HTTP/1.1 200") and b"no\xffai" in head
    _, end = records(stage, "odd.site.test")
    assert end["outbounds.robots.tag"] == "no%FFai, noindex"


def test_our_own_refusals_say_nothing_of_the_kind(stage: Stage) -> None:
    stage.plain.robots = WHOLE
    answer = ask(stage, "changing.site.test")
    assert answer.status == 403 and "x-robots-tag" not in answer
    _, end = stage.record(answer)
    assert "outbounds.robots.tag" not in end
