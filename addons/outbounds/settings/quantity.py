"""Quantities as an operator writes them: rates, times, sizes, days, ports.

Every quantity carries its unit in the file, and is a plain number in base units (seconds, bytes)
in the program. Each function takes the text, and raises ValueError with the problem and its fix.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}
PERIODS = {unit: seconds for unit, seconds in SECONDS.items() if unit != "ms"}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
MOST = 10**12  # far above any honest quantity, far below where float arithmetic loses a second

_RATE = re.compile(r"([0-9]{1,15})\s*/\s*([A-Za-z]*)", re.ASCII)
_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` per `window` seconds."""

    count: int
    window: float


def rate(value: object) -> Rate:
    """`600/min` as Rate(600, 60.0)."""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a rate; write a count per unit, such as 600/min")
    count, unit = int(match[1]), match[2]
    if unit not in PERIODS:
        raise ValueError("unknown unit; use s, min, h or day")
    if not 0 < count <= MOST:
        raise ValueError(f"out of range; use a count from 1 to {MOST}")
    return Rate(count, SECONDS[unit])


@dataclass(frozen=True, slots=True)
class Quota:
    """`count` in each calendar period `every`: h, day or month."""

    count: int
    every: str


def octet_rate(value: object) -> Rate:
    """`10MiB/s` as Rate(10485760, 1.0)."""
    text, unit = _per(value, "not a rate; write bytes per unit, such as 10MiB/s")
    if unit not in PERIODS:
        raise ValueError("unknown unit; use s, min, h or day after the slash")
    return Rate(_octets(text), PERIODS[unit])


def quota(value: object) -> Quota:
    """`100000/month`."""
    text, unit = _per(value, "not a quota; write a count per period, such as 100000/month")
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST):
        raise ValueError(f"out of range; use a whole count from 1 to {MOST}")
    return Quota(int(text), _calendar_unit(unit))


def octet_quota(value: object) -> Quota:
    """`100GiB/month`."""
    text, unit = _per(value, "not a quota; write bytes per period, such as 100GiB/month")
    return Quota(_octets(text), _calendar_unit(unit))


def _per(value: object, fault: str) -> tuple[str, str]:
    text, slash, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or not text.strip():
        raise ValueError(fault)
    return text.strip(), unit.strip()


def _calendar_unit(unit: str) -> str:
    if unit not in ("h", "day", "month"):
        raise ValueError("unknown period; use h, day or month, or for less a rate with a burst")
    return unit


def _octets(text: str) -> int:
    octets = size(text)
    if not octets:
        raise ValueError("must be more than nothing; write a larger value")
    return octets


def duration(value: object) -> float:
    """`1.5h` as 5400.0 seconds."""
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a length of time; write a number with its unit, such as 5s or 10min")
    if match[2] not in SECONDS:
        raise ValueError("unknown unit; use ms, s, min, h or day")
    seconds = float(match[1]) * SECONDS[match[2]]
    if seconds > MOST:
        raise ValueError("too long; use a shorter time")
    return seconds


def size(value: object) -> int:
    """`64KiB` as 65536 bytes."""
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a size; write a number with its unit, such as 64KiB")
    if match[2] not in BYTES:
        raise ValueError("unknown unit; use B, KiB, MiB or GiB")
    octets = float(match[1]) * BYTES[match[2]]
    if octets > MOST * 10 or octets != int(octets):
        raise ValueError("not a whole number of bytes in range; use another number")
    return int(octets)


def end_of_day(value: object) -> float:
    """`2027-01-31` as the Unix time at which that day ends in UTC: the day itself still counts."""
    try:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            raise ValueError
        day = datetime.date.fromisoformat(value)
        midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
        return (midnight + datetime.timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("not a date; write the last day as YYYY-MM-DD") from None


def start_of_day(value: object) -> float:
    """`2027-01-31` as the Unix time at which that day begins in UTC."""
    try:
        return end_of_day(value) - 86400.0
    except ValueError:
        raise ValueError("not a date; write the first day as YYYY-MM-DD") from None


def ports(value: object) -> frozenset[int]:
    """A port, or a range: 443, or `8000-8099`, both ends included."""
    low: int | str
    high: int | str
    if isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    elif isinstance(value, str) and re.fullmatch(r"\d{1,5}-\d{1,5}", value, re.ASCII):
        low, _, high = value.partition("-")
    else:
        raise ValueError("not a port; write a number such as 443, or a range such as 8000-8099")
    first, last = int(low), int(high)
    if not 1 <= first <= 65535 or not 1 <= last <= 65535:
        raise ValueError("not a port; use 1 to 65535")
    if first > last:
        raise ValueError("an empty range; put the lower port first")
    return frozenset(range(first, last + 1))
