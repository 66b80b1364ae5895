"""Times as complaints write them, each with everything that it may mean.

`notations.NOTATIONS` are the ways of writing one, tried in this order; what one has claimed of a
text no later one sees. A time keeps its precision (12:03 is a whole minute, a date a whole day).
What it leaves open, and what is made of that:

- No zone: the zone that was asked for, or else every zone in use, UTC-12 to UTC+14, at once.
- A zone's name with several meanings (`zones`): each of them.
- No year (syslog, RFC 3164): the last one in which the moment is not in the future.
- 3/4/2026 and 3/4/26: each order that makes a date; those in the future go if any other stays.
- A clock put back or forward that night: from the earlier to the later reading.
- 24:00 is 00:00 of the next day (ISO 8601:2004); a second of 60 is a leap second, which clocks
  repeat or smear, so it is widened by the second on either side.
- 10, 13, 16 or 19 digits are Unix seconds, milliseconds, microseconds or nanoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from .notations import NOTATIONS, NoDate
from .sighting import MICROSECOND, Moment
from .zones import FARTHEST_EAST, FARTHEST_WEST, named, offsets

DAY = 86_400 * MICROSECOND
_EPOCH = datetime(1970, 1, 1)
_OLDEST, _NEWEST = 2000, 2100  # a proxy's log holds nothing older; a year beyond is a misprint

_DIGITS = re.compile(r"(?<![\w.:/-])(1\d{9})(?:[.,](\d{1,9}))?(?![\w.:])"
                     r"|(?<![\w.:/-])(1\d{12}|1\d{15}|1\d{18})(?![\w.:])")
# digits to (µs of the first, µs that they last)
_UNITS: dict[int, Callable[[int], tuple[int, int]]] = {
    13: lambda number: (number * 1000, 1000),
    16: lambda number: (number, 1),
    19: lambda number: (number // 1000, 1),
}


@dataclass(frozen=True, slots=True)
class Clock:
    """What an incomplete time is read by. `now` is Unix µs. `zone` is what is taken where none is
    written: an offset ("+0100") or a name of the IANA database ("Europe/Berlin"); "" for none.
    `why` says where that zone is from. In a `mail` the names of zones mean what RFC 5322 says."""

    now: int
    zone: str = ""
    why: str = "as asked"
    mail: bool = False


@dataclass(frozen=True, slots=True)
class Stated:
    """A time found in a text, from `start` to `end` of it. `moments` is empty where it is written
    like a time and is none; then, and where something was assumed, `notes` say so."""

    start: int
    end: int
    moments: tuple[Moment, ...]
    notes: tuple[str, ...] = ()


def read(text: str, clock: Clock) -> Stated | None:
    """The one time that `text` is; None where it is something else, or more."""
    found = list(find(text[:200], clock, expected=True))
    if len(found) != 1:
        return None
    around = text[:found[0].start] + text[found[0].end:]
    return None if re.search(r"\d", around) else found[0]


def find(text: str, clock: Clock, *, expected: bool = False) -> Iterator[Stated]:
    """Every time in `text`, in order. Days alone and bare Unix times only where a time is
    `expected`, or at the beginning: anywhere else a number is a number."""
    taken: list[tuple[int, int]] = []
    found: list[Stated] = []

    def claim(start: int, end: int) -> bool:
        if any(start < b and a < end for a, b in taken):
            return False
        taken.append((start, end))
        return True

    for notation in NOTATIONS:
        if notation.guarded and not expected:
            continue
        for match in notation.pattern.finditer(text):
            if claim(*match.span()):
                found.append(_stated(match, notation.dates, clock))
    for match in _DIGITS.finditer(text):
        if (expected or match.start() <= 1) and claim(*match.span()):
            found.append(_unix(match))
    yield from sorted(found, key=lambda each: each.start)


def _unix(match: re.Match[str]) -> Stated:
    if match[3]:
        at, lasts = _UNITS[len(match[3])](int(match[3]))
    else:
        at = int(match[1]) * MICROSECOND + int((match[2] or "")[:6].ljust(6, "0"))
        lasts = int(10 ** max(0, 6 - len(match[2] or "")))
    return Stated(*match.span(), (Moment(at, at + lasts - 1),))


def _stated(match: re.Match[str], dates: Callable[..., list[tuple[int | None, int, int, str]]],
            clock: Clock) -> Stated:
    part = match.groupdict()
    start, end = match.span()
    try:
        since, lasts, notes = _time_of_day(part)
        readings = dates(match)
    except NoDate as why:
        return Stated(start, end, (), (str(why),))
    zone, notes = part.get("z") or "", list(notes)
    moments: list[Moment] = []
    for year, month, day, note in readings:
        for at in _of_year(year, month, day, since, clock):
            if year is None:
                in_year = (_EPOCH + timedelta(microseconds=at - since)).year
                notes.append(f"no year is written; {in_year} is the last in which it is not in "
                             "the future")
            moments += _moments(at, lasts, zone, note, clock)
    if zone and not offsets(zone, mail=clock.mail) and named(zone) is None and (
            re.fullmatch(r"[A-Z]{2,4}T", zone) or zone[0] in "+-"):
        notes.append(f"{zone!r} is no time zone known here")
    past = [each for each in moments if each.earliest <= clock.now + DAY]
    if past and len(past) < len(moments) and len(readings) > 1:
        notes.append("a reading of the date that lies in the future was left out")
        moments = past
    if not moments:
        notes.append("there is no such date")
    elif not past:
        notes.append("the time lies in the future: a clock or a year is wrong")
    return Stated(start, end, tuple(moments), tuple(notes))


def _time_of_day(part: dict[str, str | None]) -> tuple[int, int, list[str]]:
    """(µs since midnight, µs that it lasts, notes). Raises NoDate."""
    if part.get("h") is None:
        return 0, DAY, ["only a day is written"]
    hour, minute, second = (int(part.get(name) or 0) for name in ("h", "mi", "s"))
    notes = []
    half = (part.get("ap") or "").lower()[:1]
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    elif half and hour > 23:
        raise NoDate(f"hour {hour} does not exist")
    elif half:
        notes.append(f"hour {hour} is of 24, whatever the {half}m behind it says")
    if hour > 24 or (hour == 24 and (minute or second)) or minute > 59 or second > 60:
        raise NoDate(f"{hour}:{minute:02d}:{second:02d} is no time of day")
    fraction = (part.get("f") or "")[:6]
    since = (hour * 3600 + minute * 60 + second) * MICROSECOND + int(fraction.ljust(6, "0"))
    lasts = 60 * MICROSECOND if part.get("s") is None else int(10 ** (6 - len(fraction)))
    if second == 60:
        notes.append("a leap second: clocks repeat or smear it")
        return since - MICROSECOND, lasts + 2 * MICROSECOND, notes
    return since, lasts, notes


def _of_year(year: int | None, month: int, day: int, since: int, clock: Clock) -> Iterator[int]:
    """The moment in the zone's own time, as µs since 1970 there; nothing where there is no such
    date."""
    now = _EPOCH + timedelta(microseconds=clock.now)
    # a zone may be ahead of us by most of a day, and a clock a little more
    years = [year] if year is not None else range(now.year + 1, now.year - 9, -1)
    for each in years:
        if not _OLDEST <= each <= _NEWEST:
            continue
        try:
            at = (datetime(each, month, day) - _EPOCH) // timedelta(microseconds=1) + since
        except ValueError:
            continue
        if year is not None or at <= clock.now + DAY:
            yield at
            return


def _moments(at: int, lasts: int, zone: str, note: str, clock: Clock) -> Iterator[Moment]:
    """The readings of a local time: one for each thing that its zone may mean."""
    def say(*notes: str) -> str:
        return "; ".join(each for each in (note, *notes) if each)

    def in_zone(area: ZoneInfo, *why: str) -> Moment:
        local = _EPOCH + timedelta(microseconds=at)
        both = sorted(at - _offset(local.replace(tzinfo=area, fold=fold)) for fold in (0, 1))
        turned = "" if both[0] == both[1] else \
            f"that night the clocks of {area.key} were put back or forward: from the earlier to " \
            "the later reading"
        return Moment(both[0], both[1] + lasts - 1, say(*why, turned))

    def shifted(seconds: int, *why: str) -> Moment:
        first = at - seconds * MICROSECOND
        return Moment(first, first + lasts - 1, say(*why))

    written = offsets(zone, mail=clock.mail)
    if written:
        for seconds in written:
            yield shifted(seconds, f"{zone} is read as {utc_offset(seconds)}"
                          if len(written) > 1 else "")
        return
    area = named(zone)
    if area is not None:
        yield in_zone(area)
        return
    if clock.zone:
        assumed = f"no zone is written; {clock.zone} is assumed, {clock.why}"
        area = named(clock.zone)
        if area is not None:
            yield in_zone(area, assumed)
        else:
            for seconds in offsets(clock.zone):
                yield shifted(seconds, assumed)
        return
    yield Moment(at - FARTHEST_EAST * MICROSECOND,
                 at - FARTHEST_WEST * MICROSECOND + lasts - 1,
                 say("no zone is written: every zone from UTC-12 to UTC+14 is possible"))


def _offset(local: datetime) -> int:
    return (local.utcoffset() or timedelta()) // timedelta(microseconds=1)


def utc_offset(seconds: int) -> str:
    """UTC+5:30."""
    hours, rest = divmod(abs(seconds) // 60, 60)
    return f"UTC{'-' if seconds < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")


def utc(at: int) -> str:
    """Unix µs as people read it; the fraction only where there is one."""
    text = (_EPOCH + timedelta(microseconds=at)).replace(tzinfo=UTC).isoformat(
        sep=" ", timespec="microseconds")
    return text.removesuffix("+00:00").removesuffix(".000000").removesuffix(".999999") + " UTC"
