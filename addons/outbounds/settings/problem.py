"""One thing wrong with the configuration, and the error that carries all of them.

A problem reads like a compiler's message, so that an editor can jump to it::

    config/limits.yaml:12: limits[0].rate: "60/parsec": unknown unit; use s, min, h or day

file and line, the path of the key, the value as it was read, what is wrong, and after the
semicolon what to write instead. What does not apply is left out: a missing file has no line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Key = tuple[str | int, ...]
"""Where a value stands in a file: mapping keys and list indexes, from the top."""

LONGEST_VALUE = 60  # characters of a value that a message repeats


class Absent:
    """The value of a problem that is not about a value (JSON's null is one, so None cannot say it).
    """


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Problem:
    """`text` is what is wrong, then "; " and the fix. `line` counts from 1; 0 is no line."""

    file: str
    line: int
    key: Key
    value: Any
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        parts = [where, key_path(self.key), shown(self.value), self.text]
        return ": ".join(part for part in parts if part)


class SettingsError(ValueError):
    """The configuration cannot be used. `problems` holds every fault of every file, in order.

    `files` is what was read or looked for, so that a watcher also wakes up when a file that was
    missing appears.
    """

    def __init__(self, problems: tuple[Problem, ...], files: tuple[Path, ...] = ()) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.files = files


def key_path(key: Key) -> str:
    """("limits", 0, "rate") as `limits[0].rate`."""
    path = ""
    for part in key:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def shown(value: Any) -> str:
    """A scalar as JSON, cut when long; nothing for lists and mappings, which the line shows."""
    if isinstance(value, Absent | tuple | dict):
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
