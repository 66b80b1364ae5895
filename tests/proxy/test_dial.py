"""The last gate: whatever was decided before, only vetted addresses are dialled."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any
from unittest.mock import AsyncMock

import pytest

from outbounds.core.account import Account, Plan
from outbounds.core.closed_targets import Closed, ClosedTargets
from outbounds.core.denylist import Denylist
from outbounds.core.destination import AddressGrant, AddressRules, parse_host
from outbounds.core.hit import Terms
from outbounds.core.list_entry import Entry, Kind, parse_value
from outbounds.core.rules import Grant, Policy, Protocol, RobotsPolicy
from outbounds.proxy import dial
from outbounds.proxy.dial import DialRefused, Permission, VettedGetaddrinfo, is_own, permit, vet
from outbounds.proxy.own_addresses import own_addresses
from outbounds.resolver import Found, Outcome, Resolver

NOW = 1_800_000_000.0
PUBLIC = ip_address("93.184.216.34")
LOOPBACK = AddressGrant(ip_network("127.0.0.0/8"), frozenset({7001}))


def policy(*grants: Grant, rules: AddressRules | None = None,
           lines: tuple[tuple[str, str], ...] = ()) -> Policy:
    denied = Denylist.build([(Terms("blocked", "P-content"), [
        Entry(Kind(kind), parse_value(Kind(kind), value), number)
        for number, (kind, value) in enumerate(lines, 1)])])
    return Policy("v", {"default": Plan("default")}, {},
                  Protocol(frozenset(), frozenset(), frozenset()), denied,
                  rules or AddressRules(clause_own="P-own", clause_special="P-special"),
                  RobotsPolicy(), grants)


def permission(host: str = "site.example", port: int = 80, **fields: Any) -> Permission:
    return Permission(parse_host(host), port, Account("acct_a", "ada"),
                      fields.pop("policy", policy()), NOW, **fields)


class Dialler:
    """The replaced `getaddrinfo`, on a loop of its own, with a table of names."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self.asked: list[str] = []
        self.refusals: list[tuple[Permission, DialRefused]] = []

        async def look_up(name: str) -> Found:
            self.asked.append(name)
            if name not in names:
                return Found((), 60.0, Outcome.NO_SUCH_NAME, f"{name} does not resolve.")
            return Found(tuple(ip_address(text) for text in names[name]), 60.0, Outcome.ANSWERED)

        self.resolver = Resolver(look_up=look_up)
        self.getaddrinfo = VettedGetaddrinfo(
            asyncio.get_running_loop(), self.resolver,
            lambda permission, refused: self.refusals.append((permission, refused)))


@pytest.fixture
async def dialler() -> Any:
    made = Dialler({"site.example": ["93.184.216.34", "2606:4700::1"],
                    "rebound.example": ["93.184.216.34", "127.0.0.1"]})
    yield made
    made.resolver.close()
    dial._permission.set(None)


# --- what was closed after the decision ---------------------------------------------------------


CLOSED = [
    # (what is closed, host, is refused)
    ("site.example", "site.example", True),
    ("example.org", "www.example.org", True),
    ("www.site.example", "site.example", False),
    ("93.184.216.34", "93.184.216.34", True),
]


@pytest.mark.parametrize(("target", "host", "refused"), CLOSED)
def test_a_target_that_was_closed_is_not_dialled(target: str, host: str, refused: bool) -> None:
    closing = replace(policy(), closed=ClosedTargets([Closed(target, "x", NOW - 1)]))
    rule = ""
    try:
        permit(permission(host, policy=closing))
    except DialRefused as error:
        rule = error.rule
        assert error.clause == "P-retaliate"
    finally:
        dial._permission.set(None)
    assert rule == (f"closed:{target}" if refused else "")
    lifted = Grant(f"closed:{target}", NOW + 1)
    permit(permission(host, policy=replace(closing, grants=(lifted,))))
    dial._permission.set(None)


async def test_nor_is_a_name_that_is_at_an_address_that_was_closed(dialler: Dialler) -> None:
    permit(permission(policy=replace(
        policy(), closed=ClosedTargets([Closed("93.184.216.34", "x", NOW - 1)]))))
    with pytest.raises(DialRefused, match="closed by the operator"):
        await dialler.getaddrinfo("site.example", 80)


# --- getaddrinfo --------------------------------------------------------------------------------


async def test_nobody_dials_without_a_permission(dialler: Dialler) -> None:
    with pytest.raises(DialRefused, match="nobody approved") as caught:
        await dialler.getaddrinfo("site.example", 80)
    assert caught.value.rule == "unapproved-dial" and dialler.asked == []


async def test_a_permission_is_its_tasks_own(dialler: Dialler) -> None:
    """One request's permission must not let another's dial through."""

    async def allowed() -> None:
        permit(permission())
        await dialler.getaddrinfo("site.example", 80)

    await asyncio.create_task(allowed())
    with pytest.raises(DialRefused):
        await dialler.getaddrinfo("site.example", 80)


@pytest.mark.parametrize(("host", "port"), [
    ("other.example", 80), ("www.site.example", 80), ("site.example", 81), ("localhost", 80),
    ("127.0.0.1", 80)])
async def test_only_what_was_approved_is_dialled(dialler: Dialler, host: str, port: int) -> None:
    permit(permission())
    with pytest.raises(DialRefused, match="nobody approved"):
        await dialler.getaddrinfo(host, port)
    assert dialler.asked == []


@pytest.mark.parametrize("host", ["a b", "", "exa%6dple", "faß..example", "\udcff"])
async def test_what_is_no_host_is_refused(dialler: Dialler, host: str) -> None:
    permit(permission())
    with pytest.raises(DialRefused) as caught:
        await dialler.getaddrinfo(host, 80)
    assert caught.value.rule == "bad-host"


@pytest.mark.parametrize("spelling", ["site.example", "SITE.Example.", b"site.example"])
async def test_answers_as_asyncio_wants_them(dialler: Dialler, spelling: Any) -> None:
    permit(permission())
    found = await dialler.getaddrinfo(spelling, 80, type=socket.SOCK_STREAM)
    assert found == [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("93.184.216.34", 80)),
        (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("2606:4700::1", 80, 0, 0))]


@pytest.mark.parametrize(("family", "addresses"), [
    (0, ["93.184.216.34", "2606:4700::1"]), (socket.AF_INET, ["93.184.216.34"]),
    (socket.AF_INET6, ["2606:4700::1"])])
async def test_the_family_that_was_asked_for(dialler: Dialler, family: int,
                                             addresses: list[str]) -> None:
    permit(permission())
    found = await dialler.getaddrinfo("site.example", 80, family=family)
    assert [sockaddr[0] for *_, sockaddr in found] == addresses


async def test_an_unknown_name_fails_as_the_systems_would(dialler: Dialler) -> None:
    permit(permission("gone.example"))
    with pytest.raises(socket.gaierror) as caught:
        await dialler.getaddrinfo("gone.example", 80)
    assert caught.value.errno == socket.EAI_NONAME
    assert "gone.example does not resolve" in str(caught.value)


async def test_one_bad_address_of_several_refuses_them_all(dialler: Dialler) -> None:
    """If the first does not answer, asyncio goes on to the next; so every one has to be good."""
    approved = permission("rebound.example")
    permit(approved)
    with pytest.raises(DialRefused) as caught:
        await dialler.getaddrinfo("rebound.example", 80)
    assert caught.value.rule == "special-purpose"
    assert dialler.refusals == [(approved, caught.value)]


async def test_a_listener_may_look_up_its_own_address(dialler: Dialler) -> None:
    found = await dialler.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM,
                                      flags=socket.AI_PASSIVE)
    assert found[0][4] == ("127.0.0.1", 0)


@pytest.mark.parametrize("flags", [socket.AI_NUMERICHOST, socket.AI_CANONNAME, 0])
async def test_no_other_flag_gets_round_the_permission(dialler: Dialler, flags: int) -> None:
    with pytest.raises(DialRefused):
        await dialler.getaddrinfo("127.0.0.1", 80, flags=flags)


async def test_installed_it_is_what_connections_are_made_through() -> None:
    """On a loop, with a real listener: refused without a permission, connected with one."""
    loop = asyncio.get_running_loop()
    kept = loop.getaddrinfo, loop.create_connection
    look_up = AsyncMock(return_value=Found((ip_address("127.0.0.1"),), 60.0, Outcome.ANSWERED))
    resolver = Resolver(look_up=look_up)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        VettedGetaddrinfo(loop, resolver, lambda *_: None).install(loop)
        for host in ("site.example", "127.0.0.1", "localhost"):
            with pytest.raises(DialRefused):
                await asyncio.open_connection(host, port)
        rules = AddressRules(grants=(AddressGrant(ip_network("127.0.0.0/8"), frozenset({port})),))
        permit(permission("site.example", port, policy=policy(rules=rules)))
        _, writer = await asyncio.open_connection("site.example", port)
        assert writer.get_extra_info("peername") == ("127.0.0.1", port)
        writer.close()
        again = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        again.close()
    finally:
        loop.getaddrinfo, loop.create_connection = kept  # type: ignore[method-assign]
        dial._permission.set(None)
        server.close()
        resolver.close()


# --- vetting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "rule"), [
    ("10.0.0.1", "special-purpose"), ("127.0.0.1", "special-purpose"), ("::1", "special-purpose"),
    ("::ffff:127.0.0.1", "special-purpose"), ("2002:7f00:1::1", "special-purpose"),
    ("169.254.169.254", "cloud-metadata"), ("224.0.0.1", "special-purpose"),
    ("0.0.0.0", "special-purpose"),
])
def test_an_address_is_vetted_when_it_is_permitted(address: str, rule: str) -> None:
    """asyncio asks nobody about an address; so `permit` does."""
    with pytest.raises(DialRefused) as caught:
        permit(permission(address))
    assert caught.value.rule == rule
    assert dial._permission.get() is None


def test_listed_addresses() -> None:
    listed = policy(lines=(("network", "93.184.216.0/24"),))
    with pytest.raises(DialRefused) as caught:
        vet(permission(policy=listed), (PUBLIC,))
    assert (caught.value.rule, caught.value.clause) == ("blocked:1", "P-content")
    vet(permission(policy=listed), (ip_address("93.184.217.1"),))


@pytest.mark.parametrize("rule", ["blocked", "blocked:1"])
def test_an_exception_holds_at_the_dial_too(rule: str) -> None:
    lines = (("network", "93.184.216.0/24"),)
    vet(permission(policy=policy(Grant(rule, NOW + 1), lines=lines)), (PUBLIC,))
    for other in (Grant(rule, NOW), Grant(rule, NOW + 1, frozenset({"acct_b"})),
                  Grant(rule, NOW + 1, host="other.example"), Grant("blocked:2", NOW + 1)):
        with pytest.raises(DialRefused):
            vet(permission(policy=policy(other, lines=lines)), (PUBLIC,))


def test_an_exception_for_private_addresses() -> None:
    private = (ip_address("10.0.0.1"),)
    vet(permission(policy=policy(Grant("special-purpose", NOW + 1))), private)
    with pytest.raises(DialRefused):
        vet(permission(policy=policy(Grant("own-address", NOW + 1))), private)


@pytest.mark.parametrize("rule", ["own-listener", "cloud-metadata"])
def test_what_no_exception_lifts(rule: str) -> None:
    rules = AddressRules(own=frozenset({PUBLIC}), own_ports=frozenset({80}))
    address = PUBLIC if rule == "own-listener" else ip_address("169.254.169.254")
    with pytest.raises(DialRefused) as caught:
        vet(permission(policy=policy(Grant(rule, NOW + 1), rules=rules)), (address,))
    assert caught.value.rule == rule


@pytest.mark.parametrize(("answer", "left"), [
    (("93.184.216.34", "10.0.0.1"), ("93.184.216.34",)),
    (("10.0.0.1", "93.184.216.34", "127.0.0.1", "2606:4700::1"),
     ("93.184.216.34", "2606:4700::1")),
    (("93.184.216.34",), ("93.184.216.34",)),
])
def test_bad_addresses_refuse_or_are_dropped(answer: tuple[str, ...],
                                             left: tuple[str, ...]) -> None:
    """As the operator chose; the order of those that are left is that of the answer."""
    addresses, good = tuple(map(ip_address, answer)), tuple(map(ip_address, left))
    dropping = permission(policy=replace(policy(), drop_bad_addresses=True))
    assert vet(dropping, addresses) == good
    if good == addresses:
        assert vet(permission(), addresses) == good
    else:
        with pytest.raises(DialRefused):
            vet(permission(), addresses)


@pytest.mark.parametrize("answer", [("10.0.0.1",), ("169.254.169.254", "127.0.0.1")])
def test_where_none_is_left_the_first_says_why(answer: tuple[str, ...]) -> None:
    with pytest.raises(DialRefused) as caught:
        vet(permission(policy=replace(policy(), drop_bad_addresses=True)),
            tuple(map(ip_address, answer)))
    assert str(caught.value).startswith(answer[0])


# --- this machine -------------------------------------------------------------------------------


def test_the_kernel_knows_which_addresses_are_its_own() -> None:
    for address in own_addresses():
        if not address.is_link_local:  # these need a zone, and are refused as special anyway
            assert is_own(address), address
    assert is_own(ip_address("127.0.0.1"))
    for address in ("93.184.216.34", "198.51.100.1", "2606:4700::1"):
        assert not is_own(ip_address(address))


def test_own_addresses_are_found_though_no_list_names_them(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that an interface got after start is still an address of the proxy itself."""
    monkeypatch.setattr(dial, "is_own", lambda address: address == PUBLIC)
    with pytest.raises(DialRefused) as caught:
        vet(permission(), (PUBLIC,))
    assert caught.value.rule == "own-address"
    granted = policy(rules=AddressRules(grants=(AddressGrant(ip_network("93.184.216.34")),)))
    vet(permission(policy=granted), (PUBLIC,))
    vet(permission(policy=policy(Grant("own-address", NOW + 1))), (PUBLIC,))


def test_nothing_opens_the_proxys_own_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "is_own", lambda address: address == PUBLIC)
    rules = AddressRules(own_ports=frozenset({80}),
                         grants=(AddressGrant(ip_network("93.184.216.34")),))
    everything = policy(Grant("own-address", NOW + 1), rules=rules)
    with pytest.raises(DialRefused):
        vet(permission(policy=everything), (PUBLIC,))


def test_a_grant_of_loopback_opens_its_ports_and_no_other() -> None:
    granted = policy(rules=AddressRules(grants=(LOOPBACK,), own_ports=frozenset({8080})))
    loopback = (ip_address("127.0.0.1"),)
    vet(replace(permission(port=7001), policy=granted), loopback)
    for port in (7002, 8080):
        with pytest.raises(DialRefused):
            vet(replace(permission(port=port), policy=granted), loopback)
