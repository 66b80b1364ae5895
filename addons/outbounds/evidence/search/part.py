"""What is known of an event from one place, and what that comes to with what others know.

An event that lies in one segment is whole there. Of any other, the index of one segment knows the
opening, another the closing, and the newest segment is not indexed at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .query import Query

SHOWN = ("account", "action", "outcome", "verdict", "control", "rule", "clause", "source_ip",
         "source_port", "egress_ip", "egress_port", "target", "target_ip", "target_port", "method",
         "url", "status")
"""Columns of the index that a summary has, by these names, and last."""
NUMBERS = frozenset({"source_port", "egress_port", "target_port", "status"})


class Summary(NamedTuple):
    """An event in short. `begin` and `end` are Unix µs, `end` None while it is open; `positions`
    are those of its records, in the order of the log. What is not known is "" or 0. Where an event
    had two connections, one of them is shown."""

    id: str
    begin: int
    end: int | None
    positions: tuple[int, ...]
    account: str = ""
    action: str = ""
    outcome: str = ""
    verdict: str = ""
    control: str = ""
    rule: str = ""
    clause: str = ""
    source_ip: str = ""
    source_port: int = 0
    egress_ip: str = ""
    egress_port: int = 0
    target: str = ""
    target_ip: str = ""
    target_port: int = 0
    method: str = ""
    url: str = ""
    status: int = 0


@dataclass(slots=True)
class Part:
    """`opened` is when the opening says that it began, None if it is not among these records;
    `begin` the least that any of them says. `met` has the conditions that one of them meets, by
    their number. `shown` has values for some of `SHOWN`."""

    id: str
    opened: int | None
    begin: int
    ended: int | None
    met: frozenset[int]
    positions: tuple[int, ...]
    shown: dict[str, Any]

    def with_(self, other: Part) -> Part:
        opened = [each for each in (self.opened, other.opened) if each is not None]
        ended = [each for each in (self.ended, other.ended) if each is not None]
        first, second = ((self, other) if min(self.positions) <= min(other.positions)
                         else (other, self))
        return Part(self.id, min(opened, default=None), min(self.begin, other.begin),
                    max(ended, default=None), self.met | other.met,
                    tuple(sorted({*self.positions, *other.positions})),
                    {**second.shown, **first.shown})

    def meets(self, query: Query, conditions: int) -> bool:
        begin = self.begin if self.opened is None else self.opened
        return (len(self.met) == conditions
                and (query.until is None or begin <= query.until)
                and (query.since is None or self.ended is None or self.ended >= query.since))

    def summary(self) -> Summary:
        return Summary(id=self.id, begin=self.begin if self.opened is None else self.opened,
                       end=self.ended, positions=self.positions, **self.shown)


def joined(parts: Iterable[Part]) -> dict[str, Part]:
    """Parts by their event's id, put together."""
    found: dict[str, Part] = {}
    for each in parts:
        known = found.get(each.id)
        found[each.id] = each if known is None else known.with_(each)
    return found
