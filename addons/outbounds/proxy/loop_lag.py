"""How late this process's own event loop is.

A loop that is busy reads a reply some time after it came. Taken for the target's, that time would
have targets spared because their proxy is overloaded.
"""

from __future__ import annotations

import asyncio

EVERY = 0.05  # seconds
FADES = 0.8  # what is left of a peak at the next look


class LoopLag:
    """Seconds by which things happen too late at the moment. Begins to look when it is first
    asked, in a running loop."""

    def __init__(self) -> None:
        self._lag = 0.0
        self._due: float | None = None

    def __call__(self) -> float:
        if self._due is None:
            self._look_again(asyncio.get_running_loop())
        return self._lag

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + EVERY
        loop.call_at(self._due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._due is not None
        self._lag = max(loop.time() - self._due, self._lag * FADES)
        self._look_again(loop)
