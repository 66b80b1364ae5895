"""The field Retry-After of a target's reply: a delay in seconds, or a date."""

from __future__ import annotations

from email.utils import mktime_tz, parsedate_tz

LONGEST = 10.0**9  # seconds; whoever reads it has a cap of its own


def seconds(field: str, now: float) -> float | None:
    """Seconds that a field asks for (RFC 9110 section 10.2.3); None if it asks for nothing that
    can be understood. `now` is Unix time. A date in any of the three forms of section 5.6.7, which
    are all in UTC; one that has passed asks for 0."""
    text = field.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:20]), LONGEST)
    try:
        found = parsedate_tz(text)
        if found is None:
            return None
        return min(max(0.0, mktime_tz((*found[:9], found[9] or 0)) - now), LONGEST)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
