"""Formats in which an entry is a line: how their lines are gone through and accounted for.

A block of lines that all have one plain shape, which is most blocks of the large lists, becomes
entries at once (`plain`). Any other block goes line by line through the format's parser. Both ways
give the same entries; the first is several times faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ...core.list_entry import Entry
from ..report import BadLine, BadList, Poison, Report, Unsupported, shown
from .plain import Shape


class Source(Protocol):
    """A list to be read. `name` stands in messages."""

    @property
    def name(self) -> str: ...

    def blocks(self) -> Iterator[tuple[int, str]]:
        """From its beginning each time: (number of the first line, whole lines of text)."""

    def members(self) -> Iterator[tuple[str, Iterator[tuple[int, str]]]]:
        """(path, blocks) of the files of a tar archive; lines are numbered through all of them."""


Batch = Iterable[Entry]
ParseLine = Callable[[str, int], Iterable[Entry]]
"""The entries of a line (not blank, without white space around it, no comment) with its number.

Raises Unsupported, BadLine or Poison."""


class Format(Protocol):
    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        """The entries in the order of their lines; `report` has counted the lines of a batch when
        it is given. Raises BadList."""


_FEW = 64  # lines looked at together once a block has turned out not to be all of one shape


@dataclass(frozen=True, slots=True)
class LineFormat:
    """`comment` is a regular expression for the beginning of a comment line; `shapes` are what
    whole blocks may look like, and must mean the same as `parse`."""

    parse: ParseLine
    comment: str = "#"
    shapes: tuple[Shape, ...] = ()

    def read(self, source: Source, report: Report) -> Iterator[Batch]:
        for first, text in source.blocks():
            yield from self.block(first, text, source.name, report)

    def block(self, first: int, text: str, name: str, report: Report) -> Iterator[Batch]:
        """The entries of whole lines of text. Raises BadList."""
        found = self._at_once(first, text, report)
        if found is not None:
            yield found
            return
        lines = text[:-1].split("\n")
        size = _FEW if self.shapes else len(lines)
        for start in range(0, len(lines), size):
            piece = lines[start:start + size]
            found = self._at_once(first + start, "\n".join(piece) + "\n", report) \
                if size < len(lines) else None
            yield found if found is not None else self._each(first + start, piece, name, report)

    def _at_once(self, first: int, text: str, report: Report) -> Batch | None:
        for shape in self.shapes:
            names = shape.names(text)
            if names is not None:
                report.lines += len(names)
                report.kept += len(names)
                report.entries += len(names)
                return shape.entries(names, first)
        return None

    def _each(self, first: int, lines: list[str], name: str, report: Report) -> Batch:
        found: list[Entry] = []
        is_comment = re.compile(self.comment).match
        for number, line in enumerate(lines, first):
            report.lines += 1
            line = line.strip()
            if not line or is_comment(line):
                report.comments += 1
            else:
                found += keep(self.parse, line, number, name, report)
        return found


def keep(parse: ParseLine, line: str, number: int, name: str, report: Report, lines: int = 1
         ) -> Iterable[Entry]:
    """The entries of one line, or of a record over several `lines`, which are counted as what
    became of it. Raises BadList for poison."""
    found: list[Entry] = []
    try:
        found = list(parse(line, number))
        report.kept += lines
    except Unsupported as why:
        report.leave_out(str(why), lines)
    except BadLine as why:
        found = [entry for entry in why.kept if isinstance(entry, Entry)]
        report.reject(number, line, str(why), lines)
    except Poison as why:
        raise BadList(f'{name}:{number}: "{shown(line)}": {why}') from None
    report.entries += len(found)
    return found
