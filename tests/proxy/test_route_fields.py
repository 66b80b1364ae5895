"""Which fields claim a route, in every spelling, and that all of them go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from outbounds.proxy.route_fields import RouteFields
from outbounds.settings.rules import ForgedHeaders

NAMES = ("Via", "Forwarded", "X-Forwarded-*", "X-Real-IP")

# constructed: a clause is only known to be right beside the catalogue
FIELDS = RouteFields(
    ForgedHeaders.model_construct(action="strip", names=NAMES, clause="P-forge"))


def request(*fields: tuple[bytes, bytes]) -> http.Request:
    return http.Request("site.example", 80, b"GET", b"http", b"", b"/", b"HTTP/1.1",
                        http.Headers(fields), b"", None, 0.0, 0.0)


@pytest.mark.parametrize(("name", "found"), [
    (b"Via", "via"), (b"VIA", "via"), (b"via", "via"), (b"X-Forwarded-For", "x-forwarded-for"),
    (b"x-forwarded-anything", "x-forwarded-anything"), (b"X-FORWARDED-", "x-forwarded-"),
    (b"x-real-ip", "x-real-ip"), (b"Forwarded", "forwarded"),
    (b"X-Forwarded", ""), (b"Viaduct", ""), (b"X-Real-IP2", ""), (b"Host", ""),
    (b"Forwarded-By", ""), (b"", ""),
])
def test_which_fields_count(name: bytes, found: str) -> None:
    assert FIELDS.found(request((name, b"x"))) == ((found,) if found else ())


def test_all_of_them_go_and_nothing_else_does() -> None:
    made = request((b"Host", b"site.example"), (b"Via", b"1"), (b"VIA", b"2"), (b"Accept", b"*/*"),
                   (b"X-Forwarded-For", b"192.0.2.1"), (b"X-Forwarded-Proto", b"https"))
    names = FIELDS.found(made)
    assert names == ("via", "via", "x-forwarded-for", "x-forwarded-proto")
    FIELDS.strip(made, names)
    assert made.headers.fields == ((b"Host", b"site.example"), (b"Accept", b"*/*"))
    assert FIELDS.found(made) == ()


def test_no_names_find_nothing() -> None:
    nothing = RouteFields(
        ForgedHeaders.model_construct(action="strip", names=(), clause="P-forge"))
    assert nothing.found(request((b"Via", b"1"), (b"", b""))) == ()


CASES = st.sampled_from(["Via", "Forwarded", "X-Forwarded-For", "X-Real-IP", "Host", "Cookie"])


@given(st.lists(st.tuples(CASES, st.booleans()), max_size=12))
def test_after_a_strip_there_is_nothing_left_to_find(fields: list[tuple[str, bool]]) -> None:
    made = request(*(((name.upper() if upper else name.lower()).encode(), b"x")
                     for name, upper in fields))
    others = sum(name in ("Host", "Cookie") for name, _ in fields)
    FIELDS.strip(made, FIELDS.found(made))
    assert FIELDS.found(made) == () and len(made.headers.fields) == others
