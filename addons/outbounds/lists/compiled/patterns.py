"""Patterns: regular expressions over whole URLs, all matched in one pass by Hyperscan.

Hyperscan has no backtracking: time is linear in the length of the URL whatever the expressions are,
and what would need backtracking (back references, look-around) is refused when it is compiled. The
syntax is that of PCRE. They are matched against the octets of

    scheme://host[:port]/path?query

with the host as `Host.uri` writes it, the port only where it is not the scheme's own, and path and
query in each way in which they can be read (`core.url_prefix.readings`). Letters count as they are
written, unless the expression begins with (?i); the host is in lower case anyway. A dot matches a
line end, too, because %0A must not break a match. An expression that matches nothing at all would
match every URL, and is refused.

Several threads must not ask at once: they would share the engine's working memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

import hyperscan

from ...core.destination import Host
from ...core.hit import Hit
from ...core.list_entry import Effect, Kind, weight
from ...core.url_prefix import readings
from .faults import CompileError
from .origins import LINE, LINE_BITS, Known, Origins
from .part import Part
from .rows import Numbers, Overflow, counted, mapped, once, rows_at, save

KINDS = (Kind.PATTERN,)
DATABASE, ROWS, MORE = FILES = ("patterns.hyperscan", "patterns.rows", "patterns.more")

_FLAGS = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
_OWN_PORTS = {"http": 80, "https": 443}
_WEIGHT = weight(Kind.PATTERN, "")


@cache
def engine() -> str:
    """Version and processor features that a database is compiled for, and only runs with."""
    info: object = _compiled([b"x"]).info()
    # octets, whatever the package's stubs say
    return info.decode() if isinstance(info, bytes) else str(info)


def subject(host: Host, port: int, scheme: str, path: bytes) -> bytes:
    """What expressions are matched against. `path` is canonical."""
    shown = "" if _OWN_PORTS.get(scheme) == port else f":{port}"
    return f"{scheme}://{host.uri}{shown}".encode() + path


def build(folder: Path, parts: Mapping[str, Part], origins: Origins,
          step: Callable[[str, int], None]) -> None:
    """Raises CompileError for the first expression that Hyperscan refuses."""
    found: dict[bytes, list[int]] = {}
    for list_id, part in parts.items():
        for common, lines, expressions in part.read(*KINDS):
            origin = origins.number(list_id, common) << LINE_BITS
            for expression, line in zip(expressions, lines, strict=True):
                if b"\0" in expression:  # where C ends the string
                    raise CompileError(list_id, "a zero octet is written \\x00", line,
                                       _text(expression))
                found.setdefault(expression, []).append(origin | line)
            step("patterns", len(expressions))
    overflow = Overflow()
    rows = [once(sorted(each)) for each in found.values()]
    for each in rows:
        origins.count(counted(each))
    save(folder / ROWS, array("Q", [overflow.place(each) for each in rows]))
    save(folder / MORE, overflow.rows)
    (folder / DATABASE).write_bytes(_serialized(found, origins))


def _serialized(found: Mapping[bytes, list[int]], origins: Origins) -> bytes:
    if not found:
        return b""
    try:
        return hyperscan.dumpb(_compiled(list(found)))
    except hyperscan.error as error:
        _blame(found, origins)
        largest = max((row for rows in found.values() for row in rows),
                      key=lambda row: origins.entries[origins.list_of(row >> LINE_BITS)])
        raise CompileError(origins.list_of(largest >> LINE_BITS),
                           f"its patterns cannot be compiled together: {error}") from None


def _blame(found: Mapping[bytes, list[int]], origins: Origins) -> None:
    # the error for many expressions does not say which
    for expression, rows in found.items():
        try:
            _compiled([expression])
        except hyperscan.error as error:
            row = min(rows)
            raise CompileError(origins.list_of(row >> LINE_BITS), str(error), row & LINE,
                               _text(expression)) from None


def _compiled(expressions: list[bytes]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=expressions, ids=list(range(len(expressions))),
                     flags=[_FLAGS] * len(expressions))
    return database


def _text(expression: bytes) -> str:
    return expression.decode("utf-8", "backslashreplace")


class Patterns:
    """Raises hyperscan.error where the database is of another version or processor, OSError."""

    def __init__(self, folder: Path, known: Sequence[Known | None]) -> None:
        self._rows = mapped(folder / ROWS)
        self._more: Numbers = mapped(folder / MORE)
        self._known = known
        self._database: hyperscan.Database | None = None
        octets = (folder / DATABASE).read_bytes()
        if octets:
            self._database = hyperscan.loadb(octets, hyperscan.HS_MODE_BLOCK)
            self._scratch = hyperscan.Scratch(self._database)

    def match(self, host: Host, port: int, scheme: str, path: str) -> list[Hit]:
        """`path` as in a request, not empty."""
        if self._database is None:
            return []
        places = readings(path)
        if places is None:
            return self._ways_to_deny
        numbers: list[int] = []
        for place in places:
            self._database.scan(subject(host, port, scheme, place), match_event_handler=_note,
                                context=numbers, scratch=self._scratch)
        several = len(places) > 1
        if several:
            numbers = sorted(set(numbers))
        return [known.hit(row & LINE, _WEIGHT) for number in numbers
                for row in rows_at(self._rows[number], self._more)
                if (known := self._known[row >> LINE_BITS]) is not None
                and not (several and known.effect is not Effect.DENY)]

    @cached_property
    def _ways_to_deny(self) -> list[Hit]:
        """For a path that nobody can read: each way in which patterns deny, once. Not what allows,
        because nobody can tell that it is meant."""
        first: dict[int, int] = {}  # line by origin
        for place in self._rows:
            for row in rows_at(place, self._more):
                first.setdefault(row >> LINE_BITS, row & LINE)
        return [known.hit(line, _WEIGHT) for number, line in first.items()
                if (known := self._known[number]) is not None and known.effect is Effect.DENY]


def _note(number: int, _start: int, _end: int, _flags: int, found: object) -> None:
    assert isinstance(found, list)
    found.append(number)
