"""The published schema: of every field, and of what the encoder writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from outbounds.evidence.decision import closing, connection, opening
from outbounds.evidence.fields import DETAIL, FIELDS
from outbounds.evidence.identifier import new_id
from outbounds.evidence.line import placeholder, split
from outbounds.evidence.record import Encoder, orphan
from outbounds.evidence.schema import SAID, record_schema

SCHEMA = record_schema()
ENCODER = Encoder("session-1", b"k" * 32)
AT = 1_795_219_387_000_250_999
# constrained to the values that our own code writes; text from outside goes into no other field
FREE = [name for name, (_, bound) in FIELDS.items() if bound and not SAID[name][1]
        and name not in ("url_path", "url_query", "cut")]


def validator(part: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]})


ENVELOPE, DETAILS = validator("envelope"), validator("detail")


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA)


def test_it_has_every_field_in_its_part() -> None:
    envelope, detail = (SCHEMA["$defs"][part]["properties"] for part in ("envelope", "detail"))
    assert set(SAID) == set(FIELDS)
    assert set(envelope) == {FIELDS[name][0] for name in FIELDS if name not in DETAIL}
    assert set(detail) == {"salt", *(FIELDS[name][0] for name in DETAIL)}
    assert all(each["description"] for each in (*envelope.values(), *detail.values()))


@given(st.dictionaries(st.sampled_from(FREE), st.text(max_size=700), max_size=4), st.text())
@settings(deadline=None)
def test_whatever_text_comes_the_record_is_valid(texts: dict[str, str], target: str) -> None:
    record = opening(id=new_id(AT), at=AT, action="request")
    for name, text in texts.items():
        setattr(record, name, text)
    if not record.action or not record.kind:
        return
    envelope, detail = split(ENCODER.encode(record, target))
    ENVELOPE.validate(json.loads(envelope))
    if detail:
        DETAILS.validate(json.loads(detail))


def test_the_three_types_an_orphan_and_a_placeholder() -> None:
    start = opening(id=new_id(AT), at=AT, action="request")
    lines = [
        ENCODER.encode(connection(start, at=AT, egress=("192.0.2.1", 4000),
                                  dialled=("198.51.100.7", 443))),
        ENCODER.encode(closing(start, at=AT, outcome="success", duration=9, status=200)),
        ENCODER.encode(start, "/x?a=1#f"),
        orphan(start.id, "request", "session-1", AT, "the proxy process ended"),
    ]
    for line in lines:
        envelope, _ = split(line)
        ENVELOPE.validate(json.loads(envelope))
    Draft202012Validator(SCHEMA).validate(json.loads(placeholder(split(lines[0])[0])))


@pytest.mark.parametrize(("change", "problem"), [
    ({"event.type": "access"}, "is not one of"), ({"@timestamp": "2026-11-21"}, "does not match"),
    ({"event.id": "a1"}, "does not match"), ({"user.name": "alice"}, "Additional properties"),
    ({"source.port": 70000}, "greater than"), ({"source.port": "1"}, "not of type"),
    ({"url.path": "/"}, "Additional properties"), ({"event.type": "end"}, "'event.outcome' is a"),
    ({"event.type": "connection"}, "'source.nat.port' is a"),
    ({"outbounds.detail.sha256": "0" * 64}, "valid under each of"),
    ({"user.id": ""}, "too short|non-empty"), ({"user.id": "x" * 129}, "too long"),
])
def test_what_is_no_record(change: dict[str, object], problem: str) -> None:
    envelope, _ = split(ENCODER.encode(opening(id=new_id(AT), at=AT, action="request")))
    found = json.loads(envelope)
    ENVELOPE.validate(found)
    messages = " ".join(each.message for each in ENVELOPE.iter_errors(found | change))
    assert any(each in messages for each in problem.split("|")), messages
