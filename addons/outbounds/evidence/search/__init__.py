"""Finding events in the log: hot and sealed records alike.

    for event in search(directory, Query(account="acct_ab2cd3ef4gh5", since=…)): ...

Sealed segments are asked through their indexes (`indexed`), the newest is read (`scanning`), and
what spans segments is put together (`part`). `search` then fetches the records themselves, and
looks again whether they meet the query: an index only says where to look. `Search.summaries` is
what the indexes know, many times as fast.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import batched, islice
from pathlib import Path

from ..archive.reading import fetch
from ..line import fields, is_erased
from .conditions import conditions, meets
from .event import Event, Found, gathered
from .indexed import Indexes
from .part import Summary, joined
from .plan import Locate, Plan, Say, local_index, make_plan, without_indexes
from .query import Endpoint, Query, Target
from .scanning import scan

__all__ = ["Endpoint", "Event", "Found", "Query", "Search", "Summary", "Target", "accounts",
           "search"]

_BATCH = 4096


def search(directory: Path, query: Query, *, limit: int | None = None,
           locate: Locate = local_index, say: Say = lambda _: None) -> Iterator[Event]:
    """The events of the log under `directory` that meet `query`, in the order of time, at most
    `limit`. `locate` finds the index of a segment, `say` takes a line about each oddity.

    Raises Damaged, BadSeal, OSError.
    """
    yield from Search(directory, query, locate=locate, say=say).events(limit)


def accounts(directory: Path, *, locate: Locate = local_index,
             say: Say = lambda _: None) -> set[str]:
    """The ids of all accounts that the log has records of. Raises as `search`."""
    return Search(directory, Query(), locate=locate, say=say).accounts()


class Search:
    """One search, already planned and with what spans segments looked up. Raises Damaged, BadSeal,
    OSError."""

    def __init__(self, directory: Path, query: Query, *, locate: Locate = local_index,
                 say: Say = lambda _: None) -> None:
        import duckdb

        self._directory, self._query, self._say = directory, query, say
        self._conditions = conditions(query)
        try:
            self._prepare(make_plan(directory, query, locate, say))
        except duckdb.Error as error:
            say(f"the indexes cannot be used: {str(error).splitlines()[0]}. Every record is read "
                "instead. Make them anew: outbounds evidence reindex --all")
            self._prepare(without_indexes(directory))

    def _prepare(self, plan: Plan) -> None:
        self._indexes = Indexes(plan, self._query, self._conditions)
        parts = joined(self._indexes.parts())
        read = scan(plan.read, self._conditions, frozenset(parts))
        found = joined([*parts.values(), *read])
        self._others = sorted((each.summary() for each in found.values()
                               if each.meets(self._query, len(self._conditions))), key=_order)

    def count(self) -> int:
        """How many events there are."""
        return self._indexes.count() + len(self._others)

    def accounts(self) -> set[str]:
        """Whose they are."""
        return {*self._indexes.accounts(), *(each.account for each in self._others)} - {""}

    def summaries(self, limit: int | None = None) -> Iterator[Summary]:
        """In the order of time."""
        return islice(heapq.merge(self._indexes.whole(limit), self._others, key=_order), limit)

    def events(self, limit: int | None = None) -> Iterator[Event]:
        """The same with all of their records, as they are in the log."""
        for batch in batched(self.summaries(limit), _BATCH):
            wanted = [at for each in batch for at in each.positions]
            records = gathered(Found(each.position, fields(each.envelope, each.detail))
                               for each in fetch(self._directory, wanted)
                               if not is_erased(each.envelope))
            for each in batch:
                event = Event(each.id, tuple(records.get(each.id, ())))
                if event.records and meets(event, self._query):
                    yield event
                else:
                    self._say(f"{each.id}: its records were removed, or are not those that the "
                              "index has; run: outbounds evidence reindex --all")


def _order(found: Summary) -> tuple[int, str]:
    return found.begin, found.id
