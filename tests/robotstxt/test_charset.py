"""Files in other encodings, so that a rule for /größe means that path: RFC 9309 section 2.3."""

from __future__ import annotations

import codecs

import pytest

from outbounds.core.robots import Robots
from outbounds.core.robots_parse import SIZE_LIMIT
from outbounds.robotstxt.charset import in_utf8

GERMAN, RUSSIAN, JAPANESE, CHINESE = "/größe", "/цена", "/価格", "/价格"


def rules(path: str) -> str:
    return f"user-agent: *\ndisallow: {path}\n"


WRITTEN = [  # the charset that the reply names, the path, how it was written
    ("", GERMAN, "utf-8"), ("utf-8", GERMAN, "utf-8"), ("utf-8", GERMAN, "utf-8-sig"),
    ("iso-8859-1", GERMAN, "iso-8859-1"), ("ISO-8859-1", "/prix-€", "cp1252"),
    ("windows-1252", "/prix-€", "cp1252"), ("iso-8859-15", "/prix-€", "iso8859-15"),
    ("us-ascii", GERMAN, "cp1252"), ("iso-8859-9", "/ışık", "cp1254"),
    ("windows-1251", RUSSIAN, "cp1251"), ("koi8-r", RUSSIAN, "koi8-r"),
    ("Shift_JIS", JAPANESE, "cp932"), ("euc-jp", JAPANESE, "euc-jp"), ("GBK", CHINESE, "gbk"),
    ("gb2312", CHINESE, "gb2312"), ("big5", "/價格", "big5"), ("euc-kr", "/가격", "euc-kr"),
    ("utf-16le", GERMAN, "utf-16-le"), ("utf-16be", GERMAN, "utf-16-be"),
    ("", GERMAN, "utf-16"), ("utf-8", GERMAN, "utf-16"), ("iso-8859-1", GERMAN, "utf-16"),
    # what is valid UTF-8 is UTF-8, whatever the server says of all that it serves
    ("iso-8859-1", GERMAN, "utf-8"), ("windows-1251", RUSSIAN, "utf-8"),
]


@pytest.mark.parametrize(("charset", "path", "codec"), WRITTEN,
                         ids=[f"{charset or 'none'}-{codec}" for charset, _, codec in WRITTEN])
def test_a_path_means_itself(charset: str, path: str, codec: str) -> None:
    body = in_utf8(rules(path).encode(codec), charset)
    assert body.decode("utf-8-sig") == rules(path)
    assert not Robots.parse(body).allowed(path, "FooBot").allowed


@pytest.mark.parametrize("charset", [
    "", "utf-8", "x-unknown", "hex", "rot13", "zlib", "unicode_escape", "utf-7", "idna", "\0",
    "../etc", "utf_16\n", "a" * 10_000,
])
def test_what_is_not_known_is_taken_as_it_is(charset: str) -> None:
    octets = rules(GERMAN).encode("iso-8859-1")
    assert in_utf8(octets, charset) == octets


@pytest.mark.parametrize("charset", ["windows-1252", "shift_jis", "euc-jp", "big5", "gbk"])
def test_what_does_not_fit_is_taken_as_it_is(charset: str) -> None:
    octets = b"user-agent: *\ndisallow: /\x81\xff\x90\x9d/\xff\n"
    assert in_utf8(octets, charset) == octets


LINE = "disallow: /ü\n"


@pytest.mark.parametrize(("charset", "codec"), [
    ("", "utf-8"), ("", "utf-16-le"), ("utf-16be", "utf-16-be"), ("iso-8859-1", "iso-8859-1"),
])
def test_half_a_line_is_never_read(charset: str, codec: str) -> None:
    mark = codecs.BOM_UTF16_LE if codec == "utf-16-le" else b""
    octets = (mark + (LINE * 60_000).encode(codec))[: SIZE_LIMIT + 1]
    body = in_utf8(octets, charset)
    assert len(body) <= SIZE_LIMIT
    text = body.decode()
    assert text == LINE * (len(text) // len(LINE))
    assert len(text) > 0.4 * SIZE_LIMIT / (2 if codec.startswith("utf-16") else 1)


def test_a_torn_utf_16_is_no_error() -> None:
    assert in_utf8(b"\xff\xfea\x00\x00\xd8b", "") == "a\ufffd".encode()
