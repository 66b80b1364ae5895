"""What a case had captured goes some time after the case was closed: `retention.captured`.

It is on record before it is removed. A case that is open keeps what it has: that it is not closed
is for whoever runs it to see, and `outbounds case list` shows it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ..cases.store import Case, CaseDamaged, Cases
from ..keeper.task import KeeperFault, Keeping
from ..privacy import load_key
from ..submit import EvidenceUnavailable, recording


def run(keeping: Keeping) -> None:
    """Raises KeeperFault, OSError."""
    if keeping.settings is None:
        return
    kept = keeping.settings.retention.captured
    try:
        due = [case for case in Cases(keeping.data / "cases").all()
               if _over(case, keeping.now - kept) and captured(case.folder)]
    except CaseDamaged as error:
        raise KeeperFault(str(error)) from None
    if not due:
        return
    try:
        with recording(keeping.directory, keeping.settings.socket,
                       load_key(keeping.data)) as recorder:
            for case in due:
                files = captured(case.folder)
                with recorder.act("capture.removed", operator="the keeper", case=case.id,
                                  count=len(files)):
                    for path in files:
                        path.unlink()
                keeping.say(f"removed {len(files)} captured exchanges of {case.id}, which was "
                            f"closed {case.closed}")
    except EvidenceUnavailable as error:
        raise KeeperFault(f"nothing that was captured is removed: {error}") from None


def captured(folder: Path) -> list[Path]:
    """The files of a case's captured exchanges, and what a crash has left of one."""
    return sorted(path for path in (folder / "captured").glob("*")
                  if path.suffix in (".age", ".new"))


def _over(case: Case, before: float) -> bool:
    return bool(case.closed) and datetime.fromisoformat(case.closed).timestamp() <= before
