"""reppy as the engine: what a judgement costs through its process, and what a restart does."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import Callable
from statistics import median
from time import perf_counter

from outbounds.core.questions import JudgeRobots, RobotsAnswer
from outbounds.core.robots import Robots
from outbounds.robotstxt.engine import BuiltInEngine, Engine
from outbounds.robotstxt.reppy_engine import ReppyEngine
from outbounds.robotstxt.reppy_process import ReppyProcess, unusable

from .report import Row, ratio
from .robots_cases import generate
from .robots_differences import CASES, compare

QUESTIONS = 400  # of new paths, in each turn
AGENT = "ExampleFetcher/1.0"
ENDLESS = b"User-agent: *\nDisallow: /*a*a*a*b\n"


def rows(turns: int) -> list[Row]:
    """Raises RuntimeError where reppy cannot be the engine."""
    why = unusable()
    if why:
        raise RuntimeError(why)
    return asyncio.run(_rows(turns))


async def _rows(turns: int) -> list[Row]:
    reppy, ours = ReppyEngine(), BuiltInEngine()
    body = _file()
    robots = Robots.parse(body)
    answer = RobotsAnswer(robots, "fresh", hashlib.sha256(body).hexdigest(), body=body)
    found: dict[str, list[float]] = {name: [] for name in ("judge", "ours", "known", "held")}
    await _judge(reppy, _questions(answer, "warm"))
    for turn in range(turns):
        questions = _questions(answer, str(turn))
        found["judge"].append(await _judge(reppy, questions))
        found["ours"].append(await _judge(ours, questions))
        found["known"].append(_known(reppy, questions))
        found["held"].append(await _held(reppy, turn))
    await reppy.aclose()
    await ours.aclose()
    restarts = [await _start() for _ in range(turns)]
    outcome = await compare(generate(CASES))
    return [
        Row("reppy engine: a judgement, in its process", "µs", found["judge"]),
        ratio("… ÷ the built-in engine", found["judge"], found["ours"]),
        Row("reppy engine: a judgement that is remembered", "µs", found["known"]),
        Row("reppy engine: a new process, until it judges", "ms", restarts),
        Row("reppy engine: the longest of 50 judgements beside an endless one", "ms",
            found["held"]),
        Row(f"reppy judges otherwise than RFC 9309, of {outcome.cases:,} cases", "cases",
            [outcome.differing]),
    ]


def _file() -> bytes:
    """Two hundred rules, every tenth with a wildcard."""
    rules = [f"{'Allow' if number % 5 == 0 else 'Disallow'}: "
             + (f"/*/private-{number}$" if number % 10 == 9 else f"/area/{number}/")
             for number in range(200)]
    return "\n".join(("User-agent: *", *rules)).encode()


def _questions(answer: RobotsAnswer, turn: str) -> list[JudgeRobots]:
    return [JudgeRobots(answer, ("http", "www.shop.example", 80),
                        f"/shop/{turn}/item-{number}?page={number % 9}", (AGENT,))
            for number in range(QUESTIONS)]


async def _judge(engine: Engine, questions: list[JudgeRobots]) -> float:
    """The median in µs, one after the other."""
    gc.collect()
    times = []
    for question in questions:
        started = perf_counter()
        if engine.judge_now(question) is None:
            await engine.judge(question)
        times.append(perf_counter() - started)
    return median(times) * 1e6


def _known(engine: Engine, questions: list[JudgeRobots]) -> float:
    now: Callable[[JudgeRobots], object] = engine.judge_now
    times = []
    for question in questions * 10:
        started = perf_counter()
        now(question)
        times.append(perf_counter() - started)
    return median(times) * 1e6


async def _held(engine: ReppyEngine, turn: int) -> float:
    """What others wait, in ms, while one file holds a process until its deadline."""
    hostile = ENDLESS + b"#" * turn  # the file of the last turn is known to be bad
    bad = RobotsAnswer(Robots.parse(hostile), "fresh", hashlib.sha256(hostile).hexdigest(),
                       body=hostile)
    asked = JudgeRobots(bad, ("http", "bad.example", 80), "/" + "a" * 400, (AGENT,))
    task = asyncio.create_task(engine.judge(asked))
    body = _file() + b"#" * turn
    answer = RobotsAnswer(Robots.parse(body), "fresh", hashlib.sha256(body).hexdigest(), body=body)
    longest = 0.0
    for question in _questions(answer, f"held-{turn}")[:50]:
        started = perf_counter()
        await engine.judge(question)
        longest = max(longest, perf_counter() - started)
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(1.0)  # until the process is replaced
    return longest * 1e3


async def _start() -> float:
    """In ms."""
    process = ReppyProcess()
    started = perf_counter()
    await process.start()
    taken = perf_counter() - started
    process.kill()
    await process.ended()
    return taken * 1e3
