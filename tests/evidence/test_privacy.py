"""Secrets are pushed through everything that may hold one, and must not come out."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.evidence.decision import opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.line import flat
from outbounds.evidence.privacy import Hasher, load_key, scrubbed_reason
from outbounds.evidence.record import Encoder

HASH = Hasher(b"k" * 32)
ENCODER = Encoder("s", b"k" * 32)
SECRET = "c2VjcmV0LXNlY3JldA"


@pytest.mark.parametrize("target", [
    f"/?q={SECRET}", f"/?{SECRET}", f"/?{SECRET}==", f"/?a=1&{SECRET}==&b", f"/?{SECRET * 5}=x",
    f"/?q==={SECRET}", f"/?a;b={SECRET}", f"/a?b?c={SECRET}", f"/#access_token={SECRET}",
    f"/?a=b#{SECRET}", f"/x//user:{SECRET}@host/y", f"/http://{SECRET}@host/", f"//{SECRET}@h",
    f"/u/a:{SECRET}@host/x",
    f"http://user:{SECRET}@host/?x={SECRET}", f"user:{SECRET}@host:443",
    "/?" + "&".join(f"k{i}={SECRET}" for i in range(300)), f"/?q=\ud800{SECRET}",
    f"/?q=%22\r\n{SECRET}",
])
def test_no_secret_of_a_target_is_written(target: str) -> None:
    record = opening(id=new_id(1), at=1, action="request")
    assert SECRET.encode() not in ENCODER.encode(record, target)


@pytest.mark.parametrize("reason", [
    f"Bad HTTP request line: b'GET http://u:{SECRET}@h/?q={SECRET} HTTP/1.1'",
    f'Invalid header: b"Authorization: Basic {SECRET}"',
    f"Proxy-Authorization: Basic {SECRET}", f"got Bearer {SECRET}", f"cookie: a={SECRET}; b=2",
    f"invalid URL https://h/?x={SECRET}", f"no such path /a?x={SECRET}", f"api_key={SECRET}",
    f"cannot parse u:{SECRET}@host:80", f"X-Session-Id: {SECRET}",
])
def test_no_secret_of_a_reason_is_written(reason: str) -> None:
    record = opening(id=new_id(1), at=1, action="malformed")
    record.reason = record.observed = reason
    assert SECRET.encode() not in ENCODER.encode(record)


@pytest.mark.parametrize("agent", [
    f"Bearer {SECRET}", f"x/1 token={SECRET}", f"x (+http://u:{SECRET}@h/)",
    f"x (+https://h/about?k={SECRET})", f"x (+https://{SECRET}@h)"])
def test_no_secret_of_a_user_agent_is_written(agent: str) -> None:
    record = opening(id=new_id(1), at=1, action="request")
    record.user_agent = agent
    assert SECRET.encode() not in ENCODER.encode(record)


def test_what_the_controls_say_is_kept() -> None:
    for said in ("www.example.com is at 10.0.0.1: a private address (RFC 1918).",
                 "The robots.txt of example.com disallows this path for 'MyBot/1.0' (line 3).",
                 "The limit 'per-account' allows 60 requests per 60 s for each account."):
        assert scrubbed_reason(said) == said
    record = opening(id=new_id(1), at=1, action="request")
    record.user_agent = "Googlebot/2.1 (+http://www.google.com/bot.html)"
    assert flat(ENCODER.encode(record))["user_agent.original"] == \
        "Googlebot/2.1 (+http://www.google.com/bot.html)"


JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0"


@pytest.mark.parametrize("token", [
    JWT, "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.",
    "5f4dcc3b5aa765d61d8327deb882cf99", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "reset-3F2504E0-4F89-41D3-9A0C-0305E82C3301",
    "xoxb0aBcD1eFgH2iJkL3mNoP", "8yqBHhN2WmD4kRzXv0Lt6sPa",       # a bot, a web hook
    "wJalrXUtnFEMI-K7MDENGbPxRfiCYEXAMPLEKEY0aB",                  # base64url
    "4Kq%2BbZ7dW1uXv9Rr2TgYh5Nn8MmQ%3D%3D",                        # base64, percent-encoded
    "12345678901234567890123456789012", "AAEhBOweik6ad9r_QXMENQjcrbGa9-4pNF1s",
])
@pytest.mark.parametrize("place", ["/reset/{}", "/{}/edit", "/a;session={};x=1/b", "/hook:{}",
                                   "/{}.html", "/files/{}?q=1"])
def test_what_looks_like_a_token_in_a_path_is_hashed(token: str, place: str) -> None:
    record = opening(id=new_id(1), at=1, action="request")
    path = flat(ENCODER.encode(record, place.format(token)))["url.path"]
    assert "h:" in path
    for word in token.replace("%", ".").split("."):
        assert len(word) < 8 or word not in path
    # the rest is kept, so the site's own structure can still be read
    assert path.startswith(place.partition("{")[0][:6].rpartition("/")[0])


@pytest.mark.parametrize("path", [
    "/", "/index.html", "/catalogue/2026/winter/shoes/size-42",
    "/how-to-install-python-3-on-windows-10-in-2024-a-complete-guide.html",
    "/How-To-Install-Python-3-on-Windows-10-in-2024",
    "/supercalifragilisticexpialidocious-and-then-some",
    "/ThisIsAVeryLongCamelCaseClassNameForJava.java", "/wiki/Donaudampfschifffahrtsgesellschaft",
    "/wiki/%E3%83%A1%E3%82%A4%E3%83%B3%E3%83%9A%E3%83%BC%E3%82%B8",
    "/orders/20261121/0001234567/lines/17", "/watch/dQw4w9WgXcQ", "/IMG_20261121_120307.jpg",
    "/v1.2.3/api/v2/users/me/sessions", "/~alice/papers/2026-11-21-on-evidence.pdf",
    "/-/-/-/", "/@alice/1234", "/users/alice@example.net", "/time/12:03:07", "/" + "a" * 64,
    "/" + "-" * 64,
])
def test_names_in_a_path_are_kept(path: str) -> None:
    record = opening(id=new_id(1), at=1, action="request")
    assert flat(ENCODER.encode(record, path))["url.path"] == path


def test_a_hashed_token_can_be_looked_for() -> None:
    """Who has the key and a complaint that names the path finds the record by it."""
    one, two = HASH.path(f"/reset/{JWT}"), HASH.path(f"/reset/{JWT}")
    assert one == two and re.fullmatch(r"/reset/h:[0-9a-f]{16}", one)
    assert Hasher(b"o" * 32).path(f"/reset/{JWT}") != one


def test_the_shape_of_a_query() -> None:
    shape, cut = HASH.query("q=hello&page=2&q=hello&empty=&flag")
    q, page, again, empty, flag = shape.split("&")
    assert q == again and q.startswith("q=h:") and len(q) == len("q=h:") + 16
    assert page.startswith("page=h:") and empty == "empty=" and flag.startswith("h:")
    assert not cut
    assert Hasher(b"o" * 32).query("q=hello")[0] != q


@given(st.text(), st.text(min_size=1))
def test_values_never_show(key: str, value: str) -> None:
    """A value's place holds 16 hexadecimal digits and nothing else; a bare part is a value."""
    shape, _ = HASH.query(f"{key}&name=x{value}")
    for part in shape.split("&"):
        before, is_pair, after = part.partition("=")
        assert re.fullmatch(r"(h:[0-9a-f]{16})?", after if is_pair else before)


def test_a_long_query_is_bounded_and_says_so() -> None:
    shape, cut = HASH.query("&".join(f"{'k' * 60}{i}=v" for i in range(1000)))
    assert cut and len(shape) <= 2048 + 32


def test_hostile_text_costs_little() -> None:
    """Quadratic searching would take minutes here; the bound is wide, for a busy machine."""
    started = time.process_time()
    for text in ("a" * 1_000_000, "?" * 1_000_000, "-" * 1_000_000, "//" * 500_000,
                 "@/" * 500_000, "a=" * 500_000, "&" * 1_000_000,
                 "eyJ" * 300_000, "eyJaaaaaaaa." * 90_000, "aA1-" * 250_000, "%41" * 300_000):
        record = opening(id=new_id(1), at=1, action="malformed")
        record.reason = record.user_agent = record.user_id = text
        ENCODER.encode(record, text)
        ENCODER.encode(record, "/?" + text)
    assert time.process_time() - started < 10


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = load_key(tmp_path / "evidence")
    path = tmp_path / "evidence" / "query.key"
    assert len(key) == 32 and load_key(tmp_path / "evidence") == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["query.key"]
    os.chmod(path, 0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        load_key(tmp_path / "evidence")
    os.chmod(path, 0o600)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="5 bytes, must be 32"):
        load_key(tmp_path / "evidence")
