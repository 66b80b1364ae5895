"""Asking the indexes of sealed segments, by DuckDB.

Two questions, since rows are of two kinds (`archive.index_rows`): whole events meet the conditions
each by itself; the others are put together by their ids first. What a customer or a target has put
into a record is compared as it is, and a condition's value is always a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..archive.index import connected
from .conditions import Condition, inside
from .part import NUMBERS, SHOWN, Part, Summary
from .plan import EVER, Indexed, Plan
from .query import Query

_FETCH = 10_000
_COLUMNS = ", ".join(f"coalesce({name}, {'0' if name in NUMBERS else repr('')})" for name in SHOWN)


class Indexes:
    """Raises duckdb.Error from everything."""

    def __init__(self, plan: Plan, query: Query, conditions: list[Condition]) -> None:
        self._database = connected({"preserve_insertion_order": False})
        self._settled = plan.settled
        self._since = -EVER if query.since is None else query.since
        self._until = EVER if query.until is None else query.until
        self._whole = [str(each.path) for each in plan.whole]
        self._parts = [str(each.path) for each in plan.parts]
        self._firsts = _firsts(plan.parts)
        self._conditions = [(each.sql, [*self._addresses(each), *each.parameters])
                            for each in conditions]

    def _addresses(self, condition: Condition) -> Iterator[list[str]]:
        """For each network that the condition asks for, the addresses there are in it: the index
        has them as text."""
        for column, network in condition.networks:
            if not self._parts:
                yield []
                continue
            found = self._database.execute(
                f"SELECT DISTINCT {column} FROM read_parquet(?)", [self._parts]).fetchall()
            yield [text for text, in found if text and inside(text, network)]

    def count(self) -> int:
        """Of whole events."""
        if not self._whole:
            return 0
        text, parameters = self._of_whole("count(*)")
        row = self._database.execute(text, parameters).fetchone()
        assert row is not None
        return int(row[0])

    def accounts(self) -> set[str]:
        """Of whole events."""
        if not self._whole:
            return set()
        text, parameters = self._of_whole("DISTINCT account")
        return {account or "" for account, in self._database.execute(text, parameters).fetchall()}

    def whole(self, limit: int | None) -> Iterator[Summary]:
        """In the order of time."""
        if not self._whole:
            return
        text, parameters = self._of_whole(
            f"coalesce(odd, id::VARCHAR), begin, ended, filename, place, connected, closed, "
            f"{_COLUMNS}")
        text += " ORDER BY begin, id"
        if limit is not None:
            text, parameters = text + " LIMIT ?", [*parameters, limit]
        found = self._database.execute(text, parameters)
        while rows := found.fetchmany(_FETCH):
            for id, begin, ended, name, place, connected_, closed, *shown in rows:
                yield Summary(id, begin, ended,
                              self._positions(name, place, connected_, closed), *shown)

    def _of_whole(self, columns: str) -> tuple[str, list[Any]]:
        where = ["whole", "begin <= ?", "ended >= ?", *(sql for sql, _ in self._conditions)]
        parameters = [self._whole, self._until, self._since]
        for _, values in self._conditions:
            parameters += values
        return (f"SELECT {columns} FROM read_parquet(?, filename = true) "
                f"WHERE {' AND '.join(where)}", parameters)

    def parts(self) -> Iterator[Part]:
        """Of events that are not whole in one segment, those that may be what is searched for."""
        if not self._parts:
            return
        met = [f"coalesce(bool_or({sql}), false) AS met{number}"
               for number, (sql, _) in enumerate(self._conditions)]
        all_met = " AND ".join(f"met{number}" for number in range(len(met))) or "true"
        # only what is complete may be left out: else the part of it that is read looks like all.
        # What has both ends here is, unless a segment without an index lies between
        enough = (f"(opened IS NULL OR ended IS NULL OR "
                  f"(opened <= ? AND ended >= ? AND {all_met}))" if self._settled else "true")
        shown = ", ".join(f"first({name}) FILTER (WHERE {name} IS NOT NULL) AS {name}"
                          for name in SHOWN)
        text = f"""
            SELECT * FROM (
                SELECT coalesce(odd, id::VARCHAR) AS name,
                    min(begin) FILTER (WHERE type = 'start') AS opened, min(begin) AS begin,
                    max(ended) AS ended, list(filename), list(place), list(connected), list(closed),
                    {"".join(each + ", " for each in met)} {shown}
                FROM read_parquet(?, filename = true) WHERE NOT whole GROUP BY id, odd)
            WHERE {enough}"""
        parameters: list[Any] = []
        for _, values in self._conditions:
            parameters += values
        parameters.append(self._parts)
        if self._settled:
            parameters += [self._until, self._since]
        found = self._database.execute(text, parameters)
        while rows := found.fetchmany(_FETCH):
            for id, opened, begin, ended, *lists_and_rest in rows:
                lists, rest = lists_and_rest[:4], lists_and_rest[4:]
                flags, shown_values = rest[:len(met)], rest[len(met):]
                positions = sorted(at for each in zip(*lists, strict=True)
                                   for at in self._positions(*each))
                yield Part(id, opened, begin, ended,
                           frozenset(n for n, flag in enumerate(flags) if flag),
                           tuple(positions), _known(shown_values))

    def _positions(self, name: str, place: int, *others: int | None) -> tuple[int, ...]:
        first = self._firsts[name] + place
        return (first, *(first + each for each in others if each is not None))


def _firsts(indexed: list[Indexed]) -> Mapping[str, int]:
    return {str(each.path): each.seal.first for each in indexed}


def _known(shown: list[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(SHOWN, shown, strict=True) if value is not None}
