"""robots.txt: reading a file and judging a path, beside other readers of the same file."""

from __future__ import annotations

import asyncio
import urllib.robotparser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import protego

from outbounds.core.questions import JudgeRobots
from outbounds.core.robots import Robots
from outbounds.robotstxt import RobotsCache
from outbounds.robotstxt.engine import BuiltInEngine
from outbounds.robotstxt.fetch import Fetched

from . import robots_cache, robots_reppy, robots_worst
from .report import Report, Row, at_most, ratio
from .turns import Measure, interleaved, microseconds

SITE = "http://www.shop.example"
AGENT = "ExampleFetcher"
PATHS = [f"/shop/section-{number}/item-{number * 7}?page={number % 9}" for number in range(500)]

METHOD = """\
One file of 200 rules in four groups, every tenth with a wildcard, read and asked for {paths} \
paths in turn by each reader. "decided before" is everything that the proxy does for a path that \
it has judged: RobotsCache.peek of one of a thousand sites, then BuiltInEngine.judge_now. \
{worst} {turns} turns, A B C A B C …"""


@dataclass(frozen=True, slots=True)
class Reader:
    """`parse` reads the file; `allowed` asks what it returned about a path."""

    name: str
    parse: Callable[[str], Any]
    allowed: Callable[[Any, str], object]


def run(quick: bool) -> Report:
    turns = 2 if quick else 7
    report = Report("robots", METHOD.format(
        paths=len(PATHS), turns=turns, worst=robots_worst.METHOD))
    text = _file()
    readers = [reader for reader in (*_readers(), _reppy(report)) if reader is not None]
    contenders: dict[str, Measure] = {}
    for reader in readers:
        contenders[f"parse: {reader.name}"] = microseconds(reader.parse, [text] * 50)
        # some leave part of the reading to the first question
        contenders[f"parse and ask: {reader.name}"] = microseconds(
            partial(_parse_and_ask, reader), [text] * 50)
        contenders[f"allowed: {reader.name}"] = microseconds(
            partial(reader.allowed, reader.parse(text)), PATHS * 4)
    cache = _cache(text)
    origins = [("http", f"www.shop{number}.example", 80) for number in range(1_000)] * 10
    contenders["RobotsCache.peek"] = microseconds(cache.peek, origins)
    contenders["decided before"] = microseconds(_decision(cache), [
        (origin, PATHS[number % 4]) for number, origin in enumerate(origins)])
    found = interleaved(contenders, turns)
    bounds = {"parse: outbounds": at_most(500.0), "parse and ask: outbounds": at_most(500.0),
              "allowed: outbounds": at_most(15.0),
              "RobotsCache.peek": at_most(2.0), "decided before": at_most(2.0)}
    report.rows += [Row(name, "µs", figures, bounds.get(name)) for name, figures in found.items()]
    for what in ("parse", "parse and ask", "allowed"):
        report.rows += [ratio(f"{what}: {reader.name} ÷ outbounds",
                              found[f"{what}: {reader.name}"], found[f"{what}: outbounds"])
                        for reader in readers[1:]]
    report.rows += robots_worst.rows(min(turns, 5))
    report.rows += robots_cache.rows(turns)
    try:
        report.rows += robots_reppy.rows(turns)
    except RuntimeError as error:
        report.missing["reppy engine"] = str(error)
    return report


def _file() -> str:
    """Two hundred rules as large shops have them."""
    groups = []
    for group, agent in enumerate(("*", AGENT, "OtherBot", "ThirdBot")):
        rules = [f"{'Allow' if number % 5 == 0 else 'Disallow'}: "
                 + (f"/*/private-{number}$" if number % 10 == 9 else f"/area-{group}/{number}/")
                 for number in range(50)]
        groups.append("\n".join((f"User-agent: {agent}", *rules)))
    return "\n\n".join(groups) + "\n"


def _parse_and_ask(reader: Reader, text: str) -> object:
    return reader.allowed(reader.parse(text), PATHS[0])


def _readers() -> list[Reader]:
    def standard(text: str) -> urllib.robotparser.RobotFileParser:
        parser = urllib.robotparser.RobotFileParser()
        parser.parse(text.splitlines())
        return parser

    return [
        Reader("outbounds", lambda text: Robots.parse(text.encode()),
               lambda robots, path: robots.allowed(path, AGENT)),
        Reader("protego", protego.Protego.parse,
               lambda rules, path: rules.can_fetch(SITE + path, AGENT)),
        Reader("urllib.robotparser", standard,
               lambda parser, path: parser.can_fetch(AGENT, SITE + path)),
    ]


def _reppy(report: Report) -> Reader | None:
    try:
        from reppy.robots import Robots as Reppy  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        report.missing["reppy"] = f"not installed ({error}); scripts/environment says why"
        return None
    return Reader("reppy", lambda text: Reppy.parse(SITE + "/robots.txt", text),
                  lambda robots, path: robots.allowed(SITE + path, AGENT))


class _Site:
    def __init__(self, text: str) -> None:
        self.body = text.encode()

    async def fetch(self, origin: object, account_id: str, client: str,
                    known: object) -> Fetched:
        return Fetched(200, self.body, "text/plain", 86_400.0)


def _cache(text: str) -> RobotsCache:
    """A cache that holds a thousand sites."""
    cache = RobotsCache(_Site(text))  # type: ignore[arg-type]

    async def fill() -> None:
        for number in range(1_000):
            await cache.get(("http", f"www.shop{number}.example", 80), "account", "192.0.2.7")

    asyncio.run(fill())
    return cache


def _decision(cache: RobotsCache) -> Callable[[tuple[tuple[str, str, int], str]], object]:
    engine = BuiltInEngine()

    def decide(asked: tuple[tuple[str, str, int], str]) -> object:
        origin, path = asked
        answer = cache.peek(origin)
        assert answer is not None
        return engine.judge_now(JudgeRobots(answer, origin, path, (AGENT,)))

    return decide
