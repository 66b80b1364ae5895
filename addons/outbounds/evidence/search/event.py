"""What a search finds: the records of one `event.id`, and when they say that it was.

An event begins with its opening and ends with its closing. Where the opening is not there (it could
not be written, or retention took it), a closing still says how long the event had lasted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..record import CONNECTION, END, START
from ..told import begins, micros

__all__ = ["Event", "Fields", "Found", "begins", "gathered", "micros"]

Fields = dict[str, Any]


class Found(NamedTuple):
    """A record: its position in the log, its fields by their names in the log (`line.fields`)."""

    position: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Event:
    """`records` in the order of the log, at least one."""

    id: str
    records: tuple[Found, ...]

    @property
    def opening(self) -> Fields | None:
        return next(self._of(START), None)

    @property
    def connections(self) -> tuple[Fields, ...]:
        return tuple(self._of(CONNECTION))

    @property
    def closing(self) -> Fields | None:
        return next(self._of(END), None)

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple(each.position for each in self.records)

    @property
    def begin(self) -> int:
        """Unix µs."""
        opening = self.opening
        return (min(begins(each.fields) for each in self.records) if opening is None
                else begins(opening))

    @property
    def end(self) -> int | None:
        """Unix µs; None while it is open."""
        return max((micros(each["@timestamp"]) for each in self._of(END)), default=None)

    def first(self, name: str, otherwise: Any = "") -> Any:
        """What the first record that has the field `name` says."""
        return next((each.fields[name] for each in self.records if name in each.fields), otherwise)

    def last(self, name: str, otherwise: Any = "") -> Any:
        """What the last one says."""
        return next((each.fields[name] for each in reversed(self.records) if name in each.fields),
                    otherwise)

    def _of(self, type: str) -> Iterator[Fields]:
        return (each.fields for each in self.records if each.fields.get("event.type") == type)


def gathered(records: Iterable[Found]) -> dict[str, list[Found]]:
    """Records by their event's id."""
    found: dict[str, list[Found]] = {}
    for each in records:
        found.setdefault(str(each.fields.get("event.id", "")), []).append(each)
    return found
