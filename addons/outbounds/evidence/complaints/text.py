"""A complaint that is text: log lines, a table, "Source-IP: …" one below the other, or a letter.

Line by line where a line says it all; the lines of a paragraph together where they do not; and
where nothing at all was found, the one address and the times of the whole text together. Nothing is
dropped in silence: a line that holds an address and no time that can be read is said, and what
holds neither is counted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .access_log import parse_access_line
from .json_form import parse_json
from .line import Read, read_line
from .moments import Clock
from .named_fields import role_of, sighting_of
from .sighting import Complaint, Sighting, Unread, unread

MAX_LINES = 50_000
MAX_LINE = 8_192  # characters; a log line with a cookie in it is shorter

_LABELLED = re.compile(
    r"^[\s>*|-]{0,8}([A-Za-z][\w ./()@-]{0,38}?)\s{0,12}(?::|\s=)\s{1,20}(\S.*)$")
_BANNED = re.compile(r"\bThe IP (\S{2,45}) has just been banned by Fail2Ban", re.IGNORECASE)
_LISTED = re.compile(r"\b(?:is|was|are|has been) (?:currently )?(?:listed|blacklisted|blocklisted)"
                     r"|\b(?:last |most recent )?detect(?:ed|ion)\b", re.IGNORECASE)
_GREPPED = re.compile(r"^/[\w./-]{1,200}:(?=\S)")  # the file's name, as grep puts it before a line
_DELIMITERS = ",;\t|"


def parse_text(text: str, clock: Clock, ours: frozenset[str] = frozenset()) -> Complaint:
    """`ours`: the addresses that it is about, where that is known: others are then left alone."""
    banned = frozenset(found[1].strip("[]") for found in _BANNED.finditer(text))
    reader = _Reader(clock, ours or banned)
    lines = text.splitlines()
    for number, line in enumerate(lines[:MAX_LINES], 1):
        reader.take(number, line)
    reader.end_paragraph()
    reader.end()
    if len(lines) > MAX_LINES:
        reader.unread.append(Unread(f"line {MAX_LINES + 1}", "", f"only the first {MAX_LINES:,} "
                                    "lines are read; give the rest in a file of its own"))
    form = "fail2ban" if banned else reader.form or (
        "listing" if _LISTED.search(text) else "text")
    return Complaint(form, tuple(reader.sightings), tuple(reader.unread), tuple(reader.notes()))


@dataclass(slots=True)
class _Row:
    """A line that is no record of its own format."""

    number: int
    line: str
    read: Read

    @property
    def whole(self) -> bool:
        """Whether it says who and when by itself."""
        return self.read.names_address and bool(self.read.moments)

    @property
    def adds(self) -> bool:
        """Whether it says more about something else, and neither who nor when."""
        return not (self.read.names_address or self.read.moments or self.read.bad_time)


class _Reader:
    def __init__(self, clock: Clock, ours: frozenset[str]) -> None:
        self.clock, self.ours = clock, ours
        self.form = ""
        self.sightings: list[Sighting] = []
        self.unread: list[Unread] = []
        self._columns: list[str] = []
        self._delimiter = ""
        self._paragraph: list[_Row] = []
        self._left: list[_Row] = []     # of the whole text
        self._silent = self._timeless = 0

    def take(self, number: int, line: str) -> None:
        if not line.strip(" \t>|*-=_"):
            self.end_paragraph()
            self._columns = []
            return
        source = f"line {number}"
        if len(line) > MAX_LINE:
            self._say(source, line, f"longer than {MAX_LINE:,} characters, which no log line is")
            return
        line = _GREPPED.sub("", line.lstrip("> \t"))
        found = self._row(line, source) or self._json(line, source) \
            or parse_access_line(line, self.clock, source)
        if found is not None:
            self._keep(found)
            return
        read = read_line(line, self.clock, self.ours)
        labelled = _LABELLED.match(line)
        if labelled and role_of(labelled[1])[0] and not read.fields:
            read.fields.append((labelled[1], labelled[2].strip()))
        elif labelled and not read.names_address:
            read.extra.clear()  # "Schema-URL: …" is not where somebody went
        if read.addresses or read.moments or read.fields or read.extra or read.bad_time:
            self._paragraph.append(_Row(number, line, read))
        else:
            self._silent += 1

    def end_paragraph(self) -> None:
        """What its lines say, each by itself or all together."""
        rows, self._paragraph = self._paragraph, []
        if not rows:
            return
        whole = [row for row in rows if row.whole]
        others = [row for row in rows if not row.whole]
        if len(whole) == 1 and all(row.adds for row in others):
            others, whole = [*whole, *others], []  # a sentence that was broken into lines
        for row in whole:
            self._keep(_sighting([row], self.clock))
        if not others:
            return
        if self.ours and not any(name in row.line for row in others for name in self.ours):
            self._silent += len(others)
        elif _told(others):
            self._keep(_sighting(others, self.clock))
        else:
            self._left += others

    def end(self) -> None:
        left, self._left = self._left, []
        if not self.sightings and _told(left, letter=True):
            self._keep(_sighting(left, self.clock))
            return
        known = {each.address for each in self.sightings}
        for row in left:
            source, named = f"line {row.number}", {each.address for each in row.read.addresses}
            if self.ours and not self.ours & named:
                self._silent += 1
            elif row.read.bad_time:
                self._say(source, row.line, "; ".join(row.read.notes))
            elif named & known:
                self._timeless += 1
            elif named and known:
                self._say(source, row.line, "an address, and no time with it")
            elif named:
                self._keep(_sighting([row], self.clock))
                known = {each.address for each in self.sightings}
            elif row.read.moments and not known:
                self._say(source, row.line, "a time, and no address with it")
            else:
                self._silent += 1

    def notes(self) -> Iterator[str]:
        if self._silent:
            yield f"lines that hold nothing a search could use: {self._silent}"
        if self._timeless:
            yield "lines that name one of the addresses again, without a time: " \
                  f"{self._timeless}"

    def _keep(self, found: Complaint) -> None:
        self.form = self.form or found.form
        self.unread += found.unread
        self.sightings += [each for each in found.sightings
                           if not self.ours or each.address in self.ours]
        self._silent += sum(bool(self.ours) and each.address not in self.ours
                            for each in found.sightings)

    def _say(self, source: str, line: str, why: str) -> None:
        self.unread += unread(source, line, why).unread

    def _json(self, line: str, source: str) -> Complaint | None:
        return parse_json(line, self.clock, source) if line.lstrip()[:1] == "{" \
            and line.rstrip()[-1:] == "}" else None

    def _row(self, line: str, source: str) -> Complaint | None:
        """A row of a table whose columns were named above it; the naming row itself is empty."""
        if not self._columns:
            for delimiter in _DELIMITERS:
                cells = _cells(line, delimiter)
                columns = [role_of(cell)[0] for cell in cells]
                if "address" in columns and {"time", "since", "until"} & set(columns) \
                        and not any(character.isdigit() for character in "".join(
                            cell for cell, role in zip(cells, columns, strict=True) if role)):
                    self._columns, self._delimiter = cells, delimiter
                    return Complaint("table")
            return None
        cells = _cells(line, self._delimiter)
        if len(cells) != len(self._columns):
            self._columns = []
            return None
        return sighting_of(zip(self._columns, cells, strict=True), self.clock, source, text=line)


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter not in line:
        return []
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return []


def _told(rows: list[_Row], letter: bool = False) -> bool:
    """Whether these lines together say who and when; of a `letter` a sentence may say who."""
    who = any(role_of(name)[0] == "address" for row in rows for name, _ in row.read.fields) \
        or any(row.whole for row in rows) \
        or (letter and any("address" in row.read.extra for row in rows))
    return who and any(row.read.moments for row in rows)


def _sighting(rows: list[_Row], clock: Clock) -> Complaint:
    """Of all that `rows` say; the first to say something counts."""
    extra: dict[str, str] = {}
    for row in rows:
        for role, value in row.read.extra.items():
            extra.setdefault(role, value)
    numbers = [row.number for row in rows]
    return sighting_of(
        [each for row in rows for each in row.read.fields], clock,
        f"line {numbers[0]}" if len(rows) == 1 else f"lines {numbers[0]} to {numbers[-1]}",
        text=" / ".join(row.line.strip() for row in rows), extra=extra,
        stated=(tuple(dict.fromkeys(each for row in rows for each in row.read.moments)),
                tuple(dict.fromkeys(note for row in rows for note in row.read.notes))))
