"""What ten thousand robots.txt files take in memory, and what asking about one of them costs.

Memory is the growth of a process of its own, which does nothing else: `python -m
scripts.benchmarks.robots_cache` prints it, in MB.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
from pathlib import Path

from outbounds.robotstxt import Fetched, RobotsCache

from .report import Row, at_most
from .turns import microseconds

ORIGINS = 10_000
ACTIVE = 300  # origins that are asked about again and again
MEMORY = 256 << 20  # as config/robots.yaml has it


def rows(turns: int) -> list[Row]:
    active = [_origin(number) for number in range(ACTIVE)]
    cache = _filled(ACTIVE)
    peek = microseconds(cache.peek, active * 30)
    peek()
    return [
        Row("10,000 origins with 200 rules each, all different: memory", "MB",
            [_growth() for _ in range(min(turns, 3))], at_most(100.0)),
        Row("peek of an origin in use", "µs", [peek() for _ in range(turns)], at_most(2.0)),
    ]


class _Sites:
    """Every origin has a file of its own: 200 rules in four groups, 5 to 6 KB."""

    async def fetch(self, origin: tuple[str, str, int], account_id: str, client: str,
                    known: object) -> Fetched:
        return Fetched(200, _file(origin[1]), "text/plain", 86_400.0)


def _file(seed: str) -> bytes:
    words = random.Random(seed)
    lines = []
    for agent in ("*", "ExampleFetcher", "OtherBot", "ThirdBot"):
        lines.append(f"User-agent: {agent}")
        for number in range(50):
            rule = "Allow" if number % 5 == 0 else "Disallow"
            word, place = words.randrange(16**8), words.randrange(1000)
            lines.append(f"{rule}: /*/{word:x}-{place}$" if number % 10 == 9
                         else f"{rule}: /area-{word:x}/{place}/")
    return "\n".join(lines).encode() + b"\n"


def _origin(number: int) -> tuple[str, str, int]:
    return ("https", f"www.shop{number}.example", 443)


def _filled(count: int) -> RobotsCache:
    """A cache of so many origins, each of them asked about a path."""
    cache = RobotsCache(_Sites(), octets=MEMORY)  # type: ignore[arg-type]

    async def fill() -> None:
        for number in range(count):
            answer = await cache.get(_origin(number), "account", "192.0.2.7")
            assert answer.robots is not None
            answer.robots.allowed("/shop/item", "ExampleFetcher")

    asyncio.run(fill())
    return cache


def _growth() -> float:
    done = subprocess.run(
        [sys.executable, "-m", __name__], cwd=Path(__file__).resolve().parents[2],
        env=os.environ, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    _filled(1)
    gc.collect()
    before = _resident()
    kept = _filled(ORIGINS)
    gc.collect()
    if len(kept) != ORIGINS:
        sys.exit(f"only {len(kept)} of {ORIGINS} origins fit")
    print((_resident() - before) / 1e6)
