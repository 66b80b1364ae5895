"""Capture for a case, on the wire: what the account sends and gets, readable with the identity
only, from the order to its end, and on record throughout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyrage
import pytest
from aiohttp import web
from warcio.archiveiterator import ArchiveIterator

from .dialogue import basic
from .harness import wait_until
from .stage import Stage, staged

CASE = "C-1"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("capture")) as stage:
        stage.command("case", "open", "complaint of example.net", "--id", CASE)
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    yield running
    running.plain.handler = running.tls.handler = None


@pytest.fixture
def identity(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    """alice is captured until the test ends; the file that reads it."""
    path = tmp_path / "identity"
    said = stage.command("case", "capture", CASE, "--account", "alice", "--until", _last_day(),
                         "--identity", str(path), "--each", "2KiB")
    assert "is captured for C-1 until" in said and path.stat().st_mode & 0o077 == 0
    begun = len(kept(stage))
    # a running proxy follows within a moment: then there is one file for the request that shows it
    wait_until(lambda: _ask(stage, "/shows") and len(kept(stage)) > begun)
    yield path
    if "0 captures" not in stage.command("case", "capture", CASE):
        stage.command("case", "capture", CASE, "--stop")


def _last_day() -> str:
    return (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")


def kept(stage: Stage) -> list[Path]:
    return sorted((stage.proxy.data / "captured" / CASE).glob("*.age"))


def opened(stage: Stage, identity: Path, path: str) -> list[Any]:
    """(type, first line, fields, body, truncated) of the messages of the exchange for `path`."""
    secret = pyrage.x25519.Identity.from_str(identity.read_text().splitlines()[1])

    def find() -> list[Any]:
        start = next((each for each in stage.proxy.records()
                      if each["event.type"] == "start" and each.get("url.path") == path), None)
        file = start and stage.proxy.data / "captured" / CASE / f"{start['event.id']}.age"
        if not file or not file.exists():
            return []
        found = pyrage.decrypt(file.read_bytes(), [secret])
        return [(each.rec_type, each.http_headers.statusline, each.http_headers.headers,
                 each.content_stream().read(), each.rec_headers.get_header("WARC-Truncated"))
                for each in ArchiveIterator(BytesIO(found))]

    result: list[Any] = wait_until(find)
    return result


def _ask(stage: Stage, path: str, name: str = "alice", method: str = "GET",
         fields: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> int:
    more = [("Content-Length", str(len(body)))] if body else []
    with stage.dialogue() as dialogue:
        return dialogue.ask(method, stage.url(path), [basic(name), *fields, *more], body).status


async def _echo(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read(), headers={"X-Made-By": "the site"})


def test_a_plain_exchange_is_there_in_full(stage: Stage, identity: Path) -> None:
    stage.plain.handler = _echo
    assert _ask(stage, "/plain?q=secret", method="POST", fields=(("Cookie", "mine=1"),),
                body=b"what was sent") == 200
    request, response = opened(stage, identity, "/plain")
    assert request[:2] == ("request", "/plain?q=secret HTTP/1.1")
    assert ("Cookie", "mine=1") in request[2] and request[3] == b"what was sent"
    assert response[:2] == ("response", "200 OK") and ("X-Made-By", "the site") in response[2]
    assert response[3] == b"what was sent" and response[4] is None
    assert not any(name.lower() == "proxy-authorization" for name, _ in request[2])


def test_an_inspected_exchange_and_a_body_that_is_too_long(stage: Stage, identity: Path) -> None:
    stage.tls.handler = _echo
    body = os.urandom(5000)
    with stage.inspected() as inner:
        assert inner.ask("POST", "/inspected", [("Host", stage.at(kind="tls")),
                                                ("Content-Length", "5000")], body).body == body
    request, response = opened(stage, identity, "/inspected")
    for message in (request, response):
        assert (message[3], message[4]) == (body[:2048], "length")


def test_nobody_else_is_captured(stage: Stage, identity: Path) -> None:
    assert _ask(stage, "/of-bob", name="bob") == 200
    assert _ask(stage, "/of-alice") == 200
    opened(stage, identity, "/of-alice")
    assert not any(path.stem == each["event.id"] for path in kept(stage)
                   for each in stage.proxy.records() if each.get("url.path") == "/of-bob")


def test_nothing_of_it_is_readable_on_the_disk(stage: Stage, identity: Path) -> None:
    stage.plain.handler = _echo
    canary = b"canary-" + os.urandom(8).hex().encode()
    assert _ask(stage, "/canary", method="POST", fields=(("X-Canary", canary.decode()),),
                body=canary) == 200
    opened(stage, identity, "/canary")
    for path in stage.proxy.config.rglob("*"):
        if path.is_file():
            assert canary not in path.read_bytes(), path


def test_each_exchange_and_the_order_are_on_record(stage: Stage, identity: Path) -> None:
    assert _ask(stage, "/recorded") == 200
    opened(stage, identity, "/recorded")
    id = next(each["event.id"] for each in stage.proxy.records()
              if each.get("url.path") == "/recorded")
    found = wait_until(lambda: [each for each in stage.proxy.records()
                                if each["event.action"] == "capture"
                                and str(each.get("outbounds.scope", "")).startswith(id)])
    assert found[0]["outbounds.case"] == CASE
    orders = [each for each in stage.proxy.records() if each["event.action"] == "case.told"]
    assert orders and all(each.get("outbounds.case") == CASE for each in orders)


def test_it_ends_when_it_is_told_to(stage: Stage, identity: Path) -> None:
    stage.command("case", "capture", CASE, "--stop", "--account", "alice")
    assert "0 captures under way" in stage.command("case", "capture", CASE)

    def quiet() -> bool:
        """No exchange that began since was captured."""
        before = len(kept(stage))
        assert _ask(stage, "/after") == 200
        return bool(wait_until(lambda: [pair for pair in stage.proxy.pairs(url_path="/after")
                                        if pair[1]])) and len(kept(stage)) == before

    wait_until(quiet)
