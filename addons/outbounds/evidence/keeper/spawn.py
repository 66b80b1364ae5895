"""When the collector starts a pass of the keeper.

    a segment was left, or lies there at start     `after` seconds later
    every `every` seconds, if that is not 0        witnesses and stores want to be asked
    a pass that failed                             after 60 s, then twice as long, up to an hour

Never two at a time, and never waited for: a pass that takes an hour holds up no record. It is no
daemon of its own, but it outlives the collector that started it, and another pass then finds it at
work. `after` is there for a proxy that starts again: it has better things to do in its first
seconds; and one that lives for seconds only leaves the work to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

FIRST_PAUSE = 60.0
MAX_PAUSE = 3600.0

type Clock = Callable[[], float]


class KeeperSpawner:
    """`say` takes a line for the operator; `pending` says whether there is something to seal now.
    Times are monotonic seconds."""

    def __init__(self, directory: Path, config: Path | None, *, after: float, every: float,
                 pending: bool, say: Callable[[str], None], now: Clock = time.monotonic) -> None:
        self._words = ["--dir", str(directory), *(["--config", str(config)] if config else [])]
        self._after, self._every, self._say, self._now = after, every, say, now
        self._due: float | None = None
        self._pause = FIRST_PAUSE
        self._running: subprocess.Popen[bytes] | None = None
        if pending:
            self.left()
        elif every:
            self._due = now() + every

    def left(self) -> None:
        """The collector has begun a segment; the one before it can be sealed."""
        self._due = min(self._now() + self._after, self._due or float("inf"))

    def wait(self) -> float:
        """Seconds until `turn` should be called: a second at most while a pass runs."""
        if self._running is not None:
            return 1.0
        return float("inf") if self._due is None else max(0.0, self._due - self._now())

    def turn(self) -> None:
        """Start what is due, and take notice of what has ended."""
        if self._running is not None:
            status = self._running.poll()
            if status is None:
                return
            self._running = None
            self._ended(status)
        if self._due is not None and self._due <= self._now():
            self._start()

    def _ended(self, status: int) -> None:
        if status == 0:
            self._pause = FIRST_PAUSE
            if self._every:
                self._sooner(self._every)
            return
        if status != 1:  # which says on standard error itself what is wrong
            self._say(f"the keeper ended with status {status}; again in {self._pause:g} s")
        self._sooner(self._pause)
        self._pause = min(2 * self._pause, MAX_PAUSE)

    def _sooner(self, seconds: float) -> None:
        self._due = min(self._now() + seconds, self._due or float("inf"))

    def _start(self) -> None:
        # loaded when there is a first pass to start: most collectors live without
        import subprocess

        from ..child import module

        self._due = None
        words, environment = module("keeper", *self._words)
        try:
            # a session of its own: what ends the proxy's group, such as Ctrl-C, is not for it
            self._running = subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                start_new_session=True)
        except OSError as error:
            self._say(f"the keeper could not be started: {error}; again in {self._pause:g} s")
            self._ended(1)
