"""The wire contract: what a customer sees when a request is refused, in each way it can come.

Every refusal is checked whole, by `refused`: status, Proxy-Status (RFC 9209), problem details
(RFC 9457) with all members, and an `instance` that is the id of two records on disk which say the
same. The tests then look at what is particular to each row.

407 cannot come inside a tunnel: its account is known, and if that goes away so does the tunnel.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from .dialogue import Answer, basic
from .harness import PASSWORD, PLAIN_PASSWORD, add_account, edit_yaml, free_port, wait_until
from .origin import Origin, authority
from .stage import Stage, staged

WAYS = ("plain", "inspected", "inspected-h2", "connect")
INSIDE = ("inspected", "inspected-h2")
INSPECTED: dict[str, Any] = {"inspect": True, "consent": "2026-01-01"}
SECRET = "hunter2"

# Faults and failures that no client can bring about from outside.
PATCH = f"""
from outbounds.core.denylist import Denylist
from outbounds.proxy import dial

def match(self, host, port, scheme, path, original=Denylist.match):
    if host.text == "fault.site.test" or path == "/fault":
        raise RuntimeError("a fault for the test, {SECRET}")
    return original(self, host, port, scheme, path)

Denylist.match = match

async def getaddrinfo(self, host, port, original=dial.VettedGetaddrinfo.__call__, **more):
    if host == "slow.site.test":
        raise TimeoutError(110, "Connection timed out")
    return await original(self, host, port, **more)

dial.VettedGetaddrinfo.__call__ = getaddrinfo
"""
HOSTS = ("fault.site.test", "denied.site.test", "gone.site.test", "slow.site.test",
         *(f"robots-{way}.site.test" for way in WAYS))
NAMES = {"local.site.test": ["127.0.0.1", "10.1.2.3"]}


@dataclass
class Scene(Stage):
    """`untrusted`: a TLS origin with a certificate nobody knows. `closed`: nobody listens there.
    `tunnel_only`: a TLS origin at a port that only tunnels may lead to."""

    untrusted: int = 0
    closed: int = 0
    tunnel_only: int = 0

    def ask(self, way: str, path: str = "/", *, host: str = "site.test", method: str = "GET",
            name: str = "alice", fields: tuple[tuple[str, str], ...] = ()) -> Answer:
        """One request, or for "connect" one CONNECT, on a connection of its own."""
        if way == "inspected":
            with self.inspected(host, name=name) as inner:
                return inner.ask(method, path, [("Host", self.at(host, "tls")), *fields])
        if way == "inspected-h2":
            with self.inspected_h2(host, name=name) as h2:
                return h2.ask(method, self.at(host, "h2"), path, fields)
        with self.dialogue() as dialogue:
            if way == "connect":
                return dialogue.connect(self.at(host, "tls"), [basic(name), *fields])
            return dialogue.ask(method, self.url(path, host), [basic(name), *fields])

    def refused(self, answer: Answer, status: int, slug: str, control: str, rule: str,
                clause: str = "", error: str = "http_request_denied", *,
                connect: bool = False) -> dict[str, Any]:
        """Check all that every refusal promises; the problem details."""
        assert answer.status == status, answer
        problem = answer.problem
        retry = {"retry_after"} if "retry-after" in answer else set()
        assert problem.keys() == {
            "type", "title", "status", "detail", "instance", "control", "rule", "clause"} | retry
        assert problem["type"] == f"urn:outbounds:problem:{slug}"
        assert problem["status"] == status
        assert problem["title"] and problem["detail"]
        assert (problem["control"], problem["rule"], problem["clause"]) == (control, rule, clause)
        if retry:
            assert re.fullmatch(r"[1-9][0-9]*", answer["retry-after"])
            assert problem["retry_after"] == int(answer["retry-after"])

        name, params = proxy_status(answer["proxy-status"])
        assert name == "outbounds"
        assert params == {"error": error, "details": problem["detail"]}
        assert answer["cache-control"] == "no-store"
        assert int(answer["content-length"]) == len(answer.body)
        if connect:
            assert answer.reason == f"{problem['title']}: {problem['detail']}"[:200]
        assert ("proxy-authenticate" in answer) == (status == 407)
        for secret in (PASSWORD, PLAIN_PASSWORD, SECRET, "proxy-authorization"):
            assert secret not in answer.octets.lower()

        start, end = self.record(answer)
        assert start["outbounds.verdict"] == ("allow" if control == "upstream" else "refuse")
        if control != "upstream":
            assert (start.get("rule.ruleset", ""), start.get("rule.id", ""),
                    start.get("rule.reference", "")) == (control, rule, clause)
        assert end["event.outcome"] == "failure"
        assert end["http.response.status_code"] == status
        return problem


def proxy_status(value: str) -> tuple[str, dict[str, str]]:
    """One member of a Proxy-Status list (RFC 9209), by the grammar of RFC 9651: strictly."""
    token = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
    string = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
    key = r"[a-z*][a-z0-9_.*-]*"
    assert re.fullmatch(rf"{token}(; *{key}=(?:{token}|{string}))*", value), value
    name = re.match(token, value)
    assert name
    found = re.findall(rf"; *({key})=({token}|{string})", value)
    return name[0], {k: re.sub(r"\\(.)", r"\1", v.strip('"')) for k, v in found}


def prepare(config: Path, closed: int, tunnel_only: int) -> None:
    def limits(data: Any) -> None:
        data["limits"] += [
            {"id": "few", "unit": "requests", "per": "account", "rate": "2/h", "burst": 2,
             "over": "refuse", "clause": "S-fairshare"},
            {"id": "one-tunnel", "unit": "tunnels", "per": "account", "max": 1,
             "clause": "S-fairshare"}]

    def plans(data: Any) -> None:
        data["plans"] += [{"id": "few", "limits": ["few"]},
                          {"id": "one-tunnel", "limits": ["one-tunnel"]}]

    edit_yaml(config / "limits.yaml", limits)
    edit_yaml(config / "plans.yaml", plans)
    edit_yaml(config / "protocol.yaml", lambda data: data["ports"].remove(tunnel_only))
    edit_yaml(config / "evidence.yaml", lambda data: data.update(ack_timeout="0.5s"))
    (config / "lists" / "blocked.txt").write_text(
        "domain denied.site.test\nurl site.test/denied/\n")
    (config / "lists" / "legal.txt").write_text(
        "host gone.site.test\nurl site.test/withheld/\n")
    for way in WAYS:
        add_account(config, f"few-{way}", PLAIN_PASSWORD, plan="few", **INSPECTED)
    add_account(config, "single", PLAIN_PASSWORD, plan="one-tunnel")
    add_account(config, "banned", PLAIN_PASSWORD)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("contract")
    _, own = authority(folder / "nobody", "site.test")
    with (closing(socket.socket()) as nobody, Origin(free_port(), tls=own) as untrusted,
          Origin(free_port(), tls=own) as tunnel_only):
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        closed = nobody.getsockname()[1]
        extra = [closed, untrusted.port, tunnel_only.port]
        with staged(folder, prepare=lambda config, _: prepare(config, closed, tunnel_only.port),
                    hosts=HOSTS, names=NAMES, extra_ports=extra, patch=PATCH) as stage:
            yield Scene(**vars(stage), untrusted=untrusted.port, closed=closed,
                        tunnel_only=tunnel_only.port)


@pytest.fixture
def scene(running: Scene) -> Scene:
    running.clear()
    running.plain.handler = running.tls.handler = None
    return running


# --- 407 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "connect"])
@pytest.mark.parametrize("sent", ["none", "wrong", "unreadable"])
def test_407(scene: Scene, way: str, sent: str) -> None:
    fields = {"none": [], "wrong": [basic("alice", SECRET)],
              "unreadable": [("Proxy-Authorization", f"Bearer {SECRET}")]}[sent]
    with scene.dialogue() as dialogue:
        target = (scene.url(), "GET") if way == "plain" else (scene.at(kind="tls"), "CONNECT")
        answer = dialogue.ask(target[1], target[0], fields)
        scene.refused(answer, 407, "credentials-required", "identity", "credentials",
                      "S-entitle", connect=way == "connect")
        assert answer["proxy-authenticate"] == 'Basic realm="outbounds", charset="UTF-8"'
        assert "retry-after" not in answer
        # the way every client goes: 407, then the same request again on the same connection
        again = dialogue.ask(target[1], target[0], [basic()])
        assert again.status == 200, again
    assert scene.reached() == (["/"] if way == "plain" else [])


# --- 403, 421, 451, 429: each as each way can meet it -------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_denylisted_is_403(scene: Scene, way: str) -> None:
    if way in INSIDE:
        answer = scene.ask(way, "/denied/page")
        rule = "blocked:2"
    else:
        answer = scene.ask(way, host="denied.site.test")
        rule = "blocked:1"
    scene.refused(answer, 403, "destination-denied", "destination", rule, "P-content",
                  connect=way == "connect")
    assert scene.reached() == []


@pytest.mark.parametrize("way", WAYS)
def test_legal_demand_is_451_and_says_whose(scene: Scene, way: str) -> None:
    if way == "connect":
        answer, rule = scene.ask(way, host="gone.site.test"), "legal:1"
    else:
        answer, rule = scene.ask(way, "/withheld/page"), "legal:2"
    scene.refused(answer, 451, "legal-demand", "destination", rule, "P-content",
                  connect=way == "connect")
    assert answer["link"] == '<https://proxy.example.net/legal>; rel="blocked-by"'
    assert scene.reached() == []


@pytest.mark.parametrize("way", ["plain", "connect"])
def test_special_purpose_address_is_403(scene: Scene, way: str) -> None:
    """One private address among those of a name is enough."""
    answer = scene.ask(way, host="local.site.test")
    scene.refused(answer, 403, "address-denied", "destination", "special-purpose", "P-probe",
                  "destination_ip_prohibited", connect=way == "connect")
    assert scene.reached() == []


@pytest.mark.parametrize("way", ["plain", "connect", "inspected"])
def test_closed_port_is_403(scene: Scene, way: str) -> None:
    with scene.dialogue() as dialogue:
        if way == "inspected":  # a tunnel may lead there, a request that can be seen may not
            authority, port, clause = f"site.test:{scene.tunnel_only}", scene.tunnel_only, "P-probe"
            assert dialogue.connect(authority, [basic()]).status == 200
            dialogue.start_tls("site.test", scene.proxy.ca)
            answer = dialogue.ask("GET", "/", [("Host", authority)])
        else:
            port, clause = 25, "P-spam"
            method, target = {"plain": ("GET", "http://site.test:25/"),
                              "connect": ("CONNECT", "site.test:25")}[way]
            answer = dialogue.ask(method, target, [basic()])
    scene.refused(answer, 403, "protocol-denied", "protocol", f"port/{port}", clause,
                  connect=way == "connect")


@pytest.mark.parametrize("way", ["plain", *INSIDE])
def test_method_that_is_not_offered_is_403(scene: Scene, way: str) -> None:
    scene.refused(scene.ask(way, method="PROPFIND"), 403, "protocol-denied", "protocol", "method",
                  "P-probe")
    assert scene.reached() == []


@pytest.mark.parametrize("way", ["plain", "connect"])
def test_suspended_is_403_with_the_reason(scene: Scene, way: str) -> None:
    scene.command("accounts", "suspend", "banned", "--reason", "unpaid invoice 17")

    def suspended() -> Answer | None:
        answer = scene.ask(way, name="banned")
        return answer if answer.status != 200 else None

    answer = wait_until(suspended, 2)
    problem = scene.refused(answer, 403, "account-suspended", "standing", "suspended", "S-suspend",
                            connect=way == "connect")
    assert "unpaid invoice 17" in problem["detail"]


@pytest.mark.parametrize("way", WAYS)
def test_robots_is_403(scene: Scene, way: str) -> None:
    """A tunnel of an account that is not inspected can be refused for a whole site only."""
    host = f"robots-{way}.site.test"
    rules = "User-agent: *\nDisallow: /\n"
    scene.plain.robots = scene.tls.robots = scene.h2.robots = rules
    try:
        answer = scene.ask(way, "/page", host=host, name="bob" if way == "connect" else "alice")
    finally:
        scene.plain.robots = scene.tls.robots = scene.h2.robots = None
    scene.refused(answer, 403, "robots-disallowed", "robots", "robots:2", "P-robots",
                  connect=way == "connect")
    assert scene.reached() == []


@pytest.mark.parametrize("way", WAYS)
def test_limit_is_429_with_the_time_to_come_back(scene: Scene, way: str) -> None:
    """Two requests at once, one more each half hour. A tunnel counts as one, too."""
    name = f"few-{way}"
    answers = [scene.ask(way, name=name)]
    if way in INSIDE:  # that was the CONNECT and the first request inside
        with scene.dialogue() as dialogue:
            answer = dialogue.connect(scene.at(kind="tls"), [basic(name)])
        connect = True
    else:
        answers.append(scene.ask(way, name=name))
        answer, connect = scene.ask(way, name=name), way == "connect"
    assert [a.status for a in answers] == [200] * len(answers)
    scene.refused(answer, 429, "limit-reached", "limits", "few", "S-fairshare", connect=connect)
    assert 1700 <= int(answer["retry-after"]) <= 1800
    assert answer["ratelimit-policy"] == '"few";q=2;w=3600'
    match = re.fullmatch(r'"few";r=0;t=([0-9]+)', answer["ratelimit"])
    assert match and 3500 <= int(match[1]) <= 3600


@pytest.mark.parametrize("way", INSIDE)
def test_limit_inside_a_tunnel_is_429_there(scene: Scene, way: str) -> None:
    name = f"inside-{way}"
    add_account(scene.proxy.config, name, PLAIN_PASSWORD, plan="few", **INSPECTED)
    if way == "inspected":
        with scene.inspected(name=name) as inner:
            first, second = (inner.ask("GET", path, [("Host", scene.at(kind="tls"))])
                             for path in ("/first", "/second"))
    else:
        with scene.inspected_h2(name=name) as h2:
            first, second = (h2.ask("GET", scene.at(kind="h2"), path)
                             for path in ("/first", "/second"))
    assert first.status == 200
    scene.refused(second, 429, "limit-reached", "limits", "few", "S-fairshare")
    assert 1700 <= int(second["retry-after"]) <= 1800
    assert second["ratelimit-policy"] == '"few";q=2;w=3600'
    assert scene.reached() == ["/first"]


def test_concurrent_tunnels_are_429(scene: Scene) -> None:
    """When a tunnel will close nobody knows: Retry-After is the shortest that can be said."""
    with scene.dialogue() as first:
        assert first.connect(scene.at(kind="tls"), [basic("single", PLAIN_PASSWORD)]).status == 200
        answer = scene.ask("connect", name="single")
        scene.refused(answer, 429, "limit-reached", "limits", "one-tunnel", "S-fairshare",
                      connect=True)
        assert answer["retry-after"] == "1"
        assert answer["ratelimit-policy"] == '"one-tunnel";q=1;qu="concurrent-requests"'
        assert answer["ratelimit"] == '"one-tunnel";r=0'
    wait_until(lambda: scene.ask("connect", name="single").status == 200)


# --- 421 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["other.test", "site.test:1", "10.1.2.3"])
@pytest.mark.parametrize("way", ["plain", "inspected", "connect"])
def test_host_that_names_another_target_is_421(scene: Scene, way: str, host: str) -> None:
    with scene.dialogue() as dialogue:
        if way == "inspected":
            dialogue.connect(scene.at(kind="tls"), [basic()])
            dialogue.start_tls("site.test", scene.proxy.ca)
            answer = dialogue.ask("GET", "/", [("Host", host)])
        elif way == "connect":
            answer = dialogue.connect(scene.at(kind="tls"), [basic(), ("Host", host)])
        else:
            answer = dialogue.ask("GET", scene.url(), [basic(), ("Host", host)])
    problem = scene.refused(answer, 421, "misdirected-request", "protocol", "names-agree",
                            "P-forge", "http_request_error", connect=way == "connect")
    assert problem["detail"].startswith(f"Host names {host}")
    assert scene.reached() == []


@pytest.mark.parametrize("named", ["other.test", "site.test:1"])
def test_http2_authority_that_names_another_target_is_421(scene: Scene, named: str) -> None:
    with scene.inspected_h2() as h2:
        answer = h2.ask("GET", named, "/")
        scene.refused(answer, 421, "misdirected-request", "protocol", "names-agree", "P-forge",
                      "http_request_error")
        assert h2.ask("GET", scene.at("site.test", "h2"), "/after").status == 200
    assert scene.reached() == ["/after"]


def test_http2_that_contradicts_itself_ends_the_connection_and_is_recorded(scene: Scene) -> None:
    """:authority and Host differ: a malformed request (RFC 9113 section 8.3.1), so no reply."""
    malformed = len(scene.proxy.pairs(event_action="malformed"))
    with scene.inspected_h2() as h2:
        with pytest.raises(AssertionError, match="no reply"):
            h2.ask("GET", scene.at("site.test", "h2"), "/", [("Host", "other.test")])
        wait_until(lambda: len(scene.proxy.pairs(event_action="malformed")) == malformed + 1)
    assert scene.reached() == []


@pytest.mark.parametrize("kind", ["tls", "h2"])
def test_sni_that_names_another_target_is_421(scene: Scene, kind: str) -> None:
    """Answered in the first request inside, where the client can read it; the target that the SNI
    names is not even told of."""
    if kind == "tls":
        with scene.inspected(sni="other.test") as inner:
            answer = inner.ask("GET", "/", [("Host", scene.at(kind="tls"))])
    else:
        with scene.inspected_h2(sni="other.test") as h2:
            answer = h2.ask("GET", scene.at(kind="h2"), "/")
    problem = scene.refused(answer, 421, "misdirected-request", "protocol", "names-agree",
                            "P-forge", "http_request_error")
    assert problem["detail"].startswith("SNI names other.test")
    assert scene.reached() == []


# --- 503 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_our_own_fault_is_503_and_comes_back(scene: Scene, way: str) -> None:
    """And the fault's own words stay inside: they may hold anything."""
    if way == "connect":
        answer = scene.ask(way, host="fault.site.test")
    else:
        answer = scene.ask(way, "/fault")
    scene.refused(answer, 503, "internal-fault", "destination", "fault",
                  error="proxy_internal_error", connect=way == "connect")
    assert answer["retry-after"] == "1"
    assert scene.reached() == []


def collector(proxy_pid: int) -> int:
    """The collector process of this proxy."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if f"PPid:\t{proxy_pid}\n" in status.read_text():
                return int(status.parent.name)
    raise AssertionError("the proxy has no collector")


def test_no_evidence_is_503_in_every_way(scene: Scene) -> None:
    """The collector stands still: nothing that was asked meanwhile reaches a target."""
    for way in WAYS:  # the origins' robots.txt are known, so the collector is all that is missing
        assert scene.ask(way).status == 200
    scene.clear()
    pid = collector(scene.proxy.process.pid)
    with scene.inspected() as inner, scene.inspected_h2() as h2:
        os.kill(pid, signal.SIGSTOP)
        try:
            answers = [scene.ask("plain"), scene.ask("connect"),
                       inner.ask("GET", "/", [("Host", scene.at(kind="tls"))]),
                       h2.ask("GET", scene.at(kind="h2"), "/")]
        finally:
            os.kill(pid, signal.SIGCONT)
        for answer in answers:
            assert answer.status == 503
            assert int(answer["retry-after"]) >= 1
            problem = answer.problem
            assert problem["control"] == problem["rule"] == "evidence"
            _, params = proxy_status(answer["proxy-status"])
            assert params == {"error": "proxy_internal_error", "details": problem["detail"]}
        assert answers[1].reason.startswith("Evidence log unavailable: ")
        assert scene.reached() == []
        wait_until(lambda: scene.ask("plain", "/again").status == 200)
    assert scene.reached() == ["/again"]


# --- 502, 504: the target's failures, in the same form ------------------------------------------


@pytest.mark.parametrize("way", ["plain", "connect"])
def test_name_that_does_not_resolve_is_502(scene: Scene, way: str) -> None:
    answer = scene.ask(way, host="nowhere.test")
    scene.refused(answer, 502, "no-such-host", "destination", "dns", error="dns_error",
                  connect=way == "connect")


def reloads(scene: Scene) -> float:
    return scene.proxy.metrics().get('outbounds_policy_reloads_total{result="done"}', 0.0)


@pytest.fixture
def no_robots(scene: Scene) -> Iterator[None]:
    """For targets that cannot be asked for their robots.txt: else that would be the answer."""
    policy = scene.proxy.config / "robots.yaml"

    def set_mode(mode: str) -> None:
        done = reloads(scene)
        edit_yaml(policy, lambda data: data.update(mode=mode))
        wait_until(lambda: reloads(scene) > done)

    set_mode("off")
    yield
    set_mode("enforce")


@pytest.mark.usefixtures("no_robots")
class TestTarget:
    @pytest.mark.parametrize("way", ["plain", "connect"])
    def test_that_refuses_connections_is_502(self, scene: Scene, way: str) -> None:
        with scene.dialogue() as dialogue:
            method, target = {"plain": ("GET", f"http://site.test:{scene.closed}/"),
                              "connect": ("CONNECT", f"site.test:{scene.closed}")}[way]
            answer = dialogue.ask(method, target, [basic()])
            scene.refused(answer, 502, "target-unreachable", "upstream", "target-unreachable",
                          error="destination_unavailable", connect=way == "connect")
            # the failure was the target's: this connection goes on
            assert dialogue.ask("GET", scene.url("/on"), [basic()]).status == 200

    @pytest.mark.parametrize("way", ["plain", "connect"])
    def test_that_does_not_answer_in_time_is_504(self, scene: Scene, way: str) -> None:
        scene.refused(scene.ask(way, host="slow.site.test"), 504, "target-timeout", "upstream",
                      "target-timeout", error="connection_timeout", connect=way == "connect")

    def test_with_an_unknown_certificate_is_502(self, scene: Scene) -> None:
        with scene.dialogue() as dialogue:
            authority = f"site.test:{scene.untrusted}"
            assert dialogue.connect(authority, [basic()]).status == 200
            dialogue.start_tls("site.test", scene.proxy.ca)
            answer = dialogue.ask("GET", "/", [("Host", authority)])
        scene.refused(answer, 502, "target-tls", "upstream", "target-tls",
                      error="tls_protocol_error")
        assert scene.proxy.pairs(event_action="tls-failure", destination_port=scene.untrusted)

    def test_that_speaks_no_http_is_502(self, scene: Scene) -> None:
        async def nonsense(request: web.Request) -> web.StreamResponse:
            assert request.transport
            request.transport.write(b"220 mail.example ESMTP\r\n")
            request.transport.close()
            return web.Response()

        scene.plain.handler = nonsense
        answer = scene.ask("plain")
        scene.refused(answer, 502, "target-protocol", "upstream", "target-protocol",
                      error="http_protocol_error")
        assert "ESMTP" not in answer.octets  # the target's words do not become ours


# --- the form -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_browser_gets_a_page(scene: Scene, way: str) -> None:
    accept = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    host = "denied.site.test" if way == "connect" else "site.test"
    answer = scene.ask(way, "/denied/", host=host, fields=(accept,))
    assert answer.status == 403
    assert answer["content-type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    assert page.startswith("<!doctype html>") and "Destination denied" in page
    reference = re.search(r"urn:uuid:([0-9a-f-]{36})", page)
    assert reference
    assert scene.proxy.pairs(event_id=reference[1])
    assert "blocked:" in page and "P-content" in page


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0.5, application/json",
                                    "text/plain", "text/html, */*"])
def test_everything_else_gets_json(scene: Scene, accept: str) -> None:
    answer = scene.ask("plain", "/denied/", fields=(("Accept", accept),))
    scene.refused(answer, 403, "destination-denied", "destination", "blocked:2", "P-content")


@pytest.mark.parametrize("way", ["plain", *INSIDE])
def test_head_gets_the_length_but_no_body(scene: Scene, way: str) -> None:
    """A body here would be read as the reply to the next request."""
    path, length = "/denied/", 0
    if way == "inspected-h2":
        with scene.inspected_h2() as h2:
            at = scene.at(kind="h2")
            head, after = h2.ask("HEAD", at, path), h2.ask("GET", at, path)
    elif way == "inspected":
        with scene.inspected() as inner:
            host = [("Host", scene.at(kind="tls"))]
            head, after = inner.ask("HEAD", path, host), inner.ask("GET", path, host)
    else:
        with scene.dialogue() as dialogue:
            url = scene.url(path)
            head, after = dialogue.ask("HEAD", url, [basic()]), dialogue.ask("GET", url, [basic()])
    assert head.status == 403 and head.body == b""
    length = int(head["content-length"])
    assert length == len(after.body) > 0
    scene.refused(after, 403, "destination-denied", "destination", "blocked:2", "P-content")


def test_a_reason_is_one_line_of_ascii(scene: Scene) -> None:
    """A client's own text comes back in a reason phrase; it must not become header lines."""
    name = "b\u00fccher-\u0448.denied.site.test".encode("idna").decode()
    answer = scene.ask("connect", host=name)
    assert answer.status == 403
    assert answer.reason.isascii() and answer.reason.isprintable()
    assert "denied.site.test" in answer.reason


# --- what is the target's stays the target's ----------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "inspected"])
@pytest.mark.parametrize("status", [403, 429, 451, 503])
def test_the_targets_own_refusal_passes_untouched(scene: Scene, way: str, status: int) -> None:
    own = {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT", "RateLimit": '"theirs";r=0;t=7',
           "RateLimit-Policy": '"theirs";q=1;w=7', "Link": '<https://x.test/>; rel="blocked-by"'}

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="theirs", headers=own)

    scene.plain.handler = scene.tls.handler = refuse
    answer = scene.ask(way)
    assert (answer.status, answer.body) == (status, b"theirs")
    assert {name: answer[name] for name in own} == own
    assert "proxy-status" not in answer  # so a client can tell their 429 from ours


@pytest.mark.parametrize("way", ["plain", "inspected"])
def test_a_target_asks_in_vain_for_proxy_credentials(scene: Scene, way: str) -> None:
    """407 never means anything else than that this proxy wants credentials."""
    async def asks(request: web.Request) -> web.StreamResponse:
        return web.Response(status=407, text="give", headers={
            "Proxy-Authenticate": 'Basic realm="theirs"'})

    scene.plain.handler = scene.tls.handler = asks
    answer = scene.ask(way)
    assert "proxy-authenticate" not in answer
    problem = scene.refused(answer, 502, "target-protocol", "upstream", "target-protocol",
                            error="http_protocol_error")
    assert problem["detail"] == "site.test asks for proxy credentials, which only a proxy may."


# --- the connection afterwards ------------------------------------------------------------------


def test_a_refusal_leaves_the_connection_open(scene: Scene) -> None:
    with scene.dialogue() as dialogue:
        port = dialogue.local_port
        for target, status in ((scene.url("/denied/"), 403), (scene.url("/withheld/"), 451),
                               (scene.url("/a"), 200), (scene.url("/denied/"), 403),
                               (scene.url("/b"), 200)):
            assert dialogue.ask("GET", target, [basic()]).status == status
            assert dialogue.reusable and dialogue.local_port == port
        # a refused body that has arrived whole does not end it either
        answer = dialogue.ask("POST", scene.url("/denied/"), [basic()], b"x" * 1000)
        assert answer.status == 403
    assert scene.reached() == ["/a", "/b"]


def test_a_refused_connect_leaves_the_connection_open(scene: Scene) -> None:
    with scene.dialogue() as dialogue:
        assert dialogue.connect(scene.at("denied.site.test", "tls"), [basic()]).status == 403
        assert dialogue.ask("GET", scene.url("/a"), [basic()]).status == 200
        assert dialogue.connect(scene.at(kind="tls")).status == 407
        assert dialogue.connect(scene.at(kind="tls"), [basic()]).status == 200
        dialogue.start_tls("site.test", scene.proxy.ca)
        assert dialogue.ask("GET", "/inside", [("Host", scene.at(kind="tls"))]).status == 200
    assert scene.reached() == ["/a", "/inside"]


@pytest.mark.parametrize("way", INSIDE)
def test_a_refusal_inside_leaves_the_tunnel_open(scene: Scene, way: str) -> None:
    paths = (("/denied/", 403), ("/a", 200), ("/withheld/", 451), ("/fault", 503), ("/b", 200))
    if way == "inspected":
        with scene.inspected() as inner:
            for path, status in paths:
                answer = inner.ask("GET", path, [("Host", scene.at(kind="tls"))])
                assert answer.status == status
    else:
        with scene.inspected_h2() as h2:
            for path, status in paths:
                assert h2.ask("GET", scene.at(kind="h2"), path).status == status
    assert scene.reached() == ["/a", "/b"]
