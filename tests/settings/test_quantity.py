"""Quantities as operators write them. What is refused is in test_settings_faults."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.settings import quantity
from outbounds.settings.quantity import Rate


@pytest.mark.parametrize("text, rate", [
    ("600/min", Rate(600, 60.0)),
    ("10/s", Rate(10, 1.0)),
    ("5 / h", Rate(5, 3600.0)),
    (" 1/day ", Rate(1, 86400.0)),
])
def test_rates(text: str, rate: Rate) -> None:
    assert quantity.rate(text) == rate


@pytest.mark.parametrize("text, seconds", [
    ("5s", 5.0), ("0s", 0.0), ("0.25s", 0.25), ("10 min", 600.0), ("1.5h", 5400.0),
    ("1day", 86400.0),
])
def test_durations(text: str, seconds: float) -> None:
    assert quantity.duration(text) == seconds


@pytest.mark.parametrize("text, octets", [
    ("1B", 1), ("64KiB", 65536), ("0.5 KiB", 512), ("2GiB", 2 * 1024**3),
])
def test_sizes(text: str, octets: int) -> None:
    assert quantity.size(text) == octets


@pytest.mark.parametrize("text", [
    "", "-1/min", "1e3/min", "٣/min", "1/min/min", "1.5/min", "nan/s", "9" * 5000 + "/s", None, 5,
    True, ("1/s",),
])
def test_no_rates(text: object) -> None:
    with pytest.raises(ValueError, match=r";"):
        quantity.rate(text)


@given(st.dates(max_value=datetime.date(9999, 12, 30)))
def test_a_day_ends_when_the_next_begins(day: datetime.date) -> None:
    end = datetime.datetime.fromtimestamp(quantity.end_of_day(day.isoformat()), datetime.UTC)
    assert end.date() == day + datetime.timedelta(days=1)
    assert end.time() == datetime.time()


@pytest.mark.parametrize("text", ["9999-12-31", "2027-1-31", "20270131", "2027-W05-1", "never"])
def test_no_days(text: str) -> None:
    with pytest.raises(ValueError, match="YYYY-MM-DD"):
        quantity.end_of_day(text)


@given(st.text() | st.none() | st.integers() | st.floats() | st.booleans())
def test_every_refusal_names_the_fix(value: object) -> None:
    for read in (quantity.rate, quantity.duration, quantity.size, quantity.end_of_day,
                 quantity.ports):
        try:
            read(value)
        except ValueError as error:
            assert "; " in str(error)
