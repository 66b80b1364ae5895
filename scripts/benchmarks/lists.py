"""Destinations: making a host canonical, and looking it up in lists of two sizes."""

from __future__ import annotations

import gc
import ipaddress
import os
from collections.abc import Iterator
from functools import partial
from time import perf_counter

from outbounds.core.denylist import Denylist
from outbounds.core.destination import AddressGrant, AddressRules, Host, parse_host
from outbounds.core.list_entry import Entry, Kind

from .report import Report, Row, at_most, ratio
from .running import resident
from .turns import Measure, interleaved, microseconds

SIZES = (10_000, 1_000_000)
ASKED = 20_000

METHOD = """\
Lists of domains in memory, asked for names of four labels: "hit" for names below entries spread \
over the list, "miss" for names that are not on it, {asked:,} different ones in turn. Memory is \
what the process holds more after building the list. "new" hosts and addresses are seen for the \
first time, others are remembered. {turns} turns, A B C A B C …"""


def run(quick: bool) -> Report:
    turns = 2 if quick else 7
    report = Report("lists", METHOD.format(asked=ASKED, turns=turns))
    lists = {size: _built(size, report) for size in SIZES}
    contenders: dict[str, Measure] = {}
    for size, denylist in lists.items():
        step = size // min(size, ASKED)
        for what, name in (("hit", "www.{}"), ("miss", "cdn.other-{}")):
            hosts = [parse_host(name.format(_name(number * step))) for number in range(
                min(size, ASKED))]
            contenders[f"match, {what}, {size:,} entries"] = microseconds(
                partial(_match, denylist), hosts)
    contenders |= _hosts() | _addresses()
    found = interleaved(contenders, turns)
    report.rows += [Row(name, "µs", figures, at_most(3.0) if name.startswith("match") else None)
                    for name, figures in found.items()]
    report.rows += [ratio(f"match, {what}, {SIZES[1]:,} ÷ {SIZES[0]:,} entries",
                          found[f"match, {what}, {SIZES[1]:,} entries"],
                          found[f"match, {what}, {SIZES[0]:,} entries"])
                    for what in ("hit", "miss")]
    return report


def _match(denylist: Denylist, host: Host) -> object:
    return denylist.match(host, 80, "http", "/page/one")


def _name(number: int) -> str:
    return f"shop-{number * 7919 % 10_000_019}.example.org"


def _entries(size: int) -> Iterator[Entry]:
    for number in range(size):
        yield Entry(Kind.DOMAIN, _name(number), "bench", number + 1, "P-content")


def _built(size: int, report: Report) -> Denylist:
    gc.collect()
    before, started = _memory(), perf_counter()
    denylist = Denylist.build(_entries(size))
    report.rows.append(Row(f"build, {size:,} entries", "s", [perf_counter() - started]))
    gc.collect()
    after = _memory()
    name = f"memory, {size:,} entries"
    if before is None or after is None:
        report.missing[name] = "needs /proc, as on Linux"
    else:
        report.rows.append(Row(name, "MiB", [(after - before) / 2**20]))
    return denylist


def _memory() -> int | None:
    return resident(os.getpid()) if os.path.exists("/proc/self/statm") else None


def _hosts() -> dict[str, Measure]:
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


def _addresses() -> dict[str, Measure]:
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
