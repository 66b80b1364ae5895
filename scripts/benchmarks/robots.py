"""robots.txt: reading a file and judging a path, beside other readers of the same file."""

from __future__ import annotations

import asyncio
import gc
import urllib.robotparser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import protego

from outbounds.core.robots import Robots
from outbounds.core.robots_match import BOUND, Rule
from outbounds.robotstxt import RobotsCache
from outbounds.robotstxt.fetch import Fetched

from .report import Report, Row, at_most, ratio
from .turns import Measure, interleaved, microseconds

SITE = "http://www.shop.example"
AGENT = "ExampleFetcher"
PATHS = [f"/shop/section-{number}/item-{number * 7}?page={number % 9}" for number in range(500)]
LARGEST_FILE = 500 * 1024
LONGEST_PATH = 8 * 1024

METHOD = """\
One file of 200 rules in four groups, every tenth with a wildcard, read and asked for {paths} \
paths in turn by each reader. The costliest path is the longest judgement of 8 KiB under hostile \
files of up to 500 KiB, among them such as the matcher just still goes through. {turns} turns, \
A B C A B C …"""


@dataclass(frozen=True, slots=True)
class Reader:
    """`parse` reads the file; `allowed` asks what it returned about a path."""

    name: str
    parse: Callable[[str], Any]
    allowed: Callable[[Any, str], object]


def run(quick: bool) -> Report:
    turns = 2 if quick else 7
    report = Report("robots", METHOD.format(paths=len(PATHS), turns=turns))
    text = _file()
    readers = [reader for reader in (*_readers(), _reppy(report)) if reader is not None]
    contenders: dict[str, Measure] = {}
    for reader in readers:
        contenders[f"parse: {reader.name}"] = microseconds(reader.parse, [text] * 50)
        contenders[f"allowed: {reader.name}"] = microseconds(
            partial(reader.allowed, reader.parse(text)), PATHS * 4)
    cache = _cache(text)
    origins = [("http", f"www.shop{number}.example", 80) for number in range(1_000)] * 10
    contenders["RobotsCache.peek"] = microseconds(cache.peek, origins)
    found = interleaved(contenders, turns)
    bounds = {"parse: outbounds": at_most(500.0), "allowed: outbounds": at_most(15.0),
              "RobotsCache.peek": at_most(2.0)}
    report.rows += [Row(name, "µs", figures, bounds.get(name)) for name, figures in found.items()]
    for what in ("parse", "allowed"):
        report.rows += [ratio(f"{what}: {reader.name} ÷ outbounds",
                              found[f"{what}: {reader.name}"], found[f"{what}: outbounds"])
                        for reader in readers[1:]]
    report.rows.append(Row("costliest path", "ms", [_costliest() for _ in range(min(turns, 5))],
                           at_most(50.0)))
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


# What a hostile site may try: the rule that fills the file, and the path it is asked about.
_MANY_A = "/" + "a" * (LONGEST_PATH - 1)
HOSTILE = {
    "short wildcards": ("/*a*b{n}", _MANY_A),
    "many segments": ("/" + "*a" * 60 + "*{n}", _MANY_A),
    "needles that nearly match": ("/*" + "a" * 90 + "b{n}", _MANY_A),
    "two such needles": ("/*" + "a" * 90 + "*" + "a" * 90 + "b{n}", _MANY_A),
    "anchored": ("/*a*{n}$", _MANY_A),
    "literals": ("/" + "a" * 200 + "{n}", _MANY_A),
    "percent-encoding": ("/*%61*{n}", "/" + "%61" * (LONGEST_PATH // 3)),
    "encoded query": ("/*?*%2f*{n}", "/?" + "%2f" * (LONGEST_PATH // 3)),
}


def _costliest() -> float:
    """The longest of all judgements in ms: of files as large as they are read, and of files with
    just as many rules as the matcher will still go through (`robots_match.BOUND`)."""
    longest = 0.0
    for rule, path in HOSTILE.values():
        weight = Rule.of(False, rule, 1).weight
        most = LARGEST_FILE // (len("Disallow: ") + len(rule) + 4)
        for rules in {most, min(most, BOUND // (len(path) * weight))} if weight else {most}:
            longest = max(longest, _cost(rule, path, rules))
    return longest


def _cost(rule: str, path: str, rules: int) -> float:
    """The time in ms of one judgement, after a first that arranges the rules."""
    lines = ["User-agent: *", *(f"Disallow: {rule.format(n=number)}" for number in range(rules))]
    robots = Robots.parse("\n".join(lines).encode())
    robots.allowed("/", AGENT)
    gc.collect()
    times = []
    for _ in range(3):
        started = perf_counter()
        robots.allowed(path, AGENT)
        times.append(perf_counter() - started)
    return median(times) * 1e3
