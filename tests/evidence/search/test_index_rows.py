"""The rows of an index: which events are one row, and what is in it."""

from __future__ import annotations

import pytest

from outbounds.evidence.archive.index_rows import Row, rows
from outbounds.evidence.archive.reading import Stored
from outbounds.evidence.decision import closing, connection, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.line import placeholder, split
from outbounds.evidence.record import Encoder, Record
from outbounds.evidence.told import begin_of, canonical, micros, url_text

AT = 1_795_262_587_000_250_000  # 2026-11-21T12:03:07.00025Z
ONE, OTHER = ("192.0.2.7", 51234), ("192.0.2.8", 51234)
FIRST = 4096


def made(*kinds: str) -> list[Row]:
    """Of one event: "start", "end", "one" and "other" (connections), "erased" (an opening)."""
    encoder = Encoder("session-1", b"k" * 32)
    start = opening(id=new_id(AT), at=AT, action="request")
    start.user_id, start.destination_domain = "bob", "www.example.net"
    start.source_ip, start.source_port = "::ffff:203.0.113.5", 1024
    end = closing(start, at=AT + 5_000_000, outcome="success", duration=5_000_000, status=200,
                  egress=ONE, dialled="198.51.100.7")
    records: dict[str, Record] = {
        "end": end,
        "one": connection(start, at=AT + 1000, egress=ONE, dialled=("198.51.100.7", 443)),
        "other": connection(start, at=AT + 2000, egress=OTHER, dialled=("198.51.100.7", 443)),
    }
    lines = {"start": encoder.encode(start, "/item?id=5"),
             **{name: encoder.encode(record) for name, record in records.items()}}
    lines["erased"] = placeholder(split(lines["start"])[0])
    stored = [Stored(FIRST + place, *split(lines[kind])) for place, kind in enumerate(kinds)]
    return list(rows(stored, FIRST))


@pytest.mark.parametrize(("kinds", "types"), [
    (("start", "end"), ["event"]),
    (("start", "one", "end"), ["event"]),
    (("start", "other", "end"), ["start", "connection", "end"]),  # two egress ports
    (("start", "one", "one", "end"), ["start", "connection", "connection", "end"]),
    (("start",), ["start"]),                                      # still open, or spans segments
    (("end",), ["end"]),
    (("one", "end"), ["connection", "end"]),
    (("erased", "end"), ["end"]),
    (("erased",), []),
])
def test_which_events_are_one_row(kinds: tuple[str, ...], types: list[str]) -> None:
    assert [each.type for each in made(*kinds)] == types


def test_what_is_in_it() -> None:
    row, = made("start", "one", "end")
    assert (row.place, row.connected, row.closed) == (0, 1, 2)
    assert (row.begin, row.ended) == (AT // 1000, (AT + 5_000_000) // 1000)
    assert (row.account, row.target, row.url) == ("bob", "www.example.net", "/item?id=")
    assert (row.source_ip, row.source_port) == ("203.0.113.5", 1024)
    assert (row.egress_ip, row.egress_port) == ONE
    assert (row.target_ip, row.status) == ("198.51.100.7", 200)


def test_what_could_not_be_one_row_is_as_it_was() -> None:
    start, other, end = made("start", "other", "end")
    assert (start.egress_port, start.status, start.ended) == (0, 0, 0)
    assert (other.egress_ip, end.egress_ip) == ("192.0.2.8", "192.0.2.7")


@pytest.mark.parametrize(("path", "query", "text"), [
    ("/a", "", "/a"),
    ("/a", "b=h:0123456789abcdef&c=", "/a?b=&c="),
    ("/a", "h:0123456789abcdef", "/a?"),
    ("/a", "b=h:0123456789abcdef&&h:0123456789abcdef", "/a?b=&&"),
    ("", "", ""),
])
def test_values_are_not_part_of_an_url(path: str, query: str, text: str) -> None:
    assert url_text(path, query) == text


@pytest.mark.parametrize(("spelled", "one"), [
    ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"),
    ("2001:DB8:0::1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1"), ("", ""), ("pipe", "pipe"),
])
def test_addresses_have_one_spelling(spelled: str, one: str) -> None:
    assert canonical(spelled) == one


def test_when_an_event_began() -> None:
    at, id = "2026-11-21T12:03:07.000250Z", new_id(AT)
    earlier = new_id(AT - 3_600_000_000_000)
    assert begin_of(at, "start", id) == micros(at) == AT // 1000
    # the id's millisecond, where the opening may be lost
    assert begin_of(at, "connection", id) == AT // 1_000_000 * 1000
    assert begin_of(at, "end", earlier) == (AT - 3_600_000_000_000) // 1_000_000 * 1000
    assert begin_of(at, "end", "no uuid", 1_500) == AT // 1000 - 2
    assert begin_of(at, "start", id, start="2026-11-21T12:00:00Z") == micros("2026-11-21T12:00:00Z")
