"""Who judges a path by a robots.txt, and where: at once on the event loop, or beside it.

A file and a path are in hostile hands, and together may be worth tens of milliseconds even to a
matcher whose worst case is bounded; the event loop must not stand still for that. So the work is
estimated first (`Robots.cost`). What is surely small is done at once, which is nearly everything;
the rest goes to a thread (`aside`) with a bounded queue. Who finds that full, or waits too long,
is told by an exception: the control refuses then, and what was taken was taken only from others
whose sites ask for as much work.

**Remembered answers** are keyed by the digest of the file's octets, not by the file: an answer
holds no parsed file in memory, and is right for every site with the same octets.
"""

from __future__ import annotations

from typing import Protocol

from outbounds.core.questions import JudgeRobots, judged
from outbounds.core.robots import Match

from .aside import Aside
from .aside import TooBusy as EngineBusy
from .aside import TooLate as EngineLate

__all__ = ["BuiltInEngine", "Engine", "EngineBusy", "EngineLate"]

AT_ONCE = 2_000_000
"""Nanoseconds of estimated work up to which the event loop does it itself."""

BUDGET = 0.25
"""Seconds that one judgement may take, some ten times what the costliest does on a free machine.
Beyond them it is a refusal by line 0 (`Match`)."""

DEADLINE = 1.0
"""Seconds from the question to its answer, the queue included."""

QUEUE = 16
"""Judgements waiting for the thread, or in it."""

_KEY_OCTETS = 512  # path and agents together; longer ones are not remembered
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


type _Key = tuple[str, str, tuple[str, ...], bool]


class BuiltInEngine:
    """Our own matcher (`core.robots`)."""

    def __init__(self, *, deadline: float = DEADLINE, queue: int = QUEUE,
                 budget: float = BUDGET) -> None:
        """`deadline` and `budget` in seconds; `queue` bounds the judgements that wait."""
        self._aside = Aside(queue=queue, deadline=deadline)
        self._budget = budget
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
        """Raises EngineBusy, EngineLate."""
        return await self._aside.run(lambda budget: judged(question, budget), self._budget)

    async def aclose(self) -> None:
        self._aside.close()

    def _remember(self, key: _Key, found: tuple[Match, ...]) -> None:
        digest, path, agents, _ = key
        if not digest or len(path) + sum(map(len, agents)) > _KEY_OCTETS:
            return
        if len(self._young) >= _REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[key] = found
