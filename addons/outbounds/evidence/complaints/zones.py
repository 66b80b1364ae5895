"""What people write for a time zone, as offsets from UTC.

An offset in digits is what it says. A name is not: RFC 5322 section 4.3 fixes ten of them for
mail, but in a log IST is India, Israel or Ireland and CST is Chicago or Shanghai. Such a name
gives all its offsets, and the time is read in each. The single letters of RFC 822 were defined
with the wrong sign, so RFC 5322 takes them for "unknown": all but Z.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, available_timezones

HOUR = 3600

# hours east of UTC; several where the name means several
_NAMES: dict[str, tuple[float, ...]] = {
    "Z": (0,), "UT": (0,), "UTC": (0,), "GMT": (0,), "WET": (0,), "WEST": (1,),
    "CET": (1,), "MET": (1,), "CEST": (2,), "MEST": (2,), "MEZ": (1,), "MESZ": (2,),
    "EET": (2,), "EEST": (3,), "MSK": (3,), "TRT": (3,), "SAST": (2,), "CAT": (2,), "EAT": (3,),
    "WAT": (1,), "PKT": (5,), "NPT": (5.75,), "WIB": (7,), "ICT": (7,), "HKT": (8,), "SGT": (8,),
    "AWST": (8,), "JST": (9,), "KST": (9,), "ACST": (9.5,), "ACDT": (10.5,), "AEST": (10,),
    "AEDT": (11,), "NZST": (12,), "NZDT": (13,), "NST": (-3.5,), "NDT": (-2.5,), "BRT": (-3,),
    "ART": (-3,), "ADT": (-3,), "EDT": (-4,), "MDT": (-6,), "PDT": (-7,), "AKST": (-9,),
    "AKDT": (-8,), "HST": (-10,),
    "EST": (-5,), "MST": (-7,), "PST": (-8,), "CDT": (-5,),
    "CST": (-6, 8), "IST": (5.5, 2, 1), "BST": (1, 6), "AST": (-4, 3), "GST": (4,),
}
# RFC 5322 section 4.3: in a mail these mean one thing
_MAIL = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
         "UT": 0, "GMT": 0}
_DIGITS = re.compile(r"(?:UTC|GMT)?\s?([+-])(\d{1,2})(?::?(\d\d))?")
FARTHEST_EAST, FARTHEST_WEST = 14 * HOUR, -12 * HOUR  # of the offsets in use


def offsets(text: str, *, mail: bool = False) -> tuple[int, ...]:
    """The offsets from UTC, in seconds, that `text` may mean; () where it means none known."""
    text = text.strip().strip("()")
    if mail and text in _MAIL:
        return (_MAIL[text] * HOUR,)
    if text in _NAMES:
        return tuple(int(hours * HOUR) for hours in _NAMES[text])
    found = _DIGITS.fullmatch(text)
    if found is None:
        return ()
    sign = -1 if found[1] == "-" else 1
    seconds = sign * (int(found[2]) * HOUR + int(found[3] or 0) * 60)
    return (seconds,) if FARTHEST_WEST <= seconds <= FARTHEST_EAST else ()


def named(text: str) -> ZoneInfo | None:
    """The zone of the IANA database called `text`, which must be of the form Area/City."""
    return ZoneInfo(text) if "/" in text and text in available_timezones() else None
