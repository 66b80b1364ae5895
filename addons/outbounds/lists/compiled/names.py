"""Names: a table of their hashes. The name itself is looked up, then each of its parents.

What an entry is about is told by its row: entries for a host and a domain match the name itself;
entries for a domain and for what is below, a parent. Lists seldom hold a name of one label, and
lists of hosts nothing that is about parents: the manifest says how short the shortest name is that
matches what is below it, and shorter parents are not looked up.

Names are known by their XXH3 hash alone (https://xxhash.com, 64 bits). Two names with the same one
are the same to these files. With n names, one that is on no list is taken for one of them with a
probability of n / 2⁶⁴ (of ten million: once in 1.8 × 10¹² names asked for), and two names of a
list are taken for each other with n² / 2⁶⁵ (once in 370,000 builds); then a hit cites the line of
the other. A name on a list is never missed.

XXH3 is no cryptographic hash: who knows its seed can make names that collide. They could have a
harmless one published that denies another's, or let a denied name pass as one that its list allows.
So the seed is random, made for each generation, and stands nowhere but in its manifest; nobody who
sends requests learns it. Seeds from the version of the generation, or a constant, could be guessed
by who knows the lists. The price is that two builds of the same lists are equal in what they
answer and not in their octets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import randbits

import msgspec
from xxhash import xxh3_64_intdigest

from ...core.hit import Hit
from ...core.list_entry import Kind, name_weight
from .hashed import Table, Unsorted, files
from .origins import LINE, LINE_BITS, Known, Origins
from .part import Part
from .rows import MANY, rows_at

KINDS = (Kind.DOMAIN, Kind.HOST, Kind.BELOW)
_HOST, _BELOW = Kind.HOST, Kind.BELOW
_NAMES = "names"
FILES = files(_NAMES)

_NO_PARENTS = 128  # labels: more than a name can have (RFC 1035 section 2.3.4)


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How names become keys: `seed` of the hash; the table's `slots`; and the fewest labels of a
    name that has entries for what is below it, 128 if none has."""

    seed: int
    slots: int
    fewest_labels: int


def build(folder: Path, parts: Mapping[str, Part], origins: Origins,
          step: Callable[[str, int], None]) -> Keys:
    """Write the files. `step` is told what goes on, and of how many names more it is done."""
    seed, fewest = randbits(64), _NO_PARENTS
    unsorted = Unsorted()
    for list_id, part in parts.items():
        for common, lines, names in part.read(*KINDS):
            unsorted.add((xxh3_64_intdigest(name, seed) for name in names),
                         origins.number(list_id, common), lines)
            if common.kind is not _HOST:
                fewest = min(fewest, 1 + min(name.count(b".") for name in names))
            step("hashing names", len(names))
    slots, counts = unsorted.write(folder, _NAMES, lambda more: step("sorting names", more))
    origins.count(counts)
    return Keys(seed, slots, fewest)


class Names:
    """Raises OSError, ValueError."""

    def __init__(self, folder: Path, keys: Keys, known: Sequence[Known | None]) -> None:
        self._table = Table(folder, _NAMES, keys.slots)
        self._seed, self._fewest = keys.seed, keys.fewest_labels
        self._known = known

    def match(self, name: str) -> list[Hit]:
        """Of a canonical name."""
        found: list[Hit] = []
        key, other = name.encode(), _BELOW  # the name itself: what is below it is another
        for _ in range(max(1, key.count(b".") + 2 - self._fewest)):
            place = self._table[xxh3_64_intdigest(key, self._seed)]
            if place:
                for row in (place,) if place < MANY else rows_at(place, self._table.more):
                    known = self._known[row >> LINE_BITS]
                    if known is not None and known.kind is not other:
                        found.append(known.hit(row & LINE, name_weight(known.kind, len(key))))
            key, other = key.partition(b".")[2], _HOST
        return found
