"""The wire contract, kind by kind, and that no text can break out of its field."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outbounds.core.verdict import Kind, RateLimit, refuse
from outbounds.proxy.replies import (
    STATUS_PHRASES,
    Replies,
    Reply,
    prefers_html,
    proxy_status,
    quoted,
    rate_limit_fields,
    reason_phrase,
    retry_after_seconds,
)

ID = "0190b6f0-1111-7222-8333-444455556666"
REPLIES = Replies("outbounds", "the realm")


def reply_to(kind: Kind = Kind.DENIED, detail: str = "No.", accept: str = "",
             connect: bool = False, close: bool = False, **fields: Any) -> Reply:
    return REPLIES.refusal(refuse("control", kind, detail, **fields), ID, accept=accept,
                           connect=connect, close=close)


def fields(reply: Reply) -> dict[str, str]:
    found = dict(reply.headers)
    assert len(found) == len(reply.headers), "a field stands twice"
    return found


# --- the contract -------------------------------------------------------------------------------

CONTRACT = [
    # (kind, status, phrase, RFC 9209 error type)
    (Kind.UNAUTHENTICATED, 407, "Proxy Authentication Required", "http_request_denied"),
    (Kind.LIMIT, 429, "Too Many Requests", "http_request_denied"),
    (Kind.SUSPENDED, 403, "Forbidden", "http_request_denied"),
    (Kind.DENIED, 403, "Forbidden", "http_request_denied"),
    (Kind.ADDRESS, 403, "Forbidden", "destination_ip_prohibited"),
    (Kind.PROTOCOL, 403, "Forbidden", "http_request_denied"),
    (Kind.ROBOTS, 403, "Forbidden", "http_request_denied"),
    (Kind.LEGAL, 451, "Unavailable For Legal Reasons", "http_request_denied"),
    (Kind.MISDIRECTED, 421, "Misdirected Request", "http_request_error"),
    (Kind.MALFORMED, 400, "Bad Request", "http_request_error"),
    (Kind.HEAD_TIMEOUT, 408, "Request Timeout", "http_request_error"),
    (Kind.BODY_TIMEOUT, 408, "Request Timeout", "http_request_error"),
    (Kind.FLOOD, 429, "Too Many Requests", "http_request_error"),
    (Kind.HEAD_TOO_LARGE, 431, "Request Header Fields Too Large", "http_request_error"),
    (Kind.FAULT, 503, "Service Unavailable", "proxy_internal_error"),
    (Kind.EVIDENCE, 503, "Service Unavailable", "proxy_internal_error"),
    (Kind.NO_SUCH_HOST, 502, "Bad Gateway", "dns_error"),
    (Kind.UNREACHABLE, 502, "Bad Gateway", "destination_unavailable"),
    (Kind.TARGET_TIMEOUT, 504, "Gateway Timeout", "connection_timeout"),
    (Kind.TARGET_TLS, 502, "Bad Gateway", "tls_protocol_error"),
    (Kind.TARGET_PROTOCOL, 502, "Bad Gateway", "http_protocol_error"),
]


def test_the_contract_names_every_kind() -> None:
    assert [row[0] for row in CONTRACT] == list(Kind)
    assert set(STATUS_PHRASES) == {kind.status for kind in Kind}
    assert len({kind.slug for kind in Kind}) == len(Kind)


@pytest.mark.parametrize(("kind", "status", "phrase", "error"), CONTRACT)
def test_contract(kind: Kind, status: int, phrase: str, error: str) -> None:
    reply = reply_to(kind, "Why.", rule="rule:1", clause="P-clause", retry_after=2.2)
    assert (reply.status, reply.reason) == (status, phrase)
    found = fields(reply)
    assert found["Proxy-Status"] == f'outbounds; error={error}; details="Why."'
    assert found["Content-Type"] == "application/problem+json"
    assert found["Content-Length"] == str(len(reply.body))
    assert found["Cache-Control"] == "no-store"
    assert found["Retry-After"] == "3"
    assert json.loads(reply.body) == {
        "type": f"urn:outbounds:problem:{kind.slug}", "title": kind.title, "status": status,
        "detail": "Why.", "instance": f"urn:uuid:{ID}", "control": "control", "rule": "rule:1",
        "clause": "P-clause", "retry_after": 3}
    # RFC 9110 section 15.5.8: only a 407 asks for credentials, and it always does
    assert ("Proxy-Authenticate" in found) is (status == 407)


def test_a_407_asks_for_basic_credentials_in_utf8() -> None:
    assert fields(reply_to(Kind.UNAUTHENTICATED))["Proxy-Authenticate"] == (
        'Basic realm="the realm", charset="UTF-8"')


def test_fields_that_have_nothing_to_say_are_left_out() -> None:
    assert set(fields(reply_to())) == {
        "Proxy-Status", "Content-Type", "Content-Length", "Cache-Control"}
    assert "retry_after" not in json.loads(reply_to().body)


def test_a_legal_demand_says_whose() -> None:
    reply = reply_to(Kind.LEGAL, blocked_by="https://a.example/legal")
    assert fields(reply)["Link"] == '<https://a.example/legal>; rel="blocked-by"'


def test_closing_is_announced() -> None:
    assert fields(reply_to(close=True))["Connection"] == "close"


@pytest.mark.parametrize(("seconds", "shown"), [
    (None, None), (0.0, 1), (0.001, 1), (1.0, 1), (1.0001, 2), (59.5, 60), (3600.0, 3600)])
def test_retry_after_is_whole_seconds_rounded_up(seconds: float | None, shown: int | None) -> None:
    assert retry_after_seconds(seconds) == shown


# --- reason phrases -----------------------------------------------------------------------------


def test_the_refusal_of_a_connect_says_why_in_its_reason() -> None:
    assert reply_to(detail="It is on a list.", connect=True).reason == (
        "Destination denied: It is on a list.")


@pytest.mark.parametrize(("text", "phrase"), [
    ("plain", "plain"),
    ("a\r\nSet-Cookie: x", "a??Set-Cookie: x"),
    ("naïve ☃", "na?ve ?"),
    ("x" * 200, "x" * 200),
    ("x" * 201, "x" * 197 + "..."),
    ("\x00\x7f\t", "???"),
])
def test_reason_phrase(text: str, phrase: str) -> None:
    assert reason_phrase(text) == phrase


# --- structured fields --------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "field"), [
    ("", '""'),
    ("plain", '"plain"'),
    ('say "no"', r'"say \"no\""'),
    ("back\\slash", r'"back\\slash"'),
    ('\\"', r'"\\\""'),
    ("faß\n", '"fa??"'),
])
def test_quoted(text: str, field: str) -> None:
    assert quoted(text) == field


@pytest.mark.parametrize(("name", "first"), [
    ("outbounds", "outbounds"), ("proxy.example.net:8080", "proxy.example.net:8080"),
    ("*any", "*any"), ("two words", '"two words"'), ("1st", '"1st"'), ("a,b", '"a,b"'),
    ("", '""'),
])
def test_a_name_that_is_no_token_becomes_a_string(name: str, first: str) -> None:
    assert proxy_status(name, "dns_error", "x") == f'{first}; error=dns_error; details="x"'


def test_rate_limit_fields() -> None:
    assert rate_limit_fields(RateLimit("per-account", 60, 60.0, 7, 12.01)) == [
        ("RateLimit-Policy", '"per-account";q=60;w=60'), ("RateLimit", '"per-account";r=7;t=13')]


def test_concurrent_tunnels_have_no_window() -> None:
    assert rate_limit_fields(RateLimit("tunnels", 3, 0.0, 0, 0.0)) == [
        ("RateLimit-Policy", '"tunnels";q=3;qu="concurrent-requests"'),
        ("RateLimit", '"tunnels";r=0')]


def test_a_window_below_a_second_is_told_as_one() -> None:
    assert rate_limit_fields(RateLimit("x", 5, 0.2, 0, 0.1)) == [
        ("RateLimit-Policy", '"x";q=5;w=1'), ("RateLimit", '"x";r=0;t=1')]


def test_a_reply_carries_the_state_of_its_limit() -> None:
    found = fields(reply_to(Kind.LIMIT, rate_limit=RateLimit("x", 60, 60.0, 0, 3.0)))
    assert (found["RateLimit-Policy"], found["RateLimit"]) == ('"x";q=60;w=60', '"x";r=0;t=3')


# --- Accept -------------------------------------------------------------------------------------

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(("accept", "wanted"), [
    ("", False),
    ("*/*", False),
    ("text/html", True),
    ("TEXT/HTML", True),
    (BROWSER, True),
    ("application/json", False),
    ("application/problem+json, text/html", False),
    ("application/json;q=0.4, text/html;q=0.5", True),
    ("text/html;q=0.5, application/json", False),
    ("text/html, */*", False),
    ("text/html, */*;q=0.1", True),
    ("text/html;q=0", False),
    ("text/html;level=1;q=0.9, application/json;q=0.8", True),
    ("text/*", True),
    ("text/*;q=0.2, application/*;q=0.3", False),
    # the most specific range of a type counts: RFC 9110 section 12.5.1
    ("application/problem+json;q=0.1, */*, text/html;q=0.5", True),
    ("text/html;q=high", False),
    ("text/html; q=0.7 , application/json; q=0.6", True),
    ("text/plain", False),
    (";;,,q=1,", False),
])
def test_accept(accept: str, wanted: bool) -> None:
    assert prefers_html(accept) is wanted
    content = fields(reply_to(accept=accept))["Content-Type"]
    assert content == ("text/html; charset=utf-8" if wanted else "application/problem+json")


class Text(HTMLParser):
    """The text of a page, and the names of its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)


def test_a_page_says_the_same_as_the_json() -> None:
    reply = reply_to(Kind.LIMIT, "Slow <down> & wait.", BROWSER, rule="r:1", clause="S-fair",
                     retry_after=5.0)
    text = " ".join(Text(reply.body.decode()).words)
    for part in ("429", "Limit reached", "Slow <down> & wait.", "r:1", "S-fair", "5 s",
                 f"urn:uuid:{ID}", "not from the site"):
        assert part in text
    assert fields(reply)["Content-Length"] == str(len(reply.body))


def test_a_page_holds_no_markup_but_its_own() -> None:
    bad = "<script>alert(1)</script><img src=x onerror=y>\"'&"
    page = Text(reply_to(detail=bad, accept="text/html", rule=bad, clause=bad).body.decode())
    assert not {"script", "img"} & set(page.elements)
    assert html.unescape(bad) in "".join(page.words)


# --- laws ---------------------------------------------------------------------------------------

ANY = st.text(st.characters(codec=None), max_size=300)  # lone surrogates and controls included
VALUE = re.compile(rb"[ -~]*")  # what RFC 9110 section 5.5 lets stand in a value, without tabs
SF_STRING = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*"')


@given(detail=ANY, rule=ANY, blocked_by=ANY, accept=ANY, kind=st.sampled_from(Kind),
       connect=st.booleans())
@example(detail="\udcff\r\n", rule="\udc80", blocked_by="\r\nX: y", accept=BROWSER,
         kind=Kind.LEGAL, connect=True)
@example(detail="\udcff", rule="", blocked_by="", accept="", kind=Kind.DENIED, connect=False)
def test_whatever_the_text_the_reply_is_valid(detail: str, rule: str, blocked_by: str,
                                              accept: str, kind: Kind, connect: bool) -> None:
    """Details quote hosts, methods and agents, so every octet of a request can turn up in one."""
    reply = reply_to(kind, detail, accept, connect, rule=rule, blocked_by=blocked_by,
                     retry_after=1.0)
    octets = reply.to_bytes()
    head, _, body = octets.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1\.1 [0-9]{3} [ -~]+", lines[0]) and len(lines[0]) < 220
    assert len(lines) == 1 + len(reply.headers)
    for line in lines[1:]:
        name, _, value = line.partition(b": ")
        assert re.fullmatch(rb"[A-Za-z-]+", name) and VALUE.fullmatch(value)
    assert body == reply.body and str(len(body)) == fields(reply)["Content-Length"]
    details = fields(reply)["Proxy-Status"].partition("details=")[2]
    assert SF_STRING.fullmatch(details)
    body.decode("utf-8")
    if "json" in fields(reply)["Content-Type"]:
        assert json.loads(body)["status"] == kind.status
    response = reply.to_response()
    assert (response.status_code, response.content) == (kind.status, body)
    assert response.headers["Proxy-Status"] == fields(reply)["Proxy-Status"]


@given(ANY)
def test_a_quoted_text_can_be_read_back(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert re.sub(r"\\(.)", r"\1", inner) == "".join(c if " " <= c <= "~" else "?" for c in text)


# --- HEAD ---------------------------------------------------------------------------------------


def test_the_answer_to_a_head_has_the_length_of_a_body_but_no_body() -> None:
    reply = reply_to()
    response = reply.to_response(head=True)
    assert response.raw_content == b""
    assert response.headers["Content-Length"] == str(len(reply.body)) != "0"
