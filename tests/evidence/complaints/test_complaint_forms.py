"""Whole complaints, as they arrive: XARF (xarf.org) 3, 4 and X-ARF 0.2, ARF (RFC 5965, RFC 6692),
fail2ban's mails, listings, tables, letters, with what people attach to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from complaint_reading import CLOCK, line, read

from outbounds.evidence.complaints import FORMS, parse

SAMPLES = Path(__file__).parent / "samples"
# file, form, where the parts are that could not be read, what was
COMPLAINTS: list[tuple[str, str, list[str], list[str]]] = [
    ('arf-received.eml', 'ARF (RFC 5965)', [],
     ['192.0.2.7 51234 | 12:03:07 | mx.mail.example - | - - -']),
    ('arf.eml', 'ARF (RFC 5965)', [],
     ['192.0.2.7 51234 | 12:03:07 | mx.mail.example - | - - -']),
    ('attachments.eml', 'mail with access log with XARF 4.0.0', ['part 3', 'part 4'],
     ['192.0.2.7 - | 12:03:07 | - - | GET /a 200',
      '192.0.2.7 - | 12:03:07 | 198.51.100.9 443 | - - -']),
    ('block.txt', 'text', [],
     ['192.0.2.7 51234 | 12:03:07 | www.example.org - | - /wp-login.php -']),
    ('caddy.jsonl', 'JSON log', [],
     ['192.0.2.7 51234 | 12:03:07.250000 .. 12:03:07.259999 | www.example.org - | GET /a 200',
      '192.0.2.7 51235 | 12:03:08 | www.example.org - | POST /a 403']),
    ('fail2ban-apache.eml', 'fail2ban', [],
     ['192.0.2.7 - | 12:03:07 | - - | GET /wp-login.php 404',
      '192.0.2.7 51236 | 12:03:08.123456 | - - | - - -']),
    ('fail2ban-bare.eml', 'fail2ban', [],
     ['192.0.2.7 - | 11:03:10 .. 12:03:10 | - - | - - -']),
    ('fail2ban-sshd.eml', 'fail2ban', [],
     ['192.0.2.7 51234 | 12:02:58 | - - | - - -',
      '192.0.2.7 51240 | 12:03:01 | - - | - - -']),
    ('letter-html.eml', 'mail', [],
     ['192.0.2.7 51234 | 12:03:07 | www.example.org - | - /admin -']),
    ('listing-table.txt', 'text', [],
     ['192.0.2.7 - | 12:05:00 | - - | - - -',
      '192.0.2.7 - | 11:15:00 | - - | - - -']),
    ('listing.txt', 'listing', [],
     ['192.0.2.7 51234 | 11:55:00 .. 12:05:00 | 198.51.100.9 443 | - - -']),
    ('mixed.log', 'access log', ['line 3', 'line 4'],
     ['192.0.2.7 - | 12:03:07 | - - | GET / 200']),
    ('shadowserver.csv', 'table', [],
     ['192.0.2.7 51234 | 2026-11-20 22:03:07 .. 2026-11-22 00:03:07 | 198.51.100.9 443 | - - -',
      '192.0.2.7 51300 | 2026-11-20 22:04:07 .. 2026-11-22 00:04:07 | 198.51.100.9 443 | - - -']),
    ('two-blocks.txt', 'text', [],
     ['192.0.2.7 - | 12:03:07 | www.example.org - | - - -',
      '192.0.2.8 - | 12:03:09 | www.example.net - | - - -']),
    ('xarf-v02.eml', 'X-ARF', [],
     ['192.0.2.7 - | 12:03:07 | - 443 | - - -',
      '192.0.2.7 - | 12:03:06 | - - | POST /login 401']),
    ('xarf3-login.json', 'XARF 3', [],
     ['192.0.2.7 51234 | 12:03:07 | 203.0.113.10 443 | - - -']),
    ('xarf3-nested.json', 'XARF 3.0.0', [],
     ['2001:db8::7 51234 | 12:03:07 | 203.0.113.100 80 | - - -']),
    ('xarf4-scraping.json', 'XARF 4.0.0', ['evidence 2'],
     ['192.0.2.7 51234 | 12:00:00 .. 12:05:30 | 198.51.100.25 443 | - - -',
      '192.0.2.7 51234 | 12:03:07 | - - | GET /prices 200']),
]


@pytest.mark.parametrize(("name", "form", "unread", "expected"), COMPLAINTS)
def test_a_complaint_is_read(name: str, form: str, unread: list[str],
                             expected: list[str]) -> None:
    found = read((SAMPLES / name).read_bytes())
    assert [line(each) for each in found.sightings] == expected
    assert found.form == form
    assert [each.source for each in found.unread] == unread


def test_every_sample_is_in_the_table() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == [row[0] for row in COMPLAINTS]


@pytest.mark.parametrize(("name", "places"), [
    ("mixed.log", ["line 2"]),
    ("attachments.eml", ["part 2, line 1", "part 5"]),
    ("xarf4-scraping.json", ["", "evidence 1, line 1"]),
    ("two-blocks.txt", ["lines 1 to 3", "lines 5 to 7"]),
])
def test_each_sighting_says_where_it_stands(name: str, places: list[str]) -> None:
    found = read((SAMPLES / name).read_bytes())
    assert [each.source for each in found.sightings] == places


@pytest.mark.parametrize(("name", "note"), [
    ("fail2ban-sshd.eml",
     "no zone is written; UTC+1 is assumed, the mail's own, from the same machine"),
    ("fail2ban-bare.eml", "no line of a log is there: the hour before the mail was sent"),
    ("block.txt", "no zone is written; Europe/Berlin is assumed, as the complaint says"),
    ("shadowserver.csv", "no zone is written: every zone from UTC-12 to UTC+14 is possible"),
])
def test_what_a_time_assumes_is_said(name: str, note: str) -> None:
    found = read((SAMPLES / name).read_bytes())
    assert {each.note for one in found.sightings for each in one.moments} >= {note}


def test_an_old_mails_times_are_read_by_its_own_date() -> None:
    """Syslog has no year: in a mail of 2024 it was not last week."""
    octets = (SAMPLES / "fail2ban-sshd.eml").read_bytes().replace(
        b"Date: Sat, 21 Nov 2026", b"Date: Thu, 21 Nov 2024")
    first = parse(octets, CLOCK).sightings[0]
    assert line(first) == "192.0.2.7 51234 | 2024-11-21 12:02:58 | - - | - - -"


@pytest.mark.parametrize(("name", "form"), [
    ("arf.eml", "mail"), ("xarf3-login.json", "xarf"), ("block.txt", "text")])
def test_the_form_can_be_told(name: str, form: str) -> None:
    octets = (SAMPLES / name).read_bytes()
    assert parse(octets, CLOCK, form=form) == parse(octets, CLOCK)
    assert set(FORMS) == {"mail", "xarf", "text"}


def test_a_wrong_form_is_said() -> None:
    found = read((SAMPLES / "block.txt").read_bytes(), form="xarf")
    assert not found.sightings
    assert found.unread[0].why.startswith("not JSON")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encodings_that_complaints_come_in(encoding: str) -> None:
    text = "Grüße aus Köln: 192.0.2.7:51234, 2026-11-21 12:03:07 UTC"
    [found] = read(text.encode(encoding)).sightings
    assert line(found) == "192.0.2.7 51234 | 12:03:07 | - - | - - -"


def test_entries_in_one_array() -> None:
    entries = [{"ts": 1795262587 + n, "ip": "192.0.2.7", "port": 51234 + n} for n in range(3)]
    for document in (entries, {"events": entries}):
        found = read(json.dumps(document))
        assert [each.port for each in found.sightings] == [51234, 51235, 51236]
