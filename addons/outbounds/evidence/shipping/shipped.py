"""What has been sent: DIR/shipped.json.

Only a note of how far this is: without it the store is asked, object by object, and what is there
is not sent again.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from ..archive.layout import Segment
from ..directory import replace_file


class Shipped(msgspec.Struct):
    """`store` is `Store.identity`, `tiles` the size of the tree whose full tiles are there,
    `checkpoint` when (Unix s) the newest one was sent. `segments`: of each segment, by its stem,
    the SHA-256 of the seal that was sent; one whose seal is another now was changed since."""

    store: str = ""
    tiles: int = 0
    checkpoint: float = 0.0
    segments: dict[str, str] = {}

    def current(self, segment: Segment) -> bool:
        """Whether what the store has is what is here. Raises OSError."""
        return self.segments.get(segment.stem) == sha256(segment.seal.read_bytes()).hexdigest()


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
