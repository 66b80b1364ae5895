"""Stand-in until the fair queue is here (its author overwrites this file)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..core.limits import Charge, Exceeded, Taken
from ..core.questions import Take
from ..core.rules import QueueTerms
from ..stores import LimitStore


class Pacer:
    def __init__(self, store: LimitStore, terms: Callable[[], QueueTerms]) -> None:
        self._store = store

    def take_now(self, question: Take) -> Taken | Exceeded | None:
        return self._store.take_now(question.charges, question.report)

    async def take(self, question: Take, gone: asyncio.Future[None] | None) -> Taken | Exceeded:
        return await self._store.take(question.charges, question.report)

    def release(self, charges: tuple[Charge, ...]) -> None:
        self._store.release(charges)

    def give_back(self, charges: tuple[Charge, ...]) -> None:
        self._store.give_back(charges)

    def debit(self, charges: tuple[Charge, ...]) -> Exceeded | None:
        return self._store.debit(charges)
