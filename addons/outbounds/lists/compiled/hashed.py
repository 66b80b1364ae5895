"""A table from hashes of 64 bits to rows, in a file that is mapped into memory.

The hashes are sorted, and with a quarter of the slots left over each lies at or shortly after the
slot that is to all slots as it is to 2⁶⁴. A look-up begins there and goes on to the first hash that
is not smaller: two or three steps, nearly always in one line of the processor's cache, whatever the
size of the table. (Bisection, or a descent through a tree, has more to visit in a larger table, and
visits it all over the memory; Amble and Knuth, "Ordered hash tables", The Computer Journal 17
(1974), show why order spares the look-up of what is absent.) What is left over holds what follows
it, so that a look-up need not know; at the end stands the greatest number there is.

Each hash has its row beside it; groups of rows stand in a second file (`rows`). The keys
themselves are not kept. Who hashes them answers for collisions (`names`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from .origins import LINE, LINE_BITS
from .rows import Numbers, counted, mapped, once, reference, save

_CHUNK_BITS: Final = 8  # 256 chunks: of ten million hashes, one is sorted in 10 MiB
_END: Final = (1 << 64) - 1


def files(name: str) -> tuple[str, str]:
    """Of the table `name`: hashes with what stands for their rows, and groups of rows."""
    return f"{name}.table", f"{name}.more"


def _slot(key: int, slots: int) -> int:
    # as in `Table`, where it stands in line
    return (key >> 32) * slots >> 32


class Unsorted:
    """What goes into a table: 16 octets each, in chunks by the highest bits, so that no more than
    a chunk at a time is sorted, as objects that take ten times as much."""

    def __init__(self) -> None:
        self._chunks: list[array[int]] = [array("Q") for _ in range(1 << _CHUNK_BITS)]
        self._add = [chunk.append for chunk in self._chunks]

    def add(self, hashes: Iterable[int], origin: int, lines: Iterable[int]) -> None:
        """`origin` is its number. The lines of one origin come in their order."""
        origin <<= LINE_BITS
        for key, line in zip(hashes, lines, strict=True):
            add = self._add[key >> 64 - _CHUNK_BITS]
            add(key)
            add(origin | line)

    def write(self, folder: Path, name: str, step: Callable[[int], None]
              ) -> tuple[int, Counter[int]]:
        """Write the files; the number of slots, and how many rows there are of each origin. `step`
        is told of how many hashes more it is done. Nothing is to be added afterwards."""
        table_file, more_file = (folder / file for file in files(name))
        counts: Counter[int] = Counter()
        more = array("Q")
        self._add.clear()  # which hold the chunks
        for number, chunk in enumerate(self._chunks):
            self._chunks[number], its = _distinct(chunk, more)
            counts += its
            step(len(chunk) // 2)
        slots = 1 + sum(map(len, self._chunks)) * 2 // 3  # four for three hashes, two numbers each
        at = 0
        with table_file.open("wb") as file:
            for chunk in self._chunks:
                placed = _placed(chunk, at, slots)
                at += len(placed) // 2
                placed.tofile(file)
            array("Q", (_END, 0) * (max(slots - at, 0) + 1)).tofile(file)
        save(more_file, more)
        return slots, counts


def _distinct(chunk: array[int], more: array[int]) -> tuple[array[int], Counter[int]]:
    """The hashes in their order, each with what stands for its rows; how many rows there are of
    each origin."""
    found: dict[int, int] = {}
    others: dict[int, list[int]] = {}
    for key, row in zip(chunk[::2], chunk[1::2], strict=True):
        first = found.setdefault(key, row)
        if first ^ row > LINE:  # not itself, and not only another line of the same origin
            others.setdefault(key, []).append(row)
    counts = counted(found.values())
    for key, rows in others.items():
        added = once(sorted(rows))
        counts += counted(added)
        first, found[key] = found[key], reference(len(more), 1 + len(added))
        more.append(first)
        more.extend(added)
    ordered = sorted(found)
    pairs = array("Q", bytes(16 * len(ordered)))
    pairs[::2] = array("Q", ordered)
    pairs[1::2] = array("Q", map(found.__getitem__, ordered))
    return pairs, counts


def _placed(pairs: array[int], at: int, slots: int) -> array[int]:
    """The same, with the slots that are left over before each of them; `at` is the first free."""
    placed = array("Q")
    add = placed.append
    for key, row in zip(pairs[::2], pairs[1::2], strict=True):
        add(key)
        add(row)
        at += 1
        its = _slot(key, slots)
        while at <= its:
            add(key)
            add(row)
            at += 1
    return placed


class Table:
    """Raises OSError, and ValueError for what is no table of so many slots."""

    def __init__(self, folder: Path, name: str, slots: int) -> None:
        table, more = (folder / file for file in files(name))
        pairs, self.more = mapped(table), mapped(more)
        self._hashes: Numbers = pairs[::2]
        self._rows: Numbers = pairs[1::2]
        self._slots = slots
        if not 0 < slots < len(self._hashes) == len(self._rows) or self._hashes[-1] != _END:
            raise ValueError(f"{name}: no table of {slots:,} slots")

    def __getitem__(self, key: int) -> int:
        """What stands for the rows of a hash (`rows`), 0 if it is not there."""
        at = (key >> 32) * self._slots >> 32
        while (found := self._hashes[at]) < key:
            at += 1
        return self._rows[at] if found == key else 0
