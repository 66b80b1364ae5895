"""The fetch of a robots.txt, as sites, other customers and an investigator see it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from .dialogue import Answer, basic
from .harness import edit_yaml, wait_until
from .stage import Stage, staged

EGRESS = "127.0.0.2"
TIMEOUT = 6  # seconds of a fetch

HOSTS = ("full.test", "spent.test", "hop.test", "sick.test", "hung.test", "quick.test",
         "kept.test", "packed.test", "latin.test", "out.test", "gone.test",
         "one.test", "two.test", "three.test", "policy.test")
RULES = "User-agent: *\nDisallow: /private\n"


def prepare(config: Path, ports: list[int]) -> None:
    def limits(data: Any) -> None:
        data["limits"] += [
            {"id": f"few-{unit}", "unit": unit, "per": "host", "rate": "1/h", "burst": burst,
             "over": "refuse", "targets": targets, "clause": "P-impair"}
            for unit, burst, targets in (("requests", 2, ["full.test", "spent.test", "hop.test"]),
                                         ("connections", 100, ["full.test"]))]
        data["adaptive"] = {"start": 20, "least": 1, "most": 1000, "max_wait": "0s",
                            "most_pause": "5min", "clause": "P-impair"}

    def robots(data: Any) -> None:
        data["fetch"]["timeout"] = f"{TIMEOUT}s"

    edit_yaml(config / "limits.yaml", limits)
    edit_yaml(config / "robots.yaml", robots)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("fetch"), prepare=prepare, hosts=HOSTS,
                options={"connect_addr": EGRESS}) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    yield running
    running.plain.robots = running.plain.robots_handler = running.plain.handler = None


def ask(stage: Stage, host: str, path: str = "/page") -> Answer:
    with stage.dialogue() as dialogue:
        return dialogue.ask("GET", stage.url(path, host), [basic()])


def asked(stage: Stage) -> int:
    """How often the origin was asked for its robots.txt."""
    return [seen.path for seen in stage.plain.seen].count("/robots.txt")


def fetches(stage: Stage, host: str) -> list[dict[str, Any]]:
    """The closing records of the fetches from a host."""
    def closed() -> Any:
        pairs = stage.proxy.pairs(event_action="robots-fetch", destination_domain=host)
        return pairs and all(end for _, end in pairs) and [end for _, end in pairs]

    found: list[dict[str, Any]] = wait_until(closed)
    return found


def snapshot(stage: Stage, digest: str) -> Path:
    return stage.proxy.data / "robots" / digest[:2] / f"{digest}.txt"


# --- what is read is evidence -------------------------------------------------------------------


def test_what_was_read_is_kept_and_named(stage: Stage) -> None:
    stage.plain.robots = RULES
    refused = ask(stage, "kept.test", "/private")
    assert refused.status == 403
    digest = hashlib.sha256(RULES.encode()).hexdigest()
    assert snapshot(stage, digest).read_bytes() == RULES.encode()
    assert snapshot(stage, digest).stat().st_mode & 0o777 == 0o600
    start, _ = stage.record(refused)
    end, = fetches(stage, "kept.test")
    for record in (start, end):
        assert record["outbounds.robots.sha256"] == digest
        assert record["outbounds.robots.state"] == "fresh"


def test_that_there_is_none_is_on_record(stage: Stage) -> None:
    assert ask(stage, "gone.test").status == 200
    end, = fetches(stage, "gone.test")
    assert end["outbounds.robots.state"] == "absent"
    assert "outbounds.robots.sha256" not in end


@pytest.mark.parametrize(("host", "path", "body", "fields"), [
    ("packed.test", "/private/x", brotli.compress(RULES.encode()), {"Content-Encoding": "br"}),
    ("latin.test", "/gr%C3%B6%C3%9Fe", "User-agent: *\nDisallow: /größe\n".encode("latin-1"),
     {"Content-Type": "text/plain; charset=ISO-8859-1"}),
], ids=["brotli", "latin-1"])
def test_however_it_is_written(
    stage: Stage, host: str, path: str, body: bytes, fields: dict[str, str]
) -> None:
    async def robots(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": "text/plain", **fields})

    stage.plain.robots_handler = robots
    assert ask(stage, host, path).status == 403
    assert ask(stage, host, "/page").status == 200


# --- under the target's limits ------------------------------------------------------------------


def test_the_fetch_counts_at_its_target(stage: Stage) -> None:
    """Two requests may be made: the fetch is the first of them."""
    assert ask(stage, "full.test").status == 200
    answer = ask(stage, "full.test")
    assert (answer.status, answer.problem["rule"]) == (429, "few-requests")
    assert (asked(stage), stage.reached()) == (1, ["/page"])


def test_a_target_without_room_is_not_asked(stage: Stage) -> None:
    for _ in range(2):  # which need no look at the file
        assert ask(stage, "spent.test", "/robots.txt").status == 404
    stage.clear()
    answer = ask(stage, "spent.test")
    assert (answer.status, answer.problem["rule"]) == (403, "robots/unreachable")
    assert "the limit 'few-requests' of this target is reached" in answer.problem["detail"]
    assert 1 <= int(answer["Retry-After"]) <= 600
    assert stage.plain.seen == []
    assert not stage.proxy.pairs(event_action="robots-fetch", destination_domain="spent.test")


def test_where_a_redirect_leads_is_a_target_too(stage: Stage) -> None:
    async def robots(request: web.Request) -> web.StreamResponse:
        if request.host.startswith("hop.test"):
            return web.Response(text=RULES)
        raise web.HTTPFound(stage.url("/robots.txt", "hop.test"))

    stage.plain.robots_handler = robots
    for host in ("one.test", "two.test"):
        assert ask(stage, host).status == 200
    answer = ask(stage, "three.test")
    assert answer.status == 403
    assert "hop.test was not asked" in answer.problem["detail"]


def test_distress_of_the_file_is_distress_of_the_host(stage: Stage) -> None:
    async def robots(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "120"})

    stage.plain.robots_handler = robots
    answer = ask(stage, "sick.test")
    assert (answer.status, answer.problem["rule"]) == (403, "robots/unreachable")
    stage.clear()
    answer = ask(stage, "sick.test", "/robots.txt")  # which no robots.txt refuses
    assert (answer.status, answer.problem["rule"]) == (429, "target-pause")
    assert stage.plain.seen == []


# --- as the customers' own requests -------------------------------------------------------------


def test_leaves_from_the_same_address(stage: Stage) -> None:
    remotes = []

    async def answer(request: web.Request) -> web.StreamResponse:
        remotes.append((request.path, request.remote))
        return web.Response(text="")

    stage.plain.robots_handler = stage.plain.handler = answer
    assert ask(stage, "out.test").status == 200
    assert remotes == [("/robots.txt", EGRESS), ("/page", EGRESS)]


# --- nobody waits for another site --------------------------------------------------------------


def test_a_robots_txt_that_hangs_stalls_nobody_else(stage: Stage) -> None:
    hung = threading.Event()

    async def robots(request: web.Request) -> web.StreamResponse:
        if request.host.startswith("hung.test"):
            hung.set()
            await asyncio.sleep(3 * TIMEOUT)
        return web.Response(text=RULES)

    stage.plain.robots_handler = robots
    answers: list[Answer] = []
    waiting = [threading.Thread(target=lambda: answers.append(ask(stage, "hung.test")))
               for _ in range(3)]
    for each in waiting:
        each.start()
    assert hung.wait(5)
    assert ask(stage, "quick.test").status == 200, "cold, too"
    assert ask(stage, "quick.test", "/private").status == 403
    assert not answers, "whoever asks the site that hangs still waits"
    for each in waiting:
        each.join(3 * TIMEOUT)
    assert [answer.status for answer in answers] == [403] * 3
    assert f"did not arrive within {TIMEOUT} s" in answers[0].problem["detail"]
    assert asked(stage) == 2, "one flight for all three"


# --- a change of the rules of the house ---------------------------------------------------------


def test_copies_outlive_a_change_of_the_policy(stage: Stage) -> None:
    def status() -> int:
        return ask(stage, "policy.test", "/private").status

    stage.plain.robots = RULES
    assert status() == 403
    config = stage.proxy.config / "robots.yaml"
    edit_yaml(config, lambda data: data.update(mode="observe", max_delay="30s"))
    wait_until(lambda: status() == 200)
    edit_yaml(config, lambda data: data.update(mode="enforce"))
    wait_until(lambda: status() == 403)
    assert asked(stage) == 1
    edit_yaml(config, lambda data: data["cache"].update(memory="64MiB"))
    wait_until(lambda: status() == 403 and asked(stage) == 2)
