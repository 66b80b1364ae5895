"""Limit state: the contract that every store keeps, whatever it is made of.

A store takes all charges of a request in one step or takes none of them, so that a request which
one limit refuses has cost the others nothing. Rates are counted on one clock that never goes back
(the process's or machine's monotonic clock, or the server's where several machines share); stores
are not told the time. Calendar periods go by the Unix time of the same machine.

Nothing is charged for the future: what does not conform now is `Exceeded`, and whoever may wait is
held in a fair queue (`proxy.pacing`) and asks again.

What a process holds (tunnels, requests under way) comes free when that process dies, however it
dies: a store that outlives its process counts what is held per process.
"""

from __future__ import annotations

from typing import Protocol

from ..core.limits import Charge, Exceeded, Live, Taken

Charges = tuple[Charge, ...]


class StoreFull(RuntimeError):
    """No room for another key, and every key present still carries a debt.

    Forgetting a debt would let its owner start afresh, so the request is refused instead.
    """


class LimitStore(Protocol):
    def __len__(self) -> int:
        """Keys held, as far as this process knows."""
        ...

    def take_now(self, charges: Charges, report: bool = False) -> Taken | Exceeded | None:
        """Charge all or nothing, without waiting. None: it takes a wait, call `take`.

        `report`: fill in `Taken.closest`. Raises `StoreFull`.
        """
        ...

    async def take(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
        """As `take_now`, for a store that is elsewhere. Never takes long: a store that does not
        answer is bounded by a short time-out, and then each limit's `away` decides."""
        ...

    def debit(self, charges: Charges) -> Exceeded | None:
        """Charge whatever there is room for or not, without waiting: octets that have flowed,
        requests that were refused. Exceeded where a charge is now over its edge (its
        debt paid, and its `need` free, after `retry_after`), `unavailable` where there is no room
        to count it; a store that is elsewhere says so as soon as it knows, which may be at a later
        call for the same key. Never raises."""
        ...

    def release(self, charges: Charges) -> None:
        """Give back what was held. Charges of other units are kept. Never raises."""
        ...

    def give_back(self, charges: Charges) -> None:
        """Undo a `take` whose request never went anywhere. What has been paid off meanwhile is no
        credit, and a distinct host stays visited: to ask for it again is free. Never raises."""
        ...

    def hold_off(self, charge: Charge, seconds: float) -> None:
        """Let nothing conform under this charge's rate for so many seconds from now: its tat
        becomes that moment, if it is not later already. Never raises."""
        ...

    async def live(self, owner: str, most: int = 1000) -> tuple[Live, ...]:
        """The state under the keys of `owner` (an account's id, a host, an address): those that
        are the owner, or begin with it and a space."""
        ...

    async def reset(self, owner: str, limit_id: str = "") -> int:
        """Forget what was counted for `owner`, under one limit or all; how many keys that were.
        What is held stays."""
        ...

    async def aclose(self) -> None:
        """Send what is still to be sent, and let go. Idempotent."""
        ...
