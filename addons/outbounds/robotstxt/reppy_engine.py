"""reppy as the judge: the same questions and answers as `BuiltInEngine`, other verdicts.

reppy judges in processes of its own (`reppy_worker` says why). A judgement that ends its process,
or takes too long, is a failure, and a failure refuses the request. The verdict alone is reppy's:

- **who asks** is found as for our own matcher: the most specific product token of a User-Agent
  that the file names, else its first token; reppy, which compares whole names, is given that one;
- **the path** is judged as it was sent and in its one spelling (`robots_spelling`), and both have
  to be allowed: reppy resolves no dot segments, and "/open/../closed" must not hide from a rule;
- **the line** that decided is not known to reppy. Where our own matcher comes to the same verdict,
  it is the line that decided there; elsewhere `Match.line` is 0;
- **a whole site**, which nobody asks reppy about, is judged by our own matcher, and so is a site
  without a robots.txt.

**What a hostile file can do.** It can end a process. The question that did is remembered for some
minutes and refused without asking again; a file that did so three times, with whatever paths, is
refused as a whole. At most one process at a time is at work on one file, so that those who ask
about others find the second one free. All queues are short.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from weakref import WeakValueDictionary

from cachetools import LRUCache, TTLCache

from outbounds.core.questions import JudgeRobots
from outbounds.core.robots import Match, Robots, product_tokens
from outbounds.core.robots_parse import ANYONE
from outbounds.core.robots_spelling import octets, origin_form

from .aside import TooBusy, TooLate
from .engine import BuiltInEngine, Engine
from .reppy_process import CannotRead, WorkerDied
from .reppy_worker import SITE
from .reppy_workers import NoWorker, ReppyWorkers

DEADLINE = 2.0
"""Seconds from a question to its answer, waiting for a process included."""

QUEUE = 256
"""Questions that wait or are being judged, about all files together."""

QUEUE_OF_FILE = 64
"""The same, about one file."""

REMEMBERED_BAD = 300.0
"""Seconds for which a question or file that ended a process is refused without asking."""

BAD_PATHS = 3
"""Processes that a file may end before it is refused whatever the path."""

_REMEMBERED = 8192  # verdicts
_KEY_OCTETS = 512  # longer paths and agents are not remembered
_BAD = 4096  # questions, and files, that ended a process

type _Key = tuple[str, str, tuple[str, ...]]


class Poisonous(Exception):
    """The question, or its file, has ended a process before and is not asked again for now."""


class ReppyEngine:
    """Keeps `engine.Engine`.

    `rules` is our own matcher, for what reppy does not say; it is closed with this. `count(event)`
    is told of "died" (with or without our doing), "unreadable", "poisonous", "busy", "late" and
    "down" (no process, and none soon).
    """

    def __init__(self, rules: Engine | None = None, workers: ReppyWorkers | None = None, *,
                 count: Callable[[str], None] = lambda event: None, deadline: float = DEADLINE,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules if rules is not None else BuiltInEngine()
        self.workers = workers if workers is not None else ReppyWorkers()
        self._count = count
        self._deadline = deadline
        self._verdicts: LRUCache[_Key, tuple[Match, ...]] = LRUCache(_REMEMBERED)
        self._bad: TTLCache[_Key, str] = TTLCache(_BAD, REMEMBERED_BAD, clock)
        self._bad_paths: TTLCache[str, int] = TTLCache(_BAD, REMEMBERED_BAD, clock)
        self._flights: dict[_Key, asyncio.Task[tuple[Match, ...]]] = {}
        self._of_file: Counter[str] = Counter()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def judge_now(self, question: JudgeRobots) -> tuple[Match, ...] | None:
        if question.whole_site or not question.answer.digest:
            return self._rules.judge_now(question)
        return self._verdicts.get((question.answer.digest, question.path, question.agents))

    async def judge(self, question: JudgeRobots) -> tuple[Match, ...]:
        """Raises TooBusy, TooLate, Poisonous, WorkerDied, NoWorker, CannotRead."""
        if question.whole_site or not question.answer.digest:
            return await self._rules.judge(question)
        key = (question.answer.digest, question.path, question.agents)
        flight = self._flights.get(key)
        if flight is None:
            self._refuse_bad(key)
            if len(self._flights) >= QUEUE or self._of_file[key[0]] >= QUEUE_OF_FILE:
                self._count("busy")
                raise TooBusy("too many questions are waiting for reppy")
            self.workers.start()
            self._of_file[key[0]] += 1
            flight = self._flights[key] = asyncio.create_task(self._fly(key, question))
            flight.add_done_callback(lambda done: self._landed(key, done))
        # shielded: a process whose question is broken off would have to be killed
        return await asyncio.shield(flight)

    async def aclose(self) -> None:
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self.workers.aclose()
        await self._rules.aclose()

    def _landed(self, key: _Key, flight: asyncio.Task[tuple[Match, ...]]) -> None:
        del self._flights[key]
        self._of_file[key[0]] -= 1
        if not self._of_file[key[0]]:
            del self._of_file[key[0]]
        if not flight.cancelled():
            flight.exception()  # callers that went away leave nobody to look at it

    async def _fly(self, key: _Key, question: JudgeRobots) -> tuple[Match, ...]:
        answer = question.answer
        assert answer.robots is not None
        robots = answer.robots
        names = tuple(name_of(robots, agent) for agent in question.agents)
        turn = self._turns.setdefault(key[0], asyncio.Lock())
        try:
            async with asyncio.timeout(self._deadline), turn:
                self._refuse_bad(key)  # those before us may have found out
                allowed = await self.workers.ask(key[0], answer.body, names,
                                                 urls_of(question.path))
                found = tuple([await self._match(question, agent, verdict) for agent, verdict
                               in zip(question.agents, allowed, strict=False)])
        except WorkerDied as error:
            self._count("died")
            self._bad[key] = str(error)
            self._bad_paths[key[0]] = self._bad_paths.get(key[0], 0) + 1
            raise
        except CannotRead:
            self._count("unreadable")
            raise
        except NoWorker:
            self._count("down")
            raise
        except TimeoutError:
            self._count("late")
            raise TooLate(f"no judgement by reppy within {self._deadline:g} s") from None
        if len(question.path) + sum(map(len, question.agents)) <= _KEY_OCTETS:
            self._verdicts[key] = found
        return found

    def _refuse_bad(self, key: _Key) -> None:
        why = self._bad.get(key)
        if why is None and self._bad_paths.get(key[0], 0) >= BAD_PATHS:
            why = f"its file has ended {BAD_PATHS} processes"
        if why is not None:
            self._count("poisonous")
            raise Poisonous(f"reppy is not asked again: {why}")

    async def _match(self, question: JudgeRobots, agent: str, allowed: bool) -> Match:
        """The verdict, and the line that our own matcher gives for it."""
        alone = question._replace(agents=(agent,))
        try:
            ours, *_ = self._rules.judge_now(alone) or await self._rules.judge(alone)
        except (TooBusy, TooLate):
            return Match(allowed, 0)
        return ours if ours.allowed == allowed else Match(allowed, 0)


def name_of(robots: Robots, agent: str) -> str:
    """The product token by which reppy is told who asks; "*" for one that has none."""
    token = robots.token(agent)
    if token == ANYONE:
        return next(iter(product_tokens(agent)), ANYONE)
    return token


def urls_of(path: str) -> tuple[bytes, ...]:
    """The URLs that all have to be allowed. Raises UnicodeEncodeError as `origin_form` does."""
    sent, spelt = octets(path).encode("latin-1"), origin_form(path).encode()
    return (SITE + sent,) if sent == spelt else (SITE + sent, SITE + spelt)
