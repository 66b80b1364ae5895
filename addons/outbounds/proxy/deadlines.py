"""One timer for all deadlines of those that wait, however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from ..core.limits import TOLERANCE
from .waiting_line import Waiter

_SPARE = 64  # entries of those that have gone, before they are dropped all at once


class Deadlines:
    """`expire` is called with each waiter whose `deadline` has come while it still waits."""

    def __init__(self, clock: Callable[[], float], expire: Callable[[Waiter], None]) -> None:
        self._clock = clock
        self._expire = expire
        self._entries: list[tuple[float, int, Waiter]] = []
        self._serial = count()
        self._compact_at = _SPARE
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiter: Waiter) -> None:
        """Watch over a waiter's deadline; one that it had before counts no more."""
        entries = self._entries
        heappush(entries, (waiter.deadline, next(self._serial), waiter))
        if len(entries) > self._compact_at:
            entries[:] = [entry for entry in entries if _counts(entry)]
            heapify(entries)
            self._compact_at = 2 * len(entries) + _SPARE
        if self._timer is None or entries[0][2] is waiter:
            self._set()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._entries.clear()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._entries and not _counts(self._entries[0]):
            heappop(self._entries)
        if self._entries:
            delay = max(self._entries[0][0] - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        now = self._clock()
        while self._entries and self._entries[0][0] <= now + TOLERANCE:
            entry = heappop(self._entries)
            if _counts(entry):
                self._expire(entry[2])
        self._set()


def _counts(entry: tuple[float, int, Waiter]) -> bool:
    """Whether a deadline is still that of somebody who waits."""
    return entry[2].line is not None and entry[2].deadline == entry[0]
