"""Times as people and programs write them: every reading is kept, and what was assumed is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from complaint_reading import CLOCK, NOW, when
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.evidence.complaints import Clock
from outbounds.evidence.complaints.moments import find, read

EXACT = [
    # RFC 3339, ISO 8601
    ("2026-11-21T12:03:07Z", "12:03:07"),
    ("2026-11-21t12:03:07z".upper(), "12:03:07"),
    ("2026-11-21 12:03:07+00:00", "12:03:07"),
    ("2026-11-21T12:03:07.250Z", "12:03:07.250000 .. 12:03:07.250999"),
    ("2026-11-21T12:03:07,25Z", "12:03:07.250000 .. 12:03:07.259999"),
    ("2026-11-21T12:03:07.123456789Z", "12:03:07.123456"),
    ("2026-11-21T14:03:07+02:00", "12:03:07"),
    ("2026-11-21T17:33:07 +0530", "12:03:07"),
    ("2026-11-21T04:03:07-08:00", "12:03:07"),
    ("2026-11-21T13:03:07+01", "12:03:07"),
    ("2026-11-21T12:03Z", "12:03:00 .. 12:03:59"),
    ("20261121T120307Z", "12:03:07"),
    ("2026-11-20T24:00:00Z", "00:00:00"),           # ISO 8601:2004 section 4.2.3
    ("2026-11-20T23:59:60Z", "2026-11-20 23:59:59 .. 00:00:01"),
    # RFC 5322 section 3.3, and its obsolete forms, section 4.3
    ("Sat, 21 Nov 2026 12:03:07 +0000", "12:03:07"),
    ("21 Nov 2026 13:03:07 +0100 (CET)", "12:03:07"),
    ("21 Nov 26 12:03:07 GMT", "12:03:07"),
    ("Sat, 21 Nov 2026 07:03:07 EST", "12:03:07"),
    ("Sat, 21 Nov 2026 12:03:07 -0000", "12:03:07"),
    ("21 Nov 26 12:03 UT", "12:03:00 .. 12:03:59"),
    # common log format, asctime, date(1), Apache's error log
    ("[21/Nov/2026:12:03:07 +0000]", "12:03:07"),
    ("[21/Nov/2026:13:03:07 +0100]", "12:03:07"),
    ("Sat Nov 21 12:03:07 UTC 2026", "12:03:07"),
    ("Sat Nov 21 13:03:07 CET 2026", "12:03:07"),
    # in words
    ("November 21 2026, 12:03:07 UTC", "12:03:07"),
    ("21 November 2026 at 12:03 UTC", "12:03:00 .. 12:03:59"),
    ("Nov 21st, 2026 12:03:07 PM UTC", "12:03:07"),
    ("21. November 2026 um 13:03:07 MEZ", "12:03:07"),
    ("12:03:07 UTC on 2026-11-21", "12:03:07"),
    # noon and midnight
    ("2026-11-21 12:03:07 AM UTC", "00:03:07"),
    ("2026-11-21 12:03:07 p.m. UTC", "12:03:07"),
    ("2026-11-21 1:03:07 PM UTC", "13:03:07"),
    # Unix time
    ("1795262587", "12:03:07"),
    ("1795262587.5", "12:03:07.500000 .. 12:03:07.599999"),
    ("1795262587250", "12:03:07.250000 .. 12:03:07.250999"),
    ("1795262587250000", "12:03:07.250000"),
    ("1795262587250000123", "12:03:07.250000"),
    # only one order of the numbers makes a date, or dots say it
    ("21/11/2026 12:03:07 UTC", "12:03:07"),
    ("11/21/2026 12:03:07 UTC", "12:03:07"),
    ("21.11.2026 12:03:07 UTC", "12:03:07"),
    ("11/11/2026 12:03:07 UTC", "2026-11-11 12:03:07"),
    ("2026/11/21 12:03:07 UTC", "12:03:07"),
    # offsets in words, zones by their names
    ("2026-11-21 14:03:07 UTC+2", "12:03:07"),
    ("2026-11-21 13:03:07 GMT+0100", "12:03:07"),
    ("2026-11-21 13:03:07 Europe/Berlin", "12:03:07"),
    ("2026-07-21 14:03:07 Europe/Berlin", "2026-07-21 12:03:07"),
    ("2026-11-21 17:48:07 NPT", "12:03:07"),
]


@pytest.mark.parametrize(("text", "expected"), EXACT)
def test_a_time_that_says_it_all(text: str, expected: str) -> None:
    found = read(text, Clock(NOW, mail="EST" in text))
    assert found is not None
    assert [when(each) for each in found.moments] == [expected]
    assert all(each.note == "" for each in found.moments)


ANY_ZONE = "no zone is written: every zone from UTC-12 to UTC+14 is possible"
OPEN = [
    # text, the readings, a note of one of them or of the whole
    ("2026-11-21 12:03:07", ["2026-11-20 22:03:07 .. 2026-11-22 00:03:07"], ANY_ZONE),
    ("Sat Nov 21 12:03:07.5 2026",
     ["2026-11-20 22:03:07.500000 .. 2026-11-22 00:03:07.599999"], ANY_ZONE),
    ("2026-11-21 12:03:07 QQT", ["2026-11-20 22:03:07 .. 2026-11-22 00:03:07"],
     "'QQT' is no time zone known here"),
    ("2026-11-21 12:03:07 +2500", ["2026-11-20 22:03:07 .. 2026-11-22 00:03:07"],
     "'+2500' is no time zone known here"),
    # RFC 3164: no year. The last in which it is not in the future; a day's grace for zones
    ("Nov 21 12:03:07 +0000", ["12:03:07"],
     "no year is written; 2026 is the last in which it is not in the future"),
    ("Nov 22 12:03:07 +0000", ["2026-11-22 12:03:07"],
     "no year is written; 2026 is the last in which it is not in the future"),
    ("Dec 31 23:59:59 +0000", ["2025-12-31 23:59:59"],
     "no year is written; 2025 is the last in which it is not in the future"),
    ("Feb 29 12:00:00 +0000", ["2024-02-29 12:00:00"],
     "no year is written; 2024 is the last in which it is not in the future"),
    ("Dec 31 23:59:60 +0000", ["2025-12-31 23:59:59 .. 2026-01-01 00:00:01"],
     "a leap second: clocks repeat or smear it"),
    # day and month
    ("3/4/2026 12:00:00 UTC", ["2026-04-03 12:00:00", "2026-03-04 12:00:00"],
     "the date is read as day/month/year"),
    ("3-4-26 12:00 UTC", ["2026-04-03 12:00:00 .. 2026-04-03 12:00:59",
                          "2026-03-04 12:00:00 .. 2026-03-04 12:00:59",
                          "2003-04-26 12:00:00 .. 2003-04-26 12:00:59"],
     "the date is read as year/month/day"),
    ("12/11/2026 10:00:00 UTC", ["2026-11-12 10:00:00"],
     "a reading of the date that lies in the future was left out"),
    # names of zones that mean several
    ("2026-11-21 12:03:07 IST", ["06:33:07", "10:03:07", "11:03:07"], "IST is read as UTC+5:30"),
    ("2026-11-21 12:03:07 CST", ["18:03:07", "04:03:07"], "CST is read as UTC+8"),
    # the nights on which clocks are turned
    ("2026-10-25 02:30:00 Europe/Berlin", ["2026-10-25 00:30:00 .. 2026-10-25 01:30:00"],
     "that night the clocks of Europe/Berlin were put back or forward: from the earlier to the "
     "later reading"),
    ("2026-03-29 02:30:00 Europe/Berlin", ["2026-03-29 00:30:00 .. 2026-03-29 01:30:00"],
     "that night the clocks of Europe/Berlin were put back or forward: from the earlier to the "
     "later reading"),
    ("2027-11-21 12:03:07 UTC", ["2027-11-21 12:03:07"],
     "the time lies in the future: a clock or a year is wrong"),
    ("2026-11-21 13:03:07 PM UTC", ["13:03:07"],
     "hour 13 is of 24, whatever the pm behind it says"),
    ("2026-11-21 UTC", ["2026-11-20 10:00:00 .. 2026-11-22 11:59:59"], "only a day is written"),
]


@pytest.mark.parametrize(("text", "expected", "note"), OPEN)
def test_a_time_that_leaves_something_open(text: str, expected: list[str], note: str) -> None:
    found = read(text, CLOCK)
    assert found is not None
    assert [when(each) for each in found.moments] == expected
    said = {part for each in found.moments for part in each.note.split("; ")}
    assert note in said | set(found.notes)


@pytest.mark.parametrize(("text", "why"), [
    ("2026-02-30 12:00:00 UTC", "there is no such date"),
    ("2026-11-21 25:00:00 UTC", "25:00:00 is no time of day"),
    ("2026-11-21 24:00:01 UTC", "24:00:01 is no time of day"),
    ("2026-11-21 12:60:00 UTC", "12:60:00 is no time of day"),
    ("2026-11-21 12:00:61 UTC", "12:00:61 is no time of day"),
    ("2026-11-21 29:00:00 PM UTC", "hour 29 does not exist"),
    ("21 Foo 2026 12:00:00 UTC", "'Foo' is no month"),
    ("31/31/2026 12:00:00 UTC", "no order of day, month and year makes it a date"),
    ("1926-11-21 12:00:00 UTC", "there is no such date"),
])
def test_what_looks_like_a_time_and_is_none(text: str, why: str) -> None:
    found = read(text, CLOCK)
    assert found is not None
    assert not found.moments
    assert why in found.notes


@pytest.mark.parametrize("text", [
    "", "yesterday", "12:03:07", "192.0.2.7", "2001:db8::12:03", "179526258", "17952625871",
    "2026-11-21T12:03:07Z and 2026-11-22T12:03:07Z", "2026-11-21T12:03:07Z 51234",
])
def test_what_is_no_time_or_more_than_one(text: str) -> None:
    assert read(text, CLOCK) is None


def test_the_zone_that_is_asked_for_counts_where_none_is_written() -> None:
    for zone in ("+0100", "+01:00", "CET", "Europe/Berlin", "UTC+1"):
        found = read("2026-11-21 13:03:07", Clock(NOW, zone))
        assert found is not None
        assert [when(each) for each in found.moments] == ["12:03:07"]
        assert found.moments[0].note == f"no zone is written; {zone} is assumed, as asked"
        written = read("2026-11-21 13:03:07 Z", Clock(NOW, zone))
        assert written is not None
        assert [when(each) for each in written.moments] == ["13:03:07"]


def test_in_a_mail_names_of_zones_mean_what_its_rfc_says() -> None:
    for mail, readings in ((True, 1), (False, 2)):
        found = read("Sat, 21 Nov 2026 12:03:07 CST", Clock(NOW, mail=mail))
        assert found is not None
        assert len(found.moments) == readings


def test_times_are_found_in_order_and_numbers_are_left_alone() -> None:
    text = "order 1795262587 of 2026-11-21 12:00 UTC until 21/Nov/2026:13:00:00 +0000, v1.2.3"
    assert [text[each.start:each.end] for each in find(text, CLOCK)] == [
        "2026-11-21 12:00 UTC", "21/Nov/2026:13:00:00 +0000"]


MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(2026, 11, 20))
WAYS = ["%Y-%m-%dT%H:%M:%S%z", "%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z",
        "%a %b %d %H:%M:%S %z %Y", "%B %d %Y, %H:%M:%S %z", "%Y%m%dT%H%M%S%z",
        "%d.%m.%Y %H:%M:%S %z", "%Y/%m/%d %I:%M:%S %p %z"]


@settings(max_examples=60, deadline=None)
@given(MOMENTS, st.integers(-12 * 4, 14 * 4), st.sampled_from(WAYS))
def test_every_way_of_writing_a_moment_gives_that_moment(at: datetime, quarters: int,
                                                         way: str) -> None:
    at = at.replace(microsecond=0, tzinfo=UTC)
    text = at.astimezone(timezone(timedelta(minutes=15 * quarters))).strftime(way)
    found = read(text, CLOCK)
    assert found is not None, text
    begin = round(at.timestamp()) * 1_000_000
    assert [(each.earliest, each.latest) for each in found.moments] == [
        (begin, begin + 999_999)], text


@settings(max_examples=60, deadline=None)
@given(MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu",
                                 "Australia/Lord_Howe", "Pacific/Kiritimati"]))
def test_a_reading_without_a_zone_holds_that_of_every_zone(at: datetime, zone: str) -> None:
    text = at.replace(microsecond=0).strftime("%Y-%m-%d %H:%M:%S")
    wide, exact = read(text, CLOCK), read(f"{text} {zone}", CLOCK)
    assert wide is not None and exact is not None
    assert wide.moments[0].earliest <= exact.moments[0].earliest
    assert exact.moments[0].latest <= wide.moments[0].latest


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for found in find(text, CLOCK, expected=True):
        assert 0 <= found.start < found.end <= len(text)
        assert all(each.earliest <= each.latest for each in found.moments)
        assert found.moments or found.notes
