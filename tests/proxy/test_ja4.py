"""JA4 against the examples of its technical description, and against hellos that real libraries
send."""

from __future__ import annotations

import ssl

import pytest
from mitmproxy.proxy.layers.tls import parse_client_hello

from outbounds.proxy.ja4 import fingerprint, ja4

SUITES = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014,
          0x009C, 0x009D, 0x002F, 0x0035]
ALGORITHMS = bytes.fromhex("0010 0403 0804 0401 0503 0805 0501 0806 0601".replace(" ", ""))
VERSIONS = bytes.fromhex("06 0a0a 0304 0303".replace(" ", ""))
H2 = b"\x00\x0c\x02h2\x08http/1.1"


def extensions(kinds: str, **bodies: bytes) -> list[tuple[int, bytes]]:
    known = {0x0D: ALGORITHMS, 0x2B: VERSIONS, 0x10: H2}
    known |= {int(kind.removeprefix("x"), 16): body for kind, body in bodies.items()}
    return [(int(kind, 16), known.get(int(kind, 16), b"")) for kind in kinds.split()]


# the browser of the description, as sent: in any order, with GREASE in front and behind
BROWSER = ("1a1a 001b 0000 0033 0010 4469 0017 002d 000d 0005 0023 0012 002b ff01 000b 000a 0015 "
           "dada")


@pytest.mark.parametrize(("version", "suites", "kinds", "bodies", "expected"), [
    # "t13d1516h2_8daaf6152771_e5627efa2ab1", the example with all its parts
    (0x0303, [0x2A2A, *SUITES], BROWSER, {}, "t13d1516h2_8daaf6152771_e5627efa2ab1"),
    (0x0303, SUITES[::-1], " ".join(sorted(BROWSER.split())), {},
     "t13d1516h2_8daaf6152771_e5627efa2ab1"),  # the order is not looked at
    (0x0303, SUITES, "002d 0033 0010 fe0d 0017 44cd 0000 000b 000a 002b ff01 0023 0012 0005 000d "
     "001b", {}, "t13d1516h2_8daaf6152771_d8a2da3f94cd"),
    # no server name: an address was asked for
    (0x0303, SUITES, BROWSER.replace("0000 ", ""), {}, "t13i1515h2_8daaf6152771_e5627efa2ab1"),
    # no ALPN
    (0x0303, SUITES, BROWSER.replace("0010 ", ""), {}, "t13d151500_8daaf6152771_e5627efa2ab1"),
    # without supported_versions the version of the hello counts; without anything the hash is 0
    (0x0303, [], "", {}, "t12i000000_000000000000_000000000000"),
    (0x0301, [], "", {}, "t10i000000_000000000000_000000000000"),
    (0x0300, [], "", {}, "ts3i000000_000000000000_000000000000"),
    (0x7F1C, [], "", {}, "t00i000000_000000000000_000000000000"),
    # only the names that are not hashed
    (0x0303, [], "0000 0010", {}, "t12d0002h2_000000000000_000000000000"),
])
def test_the_description(version: int, suites: list[int], kinds: str, bodies: dict[str, bytes],
                         expected: str) -> None:
    assert ja4(version, suites, extensions(kinds, **bodies)) == expected


@pytest.mark.parametrize(("first", "expected"), [
    (b"h2", "h2"), (b"http/1.1", "h1"), (b"h", "hh"), (b"", "00"),
    # not alphanumeric at either end: of the value in hexadecimal
    (b"\xab", "ab"), (b"\xab\xcd", "ad"), (b"\x30\xab", "3b"), (b"\x30\x31\xab\xcd", "3d"),
    (b"\x30\xab\xcd\x31", "01"), (b"-x", "28"),
])
def test_the_characters_of_alpn(first: bytes, expected: str) -> None:
    body = bytes(2) + bytes([len(first)]) + first
    assert ja4(0x0303, [], [(0x10, body)])[8:10] == expected


def test_counts_end_at_99() -> None:
    found = ja4(0x0303, range(0x1000, 0x1100), [(0x2000 + n, b"") for n in range(200)])
    assert found.startswith("t12i999900_")


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x05\x03", b"\x00\x03\x04\x03\x08"])
def test_a_body_that_is_cut_off_is_read_as_far_as_it_goes(body: bytes) -> None:
    for kind in (0x0D, 0x10, 0x2B):
        assert len(ja4(0x0303, SUITES, [(kind, body)])) == 36


def hello(**options: object) -> bytes:
    """What OpenSSL sends."""
    context = ssl.create_default_context()
    for name, value in options.items():
        if callable(method := getattr(context, name)):
            method(value)
        else:
            setattr(context, name, value)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(into, out, server_hostname="site.test").do_handshake()
    return out.read()


@pytest.mark.parametrize(("options", "begins"), [
    ({}, "t13d"), ({"maximum_version": ssl.TLSVersion.TLSv1_2}, "t12d"),
    ({"set_alpn_protocols": ["h2", "http/1.1"]}, "t13d")])
def test_a_real_hello(options: dict[str, object], begins: str) -> None:
    parsed = parse_client_hello(hello(**options))
    assert parsed is not None
    found = fingerprint(parsed)
    assert found.startswith(begins) and found[8:10] == ("h2" if "set_alpn_protocols" in options
                                                        else "00")
    again = parse_client_hello(hello(**options))
    assert again is not None and fingerprint(again) == found  # nothing random is in it
    assert len(parsed.cipher_suites) == int(found[4:6])
