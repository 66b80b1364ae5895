"""Whose turn it is: start-time fair queueing over the accounts that wait for one limit.

Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996), with turns in place of packets.
Virtual time counts turns per unit of weight. Every account has a start tag; the smallest is next,
and being served moves it by 1 / weight. Whoever was not waiting begins at the present virtual
time, so that nobody saves up turns by keeping away, and nobody is made to pay for having been
served while there was no line.

One thing differs from the paper. There each packet carries a tag of its own from its arrival;
here only the account has one, and within an account it is first come, first served. So a waiter
that leaves costs its account nothing: with a tag for each, an account whose hundred waiters gave up
would have to sit out the turns that none of them had.

For two accounts that both wait all the while, the turns per unit of weight differ by no more than
1/w₁ + 1/w₂ (theorem 1 there), whatever either asks for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from sys import maxsize

# Virtual time in whole numbers: sums of a third do not come out even, and the place in line that is
# told would be another than the one that is had.
_TURN = 2**40

# entries of the heap beyond twice those that counted last: then those that say nothing are dropped
_SPARE = 64


class _Lane[T]:
    """One account's waiters, with the weight of each, in the order they came."""

    __slots__ = ("account", "start", "ticket", "waiting")

    def __init__(self, account: str) -> None:
        self.account = account
        self.waiting: OrderedDict[T, int] = OrderedDict()
        self.start = 0
        self.ticket = -1  # of the one entry in the heap that counts


class FairQueue[T: Hashable]:
    """Waiters of many accounts. Adding and serving take O(log accounts), leaving O(1) amortised."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[T]] = {}
        self._lane_of: dict[T, _Lane[T]] = {}
        self._order: list[tuple[int, int, _Lane[T]]] = []  # tickets differ: lanes do not compare
        self._virtual = 0
        self._tickets = count()
        self._compact_at = _SPARE

    def __len__(self) -> int:
        return len(self._lane_of)

    def __contains__(self, waiter: object) -> bool:
        return waiter in self._lane_of

    def __iter__(self) -> Iterator[T]:
        """All that wait, in no particular order, as they are now."""
        return iter(tuple(self._lane_of))

    def add(self, waiter: T, account: str, weight: int = 1, *, first: bool = False) -> None:
        """Put a waiter behind the others of its account, or before them if it waited here before.

        `weight` 1 to 2**40: turns it has for one of an account of weight 1. Raises ValueError
        for a waiter that is here already, and for any other weight.
        """
        if waiter in self._lane_of:
            raise ValueError(f"{waiter!r} is in the queue already")
        if not 1 <= weight <= _TURN:
            raise ValueError(f"the weight of {account!r} is {weight}; it must be 1 or more, and no "
                             f"more than {_TURN}")
        lane = self._lanes.get(account)
        if lane is None:
            lane = self._lanes[account] = _Lane(account)
        if not lane.waiting and lane.start <= self._virtual:
            lane.start = self._virtual
            self._place(lane)
        lane.waiting[waiter] = weight
        if first:
            lane.waiting.move_to_end(waiter, last=False)
        self._lane_of[waiter] = lane

    def head(self) -> T | None:
        """Whose turn it is; None where nobody waits."""
        while self._order:
            _, ticket, lane = self._order[0]
            if lane.ticket == ticket:
                if lane.waiting:
                    return next(iter(lane.waiting))
                # nobody who waits had a turn later: time may go on to there, and it be forgotten
                self._virtual = max(self._virtual, lane.start)
                del self._lanes[lane.account]
            heappop(self._order)
        return None

    def serve(self, waiter: T) -> None:
        """Take out a waiter that has had its turn, and charge the turn to its account.

        It need not be the head any more: others may have come while it was being seen to. Raises
        KeyError for one that is not here.
        """
        lane = self._lane_of.pop(waiter)
        weight = lane.waiting.pop(waiter)
        self._virtual = max(self._virtual, lane.start)
        lane.start += _TURN // weight
        self._place(lane)
        self._tidy()

    def remove(self, waiter: T) -> bool:
        """Take out a waiter that left; whether it was here. It costs its account no turn."""
        lane = self._lane_of.pop(waiter, None)
        if lane is None:
            return False
        del lane.waiting[waiter]
        self._tidy()
        return True

    def ahead_of(self, account: str, weight: int = 1, most: int = maxsize) -> int:
        """How many that wait now would have their turn before one more of this account, if nobody
        else came. Counts no further than `most`, so that it takes no longer either."""
        mine = self._lanes.get(account)
        start = max(self._virtual, mine.start) if mine is not None else self._virtual
        found = 0
        if mine is not None:
            found = len(mine.waiting)
            start += sum(_TURN // each for each in mine.waiting.values())
        for lane in self._lanes.values():
            if found >= most:
                return most
            if lane is not mine and lane.waiting and lane.start <= start:
                theirs = next(iter(lane.waiting.values()))
                found += min(len(lane.waiting), (start - lane.start) // (_TURN // theirs) + 1)
        return min(found, most)

    def _place(self, lane: _Lane[T]) -> None:
        """Enter a lane in the heap anew; an entry it has there counts no more."""
        lane.ticket = next(self._tickets)
        heappush(self._order, (lane.start, lane.ticket, lane))

    def _tidy(self) -> None:
        """Forget all when nobody waits; otherwise, now and then, what says nothing any more."""
        if not self._lane_of:
            self._lanes.clear()
            self._order.clear()
            self._virtual = 0
        elif len(self._order) > self._compact_at:
            self._order = [entry for entry in self._order if entry[1] == entry[2].ticket and (
                entry[2].waiting or entry[0] > self._virtual)]
            heapify(self._order)
            self._lanes = {lane.account: lane for _, _, lane in self._order}
            self._compact_at = 2 * len(self._order) + _SPARE
