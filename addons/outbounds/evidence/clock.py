"""How far the machine's clock can be off, as the kernel has it: what a complaint's time is held to.

adjtimex(2) with no mode set only reads, and needs no rights. A daemon that disciplines the clock
(chrony, ntpd, systemd-timesyncd) tells the kernel how large the error can be at most; between two
of its reports the kernel adds 500 ppm (RFC 5905 section 11.3, "maxerror"). `offset` is what the
kernel is still slewing away. A clock that nobody disciplines counts its error up to 16 s and says
so by STA_UNSYNC: the error is then recorded as the 16 s or more that nobody can vouch for.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from typing import NamedTuple

EVERY = 10.0  # s between two looks; the error grows by 5 ms in that time at most

STA_UNSYNC = 0x0040
STA_NANO = 0x2000
UNSYNCHRONISED = 16_000_000_000  # ns: what the kernel itself ends at (NTP_PHASE_LIMIT)


class Reading(NamedTuple):
    """ns: how much ours is behind the true time, as far as is known, and the most that can be
    wrong with it. Both 0: nothing is known."""

    offset: int
    error: int


NOTHING = Reading(0, 0)


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>: the beginning, which is read, and room for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


def reading(offset: int, maxerror: int, status: int) -> Reading:
    """What the kernel's figures mean: `offset` in µs, or ns where `status` has STA_NANO; `maxerror`
    in µs."""
    error = maxerror * 1000
    if status & STA_UNSYNC:
        error = max(error, UNSYNCHRONISED)
    return Reading(offset if status & STA_NANO else offset * 1000, error)


def kernel() -> Reading:
    """Ask the kernel. Raises OSError where there is no such call, or it is not permitted."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    found = _Timex()
    if call(ctypes.byref(found)) < 0:  # 5, TIME_ERROR, is an answer: the clock is unsynchronised
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return reading(found.offset, found.maxerror, found.status)


class Clock:
    """`now` is the newest reading, at most `EVERY` seconds old. `say` is called once, where there
    is none to be had."""

    def __init__(self, say: Callable[[str], None], ask: Callable[[], Reading] = kernel) -> None:
        self._say = say
        self._ask: Callable[[], Reading] | None = ask
        self._reading = NOTHING
        self._due = -1.0

    def now(self) -> Reading:
        now = time.monotonic()
        if now >= self._due and self._ask is not None:
            self._due = now + EVERY
            try:
                self._reading = self._ask()
            except OSError as error:
                self._ask, self._reading = None, NOTHING
                self._say("Records do not say how exact the clock is: the system does not tell "
                          f"({error.strerror or error}).")
        return self._reading
