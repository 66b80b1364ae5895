"""The canonical form of a host. Each row cites what it rests on."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outbounds.core.address import parse_network, reduced_network
from outbounds.core.destination import BadHost, Host, parse_host, reaches, reduced

# --- names ----------------------------------------------------------------------------------------

NAMES = [
    # RFC 4343: names are compared without regard to case
    ("WWW.Example.COM", "www.example.com"),
    # RFC 1034 section 3.1: the trailing dot is the root, and the same name
    ("example.com.", "example.com"),
    # RFC 5890 section 2.3.2.1, UTS 46 section 4: A-label and U-label, in any case, are one name
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
    ("BüCHER.example", "xn--bcher-kva.example"),  # as mitmproxy decodes XN--BCHER-KVA
    ("bu\u0308cher.example", "xn--bcher-kva.example"),  # UTS 46 section 4, step 2: NFC
    # UTS 46 section 4, non-transitional: deviation characters stay
    ("faß.example", "xn--fa-hia.example"),
    ("xn--fa-hia.example", "xn--fa-hia.example"),
    # UTS 46 section 4.5: U+3002, U+FF0E and U+FF61 are full stops
    ("www。example．com｡", "www.example.com"),
    # UTS 46 section 5: full-width letters are mapped, U+00AD is ignored
    ("ｅｘａｍｐｌｅ.com", "example.com"),
    ("exam\u00adple.com", "example.com"),
    # RFC 8552: underscored labels; RFC 5891 section 4.2.3.1 would refuse these hyphens
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("r3---sn-4g5e.example", "r3---sn-4g5e.example"),
    ("a-.example", "a-.example"),
    # RFC 1123 section 2.1: a label may begin with a digit, even if all but the last are numbers
    ("1.2.3.example", "1.2.3.example"),
    ("0x7f.example", "0x7f.example"),
    ("localhost", "localhost"),
    # RFC 1035 section 2.3.4: 63 octets a label, 253 characters a name
    ("a" * 63 + ".example", "a" * 63 + ".example"),
    (".".join(["a" * 49] * 5) + ".exa", ".".join(["a" * 49] * 5) + ".exa"),
]


@pytest.mark.parametrize(("spelling", "text"), NAMES)
def test_a_name_has_one_form(spelling: str, text: str) -> None:
    assert parse_host(spelling) == Host(text, None)
    assert parse_host(spelling).uri == text


REFUSED = [
    ("", "empty"),
    (".", "empty"),
    ("\u00ad", "empty"),
    # RFC 1035 section 3.1: only the root has an empty label
    ("a..example", "empty label"),
    (".example", "empty label"),
    ("example..", "empty label"),
    ("a。．example", "empty label"),
    # RFC 1035 section 2.3.4
    ("a" * 64 + ".example", "longer than 63"),
    ("ü" * 60 + ".example", "too long"),
    (".".join(["a" * 49] * 5) + ".exam", "longer than 253"),
    ("a" * 2000, "longer than 1024"),
    # RFC 3986 section 3.2.2 would allow it; nobody decodes it alike
    ("ex%61mple.com", "percent"),
    ("％31.example", "percent"),
    # RFC 3986 section 3.2: what ends or precedes the host is no part of it
    ("user@example.com", "credentials"),
    ("example.com/x", "slash"),
    ("example.com\\x", "backslash"),
    ("℀.example", "slash"),  # UTS 46 maps U+2100 to a/c
    ("example.com：80", "colon"),
    ("example.com:80", "port"),
    ("*.example.com", "wildcard"),
    ("exa mple.com", "space"),
    ("example.com\t", "character '\\t'"),
    ("example.com\r\nHost", "character '\\r'"),
    ("example.com\x00", "character '\\x00'"),
    ("exam<ple.com", "character '<'"),
    # RFC 5891 section 5.4 and RFC 5892: DISALLOWED code points, broken or fake A-labels
    ("i❤.example", "not allowed"),
    ("\ud800.example", "not allowed"),
    ("xn--.example", "A-label"),
    ("xn--a.example", "not allowed"),
    ("xn--abc-.example", "hyphen"),
    ("xn---bbk.example", "A-label"),  # decodes like xn--bbk: RFC 5890 section 2.3.2.1
    # WHATWG URL section 3.5: a name that ends in a number is an IPv4 address or nothing
    ("1.2.3.4.5", "four parts"),
    ("example.1", "no part"),
    ("example.0x1", "no part"),
    ("1.2.3.256", "range"),
    ("256.1", "range"),
    ("4294967296", "range"),
    ("1.2.3.08", "no part"),
    ("0x", "no part"),
    ("1..2", "empty label"),
    # RFC 4007 section 11, RFC 6874: a zone id means something on one machine only
    ("fe80::1%eth0", "zone"),
    ("[fe80::1%25eth0]", "zone"),
    ("[::%31]", "zone"),
    # RFC 3986 section 3.2.2
    ("[127.0.0.1]", "IPv6"),
    ("[::1", "IPv6"),
    ("::1]", "IPv6"),
    ("[::1]:443", "IPv6"),
    ("[v1.x]", "IPv6"),
    ("1::2::3", "IPv6"),
    ("12345::", "IPv6"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_what_has_no_canonical_form_is_no_host(text: str, problem: str) -> None:
    with pytest.raises(BadHost, match=r"is not a host: .*\.$") as caught:
        parse_host(text)
    assert problem in caught.value.problem


def test_a_refusal_is_one_printable_line_of_bounded_length() -> None:
    with pytest.raises(BadHost) as caught:
        parse_host("a\r\n\x1b[31m\u202e" * 500)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


# --- addresses ------------------------------------------------------------------------------------

ADDRESSES = [
    # inet_aton(3): one to four parts, each decimal, octal or hex
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("127.1", "127.0.0.1"),
    ("127.0.1", "127.0.0.1"),
    ("2130706433", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("0X7F.1", "127.0.0.1"),
    ("017700000001", "127.0.0.1"),
    ("0177.0.0.1", "127.0.0.1"),
    ("00000177.0.0x0.1", "127.0.0.1"),
    ("0", "0.0.0.0"),
    # UTS 46 section 5: full-width and circled digits are mapped
    ("１２７。０。０。１", "127.0.0.1"),
    ("①②⑦.1", "127.0.0.1"),
    # RFC 5952: one text for an IPv6 address
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
    ("[2001:db8::1]", "2001:db8::1"),
    ("[0:0::1]", "::1"),
    # RFC 4291 section 2.5.5.2, 2.5.5.1: IPv4-mapped, IPv4-compatible
    ("::ffff:127.0.0.1", "127.0.0.1"),
    ("[::FFFF:7f00:1]", "127.0.0.1"),
    ("::198.51.100.7", "198.51.100.7"),
    # RFC 6052 section 2.1: the NAT64 well-known prefix
    ("64:ff9b::198.51.100.7", "198.51.100.7"),
    ("[64:ff9b::c633:6407]", "198.51.100.7"),
    # endpoints of tunnels stay what they are
    ("2002:c633:6407::1", "2002:c633:6407::1"),
    ("::", "::"),
    ("::1", "::1"),
]


@pytest.mark.parametrize(("spelling", "text"), ADDRESSES)
def test_every_spelling_of_an_address_is_that_address(spelling: str, text: str) -> None:
    assert parse_host(spelling) == Host(text, ip_address(text))


def test_ipv6_stands_in_brackets_in_a_uri() -> None:
    assert parse_host("2001:db8::1").uri == "[2001:db8::1]"
    assert parse_host("127.1").uri == "127.0.0.1"


REACHES = [
    ("198.51.100.7", []),
    ("2606:4700::1111", []),
    ("::1", []),
    ("::", []),
    ("::ffff:198.51.100.7", ["198.51.100.7"]),        # RFC 4291 section 2.5.5.2
    ("::198.51.100.7", ["198.51.100.7"]),             # RFC 4291 section 2.5.5.1
    ("::ffff:0:198.51.100.7", ["198.51.100.7"]),      # RFC 2765 section 2.1
    ("64:ff9b::198.51.100.7", ["198.51.100.7"]),      # RFC 6052 section 2.1
    ("2002:c633:6407::1", ["198.51.100.7"]),          # RFC 3056 section 2
    # RFC 4380 section 4, its example in Wikipedia's article: server, inverted client
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", ["65.54.227.120", "192.0.2.45"]),
    ("2606:4700::5efe:198.51.100.7", ["198.51.100.7"]),      # RFC 5214 section 6.1, u = 0
    ("2606:4700::200:5efe:198.51.100.7", ["198.51.100.7"]),  # u = 1
    # RFC 8215, in each layout of RFC 6052 section 2.2 that fits in a /48: any of them may be meant
    ("64:ff9b:1:c633:64:700::", ["198.51.100.7", "51.100.7.0", "100.7.0.0"]),
    ("64:ff9b:1:c6:33:6407::", ["198.51.100.7", "51.100.7.0"]),
    ("64:ff9b:1::c6:3364:700:0", ["198.51.100.7", "7.0.0.0"]),
    ("64:ff9b:1::198.51.100.7", ["198.51.100.7"]),
]


@pytest.mark.parametrize(("text", "inner"), REACHES)
def test_an_address_reaches_itself_and_all_it_wraps(text: str, inner: list[str]) -> None:
    address = ip_address(text)
    found = reaches(address)
    assert found[0] == address
    assert {str(each) for each in found[1:]} == set(inner)


def test_a_zone_id_does_not_make_another_address() -> None:
    zoned = IPv6Address("fe80::1%eth0")
    assert zoned != IPv6Address("fe80::1")
    assert reaches(zoned) == (IPv6Address("fe80::1"),)
    assert reduced(zoned) == IPv6Address("fe80::1")


NETWORKS = [
    ("203.0.113.0/24", "203.0.113.0/24"),
    ("203.0.113.9", "203.0.113.9/32"),
    ("2001:DB8::/32", "2001:db8::/32"),
    ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
    ("64:ff9b::10.0.0.0/104", "10.0.0.0/8"),
    ("2002::/16", "2002::/16"),
]


@pytest.mark.parametrize(("text", "network"), NETWORKS)
def test_networks_are_reduced_like_addresses(text: str, network: str) -> None:
    assert parse_network(text) == ip_network(network)
    assert reduced_network(ip_network(network)) == ip_network(network)


@pytest.mark.parametrize("text", [
    "203.0.113", "203.0.113.9/24", "0203.0.113.0/24", "203.0.113.0/33", "203.0.113.0/255.255.255.0",
    "203.0.113.0/", "/24", "", "fe80::1%eth0", "fe80::%eth0/64", "example.com", "2001:db8::1/32",
])
def test_a_network_that_may_be_a_slip_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_network(text)


# --- properties -----------------------------------------------------------------------------------

NUMBER = st.integers(0, 2**33).flatmap(
    lambda n: st.sampled_from([str(n), f"0{n:o}", f"0x{n:x}", f"0X{n:X}", f"000{n:o}", f"{n}8"]))
SMALL = st.integers(0, 300).flatmap(lambda n: st.sampled_from([str(n), f"0{n:o}", f"0x{n:x}"]))
FORMS = st.lists(SMALL, max_size=4).flatmap(
    lambda heads: st.one_of(NUMBER, SMALL).map(lambda last: ".".join([*heads, last])))


@given(FORMS)
@example("0x")
@example("08")
@example("1.2.3.4.5")
def test_ipv4_forms_agree_with_inet_aton(text: str) -> None:
    try:
        expected = IPv4Address(socket.inet_aton(text))
    except OSError:
        with pytest.raises(BadHost):
            parse_host(text)
    else:
        assert parse_host(text) == Host(str(expected), expected)


@given(st.one_of(
    st.text(max_size=40),
    st.text("aB0.-_ü。xnß1ｆ%:[]\u200d", max_size=30),
    st.from_regex(r"(xn--[a-z0-9-]{1,12}|[a-z0-9_-]{1,9})(\.[a-z]{2,5}){1,2}\.?", fullmatch=True),
    st.ip_addresses().map(str),
))
def test_the_canonical_form_is_its_own(text: str) -> None:
    try:
        host = parse_host(text)
    except BadHost:
        return
    assert parse_host(host.text) == host
    assert parse_host(host.uri) == host
    assert parse_host(host.text + ".") == host if ":" not in host.text else True
    assert host.text.isascii() and host.text == host.text.lower()
    assert (host.address is None) or str(host.address) == host.text


@given(st.ip_addresses(v=4))
def test_all_spellings_of_an_ipv4_address_give_one_host(address: IPv4Address) -> None:
    value = int(address)
    mapped = IPv6Address(0xFFFF << 32 | value)
    spellings = [
        str(value), hex(value), f"0{value:o}", f"{address}.", f"[{mapped}]", mapped.exploded,
        f"{value >> 24}.{value & 0xFFFFFF}", f"[64:ff9b::{address}]",
        str(address).translate({ord(d): ord(d) + 0xFEE0 for d in "0123456789"}),
    ]
    assert {parse_host(spelling) for spelling in spellings} == {Host(str(address), address)}


@given(st.ip_addresses(v=6))
def test_all_spellings_of_an_ipv6_address_give_one_host(address: IPv6Address) -> None:
    spellings = [str(address), address.exploded, address.exploded.upper(), f"[{address}]"]
    assert len({parse_host(spelling) for spelling in spellings}) == 1
    assert reduced(reduced(address)) == reduced(address)
    assert reaches(address)[0] == address
