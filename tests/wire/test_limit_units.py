"""Limits on what flows and what is held, on the wire: octets, connections, hosts, refusals.

Requests at a rate are in test_limits. As there, each test has accounts or hosts of its own.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web

from . import sockets
from .dialogue import Answer, basic
from .harness import PLAIN_PASSWORD, accounts_file, add_account, edit_yaml, wait_until
from .sockets import TcpOrigin
from .stage import Stage, staged

KIB, MIB = 1024, 1024 * 1024
LIMITS = {  # plan: its limits, each of them (unit, per, …)
    "down": [{"unit": "bytes-down", "per": "account", "rate": "512KiB/s", "burst": "1MiB"}],
    "up": [{"unit": "bytes-up", "per": "account", "rate": "512KiB/s", "burst": "1MiB"}],
    "both": [{"unit": "bytes", "per": "account", "rate": "1KiB/s", "burst": "1MiB"}],
    "slowed": [{"unit": "bytes", "per": "account", "rate": "1MiB/s", "burst": "256KiB",
                "over": "pace", "max_wait": "5s"}],
    "slow-then-cut": [
        {"unit": "bytes", "per": "account", "rate": "1KiB/s", "burst": "1MiB"},
        {"unit": "bytes", "per": "account", "rate": "256B/s", "burst": "1MiB", "over": "pace",
         "max_wait": "5s"}],
    "daily": [{"unit": "bytes-down", "per": "account", "quota": "100KiB/day"}],
    "held": [{"unit": "concurrent-requests", "per": "account", "max": 2}],
    "waits": [{"unit": "concurrent-requests", "per": "account", "max": 1, "over": "pace",
               "max_wait": "5s"}],
    "dials": [{"unit": "connections", "per": "account+host", "rate": "1/h", "burst": 2}],
    "broad": [{"unit": "hosts", "per": "account", "rate": "2/h"}],
    "knocks": [{"unit": "refusals", "per": "account", "rate": "1/h", "burst": 3,
                "clause": "P-provider"}],
    "posts": [{"unit": "requests", "per": "account", "rate": "1/h", "burst": 1,
               "methods": ["POST"]},
              {"unit": "requests", "per": "account+site", "rate": "1/h", "burst": 1,
               "targets": ["narrow.site.test"]}],
    "told": [{"unit": "requests", "per": "account", "rate": "600/min", "burst": 10}],
}
SOURCE = {"id": "source", "unit": "requests", "per": "source", "rate": "1/h", "burst": 3,
          "targets": ["source.site.test"], "clause": "P-provider"}
HOSTS = tuple(f"{name}.site.test" for name in (
    "one", "two", "three", "narrow", "source", "denied"))


def prepare(config: Path, ports: list[int]) -> None:
    def plans(data: Any) -> None:
        data["plans"] = [{"id": "default", "limits": []}] + [
            {"id": plan, "limits": [f"{plan}-{n}" for n in range(len(limits))],
             "rate_limit_fields": "always" if plan == "told" else "refusals"}
            for plan, limits in LIMITS.items()]

    def limits(data: Any) -> None:
        data["limits"] = [{"id": f"{plan}-{n}", "clause": "S-fairshare", **limit}
                          for plan, limits in LIMITS.items() for n, limit in enumerate(limits)]
        data["limits"].append(SOURCE)

    edit_yaml(config / "limits.yaml", limits)
    edit_yaml(config / "plans.yaml", plans)
    edit_yaml(config / "robots.yaml", lambda data: data.update(mode="off"))
    (config / "lists" / "blocked.txt").write_text("domain denied.site.test\n")


@pytest.fixture(scope="module")
def target() -> Iterator[TcpOrigin]:
    """Speaks no HTTP: sends what it is asked for, `send N`, or takes what comes."""
    def serve(origin: TcpOrigin, peer: socket.socket) -> None:
        while data := origin.read(peer):
            for asked in re.findall(rb"send (\d+)\n", data):
                peer.sendall(b"x" * int(asked))

    with TcpOrigin(serve) as origin:
        yield origin


@pytest.fixture(scope="module", params=["serve", "mitmdump"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
            target: TcpOrigin) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("units"), prepare=prepare, hosts=HOSTS,
                extra_ports=[target.port], mode=request.param, socks=True) as stage:
        stage.plain.handler = answer
        stage.tls.handler = answer
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.clear()
    return running


async def answer(request: web.Request) -> web.StreamResponse:
    """/octets/N sends N octets, /wait/S takes so long; uploads are read."""
    if request.path != "/socket":
        async for _ in request.content.iter_chunked(65536):
            pass
    if request.path == "/socket":
        return await chat(request)
    match = re.match(r"/(octets|wait|own)/?([\d.]*)", request.path)
    if match is None:
        return web.Response(text="fine\n")
    if match[1] == "own":
        return web.Response(text="fine\n", headers={"RateLimit": '"theirs";r=7;t=3'})
    if match[1] == "wait":
        await asyncio.sleep(float(match[2]))
        return web.Response(text="at last\n")
    response = web.StreamResponse(headers={"Content-Length": match[2]})
    await response.prepare(request)
    left = int(match[2])
    while left:
        await response.write(b"x" * min(left, 65536))
        left -= min(left, 65536)
    return response


async def chat(request: web.Request) -> web.StreamResponse:
    """Answers every message; to "send" with 64 KiB."""
    peer = web.WebSocketResponse(max_msg_size=0)
    await peer.prepare(request)
    async for message in peer:
        await peer.send_str("x" * 65536 if message.data == "send" else "thanks")
    return peer


Make = Callable[..., str]


@pytest.fixture
def account(stage: Stage) -> Make:
    """Makes an account on a plan; its name."""
    def make(plan: str, **fields: Any) -> str:
        name = f"{plan}-{time.monotonic_ns()}"
        add_account(stage.proxy.config, name, PLAIN_PASSWORD, plan=plan, **fields)
        return name

    return make


def ask(stage: Stage, name: str, path: str = "/", host: str = "one.site.test",
        method: str = "GET", **more: Any) -> Answer:
    with stage.dialogue(**more) as dialogue:
        return dialogue.ask(method, stage.url(path, host), [basic(name)])


def received(stage: Stage, name: str, path: str, host: str = "one.site.test") -> tuple[bytes, int]:
    """The head of a reply, and how many octets of its body came before the connection ended."""
    with sockets.dial(stage.proxy.port) as peer:
        peer.sendall(sockets.get(stage.url(path, host), stage.at(host), name))
        got = b""
        while b"\r\n\r\n" not in got:
            data = peer.recv(65536)
            assert data, got
            got += data
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        size = len(body)
        while size < length:
            try:
                data = peer.recv(1 << 20)
            except ConnectionError:
                break
            if not data:
                break
            size += len(data)
        return head, size


def ended_by(stage: Stage, rule: str, **wanted: Any) -> dict[str, Any]:
    """The closing record of what this limit ended."""
    def find() -> Any:
        return next((end for _, end in stage.proxy.pairs(**wanted)
                     if end is not None and end.get("rule.id") == rule), None)

    found: dict[str, Any] = wait_until(find)
    return found


# --- octets -------------------------------------------------------------------------------------


def test_a_download_that_runs_out_is_ended_and_its_debt_delays_the_next(
        stage: Stage, account: Make) -> None:
    name = account("down")
    head, size = received(stage, name, f"/octets/{8 * MIB}")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert MIB - 64 * KIB <= size < 4 * MIB  # the burst, and what the rate gave meanwhile
    end = ended_by(stage, "down-0", url_path=f"/octets/{8 * MIB}")
    assert end["outbounds.verdict"] == "refuse" and end["rule.reference"] == "S-fairshare"
    assert end["event.outcome"] == "failure" and "bytes down per 1 s" in end["event.reason"]
    refused = ask(stage, name, "/octets/10")
    assert refused.status == 429 and refused.problem["rule"] == "down-0"
    assert 'qu="content-bytes"' in refused["ratelimit-policy"]
    time.sleep(int(refused["retry-after"]))
    assert ask(stage, name, "/octets/10").status == 200


def test_an_upload_that_runs_out_is_ended(stage: Stage, account: Make) -> None:
    name = account("up")
    with stage.dialogue() as dialogue:
        head = (f"POST {stage.url('/up-cut', 'one.site.test')} HTTP/1.1\r\n"
                f"Host: {stage.at('one.site.test')}\r\n{': '.join(basic(name))}\r\n"
                f"Content-Length: {64 * MIB}\r\n\r\n")
        dialogue.socket.sendall(head.encode())
        sent = 0
        with pytest.raises(OSError):
            while sent < 64 * MIB:
                dialogue.socket.sendall(b"x" * 65536)
                sent += 65536
    end = ended_by(stage, "up-0", url_path="/up-cut")
    assert MIB - 64 * KIB <= end["http.request.bytes"] < 4 * MIB
    assert ask(stage, name).status == 429


@pytest.mark.parametrize("way", ["connect", "socks"])
def test_a_tunnel_that_runs_out_is_ended(stage: Stage, account: Make, target: TcpOrigin,
                                         way: str) -> None:
    name = account("both")
    if way == "connect":
        peer, reply = sockets.connect(stage.proxy, f"site.test:{target.port}", name)
        assert reply.status == 200
    else:
        peer, code = sockets.socks(stage.proxy, "site.test", target.port, name)
        assert code == 0
    with peer:
        got = 0
        peer.settimeout(20)
        peer.sendall(b"send %d\n" % (8 * MIB))
        while True:
            try:
                data = peer.recv(1 << 20)
            except ConnectionError:
                break
            if not data:
                break
            got += len(data)
    assert MIB - 128 * KIB <= got <= MIB + 128 * KIB
    end = ended_by(stage, "both-0", event_action="tunnel", outbounds_way="connect"
                   if way == "connect" else "socks5")
    assert end["outbounds.verdict"] == "refuse"
    assert end["destination.bytes"] >= MIB


def test_octets_of_an_inspected_tunnel_are_counted_once(stage: Stage, account: Make) -> None:
    """On the wire, so a download of 600 KiB fits into a mebibyte; inside as well it would not."""
    name = account("both", inspect=True, consent="2026-01-01")
    with stage.inspected("one.site.test", name=name) as dialogue:
        answer = dialogue.ask("GET", "/octets/614400", [("Host", stage.at("one.site.test", "tls"))])
        assert answer.status == 200 and len(answer.body) == 614_400


@pytest.mark.parametrize("direction", ["down", "up"])
def test_pacing_slows_a_transfer_and_loses_nothing(stage: Stage, account: Make,
                                                   direction: str) -> None:
    """2 MiB at 1 MiB/s with a burst of 256 KiB; 128 KiB may be read while a side is held."""
    name = account("slowed")
    started = time.monotonic()
    if direction == "down":
        _, size = received(stage, name, f"/octets/{2 * MIB}")
        assert size == 2 * MIB
    else:
        with stage.dialogue() as dialogue:
            assert dialogue.ask("POST", stage.url("/slow-up", "one.site.test"), [basic(name)],
                                b"x" * 2 * MIB).status == 200
    assert time.monotonic() - started > 1.0


def test_pacing_slows_a_tunnel_and_loses_nothing(stage: Stage, account: Make,
                                                 target: TcpOrigin) -> None:
    peer, reply = sockets.connect(stage.proxy, f"site.test:{target.port}", account("slowed"))
    assert reply.status == 200
    with peer:
        started, got = time.monotonic(), 0
        peer.settimeout(20)
        peer.sendall(b"send %d\n" % (2 * MIB))
        while got < 2 * MIB:
            data = peer.recv(1 << 20)
            assert data, got
            got += len(data)
    assert time.monotonic() - started > 1.0


def test_a_limit_that_slows_hides_none_that_ends(stage: Stage, account: Make) -> None:
    """Both are over their edge at once, and the one that slows would make it wait longer."""
    name = account("slow-then-cut")
    _, size = received(stage, name, f"/octets/{4 * MIB}")
    assert size < 2 * MIB
    assert ended_by(stage, "slow-then-cut-0", url_path=f"/octets/{4 * MIB}")


def test_a_quota_is_of_the_calendar(stage: Stage, account: Make) -> None:
    name = account("daily")
    received(stage, name, f"/octets/{90 * KIB}")
    assert ask(stage, name, "/octets/1").status == 429  # 10 KiB are left: too little to begin
    refused = ask(stage, name, "/octets/1")
    assert refused["ratelimit-policy"] == f'"daily-0";q={100 * KIB};qu="content-bytes";w=86400'
    midnight = 86400 - time.time() % 86400
    assert abs(int(refused["retry-after"]) - midnight) <= 2


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_websocket_that_runs_out_is_ended(stage: Stage, account: Make, direction: str) -> None:
    """Messages are octets like any others."""
    name = account(direction)

    async def talk() -> int:
        got = 0
        async with ClientSession() as session, session.ws_connect(
                stage.url("/socket", "one.site.test").replace("http", "ws", 1), max_msg_size=0,
                proxy=stage.proxy.url_for(name)) as peer:
            for _ in range(64):
                await peer.send_str("send" if direction == "down" else "x" * 65536)
                message = await peer.receive()
                if message.type is not WSMsgType.TEXT:
                    break
                got += len(message.data)
        return got

    asyncio.run(talk())
    end = ended_by(stage, f"{direction}-0", url_path="/socket", user_id=_id(stage, name))
    octets = end["http.response.bytes" if direction == "down" else "http.request.bytes"]
    assert MIB <= octets < 4 * MIB


def _id(stage: Stage, name: str) -> str:
    with closing(accounts_file(stage.proxy.config)) as file:
        found = file.by_name(name)
    assert found is not None
    return found[0].id


# --- what is held -------------------------------------------------------------------------------


def test_concurrent_requests(stage: Stage, account: Make) -> None:
    name = account("held")
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(ask, stage, name, "/wait/1.5") for _ in range(2)]
        wait_until(lambda: stage.plain.paths().count("/wait/1.5") == 2)
        refused = ask(stage, name)
        assert refused.status == 429 and refused.problem["rule"] == "held-0"
        assert refused["ratelimit-policy"] == '"held-0";q=2;qu="concurrent-requests"'
        assert [each.result().status for each in slow] == [200, 200]
    assert ask(stage, name).status == 200


def test_a_client_that_leaves_gives_its_place_back(stage: Stage, account: Make) -> None:
    name = account("held")
    for _ in range(2):
        with stage.dialogue() as dialogue:
            dialogue.send("GET", stage.url("/wait/30", "one.site.test"), [basic(name)])
            wait_until(lambda: "/wait/30" in stage.plain.paths())
            stage.clear()
    wait_until(lambda: ask(stage, name).status == 200)


def test_a_place_is_waited_for(stage: Stage, account: Make) -> None:
    """One at a time: those who wait are let in as others end."""
    name = account("waits")
    ask(stage, name)  # the password
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(stage, name, "/wait/0.3"), range(4)))
    assert [each.status for each in found] == [200] * 4


def test_a_client_that_leaves_the_queue_frees_its_place_in_it(stage: Stage, account: Make) -> None:
    """And nothing of what it asked for reaches the target."""
    name = account("waits")
    with stage.dialogue() as first, stage.dialogue() as second:
        first.send("GET", stage.url("/wait/3", "one.site.test"), [basic(name)])
        wait_until(lambda: "/wait/3" in stage.plain.paths())
        second.send("GET", stage.url("/left", "one.site.test"), [basic(name)])
        wait_until(lambda: stage.proxy.metrics()["outbounds_waiting_requests"] == 1)
        second.close()
        wait_until(lambda: stage.proxy.metrics()["outbounds_waiting_requests"] == 0)
        assert first.answer().status == 200
    assert ask(stage, name).status == 200
    assert "/left" not in stage.plain.paths()


# --- connections and hosts ----------------------------------------------------------------------


def test_new_connections_are_charged_at_the_dial(stage: Stage, account: Make) -> None:
    """A connection that is used again costs nothing; one too many is a 429, in our words."""
    name = account("dials")
    with stage.dialogue() as dialogue:
        for _ in range(4):
            assert dialogue.ask("GET", stage.url("/", "two.site.test"),
                                [basic(name)]).status == 200
    assert ask(stage, name, host="two.site.test").status == 200
    refused = ask(stage, name, host="two.site.test")
    assert refused.status == 429 and refused.problem["rule"] == "dials-0"
    assert int(refused["retry-after"]) > 1000
    _, end = stage.record(refused)
    assert end["event.outcome"] == "failure"
    with stage.dialogue() as dialogue:
        tunnel = dialogue.connect(stage.at("two.site.test", "tls"), [basic(name)])
        assert (tunnel.status, tunnel.problem["rule"]) == (429, "dials-0")
        assert tunnel.reason.startswith("Limit reached: ")
    assert ask(stage, name, host="three.site.test").status == 200


def test_distinct_hosts(stage: Stage, account: Make) -> None:
    name = account("broad")
    hosts = ["one", "two", "one", "two", "three", "one"]
    assert [ask(stage, name, host=f"{host}.site.test").status for host in hosts] == [
        200, 200, 200, 200, 429, 200]


# --- refusals, narrowing, sources ---------------------------------------------------------------


def test_hammering_a_closed_door_is_limited(stage: Stage, account: Make) -> None:
    """First its own answer, then 429, then the connection is closed; good requests still pass."""
    name = account("knocks")
    with stage.dialogue() as dialogue:
        found = []
        for _ in range(7):
            answer = dialogue.ask("GET", stage.url("/", "denied.site.test"), [basic(name)])
            found.append((answer.status, answer.problem["rule"]))
            if not dialogue.reusable:
                break
        assert found == [(403, "blocked:1")] * 3 + [(429, "knocks-0")] * 4
        assert answer.problem["clause"] == "P-provider" and "retry-after" in answer
        assert answer["connection"] == "close" and dialogue.closed_by_proxy()
    assert ask(stage, name).status == 200
    with stage.dialogue() as dialogue:
        refused = dialogue.connect(stage.at("denied.site.test", "tls"), [basic(name)])
        assert refused.status == 429 and dialogue.closed_by_proxy()


def test_methods_and_targets_narrow_a_limit(stage: Stage, account: Make) -> None:
    name = account("posts")
    assert [ask(stage, name, method=method).status
            for method in ("POST", "GET", "POST", "GET")] == [200, 200, 429, 200]
    assert [ask(stage, name, host=f"{host}.site.test").status
            for host in ("narrow", "one", "narrow", "one")] == [200, 200, 429, 200]


def test_a_source_is_counted_over_its_accounts(stage: Stage, account: Make) -> None:
    """The limit is in no plan, and holds for all."""
    names = [account("told") for _ in range(4)]
    assert [ask(stage, name, host="source.site.test", source="127.0.0.9").status
            for name in names] == [200, 200, 200, 429]
    assert ask(stage, names[3], host="source.site.test", source="127.0.0.10").status == 200


# --- what is told -------------------------------------------------------------------------------


def test_every_reply_tells_what_is_left_where_the_plan_says_so(
        stage: Stage, account: Make) -> None:
    name, other = account("told"), account("held")
    first, second = ask(stage, name), ask(stage, name)
    assert first["ratelimit-policy"] == '"told-0";q=600;w=60'
    left = [int(re.match(r'"told-0";r=(\d+);t=\d+', each["ratelimit"])[1])  # type: ignore[index]
            for each in (first, second)]
    assert left[0] in (9, 10) and 8 <= left[1] <= left[0]
    assert "ratelimit" not in ask(stage, other)
    theirs = ask(stage, name, "/own")
    assert theirs["ratelimit"] == '"theirs";r=7;t=3' and "ratelimit-policy" not in theirs

