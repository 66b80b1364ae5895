"""Following a file that commands write: one stat call to look, read when it changed.

A look costs about two microseconds, so it can be made at every decision. A file that cannot be
read leaves what was read last in force, is said once, and is tried again at every look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger("outbounds")


class FollowedFile[Content]:
    """`take` puts in force what `read` has read; both may raise, `known` for what a person has to
    mend. `stays` says, in the log, what is left as it is then."""

    def __init__(self, path: Path, read: Callable[[Path], Content],
                 take: Callable[[Content], None], *, known: type[Exception], stays: str) -> None:
        self._path = path
        self._read = read
        self._take = take
        self._known = known
        self._stays = stays
        self._seen: tuple[int, int, int, int] | None = None
        self._content: Content | None = None
        self._reading = asyncio.Lock()
        self.trouble = ""
        """Why what the file says now is not in force, "" if it is."""

    def load(self) -> None:
        """At the start, when there is no last good copy to fall back on: raises what `read` and
        `take` raise."""
        self._seen = self._stat()
        self._again(self._read(self._path))

    def look(self, due: Callable[[], bool] = lambda: False) -> bool:
        """Take what changed; and what was read before, where it is `due` without a change. Whether
        the file is all right. Never raises."""
        try:
            if (seen := self._stat()) != self._seen or self.trouble:
                self._changed(seen, self._read(self._path))
            elif self._content is not None and due():
                self._again(self._content)
        except Exception as fault:
            self._say(fault)
        return not self.trouble

    async def look_aside(self, due: Callable[[], bool] = lambda: False) -> bool:
        """The same, and a file that changed is read in a thread, as a large one would hold the
        event loop. One at a time: what was read earlier must not be taken later."""
        async with self._reading:
            try:
                if (seen := self._stat()) != self._seen or self.trouble:
                    self._changed(seen, await asyncio.to_thread(self._read, self._path))
                elif self._content is not None and due():
                    self._again(self._content)
            except Exception as fault:
                self._say(fault)
            return not self.trouble

    def _changed(self, seen: tuple[int, int, int, int] | None, content: Content) -> None:
        """`seen` is older than the content: a change in between is found at the next look."""
        self._again(content)
        self._seen = seen
        if self.trouble:
            logger.info("%s can be read again.", self._path)
            self.trouble = ""

    def _say(self, fault: Exception) -> None:
        if str(fault) != self.trouble:
            known = isinstance(fault, self._known | OSError)
            logger.error("%s: %s", self._stays, fault, exc_info=None if known else fault)
        self.trouble = str(fault) or type(fault).__name__

    def _again(self, content: Content) -> None:
        self._content = content  # first: what could not be taken is taken again when it is due
        self._take(content)

    def _stat(self) -> tuple[int, int, int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
