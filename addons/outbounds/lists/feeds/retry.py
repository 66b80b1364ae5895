"""When to ask a feed again: as configured, later after failures, and never sooner than it asks.

After a failure the wait begins at a minute, doubles each time and ends at the refresh interval. It
is spread by a quarter either way, so that many proxies whose publisher was away do not all come
back at once.
"""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

FIRST = 60.0
LONGEST_ASKED = 86400.0
"""Seconds; a Retry-After beyond a day is cut to that, or one reply could end a feed for good."""


def after_failure(failures: int, refresh: float, asked: float = 0.0) -> float:
    """Seconds until the next attempt, after `failures` (1 or more) in a row.

    `asked` is what the site asked for (Retry-After), 0 if nothing.
    """
    pause = min(FIRST * 2.0 ** min(failures - 1, 20), max(refresh, FIRST))
    return max(pause * random.uniform(0.75, 1.25), asked)


def retry_after(field: str) -> float:
    """Seconds that a Retry-After field asks for (RFC 9110 section 10.2.3), 0 if it says nothing
    that can be understood."""
    text = field.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED)
