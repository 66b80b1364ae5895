"""The address really dialled is one that was vetted, whatever a name or a spelling says.

Names are given one answer after the other, none of which is remembered, so that a test can let the
answer change between the check and the dial. `granted` is an origin that the policy opens;
`forbidden` listens on loopback at a port that customers may use and nobody granted, on IPv4 and
IPv6: every test ends by looking that it never saw a connection.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from .dns_server import turns
from .harness import Proxy, edit_yaml, free_port, lift_limits, make_config, set_dns, wait_until
from .origin import Origin
from .sockets import (
    Reply,
    TcpOrigin,
    ask,
    connect,
    dial,
    get,
    inspected,
    reply,
    small_http,
    socks,
    swallow,
)

PUBLIC, PRIVATE, METADATA = "8.8.8.8", "10.1.2.3", "169.254.169.254"


class Bench:
    def __init__(self, proxy: Proxy, granted: TcpOrigin, forbidden: tuple[TcpOrigin, ...]) -> None:
        self.proxy, self.granted, self.forbidden = proxy, granted, forbidden
        self._count = 0

    def name(self, *answers: list[str]) -> str:
        """A new name, with these answers in turn; the last one stays."""
        self._count += 1
        name = f"n{self._count}.test"
        self.proxy.dns.scripts[name] = turns(*answers)
        return name

    @property
    def port(self) -> int:
        """A port of the machine that customers may use, and that nobody granted."""
        return self.forbidden[0].port

    def refusals(self) -> float:
        return sum(value for name, value in self.proxy.metrics().items()
                   if name.startswith("outbounds_dial_refusals_total"))

    def all_closed(self) -> None:
        wait_until(lambda: all(end for _, end in self.proxy.pairs()))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory,
            certificates: tuple[Path, Any]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("dial")
    with ExitStack() as stack:
        granted = stack.enter_context(TcpOrigin(small_http))
        forbidden = [stack.enter_context(TcpOrigin(swallow))]
        with suppress(OSError):  # a machine without IPv6
            forbidden.append(stack.enter_context(
                TcpOrigin(swallow, host="::1", port=forbidden[0].port)))
        config = make_config(folder / "config", [granted.port], robots="off")
        lift_limits(config)
        set_dns(config, ttl_floor="0s")
        proxy = Proxy(config, socks=True, start=False)
        open_ports(config, forbidden[0].port)
        proxy.start()
        stack.enter_context(proxy)
        yield Bench(proxy, granted, tuple(forbidden))


def open_ports(config: Path, *ports: int) -> None:
    """Ports that customers may use."""
    def protocol(data: Any) -> None:
        data["ports"] = [*data["ports"], *ports]
        data["tunnel_ports"] = [*data["tunnel_ports"], *ports]
    edit_yaml(config / "protocol.yaml", protocol)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    yield running
    assert [origin.peers for origin in running.forbidden] == [[] for _ in running.forbidden]


@pytest.mark.parametrize("dialled", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC],
                                     ["::1"], ["::ffff:127.0.0.1"], ["0.0.0.0"]])
def test_a_name_that_turns_to_loopback_after_the_check(bench: Bench, dialled: list[str]) -> None:
    """DNS rebinding: public for the check, this machine for the dial."""
    for way in ("plain", "alice", "bob", "socks"):
        name = bench.name([PUBLIC], dialled)
        before = bench.refusals()
        if way == "plain":
            answer = ask(bench.proxy, f"http://{name}:{bench.port}/")
            assert (answer.status, answer.problem["control"]) == (403, "destination")
        elif way == "socks":
            peer, code = socks(bench.proxy, name, bench.port)
            peer.close()
            assert code > 0
        else:
            peer, answer = connect(bench.proxy, f"{name}:{bench.port}", way)
            peer.close()
            assert (answer.status, answer.problem["control"]) == (403, "destination")
        assert bench.refusals() == before + 1
        bench.all_closed()
        [(_, end)] = bench.proxy.pairs(destination_domain=name)
        assert end is not None
        assert end["event.outcome"] == "failure"
        assert "destination.ip" not in end  # nothing was dialled


@pytest.mark.parametrize("turned", [PRIVATE, METADATA, "100.64.0.1", "fd00:ec2::254",
                                    "64:ff9b::a01:203"])
def test_a_name_that_turns_private_after_the_check(bench: Bench, turned: str) -> None:
    """The other way round: granted for the check, then where nobody may go."""
    for dialled in ([turned], ["127.0.0.1", turned]):
        peers = len(bench.granted.peers)
        name = bench.name(["127.0.0.1"], dialled)
        answer = ask(bench.proxy, f"http://{name}:{bench.granted.port}/")
        assert (answer.status, answer.problem["control"]) == (403, "destination")
        assert len(bench.granted.peers) == peers


@pytest.mark.parametrize("answer", [["127.0.0.1", PRIVATE], [PRIVATE, "127.0.0.1"],
                                    ["127.0.0.1", METADATA], ["127.0.0.1", "::1", "fe80::1"]])
def test_one_bad_address_spoils_the_answer(bench: Bench, answer: list[str]) -> None:
    """If the first is dead the next is dialled, so all must be good."""
    peers = len(bench.granted.peers)
    name = bench.name(answer)
    refused = ask(bench.proxy, f"http://{name}:{bench.granted.port}/")
    assert (refused.status, refused.problem["control"]) == (403, "destination")
    peer, refused = connect(bench.proxy, f"{name}:{bench.granted.port}")
    peer.close()
    assert refused.status == 403
    assert len(bench.granted.peers) == peers


def test_the_second_address_is_dialled_where_the_first_is_dead(bench: Bench) -> None:
    """And it is the one on record. Both are granted; nothing listens at 127.0.0.2."""
    name = bench.name(["127.0.0.2", "127.0.0.1"])
    assert ask(bench.proxy, f"http://{name}:{bench.granted.port}/").body == b"ok"
    bench.all_closed()
    [(_, end)] = bench.proxy.pairs(destination_domain=name)
    assert end is not None
    assert end["destination.ip"] == "127.0.0.1"
    assert end["source.nat.port"] == bench.granted.peers[-1][1]


SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001",
    "2130706433", "127.0.0.1.", "127.1.", "0", "0.0.0.0", "0x0", "127.255.255.254",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[::%31]", "[::1%25lo]",
    "[::1%lo]", "localhost", "LOCALHOST", "localhost.", "LocalHost.", "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1", "①②⑦.0.0.1", "127。0。0。1", "127．0．0．1", "１２７.0.0.1",
    "ⓛocalhost", "[127.0.0.1]", "[localhost]", "127.0.0.1%00", "127.0.0.1%20",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_this_machine_reaches_it(bench: Bench, spelling: str) -> None:
    """403 where it is understood, 400 where it is nothing; and on record either way."""
    before = len(bench.proxy.pairs())
    for target in (f"http://{spelling}:{bench.port}/", f"http://user:pass@{spelling}:{bench.port}/",
                   f"//{spelling}:{bench.port}/"):
        with dial(bench.proxy.port) as peer:
            peer.sendall(get(target, f"{spelling}:{bench.port}"))
            assert reply(peer).status in (400, 403), target
    peer, answer = connect(bench.proxy, f"{spelling}:{bench.port}")
    peer.close()
    assert answer.status in (400, 403)
    if spelling.isascii():
        peer, code = socks(bench.proxy, spelling.strip("[]"), bench.port)
        peer.close()
        assert code != 0
    bench.all_closed()
    wait_until(lambda: len(bench.proxy.pairs()) >= before + 4 + spelling.isascii())


@pytest.mark.parametrize("host", [METADATA, "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]",
                                  "[fd00:ec2::254]", "100.100.100.200", "[64:ff9b::a9fe:a9fe]"])
def test_cloud_metadata_is_out_of_reach(bench: Bench, host: str) -> None:
    answer = ask(bench.proxy, f"http://{host}/latest/meta-data/")
    assert (answer.status, answer.problem["rule"]) == (403, "cloud-metadata")
    peer, answer = connect(bench.proxy, f"{host}:80")
    peer.close()
    assert (answer.status, answer.problem["rule"]) == (403, "cloud-metadata")


def test_odd_ports_and_userinfo(bench: Bench) -> None:
    """A port of 0 becomes 80 in mitmproxy, full-width digits a number; neither reaches anything.
    Userinfo in front of a host does not change which host is judged."""
    granted = bench.granted
    peers = len(granted.peers)
    wide = str(granted.port).translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    under = f"{granted.port:_}"  # 40_000 is a number to Python
    for port in ("0", wide, under, "-1", "65536", f"{granted.port}x", "99999999",
                 f"+{granted.port}"):
        for request in (get(f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}"),
                        get(f"http://127.0.0.1:{port}/", f"127.0.0.1:{granted.port}")):
            with dial(bench.proxy.port) as peer:
                peer.sendall(request)
                assert reply(peer).status in (400, 403, 421), request
        peer, answer = connect(bench.proxy, f"127.0.0.1:{port}")
        peer.close()
        assert answer.status in (400, 403)
    for target in (f"http://127.0.0.1:{granted.port}@{PRIVATE}/",
                   f"http://x@127.0.0.1:{granted.port}@{PRIVATE}/",
                   f"http://{PRIVATE}\\@127.0.0.1:{granted.port}/"):
        with dial(bench.proxy.port) as peer:
            peer.sendall(get(target, f"127.0.0.1:{granted.port}"))
            assert reply(peer).status in (400, 403, 421), target
    assert len(granted.peers) == peers


def test_what_is_named_elsewhere_is_not_what_is_dialled(bench: Bench) -> None:
    """The request goes to its target or nowhere; a Host that says otherwise is a 421."""
    for name in (f"127.0.0.1:{bench.granted.port}", "site.test"):
        with dial(bench.proxy.port) as peer:
            peer.sendall(get(f"http://127.0.0.1:{bench.port}/", name))
            assert reply(peer).status in (403, 421)
    with dial(bench.proxy.port) as peer:
        peer.sendall(get(f"http://127.0.0.1:{bench.granted.port}/", f"127.0.0.1:{bench.port}"))
        assert reply(peer).status == 421


def test_own_listeners_stay_out_of_reach_under_a_grant(
        tmp_path: Path, origin: Origin) -> None:
    """127.0.0.0/8 and ::1 granted at the ports of the proxy itself: still refused, and the
    metrics page, too."""
    config = make_config(tmp_path / "config", [origin.port], robots="off")
    proxy = Proxy(config, socks=True, start=False)
    metrics = YAML().load((config / "outbounds.yaml").read_text())["metrics"]["port"]
    ports = [proxy.port, proxy.socks_port, metrics]
    open_ports(config, *ports)

    def destinations(data: Any) -> None:
        data["grants"] = [
            {"id": f"g{number}", "network": network, "ports": [origin.port, *ports],
             "reason": "too much"}
            for number, network in enumerate(["127.0.0.0/8", "::1/128", "0.0.0.0/8", own()])]

    def own() -> str:
        """This machine's address towards the network, or one more of loopback's."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
                return f"{probe.getsockname()[0]}/32"
            except OSError:
                return "127.0.0.9/32"

    edit_yaml(config / "destinations.yaml", destinations)
    proxy.start()
    with proxy:
        assert ask(proxy, f"http://127.0.0.1:{origin.port}/").status == 200
        connections = proxy.metrics()["outbounds_client_connections"]
        for host in ("127.0.0.1", "127.0.0.9", "2130706433", "[::1]", "0.0.0.0", "localhost",
                     "[::ffff:127.0.0.1]", own().removesuffix("/32")):
            for port in ports:
                answer = ask(proxy, f"http://{host}:{port}/metrics")
                assert (answer.status, answer.problem["rule"]) == (403, "own-listener"), host
                peer, answer = connect(proxy, f"{host}:{port}")
                peer.close()
                assert (answer.status, answer.problem["rule"]) == (403, "own-listener"), host
        wait_until(lambda: proxy.metrics()["outbounds_client_connections"] == connections)


# --- what is on record of the dial ----------------------------------------------------------------


def egress(bench: Bench, name: str) -> list[tuple[str, str, int]]:
    """(destination.ip, egress address, egress port) of the closed records for a host."""
    bench.all_closed()
    return [(end["destination.ip"], end["source.nat.ip"], end["source.nat.port"])
            for _, end in bench.proxy.pairs(destination_domain=name) if end]


def test_upstream_keep_alive_and_its_record(bench: Bench) -> None:
    """Three requests of one client share one connection; each record names it by the port that
    the target saw, which is all a complaint will hold."""
    name = bench.name(["127.0.0.1"])
    peers = len(bench.granted.peers)
    with dial(bench.proxy.port) as peer:
        for path in "abc":
            peer.sendall(get(f"http://{name}:{bench.granted.port}/{path}",
                             f"{name}:{bench.granted.port}"))
            assert reply(peer).body == b"ok"
    [seen] = bench.granted.peers[peers:]
    assert egress(bench, name) == [("127.0.0.1", *seen)] * 3


@pytest.mark.parametrize("way", ["connect", "socks"])
def test_the_egress_of_a_tunnel_is_on_record(bench: Bench, way: str) -> None:
    name = bench.name(["127.0.0.1"])
    peers = len(bench.granted.peers)
    if way == "connect":
        peer, answer = connect(bench.proxy, f"{name}:{bench.granted.port}", "bob")
        assert answer.status == 200
    else:
        peer, code = socks(bench.proxy, name, bench.granted.port, "bob")
        assert code == 0
    with peer:
        peer.sendall(get("/", f"{name}:{bench.granted.port}", None))
        assert reply(peer).body == b"ok"
    [seen] = bench.granted.peers[peers:]
    assert set(egress(bench, name)) == {("127.0.0.1", *seen)}


def test_keep_alive_and_egress_inside_inspected_tls(
        tmp_path: Path, tls_origin: Origin, trust: dict[str, str]) -> None:
    """Two requests in one tunnel: one connection at the target, named by tunnel and requests."""
    ports: list[int] = []

    async def answer(request: Any) -> Any:
        from aiohttp import web
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    tls_origin.handler = answer
    config = make_config(tmp_path / "config", [tls_origin.port], robots="off")
    with Proxy(config, names={"site.test": ["127.0.0.1"]}, options=trust) as proxy:
        with inspected(proxy, "site.test", tls_origin.port) as tunnel:
            for _ in range(2):
                tunnel.sendall(get("/", f"site.test:{tls_origin.port}", None))
                assert reply(tunnel).body == b"ok"
        wait_until(lambda: len(proxy.pairs()) == 3 and all(end for _, end in proxy.pairs()))
        assert len(set(ports)) == 1
        assert [(end["destination.ip"], end["source.nat.port"])
                for _, end in proxy.pairs() if end] == [("127.0.0.1", ports[0])] * 3


def test_a_dead_target_is_on_record_without_an_egress(bench: Bench) -> None:
    name = bench.name(["127.0.0.2"])
    answer: Reply = ask(bench.proxy, f"http://{name}:{bench.granted.port}/")
    assert answer.status == 502
    assert "destination_unavailable" in answer.headers["Proxy-Status"]
    with suppress(HTTPException):
        peer, answer = connect(bench.proxy, f"{name}:{bench.granted.port}")
        peer.close()
        assert answer.status == 502
    bench.all_closed()
    for _, end in bench.proxy.pairs(destination_domain=name):
        assert end is not None
        assert "source.nat.port" not in end


def test_a_free_port_is_not_the_machine(bench: Bench) -> None:
    """A port that nobody opened is refused before anything is looked up."""
    answer = ask(bench.proxy, f"http://{bench.name([PUBLIC])}:{free_port()}/")
    assert (answer.status, answer.problem["control"]) == (403, "protocol")
