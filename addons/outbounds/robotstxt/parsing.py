"""Parsing a robots.txt while the event loop goes on: small files at once, the others aside."""

from __future__ import annotations

import asyncio

from ..core.robots import Robots
from .aside import Aside, TooBusy, TooLate
from .contract import NotAsked

LARGE = 32 * 1024
"""Octets; up to here any file is read in less than 10 ms, and most in a tenth of that."""

QUEUE = 64
DEADLINE = 10.0  # seconds; the worst file of 500 KiB takes 0.14


class Parsing:
    """One thread for all: of several that are busy each takes its turn from the event loop."""

    def __init__(self) -> None:
        self._aside = Aside(queue=QUEUE, deadline=DEADLINE)
        self._under_way: dict[str, asyncio.Task[Robots]] = {}

    async def parsed(self, body: bytes, digest: str = "") -> Robots:
        """The rules in `body`; with its `digest`, once for all who ask meanwhile. Raises NotAsked
        where too much is waiting to be parsed."""
        if len(body) <= LARGE:
            return Robots.parse(body)
        if not digest:
            return await self._apart(body)
        task = self._under_way.get(digest)
        if task is None:
            task = self._under_way[digest] = asyncio.create_task(self._apart(body))
            task.add_done_callback(lambda _: self._under_way.pop(digest))
        return await asyncio.shield(task)

    async def _apart(self, body: bytes) -> Robots:
        try:
            return await self._aside.run(lambda budget: Robots.parse(body, budget), DEADLINE)
        except (TooBusy, TooLate) as error:
            raise NotAsked("Too many large robots.txt files are being read now.") from error

    def close(self) -> None:
        """Nothing more is parsed aside."""
        self._aside.close()
