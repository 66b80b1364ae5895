"""Which targets are closed, as `closed.json` says now: one stat call to look, read when it changed.

A look costs about two microseconds, so it is made before decisions as well as twenty times a
second: what was closed is closed for the next request, and for what is open within a tenth of a
second. A file that cannot be read leaves what was read last in force, is said once, and is tried
again at every look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.closed_targets import Closed, ClosedTargets
from ..lists.closed_file import ClosedFileError, read_closed

logger = logging.getLogger("outbounds")

EVERY = 0.05  # seconds

Follow = Callable[[ClosedTargets, Sequence[Closed], Sequence[Closed]], None]
"""Called with what is closed now, what of it was not before, and what is open again."""


class ClosedKeeper:
    """`report(number of targets closed, file is broken)` is for the metrics; `wall` Unix time."""

    def __init__(self, path: Path, follow: Follow,
                 report: Callable[[int, bool], None] = lambda number, broken: None,
                 wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._follow = follow
        self._report = report
        self._wall = wall
        self._seen: tuple[int, int, int, int] | None = None
        self._said = ""
        self._entries: tuple[Closed, ...] = ()  # of the file, those that have ended included
        self._next_end = float("inf")
        self.current = ClosedTargets()

    @property
    def trouble(self) -> str:
        """Why what the file says now is not in force, "" if it is."""
        return self._said

    def load(self) -> None:
        """At the start, when there is no last good copy to fall back on: raises ClosedFileError."""
        self._seen = self._stat()
        self._take(read_closed(self._path).entries)

    def look(self) -> None:
        """Never raises."""
        try:
            seen = self._stat()
            if seen != self._seen or self._said:
                self._take(read_closed(self._path).entries)
                self._seen = seen
                if self._said:
                    logger.info("%s can be read again.", self._path)
                    self._said = ""
            elif self._wall() >= self._next_end:
                self._take(self._entries)
        except Exception as fault:
            self._report(len(self.current.entries), True)
            if str(fault) != self._said:
                known = isinstance(fault, ClosedFileError | OSError)
                logger.error("The targets that are closed stay as they are: %s", fault,
                             exc_info=None if known else fault)
            self._said = str(fault) or type(fault).__name__

    async def watch(self) -> None:
        """`look` again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY)

    def _stat(self) -> tuple[int, int, int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)

    def _take(self, entries: tuple[Closed, ...]) -> None:
        now = self._wall()
        old = {each.target: each for each in self.current.entries}
        new = {each.target: each for each in entries if each.holds(now)}
        self._entries = entries
        self._next_end = min((each.until for each in new.values() if each.until is not None),
                             default=float("inf"))
        self._report(len(new), False)
        closed = [each for target, each in new.items() if old.get(target) != each]
        opened = [each for target, each in old.items() if target not in new]
        if closed or opened:
            targets = ClosedTargets(new.values())
            self._follow(targets, closed, opened)
            self.current = targets  # not before: what failed in between is followed again
