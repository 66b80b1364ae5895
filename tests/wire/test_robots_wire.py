"""robots.txt on the wire: what each way of asking lets the proxy enforce, and what it asks itself.

The origins are shared, the host names are not: rules bind a scheme, host and port, so each test
has a site of its own by having a name of its own.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from .dialogue import Answer, basic
from .harness import PLAIN_PASSWORD, add_account, free_port, wait_until
from .origin import Origin
from .stage import Stage, staged

HOSTS = tuple(f"{name}.site.test" for name in (
    "path", "whole", "part", "always", "broken", "shut", "first", "vetted", "origins", "token",
    "declared", "missing", "socks", "later", "page"))
RULES = "User-agent: *\nDisallow: /private\nAllow: /private/open\n"
WHOLE = "User-agent: *\nDisallow: /\n"

NAMES = {"mixed.site.test": ["127.0.0.1", "10.9.8.7"]}


def prepare(config: Path, ports: list[int]) -> None:
    add_account(config, "crawler", PLAIN_PASSWORD, crawler="ExampleBot")


@pytest.fixture(scope="module")
def closed() -> Iterator[int]:
    """A port at which nobody listens, and nobody else can."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield nobody.getsockname()[1]


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Origin]:
    """Another site at the same names: another port."""
    with Origin(free_port(), robots=WHOLE) as origin:
        yield origin


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, closed: int,
            neighbour: Origin) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("robots"), prepare=prepare, hosts=HOSTS, names=NAMES,
                extra_ports=[closed, neighbour.port]) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    yield running
    running.plain.robots = running.tls.robots = running.h2.robots = None
    running.plain.robots_handler = None


def ask(stage: Stage, host: str, path: str, *, kind: str = "plain", name: str = "alice",
        agent: str = "", port: int = 0) -> Answer:
    """One request: plain, or inside inspected TLS."""
    fields = [("User-Agent", agent)] if agent else []
    if kind == "plain":
        at = f"{host}:{port}" if port else stage.at(host)
        with stage.dialogue() as dialogue:
            return dialogue.ask("GET", f"http://{at}{path}", [basic(name), *fields])
    if kind == "tls":
        with stage.inspected(host, kind, name=name) as inner:
            return inner.ask("GET", path, [("Host", stage.at(host, kind)), *fields])
    with stage.inspected_h2(host, kind, name=name) as h2:
        return h2.ask("GET", stage.at(host, kind), path, fields)


def fetched(origin: Any) -> int:
    """How often the origin was asked for its robots.txt."""
    return [seen.path for seen in origin.seen].count("/robots.txt")


# --- what is enforced ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "tls", "h2"])
def test_each_path_where_it_can_be_seen(stage: Stage, kind: str) -> None:
    """And the record says which line of which file it was."""
    origin, host = getattr(stage, kind), "path.site.test"
    origin.robots = RULES
    for path, status in (("/", 200), ("/private", 403), ("/private/x?y=1", 403),
                         ("/private/open/x", 200), ("/PRIVATE", 200), ("/%70rivate/x", 403)):
        answer = ask(stage, host, path, kind=kind)
        assert answer.status == status, path
        if status == 403:
            assert answer.problem["rule"] == "robots:2"
            assert answer.problem["clause"] == "P-robots"
    assert [p for p in origin.paths() if "rivate" in p and "open" not in p] == []
    assert fetched(origin) == 1
    start, _ = stage.proxy.pairs(rule_id="robots:2", destination_port=origin.port)[0]
    assert start["outbounds.robots.scope"] == "path"
    assert start["outbounds.robots.line"] == 2
    assert start["outbounds.robots.state"] == "fresh"
    assert start["outbounds.robots.sha256"] == hashlib.sha256(RULES.encode()).hexdigest()


@pytest.mark.parametrize("kind", ["tls", "h2"])
def test_only_the_whole_site_where_paths_cannot_be_seen(stage: Stage, kind: str) -> None:
    """And the record says so: an allowed tunnel is no allowed path."""
    origin = getattr(stage, kind)
    origin.robots = WHOLE
    with stage.dialogue() as dialogue:
        refused = dialogue.connect(stage.at("whole.site.test", kind), [basic("bob")])
    assert refused.status == 403
    assert "disallows the whole site" in refused.problem["detail"]
    start, _ = stage.record(refused)
    assert (start["outbounds.robots.scope"], start["outbounds.visibility"]) == ("site", "tunnel")

    origin.robots = RULES
    with stage.dialogue() as dialogue:
        assert dialogue.connect(stage.at("part.site.test", kind), [basic("bob")]).status == 200
        dialogue.start_tls("part.site.test", stage.ca)
        host = ("Host", stage.at("part.site.test", kind))
        assert dialogue.ask("GET", "/private/x", [host]).status == 200
    start, _ = stage.proxy.pairs(destination_domain="part.site.test", event_action="tunnel",
                                 destination_port=origin.port)[0]
    assert (start["outbounds.robots.scope"], start["outbounds.visibility"]) == ("site", "tunnel")


def test_an_inspected_tunnel_is_not_judged_as_a_whole(stage: Stage) -> None:
    """Its requests will be, each by its own path; else /robots.txt could not be reached."""
    stage.tls.robots = WHOLE
    with stage.inspected("always.site.test") as inner:
        host = ("Host", stage.at("always.site.test", "tls"))
        assert inner.ask("GET", "/", [host]).status == 403
        reply = inner.ask("GET", "/robots.txt", [host])
        assert (reply.status, reply.body) == (200, WHOLE.encode())
        assert inner.ask("GET", "/robots.txt?x", [host]).status == 200
        assert inner.ask("GET", "/robots.txt/", [host]).status == 403


def test_robots_txt_itself_is_always_reachable(stage: Stage) -> None:
    stage.plain.robots = WHOLE
    assert ask(stage, "always.site.test", "/").status == 403
    assert ask(stage, "always.site.test", "/robots.txt").body == WHOLE.encode()


def test_a_socks5_tunnel_is_judged_as_a_connect_is(stage: Stage) -> None:
    """HTTP in clear inside it is then judged by its path."""
    stage.plain.robots = RULES
    with stage.dialogue() as dialogue:
        at = stage.at("socks.site.test")
        assert dialogue.connect(at, [basic("bob")]).status == 200
        assert dialogue.ask("GET", "/private", [("Host", at)]).status == 403
        assert dialogue.ask("GET", "/public", [("Host", at)]).status == 200
    assert stage.plain.paths() == ["/public"]


# --- what cannot be had -------------------------------------------------------------------------


def test_unreachable_robots_refuse(stage: Stage, closed: int) -> None:
    """No answer is no permission (RFC 9309 section 2.3.1.4); it says when to come back."""
    async def overloaded(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="User-agent: *\nAllow: /")

    stage.plain.robots_handler = overloaded
    answer = ask(stage, "broken.site.test", "/")
    assert answer.status == 403
    assert answer.problem["rule"] == "robots/unreachable"
    assert 1 <= int(answer["retry-after"]) <= 30
    shut = ask(stage, "shut.site.test", "/", port=closed)
    assert (shut.status, shut.problem["rule"]) == (403, "robots/unreachable")
    with stage.dialogue() as dialogue:
        tunnel = dialogue.connect(f"shut.site.test:{closed}", [basic("bob")])
    assert (tunnel.status, tunnel.problem["rule"]) == (403, "robots/unreachable")
    assert stage.reached() == []
    start, _ = stage.record(answer)
    assert start["outbounds.robots.state"] == "unreachable"


def test_a_site_without_robots_allows(stage: Stage) -> None:
    assert ask(stage, "missing.site.test", "/anything").status == 200
    start, _ = stage.proxy.pairs(destination_domain="missing.site.test", url_path="/anything")[0]
    assert start["outbounds.robots.state"] == "absent"


# --- the fetch is a request like any other ------------------------------------------------------


def test_the_fetch_is_on_record_before_it_goes_out(stage: Stage) -> None:
    """The origin itself looks for the record, at the moment the fetch arrives."""
    found: list[Any] = []

    async def look(request: web.Request) -> web.StreamResponse:
        found.append(stage.proxy.pairs(event_action="robots-fetch",
                                       destination_domain="first.site.test"))
        return web.Response(text="")

    stage.plain.robots_handler = look
    assert ask(stage, "first.site.test", "/").status == 200
    (pairs,) = found
    ((start, end),) = pairs
    assert end is None  # not closed yet: it is under way
    assert start["destination.ip"] == "127.0.0.1"
    assert start["user.id"]  # made for a customer
    wait_until(lambda: stage.proxy.pairs(event_id=start["event.id"])[0][1])


def test_the_fetch_goes_to_vetted_addresses_only(stage: Stage) -> None:
    """A tunnel and a request to such a name are refused before anything is fetched from it."""
    for answer in (ask(stage, "mixed.site.test", "/"),
                   ask(stage, "mixed.site.test", "/robots.txt")):
        assert (answer.status, answer.problem["control"]) == (403, "destination")
    assert fetched(stage.plain) == 0
    assert stage.proxy.pairs(event_action="robots-fetch",
                             destination_domain="mixed.site.test") == []


def test_a_redirect_of_the_fetch_is_vetted_too(stage: Stage) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(stage.url("/robots.txt", "mixed.site.test"))

    stage.plain.robots_handler = elsewhere
    answer = ask(stage, "vetted.site.test", "/")
    assert (answer.status, answer.problem["rule"]) == (403, "robots/unreachable")
    assert stage.proxy.pairs(event_action="robots-fetch",
                             destination_domain="mixed.site.test") == []


def test_one_file_for_each_scheme_host_and_port(stage: Stage, neighbour: Origin) -> None:
    """Rules bind nothing else, and one fetch is enough for all that they bind."""
    host = "origins.site.test"
    stage.plain.robots = RULES
    for _ in range(3):
        assert ask(stage, host, "/private/x").status == 403
        assert ask(stage, host, "/private/x", kind="tls").status == 200
        assert ask(stage, host, "/", port=neighbour.port).status == 403
        assert ask(stage, host, "/").status == 200
    assert (fetched(stage.plain), fetched(stage.tls), fetched(neighbour)) == (1, 1, 1)
    assert neighbour.paths() == []


# --- whose rules --------------------------------------------------------------------------------

BOTS = """\
User-agent: *
Disallow: /anyone

User-agent: examplebot
Disallow: /bot

User-agent: otherbot
Disallow:
"""


@pytest.mark.parametrize("kind", ["plain", "tls", "h2"])
def test_the_user_agent_names_whose_rules_bind(stage: Stage, kind: str) -> None:
    getattr(stage, kind).robots = BOTS
    cases = {
        "": ("/anyone",), "curl/8.0": ("/anyone",), "ExampleBot/2.1": ("/bot",),
        "Mozilla/5.0 (compatible; EXAMPLEBOT/2.1; +http://x.example/)": ("/bot",),
        "otherbot": (),
    }
    for agent, refused in cases.items():
        got = tuple(path for path in ("/anyone", "/bot")
                    if ask(stage, "token.site.test", path, kind=kind, agent=agent).status == 403)
        assert got == refused, agent


@pytest.mark.parametrize("agent", ["", "curl/8.0", "otherbot", "ExampleBot/1.0", "notexamplebot"])
def test_a_declared_crawler_cannot_go_by_another_name(stage: Stage, agent: str) -> None:
    """Its own rules hold whatever it says it is, and those of what it says as well."""
    stage.plain.robots = BOTS
    host = "declared.site.test"
    refused = ask(stage, host, "/bot", name="crawler", agent=agent)
    assert refused.status == 403
    assert ask(stage, host, "/free", name="crawler", agent=agent).status == 200
    stranger = agent in ("curl/8.0", "notexamplebot")
    status = 403 if stranger else 200
    assert ask(stage, host, "/anyone", name="crawler", agent=agent).status == status


def test_a_page_where_the_rules_should_be_is_no_permission(stage: Stage) -> None:
    stage.plain.robots = "<!doctype html><title>Sign in</title>"
    answer = ask(stage, "page.site.test", "/")
    assert (answer.status, answer.problem["rule"]) == (403, "robots/unreachable")
    assert json.loads(answer.body)["detail"].startswith("page.site.test sends a page")
