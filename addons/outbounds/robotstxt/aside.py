"""Work that would hold the event loop for too long, in one thread, a little at a time.

A busy thread keeps the interpreter lock for its switch interval (5 ms) whenever the event loop
wants it back, and of two busy threads each may well hand it to the other. So there is one thread,
and its work stands back about once a millisecond (`Budget`). The queue is bounded, and so is the
time that anyone waits. The default executor, which other parts need, is left alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

STAND_BACK_EVERY = 0.001  # seconds
_BREATH = 0.000_01  # a sleep of no time at all would win the lock back before anyone else woke up


class TooBusy(Exception):
    """So much is waiting that nothing more is taken on."""


class TooLate(Exception):
    """It was not done in time."""


class Budget:
    """The time that some work has from when it begins. Called by that work every few dozen steps:
    stands back if it is time to, and tells whether the time is over."""

    __slots__ = ("_back", "_end")

    def __init__(self, seconds: float) -> None:
        self._back = time.monotonic()
        self._end = self._back + seconds

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._back > STAND_BACK_EVERY:
            time.sleep(_BREATH)
            self._back = time.monotonic()
        return now > self._end


class Aside:
    def __init__(self, *, queue: int, deadline: float) -> None:
        """`queue` bounds what is under way and waits, `deadline` the seconds from being asked."""
        self._places = BoundedSemaphore(queue)
        self._deadline = deadline
        self._thread = ThreadPoolExecutor(1, "robots")

    async def run[T](self, work: Callable[[Budget], T], seconds: float) -> T:
        """What `work` returns, which is to give up when the `seconds` of its budget are over.
        Raises TooBusy, TooLate, RuntimeError after `close`, and what `work` raises."""
        if not self._places.acquire(blocking=False):
            raise TooBusy("as much robots.txt work as may be is waiting already")
        try:
            done = self._thread.submit(lambda: work(Budget(seconds)))
        except BaseException:
            self._places.release()
            raise
        # by the thread, not by who waits: work that was given up still keeps it busy
        done.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(done), self._deadline)
        except TimeoutError:
            raise TooLate(f"robots.txt work was not done within {self._deadline:g} s") from None

    def close(self) -> None:
        """What has not begun is cancelled; what has is bounded by its budget."""
        self._thread.shutdown(wait=False, cancel_futures=True)
