"""Calendar periods in an operator's time zone: hours, days and months as people pay for them.

A quota "a month" begins again at midnight of the first, on the operator's wall clock. Days have
23 or 25 hours where clocks change, so a period is computed from dates, never by adding seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


class Every(StrEnum):
    HOUR = "h"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Keeps `core.limits.Calendar`. `zone` is a key of the IANA time zone database, such as
    Europe/Vienna."""

    every: Every
    zone: str = "UTC"

    def period(self, now: float) -> tuple[float, float]:
        """(start, end) in Unix seconds of the period that holds the Unix time `now`; the end is
        the start of the next one."""
        found = _last.get(self)
        if found is None or not found[0] <= now < found[1]:
            found = _last[self] = _period(self, now)
        return found


def _time_zone(value: str) -> str:
    try:
        _zone(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("unknown time zone; use a name such as Europe/Vienna or UTC") from None
    return value


TimeZone = Annotated[str, AfterValidator(_time_zone)]

# one entry for each calendar that a configuration names; asked on every request
_last: dict[Calendar, tuple[float, float]] = {}


@lru_cache(maxsize=64)
def _zone(key: str) -> ZoneInfo:
    return ZoneInfo(key)


def _period(calendar: Calendar, now: float) -> tuple[float, float]:
    zone = _zone(calendar.zone)
    if calendar.every is Every.HOUR:
        # hours of UTC: they have no gap where clocks are put back, be it by half an hour
        begin = now // 3600.0 * 3600.0
        return begin, begin + 3600.0
    local = datetime.fromtimestamp(now, zone)
    start = datetime(local.year, local.month, local.day)
    if calendar.every is Every.DAY:
        end = start + timedelta(days=1)
    else:
        start = start.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return _instant(start, zone), _instant(end, zone)


def _instant(wall: datetime, zone: ZoneInfo) -> float:
    """The first moment at which clocks show `wall` or, where they skip it, more than that."""
    return wall.replace(tzinfo=zone, fold=0).timestamp()
