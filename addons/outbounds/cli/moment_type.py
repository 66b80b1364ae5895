"""A moment as an option: RFC 3339, a day, or so long ago. Without a zone it is UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from ..settings.quantity import duration

_DAY = timedelta(days=1)


class Moment(click.ParamType[int]):
    """Unix µs. A day is its first moment, or its last (`last`)."""

    name = "time"

    def __init__(self, last: bool = False,
                 now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._last = last
        self._now = now

    def convert(self, value: object, param: click.Parameter | None,
                ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return self.read(str(value).strip())
        except (ValueError, OverflowError):
            return self.fail(f"{value!r} is no time: 2026-11-21T12:03:07Z, 2026-11-21 12:03, "
                             "2026-11-21, today, yesterday, or such as '2h ago'", param, ctx)

    def read(self, text: str) -> int:
        """Raises ValueError, OverflowError."""
        now = self._now()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        words = text.lower()
        if words == "now":
            return _micros(now)
        if words in ("today", "yesterday"):
            return self._day(today - (_DAY if words == "yesterday" else timedelta()))
        if ago := re.fullmatch(r"(.+?)\s+ago", words):
            return _micros(now - timedelta(seconds=duration(re.sub(r"\s+", "", ago[1]))))
        found = datetime.fromisoformat(text)
        if re.fullmatch(r"\d{4}-?\d\d-?\d\d", text):
            return self._day(found.replace(tzinfo=UTC))
        return _micros(found if found.tzinfo else found.replace(tzinfo=UTC))

    def _day(self, first: datetime) -> int:
        return _micros(first + _DAY) - 1 if self._last else _micros(first)


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
