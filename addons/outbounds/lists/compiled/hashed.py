"""A table from hashes of 64 bits to rows, in three files that are mapped into memory.

The hashes are sorted, the rows lie beside them in the same order, and a directory says for each
value of the highest bits where the hashes with it begin. A directory of as many values as there are
hashes divided by four to eight leaves so few to bisect that they share a line or two of the
processor's cache: a look-up touches five lines, whatever the size of the table, where a search in a
tree touches one more each time the table doubles.

The keys themselves are not kept. Who hashes them answers for collisions (`names`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import Final

from .origins import LINE, LINE_BITS
from .rows import Numbers, counted, mapped, once, reference, save

_BITS: Final = 64
_CHUNK_BITS: Final = 8  # 256 chunks: of ten million hashes, one is sorted in 10 MiB
_FILLING: Final = 8     # hashes of one value of the directory, at most on average


def files(name: str) -> tuple[str, ...]:
    """Of the table `name`: hashes, rows, where the second rows stand, and the directory."""
    return tuple(f"{name}.{what}" for what in ("hashes", "rows", "more", "starts"))


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
            add = self._add[key >> _BITS - _CHUNK_BITS]
            add(key)
            add(origin | line)

    def write(self, folder: Path, name: str, step: Callable[[int], None]) -> Counter[int]:
        """Write the files; how many rows there are of each origin. `step` is told of how many
        hashes more it is done. Nothing is in here afterwards."""
        bits = (sum(map(len, self._chunks)) // 2 // _FILLING).bit_length()
        sizes = array("I", bytes(4 << bits))
        more = array("Q")
        counts: Counter[int] = Counter()
        hash_file, row_file, more_file, start_file = (folder / file for file in files(name))
        self._add.clear()
        self._chunks.reverse()
        with hash_file.open("wb") as hashes, row_file.open("wb") as rows:
            while self._chunks:
                chunk = self._chunks.pop()
                found, its = _distinct(chunk, more)
                counts += its
                ordered = sorted(found)
                array("Q", ordered).tofile(hashes)
                array("Q", map(found.__getitem__, ordered)).tofile(rows)
                for key in ordered:
                    sizes[key >> _BITS - bits] += 1
                step(len(chunk) // 2)
        save(more_file, more)
        save(start_file, array("I", accumulate(sizes, initial=0)))
        return counts


def _distinct(chunk: array[int], more: array[int]) -> tuple[dict[int, int], Counter[int]]:
    """What stands for the rows of each hash; how many rows there are of each origin."""
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
    return found, counts


class Table:
    """Raises OSError, and ValueError where the files do not fit together."""

    def __init__(self, folder: Path, name: str) -> None:
        hashes, rows, more, starts = (folder / file for file in files(name))
        self._hashes, self._rows = mapped(hashes), mapped(rows)
        self._starts = mapped(starts, "I")
        self.more: Numbers = mapped(more)
        values = len(self._starts) - 1
        if values < 1 or values & values - 1 or \
                not len(self._hashes) == len(self._rows) == self._starts[-1]:
            raise ValueError(f"{name}: not as many hashes as rows, or as its directory says")
        self._shift = _BITS + 1 - values.bit_length()

    def __getitem__(self, key: int) -> int:
        """What stands for the rows of a hash (`rows`), 0 if it is not there."""
        value = key >> self._shift
        end = self._starts[value + 1]
        at = bisect_left(self._hashes, key, self._starts[value], end)
        return self._rows[at] if at < end and self._hashes[at] == key else 0
