"""Names and moments of records: UUIDv7 (RFC 9562 section 5.7) and RFC 3339 timestamps.

Time is always an argument, in integer nanoseconds since the Unix epoch (`time.time_ns()`), so that
an opening record and its identifier agree to the last digit.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from time import gmtime, strftime

# RFC 9562 section 4.1: the two high bits of this digit are 10
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_BATCH = 4096  # digits, even
_SESSION = re.compile(r"[A-Za-z0-9-]{1,64}")


def is_session(text: str) -> bool:
    """Whether `text` may name one run of a proxy process: 1 to 64 letters, digits and hyphens."""
    return _SESSION.fullmatch(text) is not None


class _Random:
    """Hexadecimal digits from the system's generator, many at a time: asking it is a system call.
    A forked process takes none of its parent's: two would give the same name to two records."""

    __slots__ = ("_digits", "_taken")

    def __init__(self) -> None:
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        self._digits, self._taken = "", 0

    def take(self, count: int) -> str:
        begin = self._taken
        self._taken = end = begin + count
        if end > len(self._digits):
            self._digits = os.urandom(_BATCH // 2).hex()
            begin, self._taken = 0, count
            end = count
        return self._digits[begin:end]


_take = _Random().take


def salt() -> str:
    """128 random bits in hexadecimal."""
    return _take(32)


def new_id(at: int) -> str:
    """A UUIDv7 for the moment `at` (Unix ns): 36 characters, sorting by time.

    `rand_a` holds the fraction of the millisecond in 1/4096 (RFC 9562 section 6.2, method 3), so
    records of one process sort in the order they were made to about 0.25 µs; `rand_b` is 62 bits
    from the system's generator, so a customer who sees one id cannot guess another's.
    """
    milliseconds, rest = divmod(at, 1_000_000)
    time = f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}7{rest * 4096 // 1_000_000:03x}"
    random = _take(16)
    return (f"{time[:8]}-{time[8:12]}-{time[12:]}-"
            f"{_VARIANT[random[0]]}{random[1:4]}-{random[4:]}")


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def timestamp(at: int) -> str:
    """`at` (Unix ns) as RFC 3339 in UTC with microseconds: 2026-11-21T12:03:07.000250Z."""
    seconds, rest = divmod(at, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"
