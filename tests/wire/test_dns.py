"""Names, seen from both ends: what a name server says, and what a customer gets for it.

The name server of these tests rebinds: it gives one answer to the check and another to the dial.
`target` is an origin that the policy opens; `forbidden` listens on the same machine at a port that
customers may use and nobody granted. No test ends with a connection there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from . import hostile_dns
from .dns_server import DnsServer, Script, late, silent, turns
from .harness import Proxy, edit_yaml, free_port, lift_limits, make_config, set_dns, wait_until
from .origin import Origin
from .sockets import Reply, TcpOrigin, ask, connect, socks, swallow

PUBLIC, PRIVATE, METADATA = "8.8.8.8", "10.1.2.3", "169.254.169.254"
WAYS = ("plain", "inspected", "passed through", "socks")


@dataclass
class Bench:
    proxy: Proxy
    target: Origin
    forbidden: TcpOrigin
    count: int = field(default=0)

    def name(self, script: Script) -> str:
        """A new name with these answers."""
        self.count += 1
        name = f"n{self.count}.test"
        self.proxy.dns.scripts[name] = script
        return name

    def status(self, way: str, name: str, port: int) -> int:
        """What a request or tunnel to `name` gets; of SOCKS, 200 for success and 403 for none."""
        if way == "plain":
            return ask(self.proxy, f"http://{name}:{port}/").status
        if way == "socks":
            peer, code = socks(self.proxy, name, port)
            peer.close()
            return 200 if code == 0 else 403
        peer, answer = connect(self.proxy, f"{name}:{port}",
                               "alice" if way == "inspected" else "bob")
        peer.close()
        return answer.status

    def count_of(self, outcome: str) -> float:
        return self.proxy.metrics()[f'outbounds_dns_lookups_total{{outcome="{outcome}"}}']

    def fetches(self, name: str) -> list[Any]:
        return self.proxy.pairs(event_action="robots-fetch", destination_domain=name)


def started(folder: Path, stack: ExitStack, *, robots: str, mixed: str = "refuse",
            **settings: Any) -> Bench:
    target = stack.enter_context(Origin(free_port()))
    forbidden = stack.enter_context(TcpOrigin(swallow))
    config = make_config(folder / "config", [target.port], robots=robots)
    lift_limits(config)

    def protocol(data: Any) -> None:
        for ports in ("ports", "tunnel_ports"):
            data[ports] = [*data[ports], forbidden.port]

    edit_yaml(config / "protocol.yaml", protocol)
    edit_yaml(config / "destinations.yaml", lambda data: data.update(mixed_answers=mixed))
    set_dns(config, **settings)
    proxy = stack.enter_context(Proxy(config, socks=True))
    return Bench(proxy, target, forbidden)


@pytest.fixture(scope="module")
def rebinding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """robots.txt enforced, and nothing remembered that has a TTL of 0."""
    with ExitStack() as stack:
        yield started(tmp_path_factory.mktemp("rebinding"), stack, robots="enforce",
                      ttl_floor="0s", timeout="1s")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """DNS as shipped, robots.txt off, so that a request is a check and a dial."""
    with ExitStack() as stack:
        yield started(tmp_path_factory.mktemp("shipped"), stack, robots="off")


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield started(tmp_path_factory.mktemp("dropping"), stack, robots="off", mixed="drop",
                      ttl_floor="0s")


@pytest.fixture(autouse=True)
def nobody_came(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"rebinding", "shipped", "dropping"} & set(request.fixturenames):
        bench = request.getfixturevalue(name)
        assert bench.forbidden.peers == []
        assert "Traceback" not in bench.proxy.log


# --- rebinding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", ["127.0.0.1", METADATA, PRIVATE])
@pytest.mark.parametrize("way", WAYS)
def test_public_for_the_check_and_not_after(rebinding: Bench, way: str, turned: str) -> None:
    """TTL 0, so that robots.txt and the dial ask again; at a port that is granted nowhere."""
    name = rebinding.name(turns([PUBLIC], [turned]))
    assert rebinding.status(way, name, rebinding.forbidden.port) == 403
    assert rebinding.proxy.dns.asked(name) >= 2


@pytest.mark.parametrize("turned", [METADATA, PRIVATE])
@pytest.mark.parametrize(("way", "robots"), [
    ("plain", True), ("inspected", False), ("socks", False)])  # in tunnels paths come later
def test_granted_until_the_dial(rebinding: Bench, way: str, robots: bool, turned: str) -> None:
    """The check, the fetch of robots.txt, which looks before and after it has waited for its turn,
    and the dial are look-ups of their own, each vetted."""
    name = rebinding.name(turns(*[["127.0.0.1"]] * (1 + 2 * robots), [turned]))
    seen = len(rebinding.target.seen)
    assert rebinding.status(way, name, rebinding.target.port) == 403
    assert [each.path for each in rebinding.target.seen[seen:]] == ["/robots.txt"] * robots


@pytest.mark.parametrize("turned", [["127.0.0.1", METADATA], [METADATA], [PRIVATE]])
def test_the_fetch_of_robots_txt_is_no_way_round(rebinding: Bench, turned: list[str]) -> None:
    name = rebinding.name(turns(["127.0.0.1"], turned, ["127.0.0.1"]))
    seen = len(rebinding.target.seen)
    answer = ask(rebinding.proxy, f"http://{name}:{rebinding.target.port}/")
    assert (answer.status, answer.problem["rule"]) == (403, "robots/unreachable")
    assert len(rebinding.target.seen) == seen and rebinding.fetches(name) == []


def test_what_is_remembered_serves_check_and_dial(shipped: Bench) -> None:
    """With the floor as shipped a TTL of 0 is kept for 5 s: one look-up, one answer for all."""
    name = shipped.name(turns(["127.0.0.1"], [METADATA]))
    cached = shipped.count_of("cached")
    for _ in range(3):
        assert ask(shipped.proxy, f"http://{name}:{shipped.target.port}/").status == 200
    assert (shipped.proxy.dns.asked(name), shipped.proxy.dns.asked(name, "AAAA")) == (1, 1)
    assert shipped.count_of("cached") >= cached + 5  # all but the first of 3 checks and 3 dials


def test_what_is_remembered_is_vetted_again(tmp_path: Path) -> None:
    """The grant is gone, the answer is still in the cache: refused, at the check and at a dial."""
    with ExitStack() as stack:
        bench = started(tmp_path, stack, robots="off", ttl_floor="1h")
        name = bench.name(turns(["127.0.0.1"]))
        assert ask(bench.proxy, f"http://{name}:{bench.target.port}/").status == 200
        edit_yaml(bench.proxy.config / "destinations.yaml", lambda data: data.update(grants=[]))
        wait_until(lambda: ask(bench.proxy,
                               f"http://{name}:{bench.target.port}/").status == 403)
        assert bench.proxy.dns.asked(name) == 1
        for way in WAYS:
            assert bench.status(way, name, bench.target.port) == 403


# --- one good address, one bad --------------------------------------------------------------------

MIXED = [["127.0.0.1", METADATA], [PRIVATE, "127.0.0.1"], ["127.0.0.1", "fd00::1"]]


@pytest.mark.parametrize("answer", MIXED)
@pytest.mark.parametrize("way", WAYS)
def test_a_mixed_answer_is_refused(shipped: Bench, way: str, answer: list[str]) -> None:
    name = shipped.name(turns(answer))
    assert shipped.status(way, name, shipped.target.port) == 403


@pytest.mark.parametrize("answer", MIXED)
@pytest.mark.parametrize("way", WAYS)
def test_where_bad_ones_are_dropped_the_good_one_is_dialled(
        dropping: Bench, way: str, answer: list[str]) -> None:
    name = dropping.name(turns(answer))
    assert dropping.status(way, name, dropping.target.port) == 200
    wait_until(lambda: all(end for _, end in dropping.proxy.pairs(destination_domain=name)))
    if way == "plain":  # tunnels are closed before anything is dialled
        [(_, end)] = dropping.proxy.pairs(destination_domain=name)
        assert end is not None and end["destination.ip"] == "127.0.0.1"


@pytest.mark.parametrize("way", WAYS)
def test_where_bad_ones_are_dropped_and_none_is_left_it_is_refused(
        dropping: Bench, way: str) -> None:
    for script in (turns([METADATA, PRIVATE]), turns(["127.0.0.1", PRIVATE], [PRIVATE])):
        name = dropping.name(script)
        assert dropping.status(way, name, dropping.target.port) == 403
    # public and this machine, at a port that nobody granted: dropped at the dial, too
    name = dropping.name(turns([PUBLIC, "127.0.0.1"], ["127.0.0.1"]))
    assert dropping.status(way, name, dropping.forbidden.port) == 403


# --- broken and hostile servers -------------------------------------------------------------------

UNUSABLE = "{} does not resolve: its name servers failed (no answer that can be used)."
BROKEN: list[tuple[Script, str]] = [
    (silent, "Looking up {} took longer than 1 s."),
    (late(1.2, ["127.0.0.1"]), "Looking up {} took longer than 1 s."),
    (hostile_dns.other_question, "Looking up {} took longer than 1 s."),
    (hostile_dns.half, "Looking up {} took longer than 1 s."),
    (hostile_dns.many, UNUSABLE),
    (hostile_dns.looping, UNUSABLE),
    (lambda query: [query.answer(rcode="SERVFAIL")],
     "{} does not resolve: its name servers failed (SERVFAIL)."),
    (lambda query: [query.answer(rcode="NXDOMAIN")],
     "{} does not resolve: there is no such name."),
    (lambda query: [query.answer()], "{} has no addresses."),
    (turns([f"8.8.8.{i}" for i in range(65)]),
     "{} has 65 addresses, which is more than the 64 that are looked at."),
]


@pytest.mark.parametrize(("script", "detail"), BROKEN)
def test_no_answer_is_a_502_in_bounded_time(rebinding: Bench, script: Script, detail: str) -> None:
    name = rebinding.name(script)
    for _ in range(2):  # the second time from memory
        began = time.monotonic()
        answer: Reply = ask(rebinding.proxy, f"http://{name}:{rebinding.target.port}/")
        assert time.monotonic() - began < 2.5
        assert (answer.status, answer.problem["detail"]) == (502, detail.format(name))
        assert "error=dns_error" in answer.headers["Proxy-Status"]
    peer, answer = connect(rebinding.proxy, f"{name}:{rebinding.target.port}")
    peer.close()
    assert answer.status == 502
    works = rebinding.name(turns(["127.0.0.1"]))
    assert ask(rebinding.proxy, f"http://{works}:{rebinding.target.port}/").status == 200


def test_slow_names_of_one_account_hold_up_nobody_else(rebinding: Bench) -> None:
    """Three names under way that never answer; another customer's name takes no longer."""
    slow = [rebinding.name(silent) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        tunnels = [pool.submit(rebinding.status, "inspected", name, rebinding.target.port)
                   for name in slow]
        wait_until(lambda: all(rebinding.proxy.dns.asked(name) for name in slow), every=0.005)
        good = rebinding.name(turns(["127.0.0.1"]))
        began = time.monotonic()
        assert ask(rebinding.proxy, f"http://{good}:{rebinding.target.port}/", "bob").status == 200
        assert time.monotonic() - began < 0.8
        assert [tunnel.result() for tunnel in tunnels] == [502] * 3


def test_localhost_is_this_machine_and_asked_of_nobody(shipped: Bench) -> None:
    for name in ("localhost", "www.localhost"):
        url = f"http://{name}:{shipped.target.port}/"
        assert ask(shipped.proxy, url).status == 200
        assert shipped.proxy.dns.asked(name) == shipped.proxy.dns.asked(name, "AAAA") == 0


# --- settings and figures -------------------------------------------------------------------------


def test_other_servers_are_asked_within_seconds(tmp_path: Path) -> None:
    with ExitStack() as stack:
        bench = started(tmp_path, stack, robots="off")
        name = bench.name(turns(["127.0.0.1"], ttl=600))
        url = f"http://{name}:{bench.target.port}/"
        assert ask(bench.proxy, url).status == 200
        other = stack.enter_context(DnsServer())
        set_dns(bench.proxy.config, servers=[other.address])
        wait_until(lambda: ask(bench.proxy, url).status == 502)  # it knows no such name
        other.names["new.test"] = ["127.0.0.1"]
        assert ask(bench.proxy, f"http://new.test:{bench.target.port}/").status == 200


def test_look_ups_are_counted_by_outcome(rebinding: Bench) -> None:
    scripts: dict[str, Script] = {
        "answered": turns(["127.0.0.1"]),
        "partial": lambda query: [query.answer(["127.0.0.1"])] if query.kind == "A" else [
            query.answer(rcode="SERVFAIL")],
        "no-address": lambda query: [query.answer()],
        "no-such-name": lambda query: [query.answer(rcode="NXDOMAIN")],
        "failed": lambda query: [query.answer(rcode="REFUSED")],
        "timed-out": silent,
    }
    for outcome, script in scripts.items():
        before = rebinding.count_of(outcome)
        ask(rebinding.proxy, f"http://{rebinding.name(script)}:{rebinding.target.port}/")
        assert rebinding.count_of(outcome) > before, outcome
    before = rebinding.count_of("local")
    ask(rebinding.proxy, f"http://localhost:{rebinding.target.port}/")
    assert rebinding.count_of("local") > before
