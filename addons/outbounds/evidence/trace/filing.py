"""What a trace puts into a case: the records of those who are certain or likely, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cases.desk import Desk
from ..complaints import Complaint
from ..search.query import moment
from ..tlog.checkpoint import Checkpoint
from ..tlog.note import split
from .ranking import Candidate
from .reasons import doubts, endpoint, reasons
from .weights import POSSIBLE


def chosen(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those whose records belong into a case without a person having looked at each."""
    return [each for each in candidates if each.confidence != POSSIBLE]


def file_in(desk: Desk, case: str, directory: Path, complaint: Complaint,
            candidates: Sequence[Candidate], tolerance: int) -> str:
    """Add the records of each of `candidates` to `case`, each with how sure it is; a sentence
    that says what was added. Raises as `Desk.add`."""
    if not candidates:
        return f"Nothing was added to {case}: every candidate is only possible. Look at them, " \
               f"and add what you mean: outbounds case add {case} --id RECORD"
    size = _size(directory)
    events = 0
    for each in candidates:
        exact = [found for found in each.matches if found.exact]
        matches = exact or each.matches
        events += len(matches)
        said = matches[0].sighting
        desk.add(
            case, [found.facts.event for found in matches],
            f"trace of {endpoint(said.address, said.port)} seen at "
            f"{moment(matches[0].moment.earliest)}, ±{tolerance // 1_000_000} s, "
            f"{said.source or complaint.form}"[:500],
            size=size, complaint=moment(matches[0].moment.earliest),
            findings=(f"{each.confidence}: {'; '.join(reasons(matches[0]))}",
                      *doubts(each, tolerance)))
    return f"Added to {case}: {events} record{'' if events == 1 else 's'} with what belongs to " \
           f"{'it' if events == 1 else 'them'}."


def _size(directory: Path) -> int:
    """Of the log, as it was last signed. Raises OSError, BadNote, BadCheckpoint: ValueErrors."""
    return Checkpoint.parse(split((directory / "log" / "checkpoint").read_text("utf-8"))[0]).size
