"""Octets against their limits, chunk by chunk, while a transfer or a tunnel runs.

A chunk that has come is charged, whether there is room for it or not: it has used the line
already. Over its edge a limit then ends the transfer (`over: refuse`), or slows it down (`over:
pace`): nothing more is read from the side that sends until the debt is paid, so that side is held
up by its own full buffers, and no octet is kept in memory here.

What is left of a debt delays what follows, because the next request must find room (`core.charging`
asks for some). At the end of a calendar period a quota begins again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..core.limits import Charge, Exceeded, Over, Unit
from . import held_reading

LONGEST_HOLD = 5.0  # seconds without a read; then there is another look, and perhaps another hold


Groups = tuple[tuple[Charge, ...], ...]


class Debits(Protocol):
    """The part of a store that takes debits."""

    def debit(self, charges: tuple[Charge, ...]) -> Exceeded | None: ...


class Meter:
    """Charges what one request or tunnel moves. `cut` is called, once, when a limit ends it."""

    def __init__(self, store: Debits, charges: tuple[Charge, ...],
                 cut: Callable[[Exceeded], None]) -> None:
        self._store = store
        self._up = _of(charges, Unit.BYTES_UP)
        self._down = _of(charges, Unit.BYTES_DOWN)
        self._cut = cut
        self._over = False
        self._held: dict[str, asyncio.TimerHandle] = {}  # by connection id

    def up(self, octets: int, client_id: str) -> bool:
        """Charge octets of the client's; False if they must not be passed on."""
        return self._charge(self._up, octets, client_id)

    def down(self, octets: int, server_id: str) -> bool:
        """Charge octets of the target's; False if they must not be passed on."""
        return self._charge(self._down, octets, server_id)

    def _charge(self, groups: Groups, octets: int, sender: str) -> bool:
        if self._over or not octets:
            return not self._over
        for charges in groups:
            # what a charge needs stays in it, so that a Retry-After says when there is room again
            found = self._store.debit(tuple(each._replace(cost=octets) for each in charges))
            if found is None:
                continue
            if found.limit.over is Over.PACE and not found.unavailable:
                self._hold(sender, found.retry_after or 0.0)
            else:
                self._over = True
                self._cut(found)
                return False
        return True

    def _hold(self, sender: str, seconds: float) -> None:
        if sender in self._held or not seconds:
            return
        held_reading.hold(sender)
        self._held[sender] = asyncio.get_running_loop().call_later(
            min(seconds, LONGEST_HOLD), self._let_go, sender)

    def _let_go(self, sender: str) -> None:
        if self._held.pop(sender, None) is not None:
            held_reading.release(sender)

    def close(self) -> None:
        """The transfer is over: read on. Idempotent."""
        for sender, timer in list(self._held.items()):
            timer.cancel()
            self._let_go(sender)


def _of(charges: tuple[Charge, ...], direction: Unit) -> Groups:
    """Those that end a transfer apart from those that slow it: a store names only the longest wait,
    and a limit that slows must not hide one that ends."""
    moved = [each for each in charges if each.limit.unit in (direction, Unit.BYTES)]
    groups = (tuple(each for each in moved if each.limit.over is over) for over in Over)
    return tuple(group for group in groups if group)


def is_metered(charges: tuple[Charge, ...]) -> bool:
    return any(each.limit.unit.octets for each in charges)
