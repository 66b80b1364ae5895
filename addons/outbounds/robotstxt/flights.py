"""One flight per origin, and no more of them than are allowed: in all, and for each account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from ..core.questions import RobotsAnswer
from .contract import Origin


class Flights:
    """`most` at once in all, `most_per_account` for each account on whose behalf they are: so that
    one customer who names many hosts takes only so much from the others."""

    def __init__(self, most: int, most_per_account: int) -> None:
        self._most, self._most_per_account = most, most_per_account
        self._under_way: dict[Origin, asyncio.Task[RobotsAnswer]] = {}
        self._of_account: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._under_way)

    def join(self, origin: Origin, account_id: str,
             fly: Callable[[], Coroutine[Any, Any, RobotsAnswer]]
             ) -> asyncio.Task[RobotsAnswer] | None:
        """The flight under way, or a new one; None where there are too many."""
        flight = self._under_way.get(origin)
        if flight is not None:
            return flight
        if len(self._under_way) >= self._most \
                or self._of_account[account_id] >= self._most_per_account:
            return None
        flight = self._under_way[origin] = asyncio.create_task(fly())
        self._of_account[account_id] += 1
        flight.add_done_callback(lambda _: self._landed(origin, account_id))
        return flight

    def _landed(self, origin: Origin, account_id: str) -> None:
        del self._under_way[origin]
        self._of_account[account_id] -= 1
        if not self._of_account[account_id]:
            del self._of_account[account_id]

    async def aclose(self) -> None:
        """End them all."""
        flights = list(self._under_way.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
