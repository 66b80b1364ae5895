"""The format: names, bounds, and that no text can break a line."""

from __future__ import annotations

import os
import re
import uuid
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.core.account import Account
from outbounds.core.case import Case
from outbounds.core.questions import RobotsAnswer
from outbounds.core.request import Credentials, Request, Source, Way
from outbounds.core.verdict import Kind, refuse
from outbounds.evidence.decision import closing, opening, opening_of
from outbounds.evidence.fields import DETAIL, FIELDS
from outbounds.evidence.identifier import new_id, salt, timestamp
from outbounds.evidence.line import flat, split
from outbounds.evidence.record import Detail, Encoder, Record

AT = 1_795_219_387_000_250_999  # 2026-11-21T00:03:07.000250999Z
ENCODER = Encoder("session-1", b"k" * 32)
TEXTS = [name for name, (_, bound) in FIELDS.items() if bound]

# The names are a promise to whoever searches the log: a change here is a change of the format.
ECS = {
    "@timestamp", "event.id", "event.type", "event.kind", "event.action", "event.outcome",
    "event.reason", "event.start", "event.duration", "user.id", "source.ip", "source.port",
    "source.bytes", "source.nat.ip", "source.nat.port", "destination.domain", "destination.ip",
    "destination.port", "destination.bytes", "network.transport", "network.protocol",
    "http.request.method", "http.version", "url.scheme", "url.path", "url.query", "url.fragment",
    "user_agent.original", "http.request.bytes", "http.response.status_code",
    "http.response.bytes", "tls.client.server_name", "tls.client.ja4", "tls.version", "tls.cipher",
    "tls.next_protocol", "trace.id", "parent.id", "rule.id", "rule.ruleset", "rule.reference",
    "rule.category",
}
OURS = {
    "session", "operator", "verdict", "wait", "way", "connection", "visibility", "policy.version",
    "lists.version",
    "robots.sha256", "robots.line", "robots.state", "robots.scope", "robots.age",
    "robots.agent", "robots.exempt", "robots.usage", "robots.tag", "robots.content_usage",
    "exception", "observed", "cut", "clock.offset", "clock.error", "case", "scope", "count", "salt",
    "detail.sha256",
}


def test_the_table_is_the_struct() -> None:
    assert [f.name for f in msgspec.structs.fields(Record)] == list(FIELDS)
    assert {f.encode_name for f in msgspec.structs.fields(Record)} == \
        ECS | {f"outbounds.{name}" for name in OURS}
    for f in msgspec.structs.fields(Record):
        assert f.type is (str if FIELDS[f.name][1] else int)


def test_the_detail_is_what_can_be_erased() -> None:
    salt, *held = msgspec.structs.fields(Detail)
    assert salt.encode_name == "salt"
    assert [f.name for f in held] == list(DETAIL)
    assert [f.encode_name for f in held] == [FIELDS[name][0] for name in DETAIL]
    # each lands in the detail, and nothing else does
    for name in FIELDS:
        if FIELDS[name][1] and name not in ("url_path", "url_query", "url_fragment", "session",
                                            "salt", "detail", "cut"):
            envelope, detail = split(ENCODER.encode(bare(**{name: "x"})))
            assert (FIELDS[name][0].encode() in detail) is (name in DETAIL), name
            assert (FIELDS[name][0].encode() in envelope) is (name not in DETAIL), name
    envelope, detail = split(ENCODER.encode(bare(), "/p?q=1#f"))
    assert b"url" not in envelope and detail.count(b'"url.') == 3


def bare(**facts: object) -> Record:
    return Record(**{"timestamp": timestamp(AT), "id": new_id(AT), "type": "start",
                     "kind": "event", "action": "request", **facts})


@given(st.sampled_from(TEXTS), st.text(max_size=3000))
@settings(max_examples=300, deadline=None)
def test_any_text_in_any_field_is_one_line_that_decodes(field: str, text: str) -> None:
    line = ENCODER.encode(bare(**{field: text}), text)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    found = flat(line)
    for name, (key, bound) in FIELDS.items():
        value = found.get(key, "")
        if bound:
            assert isinstance(value, str) and value.isprintable()
            assert len(value.encode()) <= bound, name
        else:
            assert isinstance(found.get(key, 0), int)


# set by the encoder alone, or made smaller by it
GIVEN = [name for name in TEXTS if name not in (
    "session", "url_path", "url_query", "url_fragment", "salt", "detail", "cut",
    "http_request_method")]


@pytest.mark.parametrize("name", GIVEN)
def test_text_is_kept_up_to_its_bound_and_cut_beyond_it(name: str) -> None:
    key, bound = FIELDS[name]
    assert flat(ENCODER.encode(bare(**{name: "x" * bound})))[key] == "x" * bound
    cut = flat(ENCODER.encode(bare(**{name: "x" * (bound + 1)})))
    assert cut[key] == "x" * bound and cut["outbounds.cut"] == key


@pytest.mark.parametrize(("text", "written"), [
    ('say "hello"', 'say "hello"'), ("back\\slash", "back\\slash"), ("a\x7fb", "a%7Fb"),
    ("tab\there", "tab%09here"), ("caf\u00e9", "caf\u00e9"), ("\x85", "%C2%85"), ("<&>'", "<&>'"),
])
@pytest.mark.parametrize("name", ["rule_id", "user_agent"])  # of the envelope, of the detail
def test_text_that_json_or_a_terminal_would_change(name: str, text: str, written: str) -> None:
    line = ENCODER.encode(bare(**{name: text}))
    assert flat(line)[FIELDS[name][0]] == written and line.count(b"\n") == 1


@pytest.mark.parametrize(("method", "written"), [
    ("GET", "GET"), ("get", "get"), ("PROPFIND", "PROPFIND"), ("PURGE", "PURGE"), ("", None),
    ("HUSH", "h:"), ("GETX", "h:"), ("x" * 1000, "h:"), ("G\u00c9T", "h:"), ("gEt", "h:")])
def test_a_method_that_is_none_is_hashed(method: str, written: str | None) -> None:
    found = flat(ENCODER.encode(bare(http_request_method=method))).get("http.request.method")
    assert found == written or (written == "h:" and re.fullmatch("h:[0-9a-f]{16}", str(found)))


@given(st.dictionaries(st.sampled_from(GIVEN), st.text(max_size=60), max_size=6))
@settings(deadline=None)
def test_no_field_changes_another(texts: dict[str, str]) -> None:
    """What is cleaned one by one when one of them needs it is what is kept when none does."""
    together = flat(ENCODER.encode(bare(**texts)))
    for name, text in texts.items():
        alone = flat(ENCODER.encode(bare(**{name: text})))
        assert together.get(FIELDS[name][0]) == alone.get(FIELDS[name][0])


@given(st.sampled_from(["user_id", "rule_id", "destination_ip"]),
       st.text("abcdefgh.:-é漢", max_size=30))
def test_harmless_text_is_kept_as_it_is(field: str, text: str) -> None:
    assert flat(ENCODER.encode(bare(**{field: text}))).get(FIELDS[field][0], "") == text


@pytest.mark.parametrize(("path", "written"), [
    ("/a b", "/a b"),
    ("/a\r\nb", "/a%0D%0Ab"),
    ("/\x1b[31m", "/%1B[31m"),
    ("/\udcff", "/%FF"),              # a raw byte, as mitmproxy hands it over
    ("/\ud800", "/%ED%A0%80"),        # a lone surrogate that stands for no byte
    ("/\u202egpj", "/%E2%80%AEgpj"),  # right-to-left override
])
def test_what_cannot_be_printed_is_percent_encoded(path: str, written: str) -> None:
    assert flat(ENCODER.encode(bare(), path))["url.path"] == written


def test_a_cut_field_is_named() -> None:
    found = flat(ENCODER.encode(bare(user_agent="a" * 513), "/" + "é" * 1024))
    assert found["outbounds.cut"] == "url.path user_agent.original"
    assert len(found["url.path"].encode()) == 2047  # whole characters only
    assert len(found["user_agent.original"]) == 512
    assert "outbounds.cut" not in flat(ENCODER.encode(bare(user_agent="a" * 512), "/"))


def test_empty_fields_are_left_out() -> None:
    assert set(flat(ENCODER.encode(bare()))) == {
        "@timestamp", "event.id", "event.type", "event.kind", "event.action",
        "outbounds.session", "outbounds.salt"}


def test_identifiers_are_uuid7_of_their_moment() -> None:
    made = uuid.UUID(new_id(AT))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == AT // 1_000_000
    assert (made.int >> 64) & 0xFFF == 250_999 * 4096 // 1_000_000
    assert new_id(AT) != new_id(AT)
    assert new_id(AT) < new_id(AT + 1_000) < new_id(AT + 1_000_000)
    assert timestamp(AT) == "2026-11-21T00:03:07.000250Z"


def test_names_and_salts_are_not_repeated_in_a_forked_process() -> None:
    """What is drawn from the system in advance is not drawn upon by two processes."""
    new_id(AT)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, f"{new_id(AT)} {salt()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 200).decode().split()
    os.close(read)
    os.close(write)
    assert len(theirs) == 2 and not {new_id(AT), salt()} & set(theirs)
    many = [salt() for _ in range(1000)]
    assert len(set(many)) == 1000 and all(re.fullmatch("[0-9a-f]{32}", each) for each in many)


@pytest.mark.parametrize("session", ["", "a b", "ä", "x" * 65, "a\n"])
def test_a_session_is_a_plain_word(session: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        Encoder(session, b"k" * 32)


class _Host:
    """Stands in for a canonical host: only its text counts here, not how it is made."""

    text, address = "www.example.com", None


class _Policy:
    version = "abc123"
    denylist = SimpleNamespace(version="def456")


def case(way: Way, *, inspect: bool) -> Case:
    request = Request(way, "GET", "https", _Host(), 443, "/x?token=hush",  # type: ignore[arg-type]
                      Source("192.0.2.7", 51234, "c1"), "curl/8",
                      Credentials("alice", "correct horse"))
    found = Case(request, _Policy(), 0.0, Account("a1", "alice", inspect=inspect))  # type: ignore[arg-type]
    found.robots = RobotsAnswer(None, "unreachable", "d" * 64)
    found.robots_scope = "path"
    found.lifted = ("e1", "e2")
    found.labels = ("malware", "phishing")
    found.verdict = refuse("robots", Kind.ROBOTS, "No.", rule="robots/unreachable",
                           clause="P-robots")
    return found


def test_the_record_of_a_case() -> None:
    record = opening_of(case(Way.INSPECTED, inspect=True), id=new_id(AT), at=AT, action="request")
    line = ENCODER.encode(record, "/x?token=hush")
    assert b"horse" not in line and b"hush" not in line and b"alice" not in line
    found = flat(line)
    assert re.fullmatch(r"token=h:[0-9a-f]{16}", found.pop("url.query"))
    assert found.pop("event.id") == record.id
    assert re.fullmatch("[0-9a-f]{64}", found.pop("outbounds.detail.sha256"))
    assert found == {
        "@timestamp": timestamp(AT), "event.type": "start", "event.kind": "event",
        "event.action": "request", "outbounds.session": "session-1", "event.reason": "No.",
        "user.id": "a1", "source.ip": "192.0.2.7", "source.port": 51234,
        "destination.domain": "www.example.com", "destination.port": 443,
        "network.transport": "tcp", "http.request.method": "GET", "url.scheme": "https",
        "url.path": "/x", "user_agent.original": "curl/8", "rule.id": "robots/unreachable",
        "rule.ruleset": "robots", "rule.reference": "P-robots", "outbounds.verdict": "refuse",
        "outbounds.way": "inspected", "outbounds.connection": "c1",
        "outbounds.visibility": "full", "outbounds.policy.version": "abc123",
        "outbounds.lists.version": "def456", "rule.category": "malware,phishing",
        "outbounds.robots.sha256": "d" * 64, "outbounds.robots.state": "unreachable",
        "outbounds.robots.scope": "path", "outbounds.exception": "e1,e2"}


@pytest.mark.parametrize(("way", "inspect", "visibility"), [
    (Way.CONNECT, False, "tunnel"), (Way.SOCKS, False, "tunnel"), (Way.CONNECT, True, "full"),
    (Way.PLAIN, False, "full"), (Way.CLEAR, False, "full")])
def test_a_record_says_how_much_was_seen(way: Way, inspect: bool, visibility: str) -> None:
    record = opening_of(case(way, inspect=inspect), id=new_id(AT), at=AT, action="x")
    assert record.visibility == visibility


@pytest.mark.parametrize(("way", "keys"), [
    ("connect", {"source.bytes": 5, "destination.bytes": 7}),
    ("plain", {"http.request.bytes": 5, "http.response.bytes": 7})])
def test_a_closing_counts_bodies_or_the_tunnel(way: str, keys: dict[str, int]) -> None:
    start = opening(id=new_id(AT), at=AT, action="request")
    start.way = way
    end = closing(start, at=AT + 9, outcome="success", duration=9, status=200, request_bytes=5,
                  response_bytes=7, egress=("198.51.100.1", 4000), dialled="203.0.113.9")
    found = flat(ENCODER.encode(end))
    assert found.items() >= keys.items()
    assert (found["event.id"], found["event.type"], found["event.duration"]) == (start.id, "end", 9)
    assert (found["source.nat.ip"], found["source.nat.port"]) == ("198.51.100.1", 4000)
