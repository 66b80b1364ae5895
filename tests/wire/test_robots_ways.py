"""robots.txt, by every way into the proxy: what each shows is enforced, and no more is claimed.

One table of ways and one site whose rules are the same on all of them. Whatever the way, a page
that may not be fetched never reaches the site, the customer is told which line it was, and the
record says by which file, which line, and how much of the request could be seen.

The origins are shared and the host names are not, because rules bind a scheme, host and port.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import pytest
from aiohttp import web

from .dialogue import Answer, Dialogue, basic
from .harness import PLAIN_PASSWORD, add_account, edit_yaml, free_port, wait_until
from .origin import Origin
from .sockets import closed, socks
from .stage import Stage, staged

RULES = """\
User-agent: *
Disallow: /private
Allow: /private/open

User-agent: examplebot
Disallow: /
"""
DIGEST = hashlib.sha256(RULES.encode()).hexdigest()
LINE = 2
WHOLE_LINE = 6
NOT_ALLOWED = 2  # RFC 1928 section 6

UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))

Ask = Callable[[str], Answer]
"""GETs a path and query of the site, on a connection that is set up."""


class OverSocks(Dialogue):
    """A conversation on a connection that somebody else has opened."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._parser = h11.Connection(h11.CLIENT)


@dataclass(frozen=True)
class Entry:
    """How a client comes in: `opens` it as `name`, to the origin `kind`. `recorded` is what the
    record calls the way; `fields` are more header fields of each request."""

    id: str
    kind: str
    recorded: str
    name: str = "alice"
    tunnel: str = ""  # "", "connect" or "socks"
    fields: tuple[tuple[str, str], ...] = ()

    @contextmanager
    def opened(self, stage: Stage, host: str) -> Iterator[Ask]:
        at = stage.at(host, self.kind)
        with self._connected(stage, host) as dialogue:
            if self.tunnel == "":
                yield lambda path: dialogue.ask(
                    "GET", f"http://{at}{path}", [basic(self.name), *self.fields])
            elif self.kind == "plain":
                yield lambda path: dialogue.ask("GET", path, [("Host", at), *self.fields])
            elif self.kind == "h2":
                h2 = dialogue.start_tls(host, stage.proxy.ca, h2=True)
                assert h2 is not None
                yield lambda path: h2.ask("GET", at, path, self.fields)
            else:
                dialogue.start_tls(host, stage.proxy.ca)
                yield lambda path: dialogue.ask("GET", path, [("Host", at), *self.fields])

    @contextmanager
    def _connected(self, stage: Stage, host: str) -> Iterator[Dialogue]:
        if self.tunnel == "socks":
            port = getattr(stage, self.kind).port
            peer, code = socks(stage.proxy, host, port, self.name)
            assert code == 0
            with OverSocks(peer) as dialogue:
                yield dialogue
            return
        with stage.dialogue() as dialogue:
            if self.tunnel == "connect":
                answer = dialogue.connect(stage.at(host, self.kind), [basic(self.name)])
                assert answer.status == 200, answer
            yield dialogue


SEEN = [
    Entry("plain", "plain", "plain"),
    Entry("inspected", "tls", "inspected", tunnel="connect"),
    Entry("inspected-h2", "h2", "inspected", tunnel="connect"),
    Entry("clear-in-connect", "plain", "clear", "bob", "connect"),
    Entry("clear-in-connect-of-the-inspected", "plain", "clear", "alice", "connect"),
    Entry("clear-in-socks", "plain", "clear", "bob", "socks"),
    Entry("inspected-in-socks", "tls", "inspected", tunnel="socks"),
    Entry("inspected-h2-in-socks", "h2", "inspected", tunnel="socks"),
    Entry("websocket", "plain", "plain", fields=UPGRADE),
    Entry("websocket-inspected", "tls", "inspected", tunnel="connect", fields=UPGRADE),
    Entry("websocket-in-clear", "plain", "clear", "bob", "connect", UPGRADE),
    Entry("websocket-in-socks", "tls", "inspected", tunnel="socks", fields=UPGRADE),
]
UNSEEN = [(way, kind) for way in ("connect", "socks") for kind in ("tls", "h2", "plain")]

HOSTS = tuple(f"{name}.site.test" for name in (
    *(entry.id for entry in SEEN), *(f"{way}-{kind}-{what}" for way, kind in UNSEEN
                                     for what in ("whole", "part")),
    "apart", "numbered", "token", "connect-named", "socks-named"))


def six_is_here() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def six() -> Iterator[Origin]:
    """An origin at ::1; where there is no IPv6, at 127.0.0.1 and asked for by nobody."""
    with Origin(free_port(), host="::1" if six_is_here() else "127.0.0.1") as origin:
        yield origin


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, six: Origin) -> Iterator[Stage]:
    def prepare(config: Path, ports: list[int]) -> None:
        add_account(config, "crawler", PLAIN_PASSWORD, crawler="ExampleBot")
        edit_yaml(config / "destinations.yaml", lambda data: data["grants"].append(
            {"id": "test-six", "network": "::1/128", "ports": [six.port],
             "reason": "an origin of the tests"}))

    with staged(tmp_path_factory.mktemp("ways"), prepare=prepare, hosts=HOSTS, socks=True,
                extra_ports=[six.port]) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    for origin in (running.plain, running.tls, running.h2):
        origin.robots = RULES
    yield running
    running.plain.robots_handler = running.tls.robots_handler = None


async def closed_by_name(request: web.Request) -> web.StreamResponse:
    """The site has these rules; what is at its address, asked by number, has none."""
    numbered = request.host.startswith("127.0.0.1")
    return web.Response(status=404) if numbered else web.Response(text=RULES)


def opening(stage: Stage, **wanted: Any) -> dict[str, Any]:
    """The opening record that has `wanted`, as soon as there is one."""
    found: list[Any] = wait_until(lambda: stage.proxy.pairs(**wanted))
    record: dict[str, Any] = found[0][0]
    return record


# --- where paths can be seen --------------------------------------------------------------------


@pytest.mark.parametrize("entry", SEEN, ids=lambda entry: entry.id)
def test_what_is_disallowed_never_reaches_the_site(stage: Stage, entry: Entry) -> None:
    host = f"{entry.id}.site.test"
    with entry.opened(stage, host) as ask:
        refused = ask("/private/x?y=1")
        assert refused.status == 403, refused
        problem = refused.problem
        assert (problem["control"], problem["rule"]) == ("robots", f"robots:{LINE}")
        assert host in problem["detail"] and f"(line {LINE})" in problem["detail"]
    # on a connection of its own: whether a refusal leaves the other one open is not for here
    with entry.opened(stage, host) as ask:
        assert ask("/private/open/x").status in (200, 400)  # 400: the origin takes no WebSocket
    assert stage.reached() == ["/private/open/x"]

    start, end = stage.record(refused)
    assert start["outbounds.way"] == entry.recorded
    assert start["outbounds.robots.sha256"] == DIGEST
    assert start["outbounds.robots.line"] == LINE
    assert start["outbounds.robots.state"] == "fresh"
    assert start["outbounds.robots.scope"] == "path"
    assert start["outbounds.visibility"] == "full"
    assert end["http.response.status_code"] == 403
    start = opening(stage, destination_domain=host, url_path="/private/open/x")
    assert start["outbounds.robots.sha256"] == DIGEST
    assert start["outbounds.robots.line"] == 3


@pytest.mark.parametrize("entry", [entry for entry in SEEN if entry.kind != "h2"],
                         ids=lambda entry: entry.id)
def test_a_name_cannot_be_hidden_behind_an_address(stage: Stage, entry: Entry) -> None:
    """Dialled by number with the name in Host or SNI: the rules are those of the name."""
    stage.plain.robots_handler = stage.tls.robots_handler = closed_by_name
    at = stage.at("numbered.site.test", entry.kind)
    with entry._connected(stage, "127.0.0.1") as dialogue:
        if entry.tunnel == "":
            answer = dialogue.ask("GET", f"http://{stage.at('127.0.0.1')}/private", [
                basic(entry.name), ("Host", at), *entry.fields])
        else:
            if entry.kind == "tls":
                dialogue.start_tls("numbered.site.test", stage.proxy.ca)
            answer = dialogue.ask("GET", "/private", [("Host", at), *entry.fields])
    assert (answer.status, answer.problem["rule"]) == (403, f"robots:{LINE}")
    assert stage.reached() == []


# --- where they cannot --------------------------------------------------------------------------


def asked_to_open(stage: Stage, way: str, kind: str, host: str, name: str
                  ) -> tuple[bool, Dialogue, Answer | None]:
    """A tunnel for an account that is not inspected: whether it opened, and why not."""
    if way == "connect":
        dialogue = stage.dialogue()
        answer = dialogue.connect(stage.at(host, kind), [basic(name)])
        return answer.status == 200, dialogue, answer
    peer, code = socks(stage.proxy, host, getattr(stage, kind).port, name)
    assert code in (0, NOT_ALLOWED)
    if code:
        assert closed(peer)
    return code == 0, OverSocks(peer), None


@pytest.mark.parametrize(("way", "kind"), UNSEEN)
def test_a_tunnel_to_a_site_that_is_closed_as_a_whole_is_refused(
        stage: Stage, way: str, kind: str) -> None:
    """For the token that the account declared: that is all that a tunnel says about who asks."""
    host = f"{way}-{kind}-whole.site.test"
    origin = getattr(stage, kind)
    opened, dialogue, answer = asked_to_open(stage, way, kind, host, "crawler")
    with dialogue:
        assert not opened
    if answer is not None:
        assert answer.status == 403
        assert answer.problem["rule"] == f"robots:{WHOLE_LINE}"
        assert "disallows the whole site for 'ExampleBot'" in answer.problem["detail"]
        assert f"(line {WHOLE_LINE})" in answer.problem["detail"]
        assert "robots.txt" in answer.reason
    assert [seen.path for seen in origin.seen] == ["/robots.txt"]
    start = opening(stage, event_action="tunnel", destination_domain=host)
    assert start["outbounds.way"] == ("connect" if way == "connect" else "socks5")
    assert start["outbounds.verdict"] == "refuse"
    assert start["rule.id"] == f"robots:{WHOLE_LINE}"
    assert start["outbounds.robots.sha256"] == DIGEST
    assert start["outbounds.robots.line"] == WHOLE_LINE
    assert start["outbounds.robots.agent"] == "ExampleBot"
    assert (start["outbounds.robots.scope"], start["outbounds.visibility"]) == ("site", "tunnel")


@pytest.mark.parametrize(("way", "kind"), [each for each in UNSEEN if each[1] != "plain"])
def test_anything_finer_passes_unseen_and_the_record_says_so(
        stage: Stage, way: str, kind: str) -> None:
    """A rule for a path binds nobody whose paths are not seen; nor is it claimed to have."""
    host = f"{way}-{kind}-part.site.test"
    opened, dialogue, _ = asked_to_open(stage, way, kind, host, "bob")
    with dialogue:
        assert opened
        dialogue.start_tls(host, stage.ca)
        assert dialogue.ask("GET", "/private/x", [("Host", stage.at(host, kind))]).status == 200
    assert stage.reached() == ["/private/x"]
    start = opening(stage, event_action="tunnel", destination_domain=host)
    assert start["outbounds.verdict"] == "allow"
    assert (start["outbounds.robots.scope"], start["outbounds.visibility"]) == ("site", "tunnel")
    assert start["outbounds.robots.sha256"] == DIGEST
    assert "url.path" not in start


@pytest.mark.parametrize("way", ["connect", "socks"])
def test_a_tunnel_cannot_be_opened_by_address_to_get_round_the_name(
        stage: Stage, way: str) -> None:
    """Its SNI names the site that is closed as a whole for this account."""
    stage.tls.robots_handler = closed_by_name
    host = f"{way}-named.site.test"
    if way == "connect":
        dialogue = stage.dialogue()
        opened = dialogue.connect(stage.at("127.0.0.1", "tls"), [basic("crawler")]).status == 200
    else:
        peer, code = socks(stage.proxy, "127.0.0.1", stage.tls.port, "crawler")
        opened, dialogue = code == 0, OverSocks(peer)
    with dialogue:
        if opened:
            with pytest.raises(OSError):  # in whichever way the connection ends
                dialogue.start_tls(host, stage.ca)
                dialogue.ask("GET", "/", [("Host", stage.at(host, "tls"))])
                raise AssertionError("the site answered")
        assert opened
    assert stage.reached() == []
    found = wait_until(lambda: [record for record in stage.proxy.records()
                                if record.get("tls.client.server_name") == host])
    assert {record["rule.id"] for record in found if "rule.id" in record} == {
        f"robots:{WHOLE_LINE}"}


# --- scheme, port, address ----------------------------------------------------------------------


@pytest.mark.skipif(not six_is_here(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("tunnel", ["", "connect"])
def test_an_ipv6_literal_has_rules_of_its_own(stage: Stage, six: Origin, tunnel: str) -> None:
    six.robots = RULES
    six.seen.clear()
    at = f"[::1]:{six.port}"
    with stage.dialogue() as dialogue:
        if tunnel:
            assert dialogue.connect(at, [basic("bob")]).status == 200
        head = "" if tunnel else f"http://{at}"
        fields = [("Host", at)] if tunnel else [basic()]
        assert dialogue.ask("GET", f"{head}/open", fields).status == 200
        refused = dialogue.ask("GET", f"{head}/private", fields)
    assert (refused.status, refused.problem["rule"]) == (403, f"robots:{LINE}")
    assert six.paths() == ["/open"]
    start, _ = stage.record(refused)
    assert (start["destination.ip"], start["outbounds.robots.line"]) == ("::1", LINE)


def test_each_scheme_and_port_by_its_own_file(stage: Stage) -> None:
    """The same name, three ports, two schemes: one that closes all closes no other."""
    host = "apart.site.test"
    stage.plain.robots = "User-agent: *\nDisallow: /\n"
    stage.tls.robots, stage.h2.robots = None, RULES
    got: dict[str, list[int]] = {}
    for entry in SEEN[:3]:
        for path in ("/a", "/private"):
            with entry.opened(stage, host) as ask:
                got.setdefault(entry.kind, []).append(ask(path).status)
    assert got == {"plain": [403, 403], "tls": [200, 200], "h2": [200, 403]}
    assert (stage.plain.paths(), stage.tls.paths(), stage.h2.paths()) == (
        [], ["/a", "/private"], ["/a"])
