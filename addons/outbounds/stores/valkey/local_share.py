"""What this process enforces by itself while the server is away, and at all times what it holds.

What is held is counted here whoever allowed it, so that it can be told to a server that has
forgotten it, and so that a process which goes on alone does not begin to count from nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from ...core.limits import Charge, Limit, Unit
from .. import Charges
from ..keys import state_of
from ..ledger import HELD, Write
from ..memory import MemoryStore


class LocalShare(MemoryStore):
    """`wall`: the server's Unix time, as well as it is known."""

    def __init__(self, max_keys: int, wall: Callable[[], float]) -> None:
        super().__init__(max_keys, wall=wall)

    @property
    def held(self) -> dict[str, int]:
        """By `keys.state_of`; a copy."""
        return dict(self._open)

    def held_of(self, charges: Charges) -> Charges:
        """Those of what is held, for no more than is."""
        found, left = [], dict[str, int]()
        for charge in charges:
            if charge.limit.unit.held:
                state = state_of(charge)
                held = left.get(state, self._held(state))
                cost = min(charge.cost, held)
                left[state] = held - cost
                if cost:
                    found.append(charge._replace(cost=cost))
        return tuple(found)

    def hold(self, charges: Charges) -> None:
        """Count as held what was allowed elsewhere."""
        writes: list[Write] = [(HELD, state_of(charge), charge.cost, None)
                  for charge in charges if charge.limit.unit.held]
        if writes:
            self._write(writes, self._clock(), force=True)


def shared(charge: Charge, among: int) -> Charge:
    """The charge under this process's share of its limit. What one request costs or needs always
    fits into it once: a limit that no request can meet would be `closed`, not a share."""
    least = 1 if charge.limit.unit.octets else max(1, charge.cost)
    if among == 1:
        return charge
    limit = share_of(charge.limit, among, least)
    most = limit.count if limit.unit.held or limit.calendar else limit.burst
    return charge._replace(limit=limit, need=min(charge.need, most))


@lru_cache(maxsize=4096)
def share_of(limit: Limit, among: int, least: int) -> Limit:
    if limit.unit is Unit.HOSTS and limit.calendar is None:
        # the same rate for each host that is new, the window in which it is not stays as it is
        return replace(limit, count=max(1, limit.count // among),
                       burst=max(least, limit.burst // among))
    if limit.unit.held or limit.calendar is not None:
        return replace(limit, count=max(least, limit.count // among))
    # a burst of 0 is a gate that is open or shut
    burst = max(least, limit.burst // among) if limit.burst else 0
    return replace(limit, window=limit.window * among, burst=burst)
