"""The line before one limit: who waits in it, and what can be said about when.

A line knows its limit only through what the store last said: the `Exceeded` of whoever was at its
front. For a rate that names the moment at which the front conforms, and everybody behind conforms
one emission interval after the one before. For what is held nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..core.fair_queue import FairQueue
from ..core.limits import Charge, Exceeded, Limit, Over, Taken
from ..core.questions import Take

LineKey = tuple[str, str]  # limit id, key

# In a longer line nobody's place is counted for the sake of a Retry-After: a crowd that is turned
# away must not cost more than one that is let in.
COUNTED = 256


@dataclass(slots=True, eq=False)
class Waiter:
    """A request that is held. `since` on the pacer's clock; `turned`: lines it was in front of."""

    question: Take
    answer: asyncio.Future[Taken | Exceeded]
    since: float
    line: Line | None = None
    deadline: float = 0.0
    turned: set[LineKey] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Line:
    """`last` is what the store said at `asked`; `busy` while it is being asked and has yet to
    answer, and `again` when something came free meanwhile."""

    key: LineKey
    last: Exceeded
    asked: float
    queue: FairQueue[Waiter] = field(default_factory=FairQueue)
    timer: asyncio.TimerHandle | None = None
    busy: bool = False
    again: bool = False

    @property
    def limit(self) -> Limit:
        return self.last.limit

    def heard(self, outcome: Exceeded, now: float) -> None:
        self.last, self.asked = outcome, now

    def front_wait(self, now: float) -> float:
        """Seconds until the front conforms, as far as is known; 0.0 for what is held."""
        if self.last.retry_after is None:
            return 0.0
        return max(0.0, self.asked + self.last.retry_after - now)

    def step(self, question: Take) -> float:
        """Seconds that one such request keeps those behind it waiting; 0.0 for what is held, and
        where it only has to be clear (a pause)."""
        if self.limit.unit.held:
            return 0.0
        costs = (charge.cost for charge in question.charges if key_of(charge) == self.key)
        return next(costs, 1) * self.limit.interval

    def wait_of(self, question: Take, now: float, bound: float) -> float:
        """Seconds until one more such request would have its turn, if nobody else came; somewhere
        above `bound` where it is more than that."""
        wait, step = self.front_wait(now), self.step(question)
        if step <= 0.0 or wait > bound or wait + len(self.queue) * step <= bound:
            return wait + len(self.queue) * step
        most = int((bound - wait) / step) + 1
        return wait + self.queue.ahead_of(question.account, question.weight, most) * step

    def refusal(self, question: Take, now: float) -> Exceeded:
        """What is true for a request that this line has no place for.

        Everybody who would go before it (of a long line, everybody) has been served by then, and it
        conforms to this limit at once, if nobody who came later has taken its turn. What other
        limits will say is not known where the store was not asked.
        """
        limit = self.limit
        if self.last.retry_after is None:
            return replace(self.last, paceable=False)
        step = self.step(question)
        ahead = len(self.queue)
        if step > 0.0 and ahead <= COUNTED:
            ahead = self.queue.ahead_of(question.account, question.weight)
        wait = self.front_wait(now) + ahead * step
        state = replace(self.last.state, remaining=0, reset=max(
            self.last.state.reset - (now - self.asked), wait + limit.burst * limit.interval))
        return replace(self.last, retry_after=wait, state=state, paceable=False)


def key_of(charge: Charge) -> LineKey:
    return charge.limit.id, charge.key


def paced(charges: Iterable[Charge]) -> Iterable[LineKey]:
    """The lines that a request with these charges may have to stand in."""
    return (key_of(charge) for charge in charges if charge.limit.over is Over.PACE)
