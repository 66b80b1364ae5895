"""What goes wrong with compiled lists."""

from __future__ import annotations

from pathlib import Path


class BadGeneration(ValueError):
    """A generation that must not be used. The message names the file, and what to do."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}; compile again: outbounds lists build")
        self.path = path
        self.problem = problem


class CompileError(ValueError):
    """A list that cannot be compiled; the others can, without it.

    `line` is 0 and `text` empty where no single entry is at fault. The message is a sentence.
    """

    def __init__(self, list_id: str, reason: str, line: int = 0, text: str = "") -> None:
        where = f"{list_id}:{line}" if line else list_id
        shown = f' "{_shown(text)}"' if text else ""
        super().__init__(f"{where}:{shown}: {reason}" if shown else f"{where}: {reason}")
        self.list_id = list_id
        self.line = line
        self.text = text
        self.reason = reason


def _shown(text: str) -> str:
    shown = text if len(text) <= 200 else text[:200] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
