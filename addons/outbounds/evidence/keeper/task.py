"""What a task of the keeper is given, and how it says what an operator must know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ...settings.evidence import Evidence


class KeeperFault(Exception):
    """A task could not do all that it should. The message names the file or the peer, and the fix;
    the other tasks go on, and the next pass tries again."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a task may use: `directory` is the log's, `data` the service's folder. `settings` is
    None where the pass was started without a configuration: only sealing needs none. `now` is
    Unix s, one moment for the whole pass. `say` takes a line about what was done; `status` the
    task's own numbers, which end in kept.json beside when it ran and how it went."""

    directory: Path
    data: Path
    settings: Evidence | None
    now: float
    say: Callable[[str], None]
    status: dict[str, int | float | str] = field(default_factory=dict)


type Task = Callable[[Keeping], None]
"""Raises KeeperFault; OSError is taken for one."""
