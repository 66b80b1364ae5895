"""What a case had captured goes some time after the case was closed: `retention.captured`.

It is on record before it is removed. A case that is open keeps what it has: that it is not closed
is for whoever runs it to see, and `outbounds case list` shows it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ..cases.store import Case, CaseDamaged, cases_of
from ..keeper.task import KeeperFault, Keeping
from ..submit import EvidenceUnavailable, recording
from .orders import captured_folder


def run(keeping: Keeping) -> None:
    """Raises KeeperFault, OSError."""
    if keeping.settings is None:
        return
    kept = keeping.settings.retention.captured
    try:
        due = [case for case in cases_of(keeping.directory).all()
               if _over(case, keeping.now - kept) and captured(keeping.data, case.id)]
    except CaseDamaged as error:
        raise KeeperFault(str(error)) from None
    if not due:
        return
    try:
        with recording(keeping.directory, keeping.settings.socket) as recorder:
            for case in due:
                files = captured(keeping.data, case.id)
                with recorder.act("capture.removed", operator="the keeper", case=case.id,
                                  count=len(files)):
                    for path in files:
                        path.unlink()
                keeping.say(f"removed {len(files)} captured exchanges of {case.id}, which was "
                            f"closed {case.closed}")
    except EvidenceUnavailable as error:
        raise KeeperFault(f"nothing that was captured is removed: {error}") from None


def captured(data: Path, case: str) -> list[Path]:
    """The files of a case's captured exchanges, and what a crash has left of one."""
    return sorted(path for path in captured_folder(data, case).glob("*")
                  if path.suffix in (".age", ".new"))


def _over(case: Case, before: float) -> bool:
    return bool(case.closed) and datetime.fromisoformat(case.closed).timestamp() <= before
