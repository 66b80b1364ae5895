"""What a pass of retention leaves to the next: DIR/retention.json.

Without it every segment that may have something due is read once more, and nothing else is lost. It
counts only for the rules and the holds that it was made under: a rule that became shorter, or a
hold that was released, makes records due that were not.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec

from ...settings.evidence import Retention
from ..cases.store import Hold
from ..directory import replace_file

NEVER = 2**62


class Memory(msgspec.Struct):
    """`done` is up to when (Unix µs) everything due was removed; `next` when something in a
    segment, by its stem, is due the next time (`NEVER`: nothing is left in it); `holds` are those
    that stood."""

    rules: str
    holds: list[str]
    done: int = 0
    next: dict[str, int] = {}


def load_memory(directory: Path, retention: Retention, holds: Iterable[Hold]) -> Memory:
    """What counts under `retention` and `holds`. Raises OSError."""
    now = Memory(sha256(retention.model_dump_json().encode()).hexdigest(),
                 sorted(map(_named, holds)))
    try:
        found = msgspec.json.decode(_path(directory).read_bytes(), type=Memory)
    except (FileNotFoundError, msgspec.MsgspecError):
        return now
    if found.rules != now.rules or set(found.holds) - set(now.holds):
        return now
    return Memory(now.rules, now.holds, found.done, found.next)


def save_memory(directory: Path, memory: Memory) -> None:
    """Raises OSError."""
    replace_file(_path(directory), msgspec.json.encode(memory))


def _path(directory: Path) -> Path:
    return directory / "retention.json"


def _named(hold: Hold) -> str:
    """A hold never changes what it covers but by the items that are added to its case, and those
    only add to it."""
    return f"{hold.case}/{hold.number}"
