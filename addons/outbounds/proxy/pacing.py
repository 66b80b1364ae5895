"""Pacing: requests that are over a limit which can be waited for are held, and have their turns.

Every charge goes through here. A request that conforms passes; one that does not, and may wait,
stands in the line of the limit that it exceeds longest, in fair order over all accounts
(`core.fair_queue`). Nobody who comes later passes a line that it would have to stand in: it goes to
its own place there without the store being asked.

A request waits no longer than `max_wait` of the limit it waits for, counted from its arrival, also
where it has to stand in a second line after the first. What is promised to one that is refused:
Retry-After is the time until all that are before it have had their turns, so that, if nobody who
came later takes its place, it conforms then (to a rate; when what is held comes free nobody knows).
One whose turn cannot come in time is told so at once, instead of being held for nothing; and so is
one that finds its account's places, or all of them, taken.

One timer's lateness is lost for good where the burst is 1: a paced limit of 500 a second needs a
burst of a few to be reached.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..core.limits import Charge, Exceeded, Taken
from ..core.questions import Take
from ..core.rules import QueueTerms
from ..stores import Charges, LimitStore
from .turns import Turns
from .waiting_line import Waiter


def _nothing(_: Exceeded) -> None:
    return None


class Pacer:
    """`terms` bounds who is held; `clock` seconds, never backwards. `over` is told whatever the
    store refuses, each time it does."""

    def __init__(self, store: LimitStore, terms: Callable[[], QueueTerms],
                 clock: Callable[[], float] = time.monotonic,
                 over: Callable[[Exceeded], None] = _nothing) -> None:
        self.store = store
        self._clock = clock
        self._over = over
        self._turns = Turns(store, terms, clock, over)

    def waiting(self) -> int:
        """Requests that are held now."""
        return len(self._turns)

    def waiting_of(self, account: str) -> int:
        return self._turns.held_of(account)

    # --- taking ---------------------------------------------------------------------------------

    def take_now(self, question: Take) -> Taken | Exceeded | None:
        """The answer where there is one at once; None: `take` has it. Raises what the store does
        (`StoreFull`)."""
        line = self._turns.line_before(question.charges) if question.patient else None
        if line is None:
            outcome = self.store.take_now(question.charges, question.report)
            if not isinstance(outcome, Exceeded):
                return outcome
            self._over(outcome)
            if not (question.patient and outcome.paceable):
                return outcome
            line = self._turns.lines.get((outcome.limit.id, outcome.key))
            if line is None:
                return None if self._turns.has_room(question) else outcome
        return self._turns.turned_away(line, question, self._clock())

    async def take(self, question: Take, gone: asyncio.Future[None] | None = None
                   ) -> Taken | Exceeded:
        """The answer, after a wait if it takes one. `gone`: done when the client leaves; its place
        is then free at once, and nobody looks at the answer. Raises what the store does."""
        now = self._clock()
        patient = question.patient and not (gone is not None and gone.done())
        line = self._turns.line_before(question.charges) if patient else None
        outcome: Taken | Exceeded | None = None
        if line is None:
            outcome = await self._ask(question)
            if isinstance(outcome, Taken):
                return outcome
            self._over(outcome)
            if not (patient and outcome.paceable):
                return outcome
            line = self._turns.line_for(outcome)
        refusal = self._turns.turned_away(line, question, self._clock())
        if refusal is not None:
            self._turns.drop_if_empty(line)
            return refusal
        loop = asyncio.get_running_loop()
        waiter = Waiter(question, loop.create_future(), now)
        self._turns.enter(line, waiter)

        def left(_: object) -> None:
            self._turns.dismiss(waiter)

        if gone is not None:
            gone.add_done_callback(left)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            if waiter.answer.cancelled():
                self._turns.leave(waiter)
            elif waiter.answer.exception() is None and isinstance(waiter.answer.result(), Taken):
                self._turns.give_back(question.charges)
            raise
        finally:
            if gone is not None:
                gone.remove_done_callback(left)

    async def _ask(self, question: Take) -> Taken | Exceeded:
        """Ask the store. Who is cancelled meanwhile may have been charged, and is not to be."""
        outcome = self.store.take_now(question.charges, question.report)
        if outcome is not None:
            return outcome
        asked = asyncio.ensure_future(self.store.take(question.charges, question.report))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(lambda done: self._undo(done, question.charges))
            raise

    def _undo(self, asked: asyncio.Future[Taken | Exceeded], charges: Charges) -> None:
        if not asked.cancelled() and asked.exception() is None \
                and isinstance(asked.result(), Taken):
            self._turns.give_back(charges)

    # --- giving back ----------------------------------------------------------------------------

    def release(self, charges: Charges) -> None:
        """What was held comes free, and goes to whoever is next. Never raises."""
        self.store.release(charges)
        if self._turns.lines:
            self._turns.came_free(charge for charge in charges if charge.limit.unit.held)

    def give_back(self, charges: Charges) -> None:
        """Undo a take whose request never went anywhere. Never raises."""
        self._turns.give_back(charges)

    def hold_off(self, charge: Charge, seconds: float) -> None:
        """Let nothing conform under this charge's rate for so long. Never raises."""
        self.store.hold_off(charge, seconds)

    def close(self) -> None:
        """Answer all that wait with a refusal, and hold nobody from now on. Idempotent."""
        self._turns.close()
