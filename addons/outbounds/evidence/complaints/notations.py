"""The ways of writing a date and a time, as a table of patterns.

A pattern names its groups: y, mo or mon, d; h, mi, s, f (the fraction), ap (am or pm), z (the
zone); or a, b, c for three numbers whose order nobody knows. No group is unbounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MONTHS = {name: number for number, names in enumerate((
    "jan january januar", "feb february februar", "mar march mär märz mrz", "apr april",
    "may mai", "jun june juni", "jul july juli", "aug august", "sep sept september",
    "oct october okt oktober", "nov november", "dec december dez dezember"), 1)
    for name in names.split()}

_CLOCK = (r"(?P<h>\d{1,2}):(?P<mi>\d\d)(?::(?P<s>\d\d)(?:[.,](?P<f>\d{1,9})\d{0,9})?)?"
          r"(?:\s?(?P<ap>[AaPp]\.?[Mm]\b\.?))?(?![\d:])")
_ZONE = (r"(?:\s{0,2}\(?(?P<z>[+-]\d\d:?\d\d|[+-]\d\d(?!\d)|(?:UTC|GMT)\s?[+-]\d{1,2}(?::?\d\d)?"
         r"|[A-Z][A-Za-z]{2,12}/[A-Za-z_]{2,20}(?:/[A-Za-z_]{2,20})?|[A-Z]{1,5}(?!\w|[.:/=-]\w|=))\)?)?")
_MONTH = r"(?P<mon>[A-Za-zä]{3,9})\.?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?"
_YEAR = r"(?P<y>\d{4}|\d\d)"
_BETWEEN = r"(?:T|[ _]{1,3}|,\s{0,2}|,?\sat\s|,?\s(?:um|on)\s|\s-\s)"


class NoDate(ValueError):
    """Written like a date, and none. The message says why."""


Date = tuple[int | None, int, int, str]
"""Year (None where none was written), month, day, and what this reading assumes."""


@dataclass(frozen=True, slots=True)
class Notation:
    """`dates` gives the readings of a match; raises NoDate. `guarded` notations are so short that
    they are only looked for where a time is expected."""

    name: str
    pattern: re.Pattern[str]
    dates: Callable[[re.Match[str]], list[Date]]
    guarded: bool = False


def _numbered(found: re.Match[str]) -> list[Date]:
    return [(_year(found["y"]), int(found["mo"]), int(found["d"]), "")]


def _worded(found: re.Match[str]) -> list[Date]:
    month = _MONTHS.get(found["mon"].lower())
    if month is None:
        raise NoDate(f"{found['mon']!r} is no month")
    year = found.groupdict().get("y")
    return [(None if year is None else _year(year), month, int(found["d"]), "")]


def _unordered(found: re.Match[str]) -> list[Date]:
    a, b, c = found["a"], found["b"], found["c"]
    orders = [("day.month.year" if found["sep"] == "." else "day/month/year", a, b, c)]
    if found["sep"] != ".":  # nobody writes the month first with dots
        orders.append(("month/day/year", b, a, c))
    if len(c) == 2:
        orders.append(("year/month/day", c, b, a))
    readings: dict[tuple[int, int, int], str] = {}
    for name, day, month, year in orders:
        if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
            readings.setdefault((_year(year), int(month), int(day)), name)
    if not readings:
        raise NoDate("no order of day, month and year makes it a date")
    plain = len(readings) == 1
    return [(*date, "" if plain else f"the date is read as {name}")
            for date, name in readings.items()]


def _year(text: str) -> int:
    """RFC 5322 section 4.3, obsolete years of two digits."""
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 50 else 1900)


def _table() -> Iterator[Notation]:
    def row(name: str, pattern: str, dates: Callable[[re.Match[str]], list[Date]],
            guarded: bool = False) -> Notation:
        return Notation(name, re.compile(pattern), dates, guarded)

    yield row("common log", rf"(?<!\w){_DAY}/{_MONTH}/(?P<y>\d{{4}}):{_CLOCK}{_ZONE}", _worded)
    yield row("RFC 3339",
              rf"(?<![\d.])(?P<y>\d{{4}})(?P<sep>[-/.])(?P<mo>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}})"
              rf"{_BETWEEN}{_CLOCK}{_ZONE}", _numbered)
    yield row("ISO 8601, basic",
              r"(?<!\w)(?P<y>\d{4})(?P<mo>\d\d)(?P<d>\d\d)[T ]?(?P<h>\d\d):?(?P<mi>\d\d)"
              r"(?::?(?P<s>\d\d))?(?:[.,](?P<f>\d{1,9}))?" + _ZONE + r"(?!\w)", _numbered, True)
    yield row("RFC 5322", rf"(?<![\w:]){_DAY}[ -]{{0,2}}{_MONTH}[ ,-]{{1,3}}{_YEAR}"
                          rf"{_BETWEEN}{_CLOCK}{_ZONE}", _worded)
    yield row("asctime", rf"(?<!\w){_MONTH}\s{{1,2}}{_DAY},?\s{_CLOCK}{_ZONE}\s(?P<y>\d{{4}})"
                         r"(?![\d:.-])", _worded)
    yield row("month first", rf"(?<!\w){_MONTH}\s{{1,2}}{_DAY},?\s{{1,2}}(?P<y>\d{{4}})"
                             rf"{_BETWEEN}{_CLOCK}{_ZONE}", _worded)
    yield row("syslog", rf"(?<!\w){_MONTH}\s{{1,2}}{_DAY}\s{{1,2}}{_CLOCK}{_ZONE}", _worded)
    yield row("numbers", rf"(?<![\d.])(?P<a>\d{{1,2}})(?P<sep>[/.-])(?P<b>\d{{1,2}})(?P=sep)"
                         rf"(?P<c>\d{{4}}|\d\d){_BETWEEN}{_CLOCK}{_ZONE}", _unordered)
    yield row("time first", rf"(?<![\d:.]){_CLOCK}{_ZONE},?\s(?:on\s|am\s)?"
                            r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)(?!\d)", _numbered)
    yield row("time first, in words", rf"(?<![\d:.]){_CLOCK}{_ZONE},?\s(?:on\s)?"
                                      rf"{_DAY}\s{_MONTH},?\s(?P<y>\d{{4}})(?![\d:])", _worded)
    yield row("a day", r"(?<![\d.-])(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)(?![\dT:-])", _numbered,
              True)
    yield row("a day, in words", rf"(?<!\w){_DAY}\s{_MONTH},?\s(?P<y>\d{{4}})(?![\d:])", _worded,
              True)
    yield row("a day, month first", rf"(?<!\w){_MONTH}\s{_DAY},?\s(?P<y>\d{{4}})(?![\d:])",
              _worded, True)
    yield row("a day, in numbers", r"(?<![\d./-])(?P<a>\d{1,2})(?P<sep>[/.-])(?P<b>\d{1,2})(?P=sep)"
                                   r"(?P<c>\d{4})(?![\d:/.-])", _unordered, True)


NOTATIONS: tuple[Notation, ...] = tuple(_table())
