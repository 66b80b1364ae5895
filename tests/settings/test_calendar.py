"""Calendar periods: what an hour, a day and a month are, where clocks change and where they do not.

The changes of summer time are those of the IANA time zone database: Europe/Vienna on 2026-03-29
and 2026-10-25 at 01:00 UTC, America/New_York on 2026-03-08 and 2026-11-01, Australia/Lord_Howe by
half an hour, America/Sao_Paulo at midnight (2018-11-04), Pacific/Apia without a 30 December 2011.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.settings.calendar import Calendar, Every


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


CASES = [
    # every, zone, now, start, end (all in UTC)
    ("month", "UTC", "2026-11-21T10:00", "2026-11-01T00:00", "2026-12-01T00:00"),
    ("month", "UTC", "2026-12-31T23:59:59", "2026-12-01T00:00", "2027-01-01T00:00"),
    ("month", "UTC", "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
    ("month", "UTC", "2026-11-01T00:00", "2026-11-01T00:00", "2026-12-01T00:00"),
    ("month", "Europe/Vienna", "2026-10-31T23:30", "2026-10-31T23:00", "2026-11-30T23:00"),
    ("month", "Europe/Vienna", "2026-10-31T22:30", "2026-09-30T22:00", "2026-10-31T23:00"),
    ("month", "America/New_York", "2026-11-21T00:00", "2026-11-01T04:00", "2026-12-01T05:00"),
    ("day", "UTC", "2026-11-21T10:00", "2026-11-21T00:00", "2026-11-22T00:00"),
    ("day", "Europe/Vienna", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 h
    ("day", "Europe/Vienna", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),  # 25 h
    ("day", "America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00", "2018-11-05T02:00"),
    ("day", "Pacific/Apia", "2011-12-30T09:00", "2011-12-29T10:00", "2011-12-30T10:00"),
    ("h", "UTC", "2026-11-21T10:59:59.5", "2026-11-21T10:00", "2026-11-21T11:00"),
    # hours are UTC's, wherever clocks stand; the one that is struck twice is two
    ("h", "Asia/Kolkata", "2026-11-21T10:15", "2026-11-21T10:00", "2026-11-21T11:00"),
    ("h", "Australia/Lord_Howe", "2026-04-04T15:15", "2026-04-04T15:00", "2026-04-04T16:00"),
    ("h", "Europe/Vienna", "2026-10-25T00:30", "2026-10-25T00:00", "2026-10-25T01:00"),
    ("h", "Europe/Vienna", "2026-10-25T01:30", "2026-10-25T01:00", "2026-10-25T02:00"),
]


@pytest.mark.parametrize(("every", "zone", "now", "start", "end"), CASES)
def test_periods(every: str, zone: str, now: str, start: str, end: str) -> None:
    assert Calendar(Every(every), zone).period(at(now)) == (at(start), at(end))


ZONES = st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata",
                         "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
                         "Africa/Casablanca", "Asia/Kathmandu"])


@given(st.sampled_from(list(Every)), ZONES, st.floats(0.0, 4e9))
def test_periods_hold_their_moment_and_leave_no_gap(every: Every, zone: str, now: float) -> None:
    calendar = Calendar(every, zone)
    start, end = calendar.period(now)
    assert start <= now < end
    assert calendar.period(start) == (start, end)
    following = calendar.period(end)
    assert following[0] == end and following[1] > end
    longest = {Every.HOUR: 2 * 3600.0, Every.DAY: 49 * 3600.0, Every.MONTH: 33 * 86400.0}
    assert end - start <= longest[every]
