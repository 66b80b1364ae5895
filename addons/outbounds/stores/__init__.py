"""Limit state: the contract that every store keeps, whatever it is made of.

A store takes all charges of a request in one step or takes none of them, so that a request which
one limit refuses has cost the others nothing. Stores are not told the time: each uses one clock
for all its keys (the process's monotonic clock here; the server's, where several machines share).
"""

from __future__ import annotations

from typing import Protocol

from ..core.limits import Charge, Exceeded, Taken


class StoreFull(RuntimeError):
    """No room for another key, and every key present still carries a debt.

    Forgetting a debt would let its owner start afresh, so the request is refused instead.
    """


class LimitStore(Protocol):
    def __len__(self) -> int:
        """Keys held."""
        ...

    def take(self, charges: tuple[Charge, ...]) -> Taken | Exceeded:
        """Charge all or nothing. Raises `StoreFull`."""
        ...

    def release(self, charges: tuple[Charge, ...]) -> None:
        """Give back what was held while a tunnel was open. Charges of other units are kept."""
        ...

    def give_back(self, charges: tuple[Charge, ...]) -> None:
        """Undo a `take` whose request never went anywhere."""
        ...
