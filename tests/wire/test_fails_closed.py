"""A fault anywhere refuses; nothing reaches a target unjudged or unrecorded.

The proxy of these tests carries switches: `FAULTS` wraps the places where something can break, and
each breaks while a file names it. So one process serves all the tests of a way of running it, and
a test sees the proxy work before and after the fault.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from .dns_server import silent
from .harness import Proxy, edit_yaml, free_port, lift_limits, make_config, set_dns, wait_until
from .origin import Origin
from .sockets import (
    Reply,
    TcpOrigin,
    ask,
    basic,
    closed,
    connect,
    dial,
    get,
    hello,
    inspected,
    reply,
    socks,
    swallow,
)

FAULTS = """
import asyncio, functools, os
from outbounds.core import policy as core_policy
from outbounds.evidence.client import EvidenceClient
from outbounds.evidence.record import Encoder
from outbounds.identity.verifier import Identifier
from outbounds.proxy import hooks, recorder, reload, replies, service
from outbounds.proxy.target_health import TargetHealth
from outbounds.resolver import Found, Lookup, Outcome
from outbounds.robotstxt import RobotsCache
from outbounds.stores.memory import MemoryStore

def switched(key):
    try:
        with open(os.environ["FAULT_FILE"]) as file:
            return file.read() == key
    except OSError:
        return False

def breaks(key, function, garbage=None):
    @functools.wraps(function)
    def sometimes(*args, **kwargs):
        if switched(key):
            raise RuntimeError("injected fault")
        if garbage is not None and switched(key + " garbage"):
            return garbage(function)
        return function(*args, **kwargs)
    return sometimes

def answer(value):
    async def later():
        return value
    return lambda function: later() if asyncio.iscoroutinefunction(function) else value

core_policy.CONTROLS = tuple(
    (name, breaks("control " + name, control)) for name, control in core_policy.CONTROLS)

for owner, name, value in (
        (MemoryStore, "take_now", "plenty"), (TargetHealth, "charges", "unknown"),
        (RobotsCache, "peek", "allowed"),
        (RobotsCache, "get", "allowed"), (Identifier, "identify_now", "alice"),
        (Identifier, "identify", "alice"), (Identifier, "current", "alice"),
        (recorder.Recorder, "open", None), (Encoder, "encode", b""),
        (EvidenceClient, "commit", None), (EvidenceClient, "post", None),
        (replies.Replies, "refusal", None), (service.Service, "_adopt", None)):
    broken = breaks(f"{owner.__name__}.{name}", getattr(owner, name),
                    None if value is None else answer(value))
    setattr(owner, name, broken)
reload.read_settings = breaks("read_settings", reload.read_settings)

for name, hook in vars(hooks.Outbounds).items():
    if hasattr(hook, "__wrapped__"):  # the body of the hook, inside what guards it
        cell = hook.__closure__[hook.__code__.co_freevars.index("hook")]
        cell.cell_contents = breaks("hook " + name, cell.cell_contents)

async def odd_lookup(self, name, ordinary=Lookup.__call__):
    if name == "raises.test":
        raise RuntimeError("injected fault")
    odd = {"text.test": ("127.0.0.1",), "number.test": 42, "none.test": None, "empty.test": (),
           "bytes.test": b"\\x7f\\x00\\x00\\x01"}
    if name in odd:
        return Found(odd[name], 60.0, Outcome.ANSWERED, "odd")
    return await ordinary(self, name)

Lookup.__call__ = odd_lookup
"""

NAMES = {"site.test": ["127.0.0.1"], "hangs.test": ["127.0.0.1"], "later.test": ["127.0.0.1"],
         "unasked.test": ["127.0.0.1"], "odd.test": ["127.0.0.1"]}
CONTROLS = ["identity", "standing", "protocol", "destination", "robots", "limits"]


class Bench:
    """A proxy with switches, and its origins."""

    def __init__(self, proxy: Proxy, origin: Origin, tls_origin: Origin, raw_port: int,
                 switch: Path) -> None:
        self.proxy, self.origin, self.tls_origin = proxy, origin, tls_origin
        self.raw_port = raw_port
        self._switch = switch

    @contextmanager
    def fault(self, key: str) -> Iterator[None]:
        draft = self._switch.with_suffix(".draft")
        draft.write_text(key)
        draft.replace(self._switch)
        try:
            yield
        finally:
            self._switch.unlink()

    def url(self, path: str = "/", host: str = "site.test") -> str:
        return f"http://{host}:{self.origin.port}{path}"

    def plain(self, path: str = "/") -> Reply:
        return ask(self.proxy, self.url(path))

    def arrived(self) -> int:
        """Requests that reached a target, robots.txt included."""
        return len(self.origin.seen) + len(self.tls_origin.seen)

    def faults(self, place: str) -> float:
        return self.proxy.metrics().get(f'outbounds_faults_total{{place="{place}"}}', 0.0)

    def said(self, place: str) -> int:
        return self.proxy.log.count(f"Fault in {place}; the request was refused.")

    def works(self) -> None:
        """The proxy still serves; and caches are warm."""
        assert self.plain("/fine").status == 200


@pytest.fixture(scope="module", params=["serve", "mitmdump"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
          certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    with Origin(free_port()) as origin, Origin(free_port(), tls=certificates[1]) as tls_origin:
        raw_port = free_port()
        config = make_config(folder / "config", [origin.port, tls_origin.port, raw_port])
        lift_limits(config)
        edit_yaml(config / "limits.yaml", lambda data: next(
            limit for limit in data["limits"] if limit["id"] == "account-tunnels").update(max=20))
        (config / "lists" / "blocked.txt").write_text("host denied.test\n")
        set_dns(config, timeout="1s")
        with Proxy(config, request.param, names=NAMES, patch=FAULTS, socks=True,
                   env={"FAULT_FILE": str(folder / "fault")},
                   options={"ssl_verify_upstream_trusted_ca": str(certificates[0])}) as proxy:
            proxy.dns.scripts["hangs.test"] = silent
            yield Bench(proxy, origin, tls_origin, raw_port, folder / "fault")


def refused(answer: Reply, control: str) -> None:
    assert answer.status == 503, answer
    assert answer.problem["control"] == control
    assert answer.problem["type"] == "urn:outbounds:problem:internal-fault"
    assert int(answer.headers["Retry-After"]) >= 1
    assert "injected" not in answer.body.decode() + str(answer.headers)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_fault_in_a_control_refuses_on_every_way_in(bench: Bench, control: str) -> None:
    """503 on the contract, counted, logged once, recorded; the target hears nothing."""
    bench.works()
    port = bench.tls_origin.port
    with inspected(bench.proxy, "site.test", port) as tunnel:
        tunnel.sendall(get("/fine", f"site.test:{port}", None))
        assert reply(tunnel).status == 200
        arrived, faults = bench.arrived(), bench.faults(control)
        with bench.fault(f"control {control}"):
            refused(bench.plain(f"/{control}"), control)
            peer, answer = connect(bench.proxy, f"site.test:{port}")
            peer.close()
            refused(answer, control)
            assert answer.reason.startswith("Internal fault: ")
            tunnel.sendall(get("/", f"site.test:{port}", None))
            refused(reply(tunnel), control)
            peer, code = socks(bench.proxy, "site.test", port)
            assert code == 1  # general SOCKS server failure (RFC 1928 section 6)
            assert closed(peer)
        assert bench.arrived() == arrived
        assert bench.faults(control) == faults + 4
    assert bench.said(control) == 1
    wait_until(lambda: all(end for _, end in bench.proxy.pairs(rule_ruleset=control)))
    kept = bench.proxy.pairs(rule_ruleset=control, rule_id="fault")
    assert sorted(start["outbounds.way"] for start, _ in kept) == [
        "connect", "inspected", "plain", "socks5"]
    for start, end in kept:
        assert end is not None
        assert start["outbounds.verdict"] == "refuse"
        assert end["http.response.status_code"] == 503
    bench.works()


@pytest.mark.parametrize(("key", "control"), [
    ("MemoryStore.take_now", "limits"), ("MemoryStore.take_now garbage", "limits"),
    ("TargetHealth.charges", "limits"), ("TargetHealth.charges garbage", "limits"),
    ("RobotsCache.peek", "robots"), ("RobotsCache.peek garbage", "robots"),
    ("Identifier.identify_now", "identity"), ("Identifier.identify_now garbage", "identity"),
])
def test_a_broken_part_refuses(bench: Bench, key: str, control: str) -> None:
    """Whether it raises or answers nonsense that no control understands."""
    bench.works()
    arrived = bench.arrived()
    with bench.fault(key):
        refused(bench.plain(), control)
    assert bench.arrived() == arrived
    bench.works()


@pytest.mark.parametrize(("key", "host"), [("RobotsCache.get", "unasked.test"),
                                           ("RobotsCache.get garbage", "odd.test")])
def test_a_robots_cache_that_breaks_while_asked_refuses(bench: Bench, key: str, host: str) -> None:
    arrived = bench.arrived()
    with bench.fault(key):
        refused(ask(bench.proxy, bench.url(host=host)), "robots")
    assert bench.arrived() == arrived


@pytest.mark.parametrize("key", ["Identifier.identify", "Identifier.identify garbage"])
def test_a_password_check_that_breaks_refuses(bench: Bench, key: str) -> None:
    """A name that is not in memory yet, so that the password has to be checked."""
    arrived = bench.arrived()
    with bench.fault(key), dial(bench.proxy.port) as peer:
        peer.sendall(get(bench.url(), f"site.test:{bench.origin.port}", None,
                         b"Proxy-Authorization: Basic YWxpY2U6bm90LWl0\r\n"))
        answer = reply(peer)
    assert answer.status == 503
    assert bench.arrived() == arrived


@pytest.mark.parametrize("key", ["Identifier.current", "Identifier.current garbage"])
def test_an_account_that_cannot_be_looked_up_again_refuses(bench: Bench, key: str) -> None:
    """Inside a tunnel the account is taken as it stands now, not as it stood at the CONNECT."""
    port = bench.tls_origin.port
    with inspected(bench.proxy, "site.test", port) as tunnel:
        arrived = bench.arrived()
        with bench.fault(key):
            tunnel.sendall(get("/", f"site.test:{port}", None))
            assert reply(tunnel).status == 503
        assert bench.arrived() == arrived


@pytest.mark.parametrize(("host", "status"), [
    ("raises.test", 503), ("text.test", 503), ("number.test", 503), ("bytes.test", 503),
    ("none.test", 502), ("empty.test", 502), ("hangs.test", 502), ("unknown.test", 502)])
def test_a_resolver_that_breaks_refuses(bench: Bench, host: str, status: int) -> None:
    """Raises, hangs, answers garbage: for requests and tunnels, and again from the cache."""
    arrived = bench.arrived()
    for _ in range(2):
        assert ask(bench.proxy, bench.url(host=host)).status == status
        peer, answer = connect(bench.proxy, f"{host}:{bench.tls_origin.port}")
        peer.close()
        assert answer.status == status
    assert bench.arrived() == arrived
    bench.works()


@pytest.mark.parametrize("key", ["Recorder.open", "Encoder.encode", "Encoder.encode garbage",
                                 "EvidenceClient.commit"])
def test_no_record_no_request(bench: Bench, key: str) -> None:
    """An opening record that cannot be made refuses on every way in."""
    bench.works()
    port = bench.tls_origin.port
    with inspected(bench.proxy, "site.test", port) as tunnel:
        arrived = bench.arrived()
        with bench.fault(key):
            assert bench.plain().status == 503
            peer, answer = connect(bench.proxy, f"site.test:{port}")
            peer.close()
            assert answer.status == 503
            tunnel.sendall(get("/", f"site.test:{port}", None))
            assert reply(tunnel).status == 503
            peer, code = socks(bench.proxy, "site.test", port)
            assert code == 1
            assert closed(peer)
        assert bench.arrived() == arrived
    bench.works()


def test_a_fault_in_the_record_of_a_tunnel_gives_its_place_back(bench: Bench) -> None:
    """Twenty tunnels at once is the limit; refusals for faults of ours must not use it up."""
    target = f"site.test:{bench.tls_origin.port}"
    for key in ("Recorder.open", "Identifier.current"):
        with bench.fault(key):
            for _ in range(20):
                peer, answer = connect(bench.proxy, target)
                peer.close()
                assert answer.status == 503
    peer, answer = connect(bench.proxy, target)
    peer.close()
    assert answer.status == 200, answer


def test_a_reply_that_cannot_be_made_is_a_bare_503(bench: Bench) -> None:
    """Not even the 503 with its reasons can be built: the client is not left hanging."""
    arrived = bench.arrived()
    for request in (get(bench.url(host="denied.test"), f"denied.test:{bench.origin.port}"),
                    b"CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n"
                    + basic() + b"\r\n"):
        with bench.fault("Replies.refusal"), dial(bench.proxy.port) as peer:
            peer.sendall(request)
            assert reply(peer).status == 503
    assert bench.arrived() == arrived
    bench.works()


def after_hooks() -> list[tuple[str, Callable[[Bench], None]]]:
    """What a client sees where each hook breaks."""

    def answers_503(bench: Bench) -> None:
        assert bench.plain().status == 503

    def refuses_connect(bench: Bench) -> None:
        peer, answer = connect(bench.proxy, f"site.test:{bench.tls_origin.port}")
        peer.close()
        assert answer.status == 503

    def no_connection(bench: Bench) -> None:
        with dial(bench.proxy.port) as peer:
            with suppress(OSError):
                peer.sendall(get(bench.url(), "site.test"))
            assert closed(peer)

    def no_upstream(bench: Bench) -> None:
        assert bench.plain().status in (502, 503)
        peer, answer = connect(bench.proxy, f"site.test:{bench.tls_origin.port}")
        peer.close()
        assert answer.status in (502, 503)

    def no_malformed(bench: Bench) -> None:
        with dial(bench.proxy.port) as peer:
            peer.sendall(b"GET http://site.test/ HTTP/1.1\r\n\r\n")
            assert closed(peer)

    def no_socks_login(bench: Bench) -> None:
        peer, code = socks(bench.proxy, "site.test", bench.tls_origin.port)
        assert code == -2
        assert closed(peer)

    def no_socks_connect(bench: Bench) -> None:
        peer, code = socks(bench.proxy, "site.test", bench.tls_origin.port)
        assert code == 1
        assert closed(peer)

    return [("requestheaders", answers_503), ("http_connect", refuses_connect),
            ("client_connected", no_connection), ("server_connect", no_upstream),
            ("next_layer", no_connection), ("outbounds_malformed", no_malformed),
            ("socks5_auth", no_socks_login), ("outbounds_socks", no_socks_connect)]


@pytest.mark.parametrize(("hook", "shows"), after_hooks(), ids=[n for n, _ in after_hooks()])
def test_a_fault_in_a_hook_lets_nothing_through(
        bench: Bench, hook: str, shows: Callable[[Bench], None]) -> None:
    bench.works()
    arrived, faults, said = bench.arrived(), bench.faults(hook), bench.said(hook)
    with bench.fault(f"hook {hook}"):
        shows(bench)
        shows(bench)
    assert bench.arrived() == arrived
    assert bench.faults(hook) >= faults + 2
    assert bench.said(hook) <= said + 1  # none, if the same was logged a moment ago
    assert bench.said(hook) >= 1
    bench.works()


def test_a_fault_in_next_layer_closes_the_tunnel(bench: Bench) -> None:
    """Before anything of what the client sends in it is passed on."""
    with TcpOrigin(swallow, port=bench.raw_port) as target:
        for data in (b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-client\r\n"):
            peer, answer = connect(bench.proxy, f"site.test:{target.port}")
            assert answer.status == 200
            with bench.fault("hook next_layer"):
                peer.sendall(data)
                assert closed(peer)
        wait_until(lambda: len(target.received) == 2)
        assert [bytes(received) for received in target.received] == [b"", b""]


def test_a_fault_in_the_tunnel_hook_closes_the_tunnel(bench: Bench) -> None:
    """Neither a server name nor a refused protocol passes because nobody could judge it."""
    for data in (hello("site.test"), b"EHLO client.test\r\n"):
        peer, answer = connect(bench.proxy, f"site.test:{bench.tls_origin.port}", "bob")
        assert answer.status == 200
        faults = bench.faults("outbounds_tunnel")
        with peer, bench.fault("hook outbounds_tunnel"):
            peer.sendall(data)
            assert closed(peer)  # a TLS server would have answered
        assert bench.faults("outbounds_tunnel") == faults + 1
    bench.works()


def test_a_fault_in_responseheaders_ends_the_exchange(bench: Bench) -> None:
    """The target was asked, on record; its answer, which nobody counted, is not passed on."""
    bench.works()
    with bench.fault("hook responseheaders"), dial(bench.proxy.port) as peer:
        peer.sendall(get(bench.url("/kept"), f"site.test:{bench.origin.port}"))
        with suppress(HTTPException, OSError):
            assert b"hello" not in reply(peer).body
    ended = wait_until(lambda: bench.proxy.pairs(url_path="/kept")[0][1])
    assert ended["event.outcome"] == "failure"


@pytest.mark.parametrize("hook", ["response", "server_connected", "client_disconnected"])
def test_a_fault_in_a_hook_that_only_takes_notes_is_counted(bench: Bench, hook: str) -> None:
    """What has happened has happened; the opening record stands, and the proxy goes on."""
    faults = bench.faults(hook)
    with bench.fault(f"hook {hook}"):
        assert ask(bench.proxy, bench.url("/noted"),
                   extra=b"Connection: close\r\n").status == 200
        wait_until(lambda: bench.faults(hook) > faults)
    bench.works()


def test_every_hook_is_guarded() -> None:
    """Whatever mitmproxy calls on the addon is wrapped; only its own life is not."""
    from mitmproxy import hooks as mitmproxy_hooks

    from outbounds.proxy import http1_guard, socks_guard, tunnel_watch
    from outbounds.proxy.hooks import Outbounds

    assert http1_guard and socks_guard and tunnel_watch  # mitmproxy knows their hooks by now
    here = {name for name in mitmproxy_hooks.all_hooks if name in vars(Outbounds)}
    guarded = {name for name in here if hasattr(vars(Outbounds)[name], "__wrapped__")}
    assert here - guarded == {"load", "configure", "running", "done"}
    assert {name for name, _ in after_hooks()} <= guarded


@pytest.mark.parametrize("key", ["read_settings", "Service._adopt"])
def test_a_fault_in_a_reload_keeps_the_policy_in_force(bench: Bench, key: str) -> None:
    """What was denied stays denied, and the trouble shows until a reload succeeds."""
    failed = "outbounds_policy_reload_failed"
    denied = bench.url(host="denied.test")
    with bench.fault(key):
        with (bench.proxy.config / "plans.yaml").open("a") as file:
            file.write("\n# touched\n")
        wait_until(lambda: bench.proxy.metrics()[failed] == 1)
        assert ask(bench.proxy, denied).problem["control"] == "destination"
        bench.works()
    with (bench.proxy.config / "plans.yaml").open("a") as file:
        file.write("\n# touched again\n")
    wait_until(lambda: bench.proxy.metrics()[failed] == 0)
    assert ask(bench.proxy, denied).problem["control"] == "destination"


# --- the script, and other scripts, under mitmdump ------------------------------------------------


@pytest.mark.parametrize("change", ["syntax error", "deleted", "touched"])
def test_an_unloaded_script_ends_the_proxy(
        tmp_path: Path, origin: Origin, change: str) -> None:
    """mitmproxy would go on proxying without the addon. Hammered meanwhile: nothing passes that
    is not on record."""
    config = make_config(tmp_path / "config", [origin.port], robots="off")
    names = {"site.test": ["127.0.0.1"]}
    with Proxy(config, "mitmdump", names=names) as proxy:
        url = f"http://site.test:{origin.port}"
        stop = threading.Event()
        statuses: list[int] = []

        def hammer(anonymous: bool) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                with suppress(OSError, HTTPException), dial(proxy.port, 3.0) as peer:
                    name = None if anonymous else "alice"
                    mark = "anonymous" if anonymous else "known"
                    peer.sendall(get(f"{url}/{mark}-{number}", f"site.test:{origin.port}", name))
                    statuses.append(reply(peer).status)
                time.sleep(0.05)

        threads = [threading.Thread(target=hammer, args=(anonymous,))
                   for anonymous in (True, False)]
        for thread in threads:
            thread.start()
        wait_until(lambda: 200 in statuses and 407 in statuses)
        if change == "deleted":
            proxy._script.unlink()
        else:
            text = proxy._script.read_text()
            proxy._script.write_text(text + ("\n(" if change == "syntax error" else "\n"))
        assert proxy.process.wait(15) is not None
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 407, 429, 503}
        assert not [path for path in origin.paths() if "anonymous" in path]
        kept = [start["url.path"] for start, _ in
                proxy.pairs(event_action="request", outbounds_verdict="allow")]
        assert set(origin.paths()) <= set(kept)


REWRITES = """
class Rewrites:
    '''Sends every request elsewhere after Outbounds has judged it.'''

    def requestheaders(self, flow):
        if "rewritten" in flow.request.path:
            flow.request.host, flow.request.port = "127.0.0.1", {other}

addons.append(Rewrites())
"""

HALTS = """
from mitmproxy import exceptions

class Halts:
    '''Keeps the named hooks from Outbounds.'''

    def requestheaders(self, flow):
        if "halted" in flow.request.path:
            raise exceptions.AddonHalt

    def http_connect(self, flow):
        raise exceptions.AddonHalt

addons.insert(0, Halts())
"""

HALTS_AND_SENDS = """
from mitmproxy import exceptions

class Sends:
    def requestheaders(self, flow):
        flow.request.host, flow.request.port = "127.0.0.1", {other}

class HaltsDial:
    def server_connect(self, data):
        raise exceptions.AddonHalt

addons.insert(0, HaltsDial())
addons.append(Sends())
"""


@contextmanager
def beside(tmp_path: Path, script: str, ports: list[int]) -> Iterator[Proxy]:
    """Our script under mitmdump, with another addon in it."""
    config = make_config(tmp_path / "config", ports, robots="off")
    proxy = Proxy(config, "mitmdump", names={"site.test": ["127.0.0.1"]}, start=False)
    with proxy._script.open("a") as file:
        file.write(script)
    proxy.start()
    with proxy:
        yield proxy


def test_an_addon_that_sends_a_request_elsewhere_is_refused(
        tmp_path: Path, origin: Origin) -> None:
    """Elsewhere is granted, so only the missing approval stands in the way; also where the
    connection to elsewhere is open already, and no dial would be asked about."""
    with Origin(free_port()) as other, \
            beside(tmp_path, REWRITES.format(other=other.port),
                   [origin.port, other.port]) as proxy:
        here, there = f"site.test:{origin.port}", f"127.0.0.1:{other.port}"
        assert ask(proxy, f"http://{here}/fine").status == 200
        assert ask(proxy, f"http://{here}/rewritten").status in (403, 502, 503)
        assert other.seen == []
        with dial(proxy.port) as peer:
            peer.sendall(get(f"http://{there}/direct", there))
            assert reply(peer).status == 200
            peer.sendall(get(f"http://{here}/rewritten", here))
            assert reply(peer).status in (403, 502, 503)
        assert other.paths() == ["/direct"]
        assert origin.paths() == ["/fine"]


def test_an_addon_that_halts_the_chain_before_us_is_refused(
        tmp_path: Path, origin: Origin) -> None:
    with beside(tmp_path, HALTS, [origin.port]) as proxy:
        assert ask(proxy, f"http://site.test:{origin.port}/fine").status == 200
        assert ask(proxy, f"http://site.test:{origin.port}/halted").status == 503
        peer, answer = connect(proxy, f"site.test:{origin.port}")
        peer.close()
        assert answer.status == 503
        assert origin.paths() == ["/fine"]


def test_a_dial_that_skipped_our_hook_is_refused(tmp_path: Path, origin: Origin) -> None:
    """To an address, which the resolver is never asked about."""
    with Origin(free_port()) as other, \
            beside(tmp_path, HALTS_AND_SENDS.format(other=other.port),
                   [origin.port, other.port]) as proxy:
        assert ask(proxy, f"http://site.test:{origin.port}/").status in (403, 502, 503)
        assert other.seen == []
        assert origin.seen == []
