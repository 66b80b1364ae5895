"""What the server last said of states that a debit has taken over their edge.

A debit is not waited for; its answer comes a moment later, and this tells it to whoever debits the
same state next. An entry says nothing any more when the debt is paid.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from ...core.limits import Charge, Exceeded
from ..keys import is_of, parts, state_of

MOST = 20_000  # transfers that are over their edge at the same time; those beyond go on longer


class Edges:
    def __init__(self) -> None:
        self._until: OrderedDict[str, tuple[float, Exceeded]] = OrderedDict()

    def note(self, charge: Charge, now: float, outcome: Exceeded | None) -> None:
        """`outcome`: None where the state is within its limit (again)."""
        state = state_of(charge)
        if outcome is None or outcome.retry_after is None:
            self._until.pop(state, None)
            return
        self._until[state] = now + outcome.retry_after, outcome
        self._until.move_to_end(state)
        if len(self._until) > MOST:
            self._until.popitem(last=False)

    def forget(self, owner: str, limit_id: str) -> None:
        for state in tuple(self._until):
            of, whose, _ = parts(state)
            if is_of(whose, owner) and limit_id in ("", of):
                del self._until[state]

    def of(self, charge: Charge, now: float) -> Exceeded | None:
        state = state_of(charge)
        found = self._until.get(state)
        if found is None:
            return None
        until, outcome = found
        if until <= now:
            del self._until[state]
            return None
        return replace(outcome, retry_after=until - now)
