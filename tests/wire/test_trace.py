"""From a line of a target's own log to the account, through a real proxy."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.cli.trace import trace_command
from outbounds.evidence.cases.store import Cases

from .harness import Proxy, free_port, make_config, wait_until
from .sockets import TcpOrigin, ask, connect, get, hello, reply, socks

NAMES = {"site.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
BERLIN_IN_WINTER = timezone(timedelta(hours=1))


class Logging:
    """A web server that writes nginx's combined log with the client's port, in a zone of its
    own."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def serve(self, origin: TcpOrigin, peer: socket.socket) -> None:
        host, port = peer.getpeername()[:2]
        while head := origin.head(peer):
            line = head.split(b"\r\n", 1)[0].decode()
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            at = datetime.now(BERLIN_IN_WINTER).strftime("%d/%b/%Y:%H:%M:%S %z")
            if "/robots.txt" not in line:
                self.log.append(f'{host}:{port} - - [{at}] "{line}" 200 2 "-" "-"')


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Proxy, TcpOrigin, Logging]]:
    server, port = Logging(), free_port()
    config = make_config(tmp_path / "config", [port], robots="off")
    with TcpOrigin(server.serve, port=port) as origin, \
            Proxy(config, names=NAMES, socks=True) as proxy:
        yield proxy, origin, server


def run(proxy: Proxy, *words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(trace_command, [*words, "--config", str(proxy.config)], input=stdin)


def traced(proxy: Proxy, complaint: str, *words: str) -> dict[str, Any]:
    done = run(proxy, "-", "--json", *words, stdin=complaint)
    assert done.exit_code in (0, 1), done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def owner(proxy: Proxy, id: str) -> str:
    """The account of a record, by its name in the harness."""
    ids = {each["event.id"]: each["user.id"] for each in proxy.records()
           if each["event.type"] == "start" and "user.id" in each}
    return ids[id]


def accounts(proxy: Proxy, where: str) -> tuple[str, str]:
    """The ids of alice and bob, by a request of each."""
    found = []
    for name in ("alice", "bob"):
        assert ask(proxy, f"http://{where}/who-{name}", name).status == 200
        [opening] = [each for each in proxy.records() if each.get("url.path") == f"/who-{name}"]
        found.append(str(opening["user.id"]))
    return found[0], found[1]


def test_a_line_of_the_targets_log_leads_to_the_account(
        scene: tuple[Proxy, TcpOrigin, Logging]) -> None:
    """Plain HTTP, a CONNECT tunnel, one that is still open, and SOCKS5: the same target at the same
    time from one address for two accounts, told apart by the port alone."""
    proxy, origin, server = scene
    where = f"site.test:{origin.port}"
    alice, bob = accounts(proxy, where)
    server.log.clear()

    assert ask(proxy, f"http://{where}/plain", "alice").status == 200
    tunnel, answer = connect(proxy, where, "bob")
    assert answer.status == 200
    tunnel.sendall(get("/tunnel", where, None))
    assert reply(tunnel).status == 200
    ways = []
    for name in ("alice", "bob"):
        way, code = socks(proxy, "site.test", origin.port, name)
        assert code == 0
        way.sendall(get(f"/socks-{name}", where, None))
        assert reply(way).status == 200
        ways.append(way)
    expected = [alice, bob, alice, bob]
    lines = wait_until(lambda: server.log if len(server.log) == 4 else None)

    with tunnel, ways[0], ways[1]:  # open while they are looked for
        for line, account in zip(lines, expected, strict=True):
            found = traced(proxy, line)
            best = found["candidates"][0]
            assert best["confidence"] == "certain", (line, found)
            assert owner(proxy, best["matches"][0]["id"]) == account, line
            assert best["account"].startswith("acct-")
            assert account not in json.dumps(found), "a pseudonym was asked for"
            assert best["matches"][0]["agreement"]["egress"] == "endpoint"
    # what is not read leaves nothing but the connection until it is over
    raw, answer = connect(proxy, where, "bob")
    assert answer.status == 200
    with raw:
        raw.sendall(hello("site.test"))
        wait_until(lambda: any(each[:1] == b"\x16" for each in origin.received))
        number = next(n for n, each in enumerate(origin.received) if each[:1] == b"\x16")
        host, port = origin.peers[number][:2]
        wait_until(lambda: any(each.get("source.nat.port") == port for each in proxy.records()))
        still = traced(proxy, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00} fw kernel: DROP "
                              f"SRC={host} DST=127.0.0.1 SPT={port} DPT={origin.port}")
        best = still["candidates"][0]
        assert best["confidence"] == "certain", still
        assert best["matches"][0]["end"] is None
        assert owner(proxy, best["matches"][0]["id"]) == bob
        assert any("not over" in doubt for doubt in best["doubts"])

    # without the port nothing tells the two apart, and it says so
    address = lines[0].split(":")[0]
    portless = traced(proxy, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {address}",
                      "--target", "site.test")
    assert {each["confidence"] for each in portless["candidates"]} == {"possible"}
    assert len(portless["candidates"]) >= 2
    assert all(each["rivals"] for each in portless["candidates"])


def test_the_command_speaks_to_people(scene: tuple[Proxy, TcpOrigin, Logging]) -> None:
    proxy, origin, server = scene
    where = f"site.test:{origin.port}"
    assert ask(proxy, f"http://{where}/plain", "alice").status == 200
    [line] = wait_until(lambda: server.log)
    endpoint = line.split()[0]
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    shown = run(proxy, endpoint, "--at", at, "--target", "www.site.test")
    assert shown.exit_code == 0, shown.output
    for part in ("The complaint (arguments) says:", "1. acct-", "the very address and port",
                 "of the same site as www.site.test", "Uncertain:", "±5 min is allowed",
                 "Records (times are UTC):", "/plain", "Searched", "Retention removes"):
        assert part in shown.stdout, shown.stdout
    assert "127.0.0.1:" + str(proxy.port) not in shown.stdout

    # an hour away, and the address of somebody else
    off = datetime.now(UTC) - timedelta(hours=1)
    away = run(proxy, endpoint, "--at", f"{off:%Y-%m-%dT%H:%M:%SZ}", "--tolerance", "10s")
    assert away.exit_code == 1
    assert "No record fits" in away.stdout
    assert "in use" in away.stdout and "after the stated time: is the zone right?" in away.stdout
    other = run(proxy, "192.0.2.7:51234", "--at", at)
    assert other.exit_code == 1
    assert "Is the address one of this proxy's?" in other.stdout


@pytest.mark.parametrize(("words", "said"), [
    (["192.0.2.7:51234"], "--at is missing"),
    (["no-such-file.eml"], "there is no file of that name"),
    (["www.example.net", "--at", "2026-11-21T12:03:07Z"], "Names are not looked up"),
    (["192.0.2.7", "--at", "yesterday-ish"], "is no time that is understood here"),
    (["192.0.2.7", "--at", "2026-02-30T12:00:00Z"], "there is no such date"),
    (["192.0.2.7", "--at", "2026-11-21T12:03:07Z", "--zone", "Mars"], "no time zone known"),
    (["192.0.2.7", "--at", "2026-11-21T12:03:07Z", "--unmask"], "--unmask needs --case"),
    (["192.0.2.7", "--at", "2026-11-21T12:03:07Z", "--tolerance", "5"], "unit"),
    (["192.0.2.7", "--at", "2026-11-21T12:03:07Z", "--target", "a b"], "neither a host"),
])
def test_wrong_usage_is_said(words: list[str], said: str) -> None:
    done = CliRunner().invoke(trace_command, words)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


def test_a_case_takes_the_records_and_lifts_the_mask(
        scene: tuple[Proxy, TcpOrigin, Logging]) -> None:
    proxy, origin, server = scene
    where = f"site.test:{origin.port}"
    assert ask(proxy, f"http://{where}/plain", "alice").status == 200
    assert ask(proxy, f"http://{where}/plain", "bob").status == 200
    lines = wait_until(lambda: server.log if len(server.log) == 2 else None)
    [alice] = {each["user.id"] for each in proxy.records()
               if each.get("url.path") == "/plain" and "user.id" in each} - {
        owner(proxy, traced(proxy, lines[1])["candidates"][0]["matches"][0]["id"])}

    missing = run(proxy, "-", "--case", "C-none", stdin=lines[0])
    assert missing.exit_code == 1
    assert "there is no such case" in missing.output
    opened = CliRunner().invoke(main, ["case", "open", "A complaint", "--id", "C-1",
                                       "--config", str(proxy.config)])
    assert opened.exit_code == 0, opened.output

    shown = run(proxy, "-", "--case", "C-1", "--unmask", stdin=lines[0])
    assert shown.exit_code == 0, shown.output
    assert f"1. {alice}: certain" in shown.stdout
    assert "Added to C-1: 1 record with what belongs to it." in shown.stdout
    acts = [each for each in proxy.records() if each["event.action"] == "evidence.unmask"]
    assert [each["outbounds.case"] for each in acts] == ["C-1", "C-1"]
    assert acts[0]["outbounds.scope"].startswith("trace of 127.0.0.1 port ")
    assert acts[1]["outbounds.count"] == 1
    case = Cases(proxy.data / "evidence" / "cases").get("C-1")
    assert {item.account for item in case.items} == {alice}, "nobody else's"
    [(_, added)] = case.additions
    assert added.findings[0].startswith("certain: it went out from 127.0.0.1:")
    assert added.complaint.endswith("Z")

    # nothing is added of those who are only possible
    portless = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} 127.0.0.1"
    vague = run(proxy, "-", "--case", "C-1", "--target", "site.test", stdin=portless)
    assert "Nothing was added to C-1: every candidate is only possible." in vague.stdout
    assert len(Cases(proxy.data / "evidence" / "cases").get("C-1").additions) == 1
