"""Feeds, end to end: a publisher, a collector, and the command that the proxy itself starts."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.line import fields
from outbounds.lists.compiled import Generation, verify
from outbounds.lists.places import Places
from outbounds.settings import Settings

from .harness import ROOT, edit_yaml, make_config, wait_until
from .origin import Origin

TEN = "".join(f"host{number}.example\n" for number in range(10))


class Publisher:
    """What `origin` answers: the body of each path, with an ETag; `replies` come before it."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.bodies: dict[str, bytes] = {}
        self.replies: dict[str, Any] = {}
        origin.handler = self.answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        reply = self.replies.get(request.path)
        if reply is not None:
            return await reply(request)  # type: ignore[no-any-return]
        body = self.bodies[request.path]
        tag = f'"{hash(body)}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=body, headers={"ETag": tag})

    def fields(self, name: str) -> list[str | None]:
        """The values of a field in the requests, in order."""
        return [dict(seen.headers).get(name) for seen in self.origin.seen]


class Machine:
    """A configuration with the feed `malware`, and builds of it as an operator starts them."""

    def __init__(self, config: Path, url: str) -> None:
        self.config = config
        self.settings: Settings | None = None

        def lists(data: Any) -> None:
            data["lists"] = [{"id": "malware", "clause": "S-covert", "format": "domains",
                              "feed": {"url": url, "refresh": "1min", "max_size": "1MiB"}}]
        edit_yaml(config / "destinations.yaml", lists)
        self.places = Places.below(config / "var")

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "outbounds", "lists", "build", "--config", str(self.config),
             *words], env={**os.environ, "PYTHONPATH": os.pathsep.join(
                 [str(ROOT / "addons"), *sys.path])},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def build(self, *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """How the feed stands, and what was said is wrong."""
        build = self.start("--json", "--force", *words)
        out, err = build.communicate(timeout=60)
        assert build.returncode == code, err
        status, = json.loads(out)["lists"]
        return status, err

    def denied(self, name: str) -> list[str]:
        folder = self.places.generation()
        assert folder is not None
        verify(folder)
        generation = Generation.open(folder, {"malware": Terms("malware")})
        return [hit.rule for hit in generation.match(parse_host(name), 443, "", "")]

    def records(self) -> list[dict[str, Any]]:
        return [fields(each.envelope, each.detail)
                for each in read_all(self.config / "var" / "evidence")]


@pytest.fixture
def publisher(origin: Origin) -> Publisher:
    return Publisher(origin)


@pytest.fixture
def machine(tmp_path: Path, origin: Origin, tls_origin: Origin) -> Machine:
    config = make_config(tmp_path / "config", [origin.port, tls_origin.port])
    return Machine(config, f"http://127.0.0.1:{origin.port}/malware")


@pytest.fixture
def collector(machine: Machine) -> Iterator[None]:
    """One that a service manager would have started."""
    from outbounds.lists.rules_file import parse_rules
    from outbounds.settings import load

    evidence = load(machine.config, parse_rules).evidence
    evidence.socket.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "outbounds.evidence.collector", "--dir", str(evidence.directory),
         "--socket", str(evidence.socket)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "addons")})
    wait_until(evidence.socket.exists)
    yield
    process.terminate()
    process.wait(10)


@pytest.mark.usefixtures("collector")
def test_a_feed_is_fetched_recorded_and_in_force(machine: Machine, publisher: Publisher) -> None:
    publisher.bodies["/malware"] = TEN.encode()
    before = time.time()
    status, _ = machine.build()
    assert machine.denied("www.host7.example") == ["malware:8"]
    assert (status["entries"], status["error"]) == (10, "")
    assert before <= status["good_at"] <= status["checked_at"] <= time.time()
    assert status["next_check"] == pytest.approx(status["checked_at"] + 60, abs=2)
    opening, connection, closing = machine.records()
    assert (opening["event.action"], opening["user.id"]) == ("feed-fetch", "outbounds")
    assert (opening["destination.ip"], opening["destination.port"]) == (
        "127.0.0.1", publisher.origin.port)
    assert (closing["event.id"], closing["event.outcome"]) == (opening["event.id"], "success")
    assert closing["http.response.bytes"] == len(TEN)
    assert (connection["event.type"], connection["destination.port"]) == (
        "connection", publisher.origin.port)
    assert connection["source.nat.port"] == closing["source.nat.port"] > 0
    again, _ = machine.build()
    assert publisher.fields("If-None-Match")[0] is None
    assert publisher.fields("If-None-Match")[1] is not None
    assert again["good_at"] > status["good_at"]
    assert machine.records()[-1]["http.response.status_code"] == 304


def test_without_a_collector_nothing_is_sent(machine: Machine, publisher: Publisher) -> None:
    publisher.bodies["/malware"] = TEN.encode()
    _, err = machine.build(code=1)
    assert "no evidence collector answers and nothing is sent without a record" in err
    assert publisher.origin.seen == []


async def cut(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    reply.content_length = 1000
    await reply.prepare(request)
    await reply.write(TEN.encode())
    assert request.transport is not None
    request.transport.close()
    return reply


def says(status: int = 200, body: bytes = b"", **fields: str) -> Any:
    async def reply(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={
            name.replace("_", "-"): value for name, value in fields.items()})
    return reply


BAD = [
    (cut, "it is cut off: the connection ended before the list did"),
    (says(302, Location="http://169.254.169.254/latest/"),
     "169.254.169.254 was not asked: 169.254.169.254: that is a cloud's metadata service"),
    (says(302, Location="http://10.0.0.1/list"),
     "10.0.0.1 was not asked: 10.0.0.1: Private-Use (RFC 1918) is not a public destination."),
    (says(302, Location="http://localhost:22/list"), "localhost was not asked: "),
    (says(body=gzip.compress(bytes(50_000_000)), Content_Encoding="gzip"),
     "it unpacks to more than max_size, 1048576 bytes; raise max_size if it may"),
    (says(body=gzip.compress(b"a.example\n" * 5_000_000)), "max_size"),
    (says(body=b"x" * 2_000_000), "it is larger than max_size"),
    (says(body=b"<html><p>Log in to read the list"), "it is an HTML page and not a list"),
    (says(503, Retry_After="3600"), "127.0.0.1 answered with status 503"),
    (says(body=b"com\n" + TEN.encode()), '"com": it means every name under com'),
    (says(body=bytes(1000) + os.urandom(100_000)), "it is binary and no list"),
    (says(body=b"host1.example\n"), "it shrank to 1 entries from 10"),
]


@pytest.mark.usefixtures("collector")
def test_whatever_comes_the_last_good_copy_stays(
        machine: Machine, publisher: Publisher, subtests: pytest.Subtests) -> None:
    publisher.bodies["/malware"] = TEN.encode()
    good, _ = machine.build()
    for reply, why in BAD:
        with subtests.test(why):
            publisher.replies["/malware"] = reply
            bad, err = machine.build(code=1)
            assert why in err
            assert "Traceback" not in err
            assert err.endswith("the last good copy stays in force, with 10 entries\n")
            assert machine.denied("host7.example") == ["malware:8"]
            assert bad["good_at"] == good["good_at"]
    del publisher.replies["/malware"]
    mended, _ = machine.build()
    assert mended["error"] == ""


@pytest.mark.usefixtures("collector")
def test_tls_is_verified_against_the_systems_authorities(
        tmp_path: Path, machine: Machine, tls_origin: Origin, certificates: tuple[Path, object],
        monkeypatch: pytest.MonkeyPatch) -> None:
    Publisher(tls_origin).bodies["/malware"] = TEN.encode()
    Machine(machine.config, f"https://localhost:{tls_origin.port}/malware")
    _, err = machine.build(code=1)
    assert "certificate verify failed" in err
    assert tls_origin.seen == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    status, _ = machine.build()
    assert status["entries"] == 10


@pytest.mark.usefixtures("collector")
def test_a_build_that_is_killed_while_it_fetches_leaves_everything_as_it_was(
        machine: Machine, publisher: Publisher) -> None:
    publisher.bodies["/malware"] = TEN.encode()
    machine.build()
    version = machine.places.version()

    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"half.example\n")
        while True:
            await reply.write(b"#")
            time.sleep(0.001)  # noqa: ASYNC251 (this origin has nobody else to serve)
    publisher.replies["/malware"] = endless
    download = machine.places.feed("malware") / "download.new"
    build = machine.start("--force")
    wait_until(lambda: download.exists() and len(publisher.origin.seen) == 2)
    build.send_signal(signal.SIGKILL)
    build.communicate(timeout=10)
    assert machine.places.version() == version
    assert machine.denied("host7.example") == ["malware:8"]
    publisher.replies.clear()
    status, _ = machine.build()
    assert status["error"] == ""
    assert not download.exists()
    openings = {each["event.id"] for each in machine.records() if each["event.type"] == "start"}
    closings = {each["event.id"]: each["event.outcome"] for each in wait_until(
        lambda: [each for each in machine.records() if each["event.type"] == "end"])}
    wait_until(lambda: openings <= {each["event.id"] for each in machine.records()
                                    if each["event.type"] == "end"})
    assert len(closings) >= 2
