"""Names: a trie of names written backwards, and a row for each.

The key of www.example.com is `moc.elpmaxe.www.`, of example.com `moc.elpmaxe.`: every parent is a
prefix, no sibling is, and a single descent through the trie returns them all. A key that is as
long as the one asked for is the name itself, which entries for a host and a domain match; a shorter
one is a parent, which entries for a domain and for what is below match.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path

import marisa_trie  # type: ignore[import-not-found]

from ...core.hit import Hit
from ...core.list_entry import Kind, name_weight
from .origins import LINE, LINE_BITS, Known, Origins
from .part import Part, backwards
from .rows import MANY, Numbers, Overflow, counted, mapped, once, rows_at, save

KINDS = (Kind.DOMAIN, Kind.HOST, Kind.BELOW)
_DOMAIN, _HOST = Kind.DOMAIN, Kind.HOST
TRIE, ROWS, MORE = FILES = ("names.trie", "names.rows", "names.more")


def build(folder: Path, parts: Mapping[str, Part], origins: Origins,
          step: Callable[[str, int], None]) -> None:
    """Write the files. `step` is told what goes on, and of how many names more it is done."""
    keys = chain.from_iterable(_keys(part, step) for part in parts.values())
    trie = marisa_trie.Trie(keys)
    step("compressing names", 0)
    trie.save(str(folder / TRIE))
    rows = array("Q", bytes(8 * len(trie)))
    others: list[int] = []  # key number and row of what did not fit there
    counts: Counter[int] = Counter()
    number = trie.key_id
    for list_id, part in parts.items():
        for common, lines, values in part.read(*KINDS):
            origin, repeated = origins.number(list_id, common) << LINE_BITS, 0
            # in the order of the keys, so that neighbours find their path through the trie still
            # in the processor's cache: a third faster; equal keys stay in the order of lines
            for place in sorted(range(len(values)), key=values.__getitem__):
                at, line = number(values[place]), lines[place]
                there = rows[at]
                if not there:
                    rows[at] = origin | line
                else:
                    repeated += 1
                    if there ^ origin > LINE:  # not only another line of the same origin
                        others.append(at << 64 | origin | line)
            counts[origin >> LINE_BITS] += len(values) - repeated
            step("numbering names", len(values))
    del trie
    overflow = Overflow()
    others.sort()
    for at, group in groupby(others, key=lambda other: other >> 64):
        added = once(other & (1 << 64) - 1 for other in group)
        counts += counted(added)
        rows[at] = overflow.place((rows[at], *added))
    origins.count(counts)
    save(folder / ROWS, rows)
    save(folder / MORE, overflow.rows)


def _keys(part: Part, step: Callable[[str, int], None]) -> Iterator[str]:
    for _, _, values in part.read(*KINDS):
        yield from values
        step("sorting names", len(values))


class Names:
    """Raises RuntimeError where the trie cannot be mapped, OSError."""

    def __init__(self, folder: Path, known: Sequence[Known | None]) -> None:
        self._trie = marisa_trie.Trie().mmap(str(folder / TRIE))
        self._rows = mapped(folder / ROWS)
        self._more: Numbers = mapped(folder / MORE)
        if len(self._trie) != len(self._rows):
            raise ValueError("not as many rows as names")
        self._known = known

    def match(self, name: str) -> list[Hit]:
        """Of a canonical name."""
        key = backwards(name)
        length = len(key)
        found: list[Hit] = []
        for prefix, number in self._trie.iter_prefixes_with_ids(key):
            place = self._rows[number]
            # in line for the one row that nearly every name has: a fifth of the whole look-up
            for row in (place,) if place < MANY else rows_at(place, self._more):
                known = self._known[row >> LINE_BITS]
                if known is None:
                    continue
                kind, its_length = known.kind, len(prefix)
                if kind is _DOMAIN or (kind is _HOST) == (its_length == length):
                    found.append(known.hit(row & LINE, name_weight(kind, its_length - 1)))
        return found
