"""Whose turn it is: the lines of everybody who is held, and how they move.

What is asked again is only the front of a line, and the next one only after the front was let
through: when the store said that it would conform, when something held was given back, and, since
that may happen in another process, every `POLL` seconds where nothing better is known. There is one
timer for a line and one for all deadlines, however many wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..core.limits import TOLERANCE, Charge, Exceeded, Taken
from ..core.questions import Take
from ..core.rules import QueueTerms
from ..stores import Charges, LimitStore
from .deadlines import Deadlines
from .waiting_line import Line, LineKey, Waiter, key_of, paced

POLL = 0.1  # seconds
SOONEST = 0.001  # seconds; event loops wake up no more finely than that


class Turns:
    """`terms` bounds who is held; `clock` seconds; `over` is told what the store refuses."""

    def __init__(self, store: LimitStore, terms: Callable[[], QueueTerms],
                 clock: Callable[[], float], over: Callable[[Exceeded], None]) -> None:
        self.store = store
        self._terms = terms
        self._clock = clock
        self._over = over
        self.lines: dict[LineKey, Line] = {}
        self._held: Counter[str] = Counter()  # by account
        self._total = 0
        self._deadlines = Deadlines(clock, self._expire)
        self._asking: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        """Requests that are held."""
        return self._total

    def held_of(self, account: str) -> int:
        return self._held[account]

    def line_before(self, charges: Charges, turned: Iterable[LineKey] = ()) -> Line | None:
        """A line that a request with these charges has to stand in first, if there is one."""
        if not self.lines:
            return None
        return next((line for key in paced(charges) if key not in turned
                     and (line := self.lines.get(key)) is not None and line.queue), None)

    def line_for(self, outcome: Exceeded) -> Line:
        """The line of those that are over this limit; a new one's front was just answered."""
        key = (outcome.limit.id, outcome.key)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(key, outcome, self._clock())
            self._again_in(line, outcome.retry_after)
        return line

    def has_room(self, question: Take) -> bool:
        terms = self._terms()
        return (not self._closed and self._held[question.account] < terms.per_account
                and self._total < terms.total)

    def turned_away(self, line: Line, question: Take, now: float) -> Exceeded | None:
        """A refusal where there is no room to wait, or it would be for nothing."""
        bound = line.limit.max_wait
        if self.has_room(question) and line.wait_of(question, now, bound) <= bound + TOLERANCE:
            return None
        return line.refusal(question, now)

    def enter(self, line: Line, waiter: Waiter) -> None:
        """Put a request in its place; from here on it is held."""
        question = waiter.question
        if waiter.line is None:
            self._held[question.account] += 1
            self._total += 1
        line.queue.add(waiter, question.account, question.weight, first=line.key in waiter.turned)
        waiter.line = line
        waiter.deadline = waiter.since + line.limit.max_wait
        self._deadlines.add(waiter)

    def _move(self, waiter: Waiter, line: Line) -> None:
        """From the front of one line to its place in another, or out, if that is too late."""
        now = self._clock()
        if waiter.line is not None:
            waiter.line.queue.remove(waiter)
        left = waiter.since + line.limit.max_wait - now
        if line.wait_of(waiter.question, now, left) > left + TOLERANCE:
            self._settle(waiter, line.refusal(waiter.question, now))
            self.drop_if_empty(line)
        else:
            self.enter(line, waiter)

    def drop_if_empty(self, line: Line) -> None:
        if not line.queue and not line.busy and self.lines.get(line.key) is line:
            del self.lines[line.key]
            if line.timer is not None:
                line.timer.cancel()

    # --- whose turn it is -----------------------------------------------------------------------

    def _again_in(self, line: Line, seconds: float | None) -> None:
        if line.timer is not None:
            line.timer.cancel()
        delay = POLL if seconds is None else max(seconds, SOONEST)
        line.timer = asyncio.get_running_loop().call_later(delay, self.let_through, line)

    def let_through(self, line: Line) -> None:
        """Ask for the front of the line, and go on as long as it is let through."""
        if line.busy:
            line.again = True
            return
        while (waiter := self._front(line)) is not None:
            try:
                outcome = self.store.take_now(waiter.question.charges, waiter.question.report)
            except Exception as fault:
                self._fail(waiter, fault)
                continue
            if outcome is None:
                line.busy = True
                task = asyncio.get_running_loop().create_task(self._let_through_slowly(line))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
                return
            if not self._answered(line, waiter, outcome):
                return
        self.drop_if_empty(line)

    async def _let_through_slowly(self, line: Line) -> None:
        """The same with a store that is elsewhere: one after the other, as order demands."""
        try:
            while (waiter := self._front(line)) is not None:
                line.again = False
                question = waiter.question
                try:
                    outcome = await self.store.take(question.charges, question.report)
                except Exception as fault:
                    self._fail(waiter, fault)
                    continue
                if waiter.answer.done():  # it left meanwhile
                    if isinstance(outcome, Taken):
                        self.give_back(question.charges)
                elif not self._answered(line, waiter, outcome) and not line.again:
                    return
        finally:
            line.busy = False
            self.drop_if_empty(line)

    def _front(self, line: Line) -> Waiter | None:
        """Who is to be asked for: the front, unless it has to stand in another line first."""
        while (waiter := line.queue.head()) is not None:
            if waiter.answer.done():
                self.leave(waiter)
                continue
            waiter.turned.add(line.key)
            other = self.line_before(waiter.question.charges, waiter.turned)
            if other is None:
                return waiter
            step = line.step(waiter.question)
            self._move(waiter, other)
            if line.queue and (step > 0.0 or line.limit.unit.held):
                # the turn is its own, though it takes it later: nobody else is sent after it
                self._again_in(line, step or None)
                return None
        return None

    def _answered(self, line: Line, waiter: Waiter, outcome: Taken | Exceeded) -> bool:
        """Deal with what the store said; whether to go on with the next in line."""
        now = self._clock()
        if isinstance(outcome, Taken):
            line.queue.serve(waiter)
            self._settle(waiter, replace(outcome, wait=now - waiter.since, paced_by=line.limit))
            return True
        self._over(outcome)
        if not outcome.paceable:
            self._settle(waiter, outcome)
        elif (outcome.limit.id, outcome.key) != line.key:
            self._move(waiter, self.line_for(outcome))
        else:
            line.heard(outcome, now)
            self._again_in(line, outcome.retry_after)
            return False
        return True

    def came_free(self, charges: Iterable[Charge]) -> None:
        """See whether somebody waits for what these charges took."""
        for charge in charges:
            line = self.lines.get(key_of(charge))
            if line is not None:
                self.let_through(line)

    def give_back(self, charges: Charges) -> None:
        self.store.give_back(charges)
        if self.lines:
            self.came_free(charges)

    # --- leaving --------------------------------------------------------------------------------

    def leave(self, waiter: Waiter) -> None:
        """Out of its line, and its place free."""
        line, account = waiter.line, waiter.question.account
        if line is None:
            return
        waiter.line = None
        line.queue.remove(waiter)
        self._held[account] -= 1
        self._total -= 1
        if not self._held[account]:
            del self._held[account]
        self.drop_if_empty(line)

    def _settle(self, waiter: Waiter, outcome: Taken | Exceeded) -> None:
        self.leave(waiter)
        if not waiter.answer.done():
            waiter.answer.set_result(outcome)

    def _fail(self, waiter: Waiter, fault: Exception) -> None:
        self.leave(waiter)
        if not waiter.answer.done():
            waiter.answer.set_exception(fault)

    def dismiss(self, waiter: Waiter) -> None:
        """For one that nobody asks about any more."""
        if waiter.line is not None:
            self._settle(waiter, waiter.line.last)

    def _expire(self, waiter: Waiter) -> None:
        """Refuse one whose time is over; but if its turn comes at the same moment, it has it."""
        now = self._clock()
        if waiter.line is not None and waiter.line.front_wait(now) <= TOLERANCE:
            self.let_through(waiter.line)
        line = waiter.line
        if line is not None and waiter.deadline <= now + TOLERANCE:  # not let through, nor moved
            line.queue.remove(waiter)
            self._settle(waiter, line.refusal(waiter.question, now))

    def close(self) -> None:
        """Answer all that wait, and hold nobody from now on. Idempotent."""
        self._closed = True
        for line in tuple(self.lines.values()):
            for waiter in line.queue:
                self.dismiss(waiter)
        self._deadlines.close()
