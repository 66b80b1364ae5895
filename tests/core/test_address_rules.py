"""Addresses that nobody may reach, and what a grant opens."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.destination import AddressGrant, AddressRules, reaches
from outbounds.core.special_purpose import BLOCKS, METADATA, special_purpose

RULES = AddressRules(
    own=frozenset(map(ip_address, ("198.18.0.9", "8.8.4.4", "2606:4700::9", "fe80::9%eth0"))),
    own_ports=frozenset({8080, 9090}),
    grants=(
        AddressGrant(ip_network("10.1.0.0/16"), frozenset({443}), "intranet"),
        AddressGrant(ip_network("127.0.0.0/8"), None, "loopback"),
        AddressGrant(ip_network("169.254.0.0/16"), None, "link-local"),
        AddressGrant(ip_network("100.100.100.200/32"), frozenset({80}), "metadata"),
        AddressGrant(ip_network("8.8.4.4/32"), frozenset({53, 8080}), "own"),
        AddressGrant(ip_network("::ffff:172.16.0.0/108"), None, "spelled"),
    ),
    clause_own="P-provider",
    clause_special="P-probe",
)


def rule(text: str, port: int = 443, rules: AddressRules = RULES) -> str:
    reason = rules.refuses(ip_address(text), port)
    return reason.rule if reason else ""


REFUSED = [
    # IANA IPv4 Special-Purpose Address Registry
    ("0.0.0.0", "RFC 1122"), ("0.1.2.3", "RFC 791"), ("10.0.0.1", "RFC 1918"),
    ("100.64.0.1", "RFC 6598"), ("100.127.255.255", "RFC 6598"), ("127.0.0.1", "RFC 1122"),
    ("127.255.255.254", "RFC 1122"), ("169.254.1.1", "RFC 3927"), ("172.16.0.1", "RFC 1918"),
    ("172.31.255.255", "RFC 1918"), ("192.0.0.1", "RFC 7335"), ("192.0.0.8", "RFC 7600"),
    ("192.0.0.170", "RFC 7050"), ("192.0.0.171", "RFC 7050"), ("192.0.0.99", "RFC 6890"),
    ("192.0.2.1", "RFC 5737"), ("192.88.99.1", "RFC 7526"), ("192.88.99.2", "RFC 6751"),
    ("192.168.1.1", "RFC 1918"), ("198.18.0.1", "RFC 2544"), ("198.19.255.255", "RFC 2544"),
    ("198.51.100.1", "RFC 5737"), ("203.0.113.1", "RFC 5737"), ("240.0.0.1", "RFC 1112"),
    ("255.255.255.255", "RFC 919"),
    # IANA IPv4 Multicast Address Space Registry
    ("224.0.0.1", "RFC 5771"), ("239.255.255.255", "RFC 5771"),
    # IANA IPv6 Special-Purpose Address Registry
    ("::", "RFC 4291"), ("::1", "RFC 4291"), ("64:ff9b:1::808:808", "RFC 8215"),
    ("100::1", "RFC 6666"), ("100:0:0:1::1", "RFC 9780"), ("2001:100::1", "RFC 2928"),
    ("2001:0:808:808::1", "RFC 4380"), ("2001:2::1", "RFC 5180"), ("2001:10::1", "RFC 4843"),
    ("2001:db8::1", "RFC 3849"), ("2002:808:808::1", "RFC 3056"), ("3fff::1", "RFC 9637"),
    ("5f00::1", "RFC 9602"), ("fc00::1", "RFC 4193"), ("fdff::1", "RFC 4193"),
    ("fe80::1", "RFC 4291"),
    # IANA IPv6 Address Space Registry: deprecated, multicast, reserved
    ("fec0::1", "RFC 3879"), ("ff02::1", "RFC 4291"), ("ff0e::1", "RFC 4291"),
    ("400::1", "RFC 4291"), ("4000::1", "RFC 4291"), ("9000::1", "RFC 4291"),
    ("::ffff:0:808:808", "RFC 4291"),
    # the embedded address decides (the wrapping alone would pass, or is granted below)
    ("::ffff:10.0.0.1", "RFC 1918"), ("::10.0.0.1", "RFC 1918"), ("64:ff9b::10.0.0.1", "RFC 1918"),
    ("2606:4700::5efe:10.0.0.1", "RFC 1918"),
]


@pytest.mark.parametrize(("text", "source"), REFUSED)
def test_special_purpose_addresses_are_refused(text: str, source: str) -> None:
    reason = AddressRules(clause_special="P-probe").refuses(ip_address(text), 443)
    assert reason is not None
    assert (reason.rule, reason.clause) == ("special-purpose", "P-probe")
    assert source in reason.detail
    assert reason.detail.endswith(" is not a public destination.")


@pytest.mark.parametrize("text", [
    "8.8.8.8", "1.0.0.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "172.15.255.255", "172.32.0.0", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    # the registry's rows that are globally reachable: RFC 7723, 8155, 7535, 7450, 7534
    "192.0.0.9", "192.0.0.10", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "2001:1::1", "2001:1::2", "2001:1::3", "2001:3::1", "2001:4:112::1", "2001:20::1", "2001:30::1",
    "2620:4f:8000::1", "2606:4700::1111", "2001:200::1", "2a00::1", "3ffe::1",
    "64:ff9b::8.8.8.8", "::ffff:8.8.8.8",
])
def test_public_addresses_pass(text: str) -> None:
    assert rule(text, rules=AddressRules()) == ""


@given(st.ip_addresses())
def test_nothing_passes_that_python_knows_is_not_global(
    address: IPv4Address | IPv6Address
) -> None:
    # ipaddress follows the same registries; where it differs it knows fewer blocks, not more, but
    # before 3.12.4 it also lacked the rows that are globally reachable inside one that is not
    if AddressRules().refuses(address, 443) is None:
        open_row = any(block.globally_reachable and address.version == block.network.version
                       and address in block.network for block in BLOCKS)
        assert all(each.is_global or each == address for each in reaches(address))
        assert address.is_global or open_row or getattr(address, "ipv4_mapped", None) is not None
        assert not address.is_multicast


@given(st.sampled_from(BLOCKS), st.data())
def test_the_longest_prefix_decides(block: object, data: st.DataObject) -> None:
    network = block.network  # type: ignore[attr-defined]
    address = data.draw(st.ip_addresses(network=network))
    around = [b for b in BLOCKS if b.network.version == address.version and address in b.network]
    closest = max(around, key=lambda b: b.network.prefixlen)
    assert special_purpose(address) == (None if closest.globally_reachable else closest)


@pytest.mark.parametrize("address", METADATA, ids=str)
def test_cloud_metadata_is_refused_even_where_its_block_is_granted(
    address: IPv4Address | IPv6Address
) -> None:
    around = AddressGrant(ip_network((address, address.max_prefixlen - 1), strict=False))
    exact = AddressGrant(ip_network(address), frozenset({80}))
    for rules in (AddressRules(), AddressRules(grants=(around,))):
        reason = rules.refuses(address, 80)
        assert reason is not None and reason.rule == "cloud-metadata"
    assert AddressRules(grants=(exact,)).refuses(address, 80) is None
    assert AddressRules(grants=(exact,)).refuses(address, 81) is not None


# (address, port, rule): the table of what grants and own addresses do
GRANTS = [
    ("10.1.2.3", 443, ""),
    ("10.1.2.3", 80, "special-purpose"),           # another port than the granted one
    ("10.2.0.1", 443, "special-purpose"),          # another network
    ("::ffff:10.1.2.3", 443, ""),                  # a grant holds for every spelling
    ("64:ff9b::10.1.2.3", 443, ""),
    ("2002:a01:203::1", 443, "special-purpose"),   # the inner address is granted, 6to4 is not
    ("172.16.9.9", 1, ""),                         # a grant written as an IPv6 spelling
    ("127.0.0.1", 443, ""),                        # loopback may be granted …
    ("127.0.0.1", 8080, "own-listener"),           # … but never a listener of ours
    ("127.9.9.9", 9090, "own-listener"),
    ("::1", 8080, "own-listener"),
    ("0.0.0.0", 8080, "own-listener"),             # connects to this machine
    ("::", 9090, "own-listener"),
    ("::ffff:127.0.0.1", 8080, "own-listener"),
    ("2002:7f00:1::", 8080, "own-listener"),
    ("2606:4700::5efe:127.0.0.1", 9090, "own-listener"),
    ("8.8.4.4", 53, ""),                           # an own public address, granted
    ("8.8.4.4", 443, "own-address"),
    ("8.8.4.4", 8080, "own-listener"),             # granted in the table above, to no avail
    ("64:ff9b::8.8.4.4", 443, "own-address"),
    ("2606:4700::9", 443, "own-address"),
    ("fe80::9", 443, "own-address"),               # its zone id is no part of it
    ("fe80::9%eth1", 8080, "own-listener"),
    ("198.18.0.9", 443, "own-address"),            # graver than special-purpose
    ("169.254.169.254", 80, "cloud-metadata"),
    ("64:ff9b::169.254.169.254", 80, "cloud-metadata"),
    ("169.254.1.1", 80, ""),
    ("100.100.100.200", 80, ""),
    ("8.8.8.8", 8080, ""),                         # the port of a listener, elsewhere
]


@pytest.mark.parametrize(("text", "port", "expected"), GRANTS)
def test_grants_and_own_addresses(text: str, port: int, expected: str) -> None:
    assert rule(text, port) == expected
    assert rule(text, port) == expected  # from the cache


def test_each_rule_cites_its_clause_and_says_where_a_wrapped_address_leads() -> None:
    clauses = {
        "127.0.0.1": (8080, "P-provider"), "8.8.4.4": (1, "P-provider"),
        "169.254.169.254": (80, "P-probe"), "192.168.0.1": (80, "P-probe"),
    }
    for text, (port, clause) in clauses.items():
        reason = RULES.refuses(ip_address(text), port)
        assert reason is not None and reason.clause == clause
        wrapped = RULES.refuses(ip_address(f"2606:4700::5efe:{text}"), port)
        assert wrapped is not None and wrapped.rule == reason.rule
        assert wrapped.detail == f"it leads to {text}, and {reason.detail}"


def test_granted_names_the_grant() -> None:
    grant = RULES.granted(ip_address("::ffff:10.1.2.3"), 443)
    assert grant is not None and grant.id == "intranet"
    assert RULES.granted(ip_address("10.1.2.3"), 80) is None


def test_the_cache_is_bounded_and_no_part_of_equality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outbounds.core.destination._REMEMBERED", 10)
    rules = AddressRules()
    for port in range(1, 100):
        assert rules.refuses(ip_address("10.0.0.1"), port) is not None
    assert len(rules._seen) <= 10
    assert rules == AddressRules() and hash(rules) == hash(AddressRules())


@given(st.ip_addresses(v=4), st.sampled_from([80, 8080]))
def test_two_spellings_of_an_address_get_the_same_verdict(address: IPv4Address, port: int) -> None:
    plain = RULES.refuses(address, port)
    for prefix in (0xFFFF << 32, 0x64FF9B << 96):
        spelled = RULES.refuses(IPv6Address(prefix | int(address)), port)
        assert spelled == plain
