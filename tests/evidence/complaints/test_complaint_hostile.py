"""A complaint is written by a stranger: nothing it holds raises, hangs, or is opened."""

from __future__ import annotations

import gzip
import random
import zipfile
from io import BytesIO
from ipaddress import IPv6Address

import pytest
from complaint_reading import CLOCK, read
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.evidence.complaints import MAX_OCTETS, MAX_SIGHTINGS, MAX_UNREAD, parse

HEAD = "From: a@example.org\nTo: b@example.org\nMIME-Version: 1.0\n"


def archive() -> bytes:
    """64 MiB of nothing in a few kilobytes."""
    octets = BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("log", bytes(64 * 1024 * 1024))
    return octets.getvalue()


def nested(depth: int) -> str:
    return HEAD + "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n'
                          for n in range(depth))


REFUSED = [
    (archive(), "a ZIP archive is not opened"),
    (gzip.compress(b"192.0.2.7"), "gzip is not opened"),
    (b"%PDF-1.7\n", "a PDF is not opened"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document or .msg is not opened"),
    (bytes(range(32)) * 100, "this is not text"),
    (b"x" * (MAX_OCTETS + 1), "are not read: give the lines with the address alone"),
    (nested(101).encode(), "a mail of more than 100 nested parts is not taken apart"),
]


@pytest.mark.parametrize(("octets", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_is_not_read_is_said(octets: bytes, why: str) -> None:
    found = parse(octets, CLOCK)
    assert not found.sightings
    assert why in found.unread[0].why


# each as long as a line may be: what is quadratic in it would be noticed a hundred times over
UNITS = ["1", "1.", "a:", ":", "[", '"', "\\", " ", "a=", 'a="', "Jan 1 ", "2026-11-21 ",
         "12:03:07 ", "192.0.2.7 ", "1/", "src ", "from ", "http://", "+/- ", "a b ", ",", "\t",
         "[21/Nov/2026:12:03:07 +0000] ", '{"a":', '"GET ', "12:03 Area/", "source port ", "=?",
         "Content-Type: ", "--", "2001:db8::7 "]


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_line_of_one_thing(unit: str) -> None:
    line = (unit * 8192)[:8000]
    for text in (line, f"{line}192.0.2.7", f"192.0.2.7 {line}"):
        found = read("\n".join([text] * 3))
        assert len(found.sightings) <= 3


MAILS = [
    HEAD + "Content-Type: text/html\n\n" + "<a " * 20_000,
    HEAD + "Content-Type: text/html\n\n" + "<![CDATA[" * 5_000 + "&#x" * 5_000 + "<!--" * 5_000,
    HEAD + "Content-Type: multipart/mixed; boundary=" + "a" * 5_000 + "\n\n"
    + ("-" * 99 + "\n") * 99,
    HEAD + "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 5_000,
    HEAD + "Content-Type: text/plain; " + "a=b; " * 5_000 + "\n\nx",
    HEAD + "Content-Type: text/plain; " + "".join(f"a*{n}*=x; " for n in range(2_000)) + "\n\nx",
    HEAD + "Subject: " + "=?utf-8?q?a?= " * 5_000 + "\n\nx",
    HEAD + "Content-Type: text/plain; charset=no-such-charset\n\n192.0.2.7",
    HEAD + "Content-Type: text/plain; charset=idna\n\n192.0.2.7 \xff",
    HEAD + "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!!",
    HEAD + "Content-Type: text/plain\nContent-Transfer-Encoding: uuencode\n\nbegin 644 x\n!!!!",
    HEAD + "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: "
           "message/feedback-report\n\n--b\nContent-Type: message/rfc822\n\n--b--",
    HEAD + "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: "
           "message/feedback-report\nContent-Transfer-Encoding: base64\n\nU291cmNl\n--b--",
    HEAD + "Content-Type: multipart/mixed\n\nno boundary",
    HEAD + "Date: " + "1" * 9_000 + "\n\n192.0.2.7",
    nested(60),
]


@pytest.mark.parametrize("number", range(len(MAILS)))
def test_a_hostile_mail(number: int) -> None:
    found = read(MAILS[number].encode("utf-8", "surrogateescape"))
    assert len(found.unread) <= MAX_UNREAD


JSON = [
    "[" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000, '{"ip":' + "9" * 5_000 + "}",
    '{"ip":NaN,"time":Infinity}', '{"ip":{"ip":{"ip":{"ip":{"ip":{"ip":{"ip":"192.0.2.7"}}}}}}}',
    "[1,2,3]", "[[[]]]", "{}", '{"ip":["192.0.2.7"],"time":[[1]]}', '{"xarf_version":{}}',
    '{"Report":{"Samples":[{"Payload":"===="},{"Payload":5},7]},"Version":[]}',
    '{"xarf_version":"4","source_identifier":"192.0.2.7","evidence":[{"payload":"'
    + "QUFB" * 500_000 + '"}]}',
]


@pytest.mark.parametrize("number", range(len(JSON)))
def test_hostile_json(number: int) -> None:
    assert len(read(JSON[number]).sightings) <= 1


def test_there_is_a_bound_on_what_is_kept() -> None:
    many = read("\n".join(
        f"2026-11-21 12:03:07 UTC 192.0.2.7:{port}" for port in range(20_000, 22_500)))
    assert len(many.sightings) == MAX_SIGHTINGS
    assert f"only the first {MAX_SIGHTINGS:,} of 2,500 sightings are used" in many.notes
    bad = read("\n".join(f'h{n} - - [21/Nov/2026:12:03:07 +0000] "G"' for n in range(300)))
    assert len(bad.unread) == MAX_UNREAD
    assert "100 more parts could not be read" in bad.notes


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000))
def test_no_octets_raise(octets: bytes) -> None:
    for form in ("", "mail", "xarf", "text"):
        parse(octets, CLOCK, form=form)


WORDS = ["192.0.2.7", ":51234", " ", "\n", "\n\n", "2026-11-21", "12:03:07", "UTC", "GET /", '"',
         "[", "]", "{", "}", ":", "=", "ip", "port", "time", "From: ", "To: ", "Content-Type: ",
         "multipart/mixed; boundary=b", "--b", "message/feedback-report", "text/html", "<p>", "\0",
         "Source-IP: ", "\x1b[31m", "\u202e", "ü"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_no_mixture_of_what_it_knows_raises(words: list[str]) -> None:
    found = read("".join(words))
    for each in found.sightings:
        # a mixture can spell an IPv6 address, too: 12:03:07::192.0.2.7
        assert each.address == "192.0.2.7" or IPv6Address(each.address)
        assert all(moment.earliest <= moment.latest for moment in each.moments)


@pytest.mark.parametrize("name", range(4))
def test_what_is_broken_in_one_place_is_read_in_the_others(name: int) -> None:
    """A flipped octet may cost its line, never the others."""
    line = '192.0.2.7 - - [21/Nov/2026:12:03:{:02d} +0000] "GET /{} HTTP/1.1" 200 1'
    lines = [line.format(n, n) for n in range(40)]
    chance = random.Random(name)
    broken = chance.randrange(40)
    octets = bytearray(lines[broken], "ascii")
    octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(7)
    lines[broken] = octets.decode("ascii").replace("\n", " ").replace("\r", " ")
    found = {each.path for each in read("\n".join(lines)).sightings}
    assert {f"/{n}" for n in range(40) if n != broken} <= found
