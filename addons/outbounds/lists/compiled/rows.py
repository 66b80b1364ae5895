"""Rows: which lines of which lists a key stands for, as arrays of 64-bit numbers in a file.

Nearly every key has one row, which stands in the array at the key's number. Where a key has
several, its place holds a reference (the highest bit set): where they begin in a second array, and
how many there are. 0 is no row, since lines count from 1.
"""

from __future__ import annotations

import mmap
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from .origins import LINE_BITS

MANY: Final = 1 << 63
_COUNT_BITS: Final = 24
_COUNT: Final = (1 << _COUNT_BITS) - 1

Numbers = Sequence[int]
"""An array, or a mapped file seen as one."""


class Overflow:
    """The second array, while it is made. Equal groups of rows are kept once."""

    def __init__(self) -> None:
        self.rows: array[int] = array("Q")
        self._known: dict[tuple[int, ...], int] = {}

    def place(self, rows: tuple[int, ...]) -> int:
        """What to write at the key's number."""
        if len(rows) == 1:
            return rows[0]
        if not rows:
            return 0
        place = self._known.get(rows)
        if place is None:
            place = self._known[rows] = reference(len(self.rows), len(rows))
            self.rows.extend(rows)
        return place


def reference(first: int, count: int) -> int:
    """What stands for `count` rows from `first` on."""
    return MANY | first << _COUNT_BITS | count


def span(place: int) -> tuple[int, int]:
    """First and last (exclusive) of the rows that a reference stands for."""
    first = (place & ~MANY) >> _COUNT_BITS
    return first, first + (place & _COUNT)


def rows_at(place: int, overflow: Numbers) -> Iterable[int]:
    """The rows of one place that is not 0."""
    if place < MANY:
        return (place,)
    first, last = span(place)
    return overflow[first:last]


def once(rows: Iterable[int]) -> tuple[int, ...]:
    """Sorted rows, without those that only repeat what an earlier line says."""
    kept: list[int] = []
    for row in rows:
        if not kept or kept[-1] >> LINE_BITS != row >> LINE_BITS:
            kept.append(row)
    return tuple(kept)


def counted(rows: Iterable[int]) -> Counter[int]:
    """How many rows there are of each origin."""
    return Counter(row >> LINE_BITS for row in rows)


def save(path: Path, numbers: array[int]) -> None:
    with path.open("wb") as file:
        numbers.tofile(file)


def mapped(path: Path, code: Literal["I", "Q"] = "Q") -> memoryview[int]:
    """A file as a sequence of numbers; pages are read when they are asked for, and shared."""
    with path.open("rb") as file:
        # an empty file cannot be mapped
        octets = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) \
            if path.stat().st_size else b""
    return memoryview(octets).cast(code)
