"""Where an entry comes from, without its line: what millions of entries have in common.

A row of a compiled list is a 64-bit number: the line in its low 32 bits, the index of the entry's
origin in the 31 above. A list of ten million names has one origin; one with categories has one for
each. What is looked up is told apart by kind, and networks by their prefix length, which says how
narrow they are. The highest bit marks a row that stands for several (`rows`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ...core.hit import Hit, Terms
from ...core.list_entry import EVERYONE, Effect, Kind, Scope
from .faults import CompileError

LINE_BITS: Final = 32
LINE: Final = (1 << LINE_BITS) - 1
ORIGIN: Final = (1 << 31) - 1
MAX_ORIGINS = 16_384
"""Of one list. More would make every opening slow."""


class Common(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Kind, effect, labels and scope of entries. Sets are sorted, so that equal ones are written
    equally; None is no bound in time."""

    kind: Kind
    effect: Effect
    labels: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None

    @classmethod
    def of(cls, kind: Kind, effect: Effect, labels: tuple[str, ...], scope: Scope) -> Common:
        return cls(kind, effect, labels, tuple(sorted(scope.plans)), tuple(sorted(scope.accounts)),
                   None if scope.since == EVERYONE.since else scope.since,
                   None if scope.until == EVERYONE.until else scope.until)

    @property
    def scope(self) -> Scope:
        scope = Scope(frozenset(self.plans), frozenset(self.accounts),
                      EVERYONE.since if self.since is None else self.since,
                      EVERYONE.until if self.until is None else self.until)
        return EVERYONE if scope == EVERYONE else scope  # which is recognised by identity


class Origin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`detail` is the prefix length of a network, and 0 for other kinds."""

    list_id: str
    common: Common
    detail: int = 0


class Origins:
    """Numbers origins while lists are compiled, and counts the entries of each list."""

    def __init__(self) -> None:
        self._numbers: dict[Origin, int] = {}
        self._of_list: Counter[str] = Counter()
        self.entries: Counter[str] = Counter()

    def number(self, list_id: str, common: Common, detail: int = 0) -> int:
        """Raises CompileError when the list has too many."""
        origin = Origin(list_id, common, detail)
        found = self._numbers.get(origin)
        if found is None:
            self._of_list[list_id] += 1
            if self._of_list[list_id] > MAX_ORIGINS:
                raise CompileError(list_id, "its entries have more than "
                                   f"{MAX_ORIGINS:,} different sets of labels and scopes; "
                                   "give many entries the same ones")
            found = self._numbers[origin] = len(self._numbers)
        return found

    def list_of(self, number: int) -> str:
        return self.table[number].list_id

    @property
    def table(self) -> list[Origin]:
        return list(self._numbers)

    def count(self, counts: Mapping[int, int]) -> None:
        """Add entries, by the number of their origin."""
        table = self.table
        for number, count in counts.items():
            self.entries[table[number].list_id] += count


@dataclass(frozen=True, slots=True)
class Known:
    """An origin of a list in force, ready to make hits of."""

    terms: Terms
    kind: Kind
    effect: Effect
    labels: tuple[str, ...]
    scope: Scope
    detail: int

    def hit(self, line: int, weight: int) -> Hit:
        return Hit(self.terms, line, self.effect, weight, self.labels, self.scope)


def known(origins: Sequence[Origin], terms: Mapping[str, Terms]) -> list[Known | None]:
    """None for the origins of lists that are not in force: their entries match nothing."""
    found: list[Known | None] = []
    for origin in origins:
        its, common = terms.get(origin.list_id), origin.common
        found.append(None if its is None else Known(
            its, common.kind, common.effect, (*its.labels, *common.labels), common.scope,
            origin.detail))
    return found
