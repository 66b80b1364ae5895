"""What each kind of entry matches, what it does not, and that no spelling gets past it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.denylist import Denylist
from outbounds.core.destination import parse_host
from outbounds.core.hit import Hit, Terms
from outbounds.core.list_entry import BadEntry, Effect, Entry, Kind, Scope, parse_value
from outbounds.core.url_prefix import canonical_path

LINES = [
    (Kind.DOMAIN, "denied.example"),        # 1
    (Kind.HOST, "www.exact.example"),       # 2
    (Kind.NETWORK, "198.51.100.0/24"),      # 3
    (Kind.NETWORK, "198.51.100.7"),         # 4
    (Kind.NETWORK, "2001:db8:1::/48"),      # 5
    (Kind.PORT, "25"),                      # 6
    (Kind.URL, "http://u.example/private"),         # 7
    (Kind.URL, "u.example/dir/"),                   # 8
    (Kind.URL, "https://u.example:8443/p?id=7"),    # 9
    (Kind.URL, "http://203.0.113.5/x"),             # 10
    (Kind.DOMAIN, "BÜCHER.example."),       # 11
    (Kind.DOMAIN, "sub.denied.example"),    # 12
    (Kind.NETWORK, "2002::/16"),            # 13
    (Kind.URL, "u.example/Größe"),          # 14
    (Kind.URL, "u.example/%61dmin/../admin//x/./y"),  # 15
]


TERMS = Terms("t", "P-content")


def entries(lines: list[tuple[Kind, str]]) -> list[Entry]:
    return [Entry(kind, parse_value(kind, text), number)
            for number, (kind, text) in enumerate(lines, 1)]


def denylist(found: list[Entry], terms: Terms = TERMS) -> Denylist:
    return Denylist.build([(terms, found)])


LIST = denylist(entries(LINES))


def lines(hits: tuple[Hit, ...]) -> set[int]:
    return {int(hit.rule.removeprefix("t:")) for hit in hits}


MATCHES = [
    # (host, port, scheme, path) -> the lines that match
    ("denied.example", 80, "http", "/", {1}),
    ("DENIED.example.", 80, "http", "/", {1}),
    ("a.b.denied.example", 443, "https", "", {1}),
    ("a.sub.denied.example", 443, "https", "", {1, 12}),
    ("xdenied.example", 80, "http", "/", set()),
    ("denied.example.org", 80, "http", "/", set()),
    ("example", 80, "http", "/", set()),
    ("www.exact.example", 80, "http", "/", {2}),
    ("a.www.exact.example", 80, "http", "/", set()),
    ("exact.example", 80, "http", "/", set()),
    ("xn--bcher-kva.example", 80, "http", "/", {11}),
    ("www.BüCHER.example", 80, "http", "/", {11}),
    # an address as the host: networks, in every spelling
    ("198.51.100.7", 80, "http", "/", {3, 4}),
    ("198.51.100.8", 80, "http", "/", {3}),
    ("0xc6.0x33.25607", 80, "http", "/", {3, 4}),
    ("[::ffff:198.51.100.7]", 80, "http", "/", {3, 4}),
    ("[64:ff9b::198.51.100.7]", 80, "http", "/", {3, 4}),
    ("[2002:c633:6407::1]", 80, "http", "/", {3, 4, 13}),
    ("[2606:4700::5efe:c633:6407]", 80, "http", "/", {3, 4}),
    ("198.51.101.0", 80, "http", "/", set()),
    ("[2001:db8:1:ffff::9]", 80, "http", "/", {5}),
    ("[2001:db8:2::]", 80, "http", "/", set()),
    # ports, alone and with others
    ("any.example", 25, "http", "/", {6}),
    ("denied.example", 25, "https", "", {1, 6}),
    ("198.51.100.8", 25, "http", "/", {3, 6}),
    # a url entry is a plain prefix of path and query
    ("u.example", 80, "http", "/private", {7}),
    ("u.example", 80, "http", "/private/x", {7}),
    ("u.example", 80, "http", "/private?x", {7}),
    ("u.example", 80, "http", "/privateer", {7}),
    ("u.example", 80, "http", "/Private", set()),
    ("u.example", 80, "http", "/x/private", set()),
    ("u.example", 80, "http", "/?/private", set()),
    ("u.example", 80, "http", "/", set()),
    ("u.example", 8080, "http", "/private", {7}),
    ("u.example", 443, "https", "/private", set()),
    ("a.u.example", 80, "http", "/private", set()),
    # one that ends in a slash is a directory
    ("u.example", 80, "http", "/dir/", {8}),
    ("u.example", 443, "https", "/dir/x", {8}),
    ("u.example", 80, "http", "/dir", set()),
    ("u.example", 80, "http", "/dirty", set()),
    ("u.example", 80, "http", "/dir/..", set()),
    # scheme, port and query as written
    ("u.example", 8443, "https", "/p?id=7", {9}),
    ("u.example", 8443, "https", "/p?id=71&x", {9}),
    ("u.example", 8443, "https", "/p?%69d=%37", {9}),
    ("u.example", 443, "https", "/p?id=7", set()),
    ("u.example", 8443, "http", "/p?id=7", set()),
    ("u.example", 8443, "https", "/p?id=8", set()),
    ("203.0.113.5", 80, "http", "/x", {10}),
    ("203.0.28933", 80, "http", "/x", {10}),
    # RFC 3986 sections 2.1, 5.2.4, 6.2.2.2: encodings and dot segments do not dodge
    ("u.example", 80, "http", "/%70rivate", {7}),
    ("u.example", 80, "http", "/%50rivate", set()),
    ("u.example", 80, "http", "/%2570rivate", {7}),
    ("u.example", 80, "http", "/%252570rivate", {7}),
    ("u.example", 80, "http", "/./private", {7}),
    ("u.example", 80, "http", "/x/../private", {7}),
    ("u.example", 80, "http", "/x/%2e%2E/private", {7}),
    ("u.example", 80, "http", "/../../private", {7}),
    ("u.example", 80, "http", "//private", {7}),
    ("u.example", 80, "http", "/%2Fprivate", {7}),
    ("u.example", 80, "http", "/\\private", {7}),
    ("u.example", 80, "http", "/x%5c..%5cprivate", {7}),
    ("u.example", 80, "http", "private", {7}),
    ("u.example", 80, "http", "/private#x", {7}),
    # read in each way that a server may, and in no other
    ("u.example", 80, "http", "/private#/../x", {7}),
    ("u.example", 80, "http", "/x#/../private", {7}),
    ("u.example", 80, "http", "/x%3F/../private", {7}),
    ("u.example", 80, "http", "/login%3Fnext=https://x/", set()),
    ("u.example", 80, "http", "/private/..", set()),
    ("u.example", 80, "http", "/public?/../private", set()),
    ("u.example", 80, "http", "/%zzprivate", set()),
    ("u.example", 80, "http", "/" + "%25" * 2 + "41", set()),
    ("u.example", 80, "http", "/Größe", {14}),
    ("u.example", 80, "http", "/Gr%C3%B6%c3%9fe", {14}),
    ("u.example", 80, "http", "/Gr\udcc3\udcb6\udcc3\udc9fe", {14}),  # raw bytes, as mitmproxy has
    ("u.example", 80, "http", "/admin/x/y", {15}),
    # encoded beyond reading: taken for every entry that scheme and port leave
    ("u.example", 80, "http", "/%" + "25" * 9 + "70rivate", {7, 8, 14, 15}),
    ("other.example", 80, "http", "/%" + "25" * 9 + "70rivate", set()),
    # a tunnel shows no path, and one page is no reason to deny a site
    ("u.example", 443, "https", "", set()),
    ("u.example", 80, "http", "*", set()),
]


@pytest.mark.parametrize(("host", "port", "scheme", "path", "expected"), MATCHES)
def test_match(host: str, port: int, scheme: str, path: str, expected: set[int]) -> None:
    hits = LIST.match(parse_host(host), port, scheme, path)
    assert lines(hits) == expected
    assert len(hits) == len(expected)


ADDRESSES = [
    ("198.51.100.7", 80, {3, 4}),
    ("198.51.99.255", 80, set()),
    ("::ffff:198.51.100.9", 80, {3}),
    ("64:ff9b::198.51.100.9", 80, {3}),
    ("2002:c633:6409::1", 80, {3, 13}),
    ("2001:db8:1::", 80, {5}),
    ("2001:db8:1::1%eth0", 80, {5}),
    ("192.0.2.1", 25, set()),  # the port was judged with the name
]


@pytest.mark.parametrize(("address", "port", "expected"), ADDRESSES)
def test_match_address(address: str, port: int, expected: set[int]) -> None:
    assert lines(LIST.match_address(ip_address(address), port)) == expected


def test_a_hit_names_list_line_clause_and_who_demanded_it() -> None:
    legal = Terms("legal", "P-content", "https://court.example/7", labels=("court",))
    deny = Denylist.build([
        (legal, [Entry(Kind.DOMAIN, "x.example", 12, labels=("fraud",))]),
        (Terms("malware"), [Entry(Kind.HOST, "x.example", 3)]),
    ])
    first, second = sorted(deny.match(parse_host("x.example"), 80, "http", "/"),
                           key=lambda hit: hit.rule)
    assert (first.rule, first.list_id, first.clause, first.blocked_by, first.labels) == (
        "legal:12", "legal", "P-content", "https://court.example/7", ("court", "fraud"))
    assert (second.rule, second.clause, second.blocked_by) == ("malware:3", "", "")


def test_every_list_hits_but_a_line_repeated_in_one_list_hits_once() -> None:
    deny = Denylist.build([
        (Terms("a"), entries([(Kind.DOMAIN, "x.example"), (Kind.DOMAIN, "X.example.")])),
        (Terms("b"), entries([(Kind.DOMAIN, "x.example")]))])
    assert [hit.rule for hit in deny.match(parse_host("x.example"), 80, "http", "/")] \
        == ["a:1", "b:1"]
    assert deny.size == 2


def test_an_empty_list_denies_nothing() -> None:
    deny = Denylist.build()
    assert deny.size == 0
    assert deny.match(parse_host("x.example"), 80, "http", "/") == ()
    assert deny.match_address(ip_address("::1"), 80) == ()


def test_a_value_of_another_kind_does_not_compile() -> None:
    with pytest.raises(TypeError, match="t:1"):
        denylist([Entry(Kind.NETWORK, "10.0.0.0/8", 1)])


def test_patterns_are_not_for_lists_in_memory() -> None:
    with pytest.raises(TypeError, match="t:1"):
        denylist([Entry(Kind.PATTERN, "^http", 1)])


@pytest.mark.parametrize(("kind", "value", "request_", "matches"), [
    (Kind.BELOW, "x.example", ("x.example", "http"), False),   # RFC 1034 section 4.3.3: *.x
    (Kind.BELOW, "x.example", ("a.x.example", "http"), True),
    (Kind.BELOW, "x.example", ("b.a.x.example", "http"), True),
    (Kind.BELOW, "x.example", ("ax.example", "http"), False),
    (Kind.SCHEME, "http", ("y.example", "http"), True),
    (Kind.SCHEME, "http", ("192.0.2.1", "http"), True),
    (Kind.SCHEME, "http", ("y.example", "https"), False),
    (Kind.SCHEME, "http", ("y.example", ""), False),
])
def test_below_and_scheme(kind: Kind, value: str, request_: tuple[str, str],
                          matches: bool) -> None:
    host, scheme = request_
    found = denylist([Entry(kind, value, 1)]).match(parse_host(host), 80, scheme, "/")
    assert bool(found) == matches


def test_the_version_is_that_of_the_entries_not_of_their_order() -> None:
    first, second = entries([(Kind.DOMAIN, "a.example"), (Kind.HOST, "a.example")])
    version = denylist([first, second]).version
    assert len(version) == 64
    assert denylist([second, first]).version == version
    others = [
        ([first], TERMS), ([second], TERMS), ([], TERMS),
        ([first, second], replace(TERMS, clause="P-spam")),
        ([first, second], replace(TERMS, id="u")),
        ([first, second], replace(TERMS, blocked_by="https://court.example")),
        ([first, second], replace(TERMS, only=frozenset({"x"}))),
        ([first, second._replace(line=3)], TERMS),
        ([first, second._replace(value="b.example")], TERMS),
        ([first, second._replace(effect=Effect.ALLOW)], TERMS),
        ([first, second._replace(labels=("x",))], TERMS),
        ([first, second._replace(scope=Scope(until=1.0))], TERMS),
    ]
    versions = [denylist(*other).version for other in others]
    assert version not in versions and len(set(versions)) == len(others)


BAD = [
    (Kind.DOMAIN, "com", "top-level"),
    (Kind.DOMAIN, "com.", "top-level"),
    (Kind.DOMAIN, "*.example.com", "domain example.com"),
    (Kind.DOMAIN, "127.1", "network 127.0.0.1"),
    (Kind.HOST, "[::1]", "network ::1"),
    (Kind.HOST, "www.example.com/x", "slash"),
    (Kind.HOST, "", "empty"),
    (Kind.NETWORK, "0.0.0.0/0", "every IPv4"),
    (Kind.NETWORK, "::/0", "every IPv6"),
    (Kind.NETWORK, "::ffff:0:0/96", "every IPv4"),
    (Kind.NETWORK, "10.0.0.1/8", "10.0.0.0/8"),
    (Kind.NETWORK, "example.com", "not an IPv4"),
    (Kind.PORT, "0", "1 to 65535"),
    (Kind.PORT, "65536", "1 to 65535"),
    (Kind.PORT, "٢٥", "1 to 65535"),
    (Kind.PORT, "25-30", "1 to 65535"),
    (Kind.URL, "http://example.com/", "all of the host"),
    (Kind.URL, "http://example.com/x/..", "all of the host"),
    (Kind.URL, "http://example.com", "http://host/path"),
    (Kind.URL, "ftp://example.com/x", "http://host/path"),
    (Kind.URL, "http://u:p@example.com/x", "http://host/path"),
    (Kind.URL, "http://u@example.com/x", "credentials"),
    (Kind.URL, "http://example.com/x#y", "fragment"),
    (Kind.URL, "http://exa mple.com/x", "space"),
    (Kind.URL, "http://example.com:0/x", "port 0"),
    (Kind.URL, "http://example.com:99999/x", "port 99999"),
    (Kind.URL, "http:///x", "empty"),
    (Kind.URL, "http://example.com/%" + "25" * 9 + "41", "8 layers"),
]


@pytest.mark.parametrize(("kind", "text", "words"), BAD)
def test_an_entry_that_cannot_be_meant_is_an_error(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(BadEntry, match="; ") as caught:
        parse_value(kind, text)
    assert words in str(caught.value)
    assert caught.value.problem and caught.value.fix


# --- properties -----------------------------------------------------------------------------------

LABEL = st.from_regex(r"[a-z][a-z0-9]{0,4}", fullmatch=True)
NAME = st.lists(LABEL, min_size=2, max_size=4).map(".".join)


@given(st.sets(NAME, max_size=20), NAME, LABEL)
def test_domains_match_themselves_and_below_and_nothing_else(
    names: set[str], other: str, label: str
) -> None:
    deny = denylist(entries([(Kind.DOMAIN, name) for name in sorted(names)]))

    def denied(name: str) -> bool:
        return bool(deny.match(parse_host(name), 80, "http", "/"))

    for name in names:
        assert denied(name) and denied(f"{label}.{name}") and denied(name.upper() + ".")
    for name in [other, *(label + name for name in names)]:
        assert denied(name) == any(name == n or name.endswith("." + n) for n in names)


NETWORK = st.tuples(st.ip_addresses(v=4), st.integers(1, 32)).map(
    lambda pair: IPv4Network(pair, strict=False))


@given(st.sets(NETWORK, max_size=20), st.ip_addresses(v=4))
def test_networks_match_what_they_contain(
    networks: set[IPv4Network], outside: IPv4Address
) -> None:
    deny = denylist(entries([(Kind.NETWORK, str(net)) for net in sorted(networks)]))
    for address in [outside, *(net[0] for net in networks), *(net[-1] for net in networks)]:
        count = sum(address in net for net in networks)
        assert len(deny.match_address(address, 80)) == count
        mapped = IPv6Address(0xFFFF << 32 | int(address))
        assert deny.match_address(mapped, 80) == deny.match_address(address, 80)
        assert deny.match(parse_host(str(int(address))), 80, "http", "") \
            == deny.match_address(address, 80)


PATH = st.text("aB/.%?#é\\2565eE", max_size=25).map(lambda text: "/" + text)


@given(PATH)
def test_canonical_paths_are_rooted_and_without_dot_segments(path: str) -> None:
    canonical = canonical_path(path)
    if canonical is None:
        return
    plain = canonical.partition(b"?")[0]
    assert plain.startswith(b"/") and b"//" not in plain and b"\\" not in plain
    assert not {b".", b".."} & set(plain.split(b"/"))


@given(st.text("abcXYZ019-_~/", min_size=1, max_size=20), st.data())
def test_no_percent_encoding_dodges(path: str, data: st.DataObject) -> None:
    encoded = "".join(
        data.draw(st.sampled_from([c, f"%{ord(c):02x}", f"%{ord(c):02X}", f"%25{ord(c):02x}"]))
        for c in path)
    assert canonical_path("/" + encoded) == canonical_path("/" + path)
