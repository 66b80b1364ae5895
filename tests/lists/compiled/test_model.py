"""Compiled lists and lists in memory answer every question alike."""

from __future__ import annotations

import tempfile
from collections import Counter
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbounds.core.denylist import Denylist
from outbounds.core.destination import Host, parse_host
from outbounds.core.hit import Hits, Terms
from outbounds.core.list_entry import EVERYONE, Effect, Entry, Kind, Scope, parse_value
from outbounds.core.url_prefix import UrlPrefix, canonical_path
from outbounds.lists.compiled import Generation, compile_lists, verify, write_part

TERMS = {"one": Terms("one", "P-one", labels=("red",)), "two": Terms("two", "P-two")}

# few labels, segments and bits, so that entries and questions meet
names = st.lists(st.sampled_from(["a", "b", "ab", "x-1", "example"]), min_size=1, max_size=5
                 ).map(".".join)
# neighbouring networks inside each other, long and short, and some that embed IPv4
v4 = st.builds(lambda low: 0xC0000200 | low, st.integers(0, 255))
v6 = st.one_of(
    st.builds(lambda high, low: (0x20010DB8 << 32 | high) << 64 | low,
              st.integers(0, 3), st.integers(0, 3)),
    v4, v4.map(lambda low: 0xFFFF << 32 | low), v4.map(lambda low: 0x2002 << 112 | low << 80),
    st.integers(0, 2**128 - 1))
addresses = st.one_of(v4.map(IPv4Address), v6.map(IPv6Address))
networks = st.one_of(
    st.builds(lambda value, length: IPv4Network((value, length), strict=False),
              v4, st.integers(0, 32)),
    st.builds(lambda value, length: IPv6Network((value, length), strict=False),
              v6, st.integers(0, 128)))
hosts = st.one_of(names.map(parse_host), addresses.map(lambda address: parse_host(str(address))))
paths = st.lists(st.sampled_from(["/", "a", "b", "%61", "?", "..", "%2561", "é", "%00", "%ff"]),
                 max_size=6).map(lambda parts: "/" + "".join(parts))
ports, schemes = st.sampled_from([80, 443, 8080]), st.sampled_from(["http", "https"])


def _url(scheme: str, host: Host, port: int, path: str) -> UrlPrefix:
    canonical = canonical_path(path)
    assert canonical is not None
    return UrlPrefix(scheme, host, port, canonical)


values = st.one_of(
    st.tuples(st.sampled_from([Kind.DOMAIN, Kind.HOST, Kind.BELOW]), names),
    st.tuples(st.just(Kind.NETWORK), networks),
    st.tuples(st.just(Kind.PORT), ports),
    st.tuples(st.just(Kind.SCHEME), schemes),
    st.tuples(st.just(Kind.URL), st.builds(
        _url, st.sampled_from(["", "http", "https"]), hosts, st.sampled_from([0, 80, 8080]),
        paths)))
scopes = st.sampled_from([EVERYONE, Scope(plans=frozenset({"trial", "free"})),
                          Scope(accounts=frozenset({"acct_a"}), since=1.0, until=2.5)])
contents = st.lists(st.tuples(values, st.sampled_from(Effect), scopes,
                              st.sampled_from([(), ("ads",), ("ads", "de")])), max_size=25)


def entries(found: list[tuple[tuple[Kind, object], Effect, Scope, tuple[str, ...]]]
            ) -> list[Entry]:
    return [Entry(kind, value, line, effect, labels, scope)
            for line, ((kind, value), effect, scope, labels) in enumerate(found, 1)]


def compiled(folder: Path, lists: dict[str, list[Entry]],
             terms: dict[str, Terms] = TERMS) -> Generation:
    parts = {}
    for list_id, its in lists.items():
        parts[list_id] = folder / f"{list_id}.part"
        assert write_part(parts[list_id], its) == len(its)
    generation = compile_lists(parts, folder / "generations")
    verify(generation)
    return Generation.open(generation, terms)


def same(one: Hits, other: Hits) -> None:
    assert Counter(one) == Counter(other)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contents, contents, st.data())
def test_the_same_hits(one: object, two: object, data: st.DataObject) -> None:
    lists = {"one": entries(one), "two": entries(two)}
    memory = Denylist.build([(TERMS[name], its) for name, its in lists.items()])
    with tempfile.TemporaryDirectory() as folder:
        disk = compiled(Path(folder), lists)
        assert disk.size == memory.size
        # asked for what they hold as well, which is where mistakes are
        held = [each.value for its in lists.values() for each in its]
        asked = [*(parse_host(value) for value in held if isinstance(value, str)),
                 *(value.host for value in held if isinstance(value, UrlPrefix)),
                 *data.draw(st.lists(hosts, min_size=5, max_size=30))]
        for host in asked:
            port, scheme, path = data.draw(st.tuples(ports, schemes, paths | st.just("")))
            same(disk.match(host, port, scheme, path), memory.match(host, port, scheme, path))
            same(disk.match(host, port, "", ""), memory.match(host, port, "", ""))
        edges = [edge for value in held if isinstance(value, IPv4Network | IPv6Network)
                 for edge in (value[0], value[-1])]
        for address in (*edges, *data.draw(st.lists(addresses, min_size=5, max_size=30))):
            same(disk.match_address(address, 80), memory.match_address(address, 80))


@settings(max_examples=40, deadline=None)
@given(contents)
def test_an_unreadable_path_meets_every_way_in_which_its_host_is_denied(found: object) -> None:
    lists = {"one": entries(found)}
    memory = Denylist.build([(TERMS["one"], lists["one"])])
    hidden = "/%" + "25" * 9 + "61"
    assert canonical_path(hidden) is None
    with tempfile.TemporaryDirectory() as folder:
        disk = compiled(Path(folder), lists)
        for each in lists["one"]:
            if isinstance(each.value, UrlPrefix):
                question = (each.value.host, each.value.port or 80, each.value.scheme or "http",
                            hidden)
                ways = [{(hit.effect, hit.labels, hit.scope) for hit in matcher.match(*question)}
                        for matcher in (disk, memory)]
                assert ways[0] == ways[1]
                assert {hit.rule for hit in disk.match(*question)} <= {
                    hit.rule for hit in memory.match(*question)}


def test_values_are_those_that_lists_hold() -> None:
    # the model would prove nothing about values in a form that no list has
    assert parse_value(Kind.URL, "http://a.b/%61?b") == _url("http", parse_host("a.b"), 0, "/a?b")
