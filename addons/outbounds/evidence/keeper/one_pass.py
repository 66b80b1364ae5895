"""One pass over the tasks: each runs, whatever became of the one before it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ...settings.evidence import Evidence
from ..archive.reading import Damaged
from ..archive.seal import BadSeal
from ..tlog.keys import KeyUnusable
from ..tlog.tiles import BadTile
from .kept import Outcome, load_kept, save_kept
from .table import TASKS
from .task import KeeperFault, Keeping, Task

EXPECTED = (KeeperFault, Damaged, BadSeal, BadTile, KeyUnusable, OSError)
"""What a task may raise: the operator is told the text, and no stack."""
REMIND = 3600.0
"""Seconds."""


def one_pass(directory: Path, data: Path, settings: Evidence | None,
             say: Callable[[str], None], tasks: Mapping[str, Task] = TASKS,
             remind: float = REMIND) -> bool:
    """Run every task on the log under `directory`; the caller holds the lock (`lock`). Whether
    none had a fault; one that was there before is said again after `remind` seconds. Raises what
    is not `EXPECTED`, when the other tasks have run."""
    kept = load_kept(directory)
    faults: list[Exception] = []
    for name, task in tasks.items():
        now = time.time()
        status: dict[str, int | float | str] = {}
        before = kept.get(name, {})
        fault = ""
        try:
            task(Keeping(directory, data, settings, now, say, status))
        except EXPECTED as error:
            fault = str(error)
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            faults.append(error)
        kept[name] = _outcome(now, fault, before, status, remind)
        _tell(name, kept[name], before, say)
        with suppress(OSError):  # a full disk: the metrics go without, the next pass says it
            save_kept(directory, kept)
    if faults:
        raise faults[0]
    return all(kept[name]["ok"] for name in tasks)


def stand_back() -> None:
    """Be the last to get a processor or the disk: whoever serves customers comes first."""
    with suppress(OSError):
        os.nice(19)


def _outcome(now: float, fault: str, before: Outcome,
             status: dict[str, int | float | str], remind: float) -> Outcome:
    found: Outcome = {**status, "at": now, "ok": not fault, "fault": fault}
    if not fault:
        found["good"] = now
    elif "good" in before:
        found["good"] = before["good"]
    if fault:
        again = before.get("fault") == fault and now - float(before.get("said", 0)) < remind
        found["said"] = before.get("said", now) if again else now
    return found


def _tell(name: str, outcome: Outcome, before: Outcome, say: Callable[[str], None]) -> None:
    """A fault is said when it is new or changes, once an hour as long as it lasts, and its end."""
    if not outcome["ok"] and outcome["said"] == outcome["at"]:
        say(f"{name}: {outcome['fault']}")
    elif outcome["ok"] and not before.get("ok", True):
        say(f"{name}: works again")
