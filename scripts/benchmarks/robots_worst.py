"""What a hostile site can make of 500 KiB and a path of 8 KiB: the time, and the stalls."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from time import perf_counter

from outbounds.core.questions import JudgeRobots, RobotsAnswer
from outbounds.core.robots import Robots
from outbounds.core.robots_match import BOUND, Group, Rule
from outbounds.robotstxt.aside import Aside
from outbounds.robotstxt.engine import BuiltInEngine

from .report import Row, at_most

AGENT = "ExampleFetcher"
LARGEST_FILE = 500 * 1024
LONGEST_PATH = 8 * 1024

METHOD = """\
The costliest path is the longest judgement of 8 KiB under hostile files of up to 500 KiB, among \
them such as the matcher just still goes through; "arranged first" is the first judgement, which \
puts the file's rules in order. The loop's longest stall is between two turns of a task that \
sleeps 0.5 ms each time, while the engine judges the same files, and while they are parsed beside \
it. All these are the longest of all files, and of each file the least of three, because other \
work on the machine makes pauses, too; "with nothing to do" shows these."""

# the rule that fills the file, and the path it is asked about
_MANY_A = "/" + "a" * (LONGEST_PATH - 1)
HOSTILE = {
    "short wildcards": ("/*a*b{n}", _MANY_A),
    "many segments": ("/" + "*a" * 60 + "*{n}", _MANY_A),
    "as many segments as octets": ("/" + "*a" * 8_000 + "*{n}", _MANY_A),
    "needles that nearly match": ("/*" + "a" * 90 + "b{n}", _MANY_A),
    "two such needles": ("/*" + "a" * 90 + "*" + "a" * 90 + "b{n}", _MANY_A),
    "needles that match but for one octet": ("/*" + "a" * 96 + "baa*{n}", _MANY_A),
    "half a short path": ("/*" + "a" * 1_246 + "baa*{n}", "/" + "a" * 2_490),
    "anchored": ("/*a*{n}$", _MANY_A),
    "literals": ("/" + "a" * 200 + "{n}", _MANY_A),
    "short literals": ("/{n}", _MANY_A),
    "percent-encoding": ("/*%61*{n}", "/" + "%61" * (LONGEST_PATH // 3)),
    "encoded query": ("/*?*%2f*{n}", "/?" + "%2f" * (LONGEST_PATH // 3)),
}


def rows(turns: int) -> list[Row]:
    files = [(file, path) for rule, path in HOSTILE.values() for file in _files(rule, path)]
    costs = [_costliest(files) for _ in range(turns)]
    stalls = [asyncio.run(_stalls(files)) for _ in range(turns)]
    return [
        Row("costliest path", "ms", [again for again, _ in costs], at_most(50.0)),
        Row("costliest path, arranged first", "ms", [first for _, first in costs],
            at_most(50.0)),
        Row("loop's longest stall while judging", "ms", [each[1] for each in stalls],
            at_most(10.0)),
        Row("loop's longest stall while parsing", "ms", [each[2] for each in stalls],
            at_most(10.0)),
        Row("loop's longest stall with nothing to do", "ms", [each[0] for each in stalls]),
    ]


def _files(rule: str, path: str) -> list[bytes]:
    """As large as they are read, and with just as many rules as the matcher will go through."""
    most = LARGEST_FILE // (len("Disallow: ") + len(rule) + 4)
    one = Group([Rule.of(False, rule.format(n=1), 1)]).steps(path)
    counts = {most, min(most, BOUND // one - 1)} if one else {most}
    return ["\n".join(["User-agent: *", *(f"Disallow: {rule.format(n=number)}"
                                          for number in range(count))]).encode()
            for count in sorted(counts)]


def _costliest(files: list[tuple[bytes, str]]) -> tuple[float, float]:
    """The longest of all judgements in ms, once the rules are arranged and before."""
    again, first = [], []
    for file, path in files:
        times = [_time(Robots.parse(file), path) for _ in range(3)]
        first.append(min(before for before, _ in times))
        again.append(min(after for _, after in times))
    return max(again), max(first)


def _time(robots: Robots, path: str) -> tuple[float, float]:
    gc.collect()
    started = perf_counter()
    robots.allowed(path, AGENT)
    arranged = perf_counter()
    robots.allowed(path, AGENT)
    return (arranged - started) * 1e3, (perf_counter() - arranged) * 1e3


async def _stalls(files: list[tuple[bytes, str]]) -> tuple[float, float, float]:
    """In ms: with nothing to do, while judging, while parsing."""
    engine, aside = BuiltInEngine(), Aside(queue=1, deadline=10.0)
    gc.collect()
    gc.freeze()  # as the proxy does when it has started
    try:
        idle = await _longest(lambda: asyncio.sleep(0.2))
        judging, parsing = 0.0, 0.0
        for file, path in files:
            found = [await _stall(engine, aside, file, path) for _ in range(3)]
            judging = max(judging, min(each[0] for each in found))
            parsing = max(parsing, min(each[1] for each in found))
        return idle, judging, parsing
    finally:
        gc.unfreeze()
        aside.close()
        await engine.aclose()


async def _stall(engine: BuiltInEngine, aside: Aside, file: bytes, path: str
                 ) -> tuple[float, float]:
    """In ms: while judging, to be arranged and then arranged, and while parsing."""
    async def parse() -> Robots:
        return await aside.run(lambda budget: Robots.parse(file, budget), 10.0)

    async def judge() -> None:
        for _ in range(2):
            if engine.judge_now(question) is None:
                await engine.judge(question)

    parsing = await _longest(parse)
    question = JudgeRobots(RobotsAnswer(Robots.parse(file), "fresh"), ("http", "a.example", 80),
                           path, (AGENT,))
    return await _longest(judge), parsing


async def _longest(work: Callable[[], Awaitable[object]]) -> float:
    """The longest time in ms that the event loop stood still while `work` was done."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        last = perf_counter()
        while True:
            await asyncio.sleep(0.0005)
            now = perf_counter()
            longest, last = max(longest, now - last), now

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.002)
    longest = 0.0
    await work()
    await asyncio.sleep(0.001)
    beating.cancel()
    return longest * 1e3
