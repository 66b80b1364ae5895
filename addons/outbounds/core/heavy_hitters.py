"""The most frequent of a stream of names, in bounded memory: Space-Saving.

Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data
Streams" (ICDT 2005). Of so many names as there is room for, each has a counter; a new name takes
over the smallest counter, and with it an error of at most that size. With room for k, whoever had
more than 1/k of all events is there, and no count is too small, or too large by more than 1/k.

The smallest is found by a heap of counts as they once were: a counter only grows, so an entry that
is out of date is corrected when it comes to the top.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Counted:
    """`events`, of which `refused` and `paced` were seen under this very name; the rest, at most
    `error`, may be others'. `waited` seconds belongs to `paced`."""

    events: int
    error: int = 0
    refused: int = 0
    paced: int = 0
    waited: float = 0.0


class HeavyHitters:
    def __init__(self, room: int) -> None:
        self._room = room
        self._counted: dict[str, Counted] = {}
        self._heap: list[tuple[int, str]] = []  # one entry for each name; counts may be too small

    def __len__(self) -> int:
        return len(self._counted)

    def __iter__(self) -> Iterator[tuple[str, Counted]]:
        return iter(self._counted.items())

    def count(self, name: str) -> Counted:
        """One more event of `name`; what kind of event is for the caller to add."""
        found = self._counted.get(name)
        if found is not None:
            found.events += 1
            return found
        if len(self._counted) < self._room:
            found = self._counted[name] = Counted(1)
            heapq.heappush(self._heap, (1, name))
            return found
        error, smallest = self._smallest()
        del self._counted[smallest]
        found = self._counted[name] = Counted(error + 1, error)
        heapq.heapreplace(self._heap, (error + 1, name))
        return found

    def _smallest(self) -> tuple[int, str]:
        heap, counted = self._heap, self._counted
        while True:
            count, name = heap[0]
            now = counted[name].events
            if now == count:
                return count, name
            heapq.heapreplace(heap, (now, name))
