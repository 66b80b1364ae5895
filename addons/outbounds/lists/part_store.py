"""Lists read into parts, once for each content.

What reading gives depends on nothing but the octets, the format, the bound on their unpacked size
and the reader's version. A part is named by the hash of these, so a list that has not changed is
not read again, and what reading found is kept beside it. Of a list that cannot be used nothing is
kept: the next build reads it again, and says again why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ..core.list_entry import Entry
from .compiled.part import BadPart, Part, write_part
from .places import replace_file
from .reading import READER_VERSION, BadList, ListReader

Count = Callable[[int], None]
_EVERY = 20_000  # entries between two reports of progress


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a list found; `part` is the file name of its part, "" where `error` says why
    there is none. The rest as in `status.ListStatus`."""

    format: str
    lines: int = 0
    entries: int = 0
    rejected: int = 0
    unsupported: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    part: str = ""
    error: str = ""


class PartStore:
    """The folder of the parts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, part: str) -> Path:
        return self._folder / part

    def has(self, part: str) -> bool:
        """Whether it is there as it was written, and of this version of the format."""
        return bool(part) and self._known(Path(part).stem) is not None

    def read(self, source: Path, content: str, name: str, format: str, max_octets: int, *,
             again: bool = False, progress: Count = lambda entries: None) -> Reading:
        """Read the list in `source`, whose hex SHA-256 is `content`, unless its part is there
        (`again`: even then). `name` stands in messages. Raises OSError."""
        key = "\0".join((content, format, str(READER_VERSION), str(max_octets)))
        stem = hashlib.sha256(key.encode()).hexdigest()
        known = None if again else self._known(stem)
        if known is not None:
            return known
        part, problem, entries = f"{stem}.part", "", 0
        try:
            reader = ListReader(source, name, format, max_octets=max_octets)
        except BadList as error:
            return Reading(format, error=str(error))
        try:
            entries = write_part(self.path(part), _counted(reader, progress))
        except BadList as error:
            part, problem = "", str(error)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError,
                ValueError) as fault:
            # a fault of a reader must not keep the other lists from being brought up to date
            part, problem = "", (f"{name}: reading it failed through a fault of this product "
                                 f"({type(fault).__name__}: {fault}); please report it")
        report = reader.report
        found = Reading(
            report.format, report.lines, entries, report.rejected, report.unsupported,
            dict(report.reasons),
            tuple(f"line {each.line}: {each.text}: {each.reason}" for each in report.samples),
            part, problem)
        if part:
            replace_file(self._note(stem), msgspec.json.encode(found))
        return found

    def sweep(self, keep: Iterable[str]) -> None:
        """Delete everything but these parts and what belongs to them."""
        names = {each for part in keep for each in (part, self._note(Path(part).stem).name)}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _note(self, stem: str) -> Path:
        return self._folder / f"{stem}.json"

    def _known(self, stem: str) -> Reading | None:
        try:
            found = msgspec.json.decode(self._note(stem).read_bytes(), type=Reading)
            Part(self.path(found.part))  # which looks at every octet
        except (BadPart, FileNotFoundError, msgspec.DecodeError):
            return None
        return found


def _counted(entries: Iterable[Entry], progress: Count) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if number % _EVERY == 0:
            progress(number)
        yield entry
