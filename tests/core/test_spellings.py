"""Spellings of one destination: each is that destination, or nothing at all.

The table holds what `test_destination` does not: what browsers, resolvers and their libraries do
with each form is named beside it, and where the C library is at hand it is asked in the test. The
properties write addresses and names in random spellings and compare what the whole decision says.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from driving import POLICY, Driven, denylist, drive, request, tunnel
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from outbounds.core.address import reaches, reduced
from outbounds.core.denylist import Denylist
from outbounds.core.destination import BadHost, Host, parse_host
from outbounds.core.questions import AddressesOf
from outbounds.core.request import Way
from outbounds.core.rules import Policy
from outbounds.core.special_purpose import special_purpose
from outbounds.core.url_prefix import canonical_path

# (spelling, canonical text), "" where it is refused; the source of the row above it
SPELLINGS: list[tuple[str, str]] = [
    # RFC 3986 section 3.2.2: percent-encoding. Chromium and curl decode it, requests does not:
    # what one of them dials and another does not is not guessed
    ("%31%32%37.0.0.1", ""), ("127%2e0.0.1", ""), ("ex%61mple.com", ""), ("example.com%00.a", ""),
    # RFC 3986 section 3.2.1: user-info is in front of the host and not in it
    ("user@127.0.0.1", ""), ("127.0.0.1@example.com", ""), ("example.com＠evil.example", ""),
    # WHATWG URL section 3.1, forbidden host code points
    ("example.com\\@evil.example", ""), ("exam\tple.com", ""), ("example.com\n", ""),
    ("example.com\r", ""), ("example.com\0", ""), ("example.com#a", ""), ("example.com?", ""),
    ("exam|ple.com", ""), ("exam^ple.com", ""), ("a\x7f.example", ""), ("a\x85.example", ""),
    # UTS 46 section 4, mapping: other digits, and letters that fold to ASCII ones
    ("¹²⁷.0.0.1", "127.0.0.1"), ("𝟏𝟐𝟕.𝟎.𝟎.𝟏", "127.0.0.1"), ("０ｘ７ｆ。１", "127.0.0.1"),
    ("\u212a.example", "k.example"), ("\u017f.example", "s.example"), ("ﬀ.example", "ff.example"),
    # ... and what is mapped to nothing: U+200B, U+2060, U+FEFF, U+00AD, U+FE0F
    ("exam\u200bple.com", "example.com"), ("\u2060localhost", "localhost"),
    ("exam\ufeff\u00adple.com", "example.com"), ("example\ufe0f.com", "example.com"),
    # ... but not digits of other scripts, which stay: RFC 5893 section 2 rule 1
    ("١٢٧.0.0.1", ""),
    # ... nor dots that no resolver splits at: U+2024, U+2025, U+2026, U+2488, U+33C2
    ("a\u2025b.example", ""), ("a\u2026b.example", ""), ("⒈.example", ""), ("㏂.example", ""),
    # UTS 46 section 2.3: U+3002, U+FF0E, U+FF61 are dots, also next to each other
    ("127。0．0｡1", "127.0.0.1"), ("example.com。", "example.com"), ("a。.example", ""),
    ("。", ""), ("。example.com", ""),
    # inet_aton(3), number forms: octal, hex, few parts, any number of leading zeros
    ("0300.0250.1", "192.168.0.1"), ("127.0.0.0x1", "127.0.0.1"), ("00.0.0.0", "0.0.0.0"),
    ("127.0.0." + "0" * 40 + "1", "127.0.0.1"), ("0x" + "0" * 40 + "7f.1", "127.0.0.1"),
    ("4294967295", "255.255.255.255"), ("0xffffffff", "255.255.255.255"),
    # ... with a trailing dot: glibc refuses, Chromium and curl dial the address
    ("127.0.0.1.", "127.0.0.1"), ("0x7f000001.", "127.0.0.1"), ("2130706433。", "127.0.0.1"),
    # ... beyond 32 bits, which old libraries cut off: WHATWG URL section 3.5 fails
    ("4294967296", ""), ("0x100000000", ""), ("1.0x1000000", ""), ("0x17f000001", ""),
    ("256.0.0.1", ""), ("127.0.0.256", ""), ("127.0.0.1.1", ""), ("127.0.0.09", ""),
    # ... a bare 0x is 0 to a browser and nothing to inet_aton
    ("0x", ""), ("127.0x", ""), ("0x.0x.0x.0x", ""),
    # ... and no number: glibc and browsers ask the DNS
    ("1e3", "1e3"), ("0b1", "0b1"), ("1.2.3.4e1", "1.2.3.4e1"), ("0x7g", "0x7g"),
    # ... trailing white space, which inet_aton(3) of glibc lets pass
    ("127.0.0.1 ", ""), ("127.0.0.1 x", ""), (" 127.0.0.1", ""), ("+127.0.0.1", ""),
    ("-1", "-1"), ("1_0.0.0.1", ""),
    # RFC 4291 section 2.2: the dotted part of an IPv6 address is decimal and whole
    ("::ffff:127.1", ""), ("::ffff:0177.0.0.1", ""), ("::ffff:0x7f.0.0.1", ""),
    ("::ffff:127.0.0.1.", ""), ("[::1].", ""), ("[]", ""), ("[[::1]]", ""), ("::1::", ""),
    ("::ffff:7f00:0001", "127.0.0.1"), ("0:0:0:0:0:FFFF:127.0.0.1", "127.0.0.1"),
    ("::ffff:0:127.0.0.1", "::ffff:0:7f00:1"), ("１::1", ""), ("::１", ""),
    # RFC 6874, RFC 4007 section 11: zone ids
    ("fe80::1%lo", ""), ("[fe80::1%25lo]", ""), ("[::1%]", ""), ("::1%0", ""),
    # RFC 3986 section 3.2.2: IPvFuture, and brackets round anything else
    ("[v7.abc]", ""), ("[localhost]", ""), ("[127.1]", ""), ("localhost]", ""),
    # RFC 5891 section 4.2.3, 5.4 and RFC 5892 appendix A: joiners need a context
    ("a\u200db.example", ""), ("a\u200cb.example", ""),
    ("क्\u200dष.example", "xn--11b2ezcw70k.example"),
    # RFC 5893 section 2: letters of both directions in one label
    ("אa.example", ""), ("א1.example", "xn--1-zhc.example"),
    # mixed scripts are another name, and its own: UTS 39 is for those who look at it
    ("аpple.com", "xn--pple-43d.com"), ("xn--pple-43d.com", "xn--pple-43d.com"),
    # RFC 5892 section 2.6, 3: unassigned and unusable code points, in either form
    ("\u0378.example", ""), ("💩.example", ""), ("xn--ls8h.example", ""), ("\ufffd.example", ""),
    # RFC 5890 section 2.3.2.1: an A-label is what its U-label encodes to
    ("xn--0.example", ""), ("xn--localhost-", ""), ("xn--xn--a-ooa.example", ""),
    ("ＸＮ－－bcher-kva.example", "xn--bcher-kva.example"), ("xn--BCHER-kva.example",
                                                             "xn--bcher-kva.example"),
    # RFC 1035 section 3.1
    ("a..example", ""), (".a.example", ""), ("a.example..", ""),
]


@pytest.mark.parametrize(("spelling", "text"), SPELLINGS)
def test_a_spelling_is_its_destination_or_nothing(spelling: str, text: str) -> None:
    if text:
        assert parse_host(spelling).text == text
    else:
        with pytest.raises(BadHost):
            parse_host(spelling)


def dialled(spelling: str) -> Host | None:
    """What the C library takes the spelling for, without asking the DNS; None for no address."""
    try:
        found = socket.getaddrinfo(spelling, 80, type=socket.SOCK_STREAM,
                                   flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return parse_host(str(found[0][4][0]))


@pytest.mark.parametrize("spelling", [spelling for spelling, _ in SPELLINGS
                                      if "\0" not in spelling and "%" not in spelling])
def test_the_c_library_dials_nothing_else(spelling: str) -> None:
    """Where getaddrinfo sees an address, it is the one that was judged, or none was."""
    there = dialled(spelling)
    if there is not None:
        try:
            assert parse_host(spelling) == there
        except BadHost:
            pass


@given(st.text("0123456789abcdefxX.:[]%-_ \u3002\uff10\u2460١", max_size=24))
@example("0x7f.1")
@example("::ffff:1.2.3.4")
def test_the_c_library_never_sees_an_address_where_we_see_a_name(spelling: str) -> None:
    there = dialled(spelling) if "%" not in spelling else None
    if there is None:
        return
    try:
        host = parse_host(spelling)
    except BadHost:
        return
    assert host == there


# --- one address, any spelling, one verdict -------------------------------------------------------

PUBLIC = st.ip_addresses(v=4).filter(
    lambda address: special_purpose(address) is None and int(address) >> 24)
WIDE = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}


def number(value: int, form: str) -> str:
    return {"decimal": str(value), "octal": f"0{value:o}", "hex": hex(value),
            "HEX": f"0X{value:X}", "zeros": f"000{value:o}"}[form]


@st.composite
def spelled(draw: st.DrawFn, address: IPv4Address) -> str:
    """A spelling that inet_aton(3) takes, in characters that UTS 46 maps to it."""
    octets, parts = address.packed, draw(st.integers(1, 4))
    values = [*octets[:parts - 1], int.from_bytes(octets[parts - 1:])]
    text = ".".join(number(value, draw(st.sampled_from(
        ["decimal", "octal", "hex", "HEX", "zeros"]))) for value in values)
    text += draw(st.sampled_from(["", "."]))
    if draw(st.booleans()):
        text = text.translate(WIDE)
    return text.replace(".", draw(st.sampled_from([".", "。", "．", "｡"])))


# IPv6 addresses by which a packet gets to an IPv4 address, or to a host behind it
EMBEDDINGS: dict[str, Callable[[int], int]] = {
    "mapped": lambda v: 0xFFFF << 32 | v,                       # RFC 4291 section 2.5.5.2
    "compatible": lambda v: v,                                  # RFC 4291 section 2.5.5.1
    "nat64": lambda v: 0x64FF9B << 96 | v,                      # RFC 6052 section 2.1
    "translated": lambda v: 0xFFFF << 48 | v,                   # RFC 2765 section 2.1
    "6to4": lambda v: 0x2002 << 112 | v << 80 | 1,              # RFC 3056 section 2
    "teredo client": lambda v: 0x20010000 << 96 | 0x08080808 << 64 | ~v & 0xFFFFFFFF,
    "teredo server": lambda v: 0x20010000 << 96 | v << 64 | 0xF7F7F7F7,  # RFC 4380 section 4
    "isatap": lambda v: 0x26064700 << 96 | 0x5EFE << 32 | v,    # RFC 5214 section 6.1
    "isatap u": lambda v: 0x26064700 << 96 | 0x02005EFE << 32 | v,
    # RFC 8215, with each prefix length of RFC 6052 section 2.2 that fits
    "local /48": lambda v: 0x64FF9B0001 << 80 | v >> 16 << 64 | (v & 0xFFFF) << 40,
    "local /56": lambda v: 0x64FF9B0001 << 80 | v >> 24 << 64 | (v & 0xFFFFFF) << 32,
    "local /64": lambda v: 0x64FF9B0001 << 80 | v << 24,
    "local /96": lambda v: 0x64FF9B0001 << 80 | v,
}
SAME = ("mapped", "compatible", "nat64")  # spellings; the others are addresses of their own


def verdict(host: str, policy: Policy, *resolved: IPv4Address | IPv6Address) -> Driven:
    """Of a tunnel to `host`; `resolved` is what its name resolves to."""
    answers: dict[type, object] = {AddressesOf: resolved} if resolved else {}
    return drive(tunnel(host), policy, answers)


def with_list(entries: Denylist) -> Policy:
    return replace(POLICY, denylist=entries)


@settings(max_examples=60, deadline=None)
@given(st.data(), PUBLIC, st.booleans())
def test_two_spellings_of_an_address_get_one_verdict(
        data: st.DataObject, address: IPv4Address, network: bool) -> None:
    """By the address or by its network on a list: whatever dials it is refused by that line."""
    listed = f"{IPv4Address(int(address) & 0xFFFFFF00)}/24" if network else str(address)
    policy = with_list(denylist(("network", listed)))
    spelling = data.draw(spelled(address))
    embedded = {name: IPv6Address(embed(int(address))) for name, embed in EMBEDDINGS.items()}
    plain = verdict(str(address), policy)
    assert plain.outcome == ("destination", "blocked:1", 403)
    for form in (spelling, *(f"[{embedded[name]}]" for name in SAME),
                 *(f"[{embedded[name].exploded.upper()}]" for name in SAME)):
        other = verdict(form, policy)
        assert other.case.request.host == plain.case.request.host, form
        assert (other.outcome, other.case.verdict) == (plain.outcome, plain.case.verdict), form
    for name, each in embedded.items():
        assert address in {*reaches(each), reduced(each)}, name
        assert not verdict(f"[{each}]", policy).case.verdict.allowed, name
        assert not verdict("name.example", policy, each).case.verdict.allowed, name
        assert not verdict("name.example", policy, ip_address("8.8.8.8"), each
                           ).case.verdict.allowed, name
    # and what is on no list is as free in one spelling as in the other
    for form in (spelling, *(f"[{embedded[name]}]" for name in SAME)):
        assert verdict(form, POLICY).case.verdict.allowed


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1"]))
def test_no_spelling_of_a_forbidden_address_is_free(data: st.DataObject, text: str) -> None:
    address = IPv4Address(text)
    embedded = [IPv6Address(embed(int(address))) for embed in EMBEDDINGS.values()]
    for form in (data.draw(spelled(address)), *(f"[{each}]" for each in embedded)):
        assert verdict(form, POLICY).outcome[2] == 403, form
    for each in embedded:
        assert verdict("name.example", POLICY, each).outcome[2] == 403, each


# --- one name, any spelling, one verdict ----------------------------------------------------------

LABEL = st.text("abcxyz019", min_size=1, max_size=6).filter(lambda label: not label.isdigit())
NAME = st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))


@st.composite
def rewritten(draw: st.DrawFn, name: str) -> str:
    out = []
    for char in name:
        forms = [char, char.upper()]
        if char == ".":
            forms += ["。", "．", "｡"]
        else:
            forms += [chr(ord(char) + 0xFEE0), char + "\u00ad", f"%{ord(char):02x}"]
        out.append(draw(st.sampled_from(forms + [char] * 4)))
    return "".join(out) + draw(st.sampled_from(["", ".", "。", ".."]))


@settings(deadline=None)
@given(st.data(), NAME)
def test_two_spellings_of_a_name_get_the_same_hits_or_none_is_a_host(
        data: st.DataObject, name: str) -> None:
    lists = denylist(("domain", name), ("host", name))
    spelling = data.draw(rewritten(name))
    try:
        host = parse_host(spelling)
    except BadHost:
        assert "%" in spelling or any(ends.endswith(tuple(".。．｡")) for ends in spelling[-2:-1])
        return
    assert host == parse_host(name)
    for port, path in ((443, ""), (80, "/x")):
        assert lists.match(host, port, "", path) == lists.match(parse_host(name), port, "", path)
    assert len(lists.match(host, 443, "", "")) == 2


# --- paths ----------------------------------------------------------------------------------------

PIECES = st.lists(st.sampled_from(
    ["/", "a", "..", ".", "%2e", "%2F", "%3F", "?", "#", "%23", "%25", "%", "25", "\\", "%5c",
     "é", "%c3", "%A9", "b", "%00", "%2561", "3f", "\udc80"]), max_size=10).map("".join)


@settings(max_examples=400)
@given(PIECES)
@example("/x/..%3Fy")
@example("/a%2523#/../b")
@example("/%%2323")
def test_the_canonical_path_is_its_own(path: str) -> None:
    canonical = canonical_path("/" + path)
    assume(canonical is not None)
    assert canonical is not None
    assert canonical_path(canonical.decode("utf-8", "surrogateescape")) == canonical


@pytest.mark.parametrize(("path", "canonical"), [
    # servers that decode before they split read both as /admin, others as /a?/../admin
    ("/a%3F/../admin", None), ("/a%3f//admin", None), ("/x/..%3Fy", None),
    # RFC 9112 section 3.2: no request has a fragment; where one is sent, servers differ as well
    ("/x#/../admin", None), ("/x#top", b"/x"),
    ("/wiki/What%3F", b"/wiki/What?"), ("/c%23", b"/c%23"), ("/c%2523", b"/c%23"),
])
def test_a_path_that_can_be_read_as_two_matches_all(path: str, canonical: bytes | None) -> None:
    assert canonical_path(path) == canonical


def test_a_hidden_path_is_refused_where_one_page_is_listed() -> None:
    lists = denylist(("url", "http://site.example/admin"))
    policy = with_list(lists)
    for path in ("/a%3F/../admin", "/x#/../admin", "/%2561dmin", "//admin", "/.//admin/x"):
        driven = drive(request("http://site.example" + path, Way.PLAIN), policy)
        assert driven.outcome == ("destination", "blocked:1", 403), path
