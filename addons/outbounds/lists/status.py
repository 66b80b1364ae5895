"""How each compiled list stands, as the last build found it: `status.json`.

It is the build's memory as well: which part of a list was good, and how many entries it had. So it
is written last; a build that is cut off before that is forgotten, and the next one finds the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from .places import replace_file


@dataclass(frozen=True, slots=True)
class ListStatus:
    """One list. Times are Unix times in seconds, 0 for never.

    format       as it was configured or detected
    source       path or URL, without credentials
    part         file name of the part in force, "" while there never was a good one
    entries      of the part in force
    lines, rejected, unsupported, reasons, samples
                 what reading the newest source found: counts of lines, of lines per reason, and
                 the first rejected ones as `line N: text: reason`
    good_at      when the content in force was last known to be the published one: the last answer
                 200 or 304 that was usable; for a file, when it was changed
    checked_at   the last look at the source
    next_check   when a feed is due; 0 for a file, which is looked at when it changes
    sha256       hex digest of the newest source
    error        why the newest source is not in force, or was not got; one sentence, "" for none
    held_back    the newest copy shrank so much that somebody has to accept it
    """

    id: str
    format: str = ""
    source: str = ""
    part: str = ""
    entries: int = 0
    lines: int = 0
    rejected: int = 0
    unsupported: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    good_at: float = 0.0
    checked_at: float = 0.0
    next_check: float = 0.0
    sha256: str = ""
    error: str = ""
    held_back: bool = False

    @property
    def missing(self) -> bool:
        """There is nothing of it that could be in force."""
        return not self.part


@dataclass(frozen=True, slots=True)
class Status:
    """A build: the `version` of the generation it left in force ("" for none), when it ended
    (Unix time), how long it `took` (seconds), and the lists."""

    version: str = ""
    built_at: float = 0.0
    took: float = 0.0
    lists: tuple[ListStatus, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The ids of lists of which there never was a good part."""
        return tuple(each.id for each in self.lists if each.missing)

    @property
    def faults(self) -> tuple[ListStatus, ...]:
        """The lists whose newest source is not in force, or could not be got."""
        return tuple(each for each in self.lists if each.error)

    def of(self, list_id: str) -> ListStatus | None:
        return next((each for each in self.lists if each.id == list_id), None)


def read_status(path: Path) -> Status | None:
    """What `path` says; None if it is not there or not readable as a status, which is the same as
    never having built: the next build writes another."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_status(path: Path, status: Status) -> None:
    """Raises OSError."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(status), indent=1) + b"\n")
