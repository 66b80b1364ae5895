"""Which targets are closed, as `closed.json` says now (`followed_file`).

It is looked at before decisions as well as twenty times a second: what was closed is closed for the
next request, and for what is open within a tenth of a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.closed_targets import Closed, ClosedTargets
from ..lists.closed_file import ClosedFileError, read_closed
from .followed_file import FollowedFile

EVERY = 0.05  # seconds

Follow = Callable[[ClosedTargets, Sequence[Closed], Sequence[Closed]], None]
"""Called with what is closed now, what of it was not before, and what is open again."""


class ClosedKeeper:
    """`report(number of targets closed, file is broken)` is for the metrics; `wall` Unix time."""

    def __init__(self, path: Path, follow: Follow,
                 report: Callable[[int, bool], None] = lambda number, broken: None,
                 wall: Callable[[], float] = time.time) -> None:
        self._follow = follow
        self._report = report
        self._wall = wall
        self._file = FollowedFile(path, read_closed, self._take, known=ClosedFileError,
                                  stays="The targets that are closed stay as they are")
        self._next_end = float("inf")
        self.current = ClosedTargets()

    @property
    def trouble(self) -> str:
        """Why what the file says now is not in force, "" if it is."""
        return self._file.trouble

    def load(self) -> None:
        """At the start, when there is no last good copy to fall back on: raises ClosedFileError."""
        self._file.load()

    def look(self) -> None:
        """Never raises."""
        if not self._file.look(due=lambda: self._wall() >= self._next_end):
            self._report(len(self.current.entries), True)

    async def watch(self) -> None:
        """`look` again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY)

    def _take(self, read: ClosedTargets) -> None:
        now = self._wall()
        old = {each.target: each for each in self.current.entries}
        new = {each.target: each for each in read.entries if each.holds(now)}
        self._next_end = min((each.until for each in new.values() if each.until is not None),
                             default=float("inf"))
        self._report(len(new), False)
        closed = [each for target, each in new.items() if old.get(target) != each]
        opened = [each for target, each in old.items() if target not in new]
        if closed or opened:
            targets = ClosedTargets(new.values())
            self._follow(targets, closed, opened)
            self.current = targets  # not before: what failed in between is followed again
