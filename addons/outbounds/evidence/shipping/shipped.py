"""What has been sent: DIR/shipped.json.

Only a note of how far this is: without it the store is asked, object by object, and what is there
is not sent again.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..archive.layout import Segment
from ..directory import replace_file


class Shipped(msgspec.Struct):
    """`store` is `Store.identity`, `tiles` the size of the tree whose full tiles are there,
    `checkpoint` when (Unix s) the newest one was sent. `segments`: of each segment, by its stem,
    which file its seal was when it was sent; one whose seal is another now was changed since."""

    store: str = ""
    tiles: int = 0
    checkpoint: float = 0.0
    segments: dict[str, str] = {}

    def current(self, segment: Segment) -> bool:
        """Whether what the store has is what is here. Raises OSError."""
        return self.segments.get(segment.stem) == _mark(segment)

    def sent(self, segment: Segment) -> None:
        """Raises OSError."""
        self.segments[segment.stem] = _mark(segment)


def _mark(segment: Segment) -> str:
    """A seal is never written to, only replaced; and years of them are too much to read each
    minute."""
    status = segment.seal.stat()
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def load_shipped(directory: Path) -> Shipped:
    """Raises OSError."""
    try:
        return msgspec.json.decode((directory / "shipped.json").read_bytes(), type=Shipped)
    except FileNotFoundError:
        return Shipped()
    except msgspec.MsgspecError:
        return Shipped()  # it is asked for again


def save_shipped(directory: Path, shipped: Shipped) -> None:
    """Raises OSError."""
    replace_file(directory / "shipped.json", msgspec.json.encode(shipped))
