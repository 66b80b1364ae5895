"""What a host costs before a list is asked: its canonical form, and whether its address may be
reached."""

from __future__ import annotations

import ipaddress
from functools import partial

from outbounds.core.denylist import Denylist
from outbounds.core.destination import AddressGrant, AddressRules, Host, parse_host
from outbounds.core.hit import Terms
from outbounds.core.list_entry import Entry, Kind

from .turns import Measure, microseconds

ASKED = 20_000
IN_MEMORY = 10_000  # entries of a list that is kept by hand


def in_memory() -> dict[str, Measure]:
    names = [f"shop-{number * 7919 % 10_000_019}.example.org" for number in range(IN_MEMORY)]
    denylist = Denylist.build([(Terms("bench", "P-content"), [
        Entry(Kind.DOMAIN, name, number) for number, name in enumerate(names, 1)])])
    return {f"list in memory, {what}, {IN_MEMORY:,} entries": microseconds(
        partial(_match, denylist), [parse_host(form.format(name)) for name in names])
        for what, form in (("hit", "www.{}"), ("miss", "cdn.other-{}"))}


def _match(denylist: Denylist, host: Host) -> object:
    return denylist.match(host, 80, "http", "/page/one")


def hosts() -> dict[str, Measure]:
    known = [f"www.shop-{number}.example" for number in range(1_000)] * 20
    fresh = iter(range(10**9))
    return {
        "parse_host, known": microseconds(parse_host, known),
        "parse_host, new name": microseconds(
            lambda _: parse_host.__wrapped__(f"www.shop-{next(fresh)}.example"), range(ASKED)),
        "parse_host, new name in another script": microseconds(
            lambda _: parse_host.__wrapped__(f"bücher{next(fresh)}.example"), range(2_000)),
        "parse_host, new address": microseconds(
            lambda number: parse_host.__wrapped__(f"0x{0x5db80000 + number:x}"), range(ASKED)),
    }


def address_rules() -> dict[str, Measure]:
    known, new = (AddressRules(
        own=frozenset({ipaddress.ip_address("192.0.2.1")}), own_ports=frozenset({8080}),
        grants=(AddressGrant(ipaddress.ip_network("10.20.30.40/32"), frozenset({443}), "wiki"),))
        for _ in range(2))
    some = [ipaddress.ip_address(0x5DB80000 + number) for number in range(ASKED)]
    fresh = iter(range(10**9))
    return {
        "address rules, known": microseconds(lambda address: known.refuses(address, 80), some),
        "address rules, new (with making the address)": microseconds(
            lambda _: new.refuses(ipaddress.IPv4Address(0x10000000 + next(fresh)), 80),
            range(ASKED)),
    }
