"""Who judges a path by a robots.txt, and where: at once on the event loop, or in a thread.

A file and a path are in hostile hands, and together may be worth tens of milliseconds even to a
matcher whose worst case is bounded; the event loop must not stand still for that. So the work is
estimated first (`Robots.cost`). What is surely small is done at once, which is nearly everything;
the rest goes to a thread of its own.

**One thread, and a short queue.** The interpreter lock goes from a busy thread to the event loop
within its switch interval (5 ms), but of two busy threads each may well hand it to the other. So
there is one. Whoever finds the queue full is told so by an exception, as is whoever waited longer
than the deadline: the control refuses then, and nobody has taken from anyone but others with
files as hostile. The default executor, which other parts need, is left alone.

**Remembered answers** are keyed by the digest of the file's octets, not by the file: an answer
holds no parsed file in memory, and is right for every site with the same octets.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from outbounds.core.questions import JudgeRobots, judged
from outbounds.core.robots import Match

AT_ONCE = 2_000_000
"""Nanoseconds of estimated work up to which the event loop does it itself."""

DEADLINE = 1.0
"""Seconds from the question to its answer, the queue included."""

QUEUE = 16
"""Judgements waiting for the thread, or in it; the costliest takes about 50 ms."""

_KEY_OCTETS = 512  # longer paths and agents are not remembered
_REMEMBERED = 4096  # in each of two generations


class Engine(Protocol):
    """Answers `JudgeRobots`."""

    def judge_now(self, question: JudgeRobots) -> tuple[Match, ...] | None:
        """The answer if it takes no waiting, or None. Raises whatever is a fault; the control
        then refuses."""
        ...

    async def judge(self, question: JudgeRobots) -> tuple[Match, ...]:
        """The answer. Raises on any failure, among them being too busy or too late."""
        ...

    async def aclose(self) -> None:
        """End it, with all judgements under way."""
        ...


class EngineBusy(Exception):
    """So much is waiting to be judged that nothing more is taken on."""


class EngineLate(Exception):
    """The judgement was not there in time."""


type _Key = tuple[str, str, tuple[str, ...], bool]


class BuiltInEngine:
    """Our own matcher (`core.robots`)."""

    def __init__(self, *, deadline: float = DEADLINE, queue: int = QUEUE) -> None:
        """`deadline` in seconds; `queue` bounds the judgements that wait."""
        self._deadline = deadline
        self._queue = queue
        self._under_way = 0
        self._thread = ThreadPoolExecutor(1, "robots-judge")
        # the answers since the last clearing out, and those of the generation before
        self._young: dict[_Key, tuple[Match, ...]] = {}
        self._old: dict[_Key, tuple[Match, ...]] = {}

    def judge_now(self, question: JudgeRobots) -> tuple[Match, ...] | None:
        key = (question.answer.digest, question.path, question.agents, question.whole_site)
        found = self._young.get(key) or self._old.get(key)
        if found is not None:
            return found
        robots = question.answer.robots
        assert robots is not None
        if robots.cost(question.path, question.agents) > AT_ONCE:
            return None
        found = judged(question)
        self._remember(key, found)
        return found

    async def judge(self, question: JudgeRobots) -> tuple[Match, ...]:
        if self._under_way >= self._queue:
            raise EngineBusy(f"{self._under_way} costly robots.txt judgements are waiting already")
        self._under_way += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, judged, question)
        # counted until the thread is done with it, whoever has stopped waiting
        future.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._deadline)
        except TimeoutError:
            future.cancel()
            raise EngineLate(f"no judgement within {self._deadline} s") from None

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: asyncio.Future[tuple[Match, ...]]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # a caller that went away leaves nobody to look at it

    def _remember(self, key: _Key, found: tuple[Match, ...]) -> None:
        if not key[0] or len(key[1]) + sum(map(len, key[2])) > _KEY_OCTETS:
            return
        if len(self._young) >= _REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[key] = found
