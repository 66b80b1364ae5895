"""How large the log was, and what its root was, in three lines and a signature (C2SP
tlog-checkpoint)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from .merkle import HASH_SIZE
from .moment import read_moment
from .note import strict_base64


class BadCheckpoint(ValueError):
    """No checkpoint. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`origin` names the log, `size` counts its records, `root` has 32 octets. `extension` are
    further lines, which bind nobody."""

    origin: str
    size: int
    root: bytes
    extension: tuple[str, ...] = ()

    @property
    def at(self) -> float | None:
        """Unix s that its "time" line says it was made at; None if it has none that can be read."""
        for line in self.extension:
            if line.startswith("time "):
                try:
                    return read_moment(line.removeprefix("time "))
                except ValueError:
                    return None
        return None

    def __str__(self) -> str:
        """The text to be signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extension)
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises BadCheckpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or "" in lines:
            raise BadCheckpoint("three lines and more, none of them empty, were expected")
        origin, size, encoded, *extension = lines
        if not (size.isascii() and size.isdecimal()) or (size[0] == "0" and size != "0"):
            raise BadCheckpoint(f"{size[:40]!r} is no size")
        try:
            root = strict_base64(encoded)
        except ValueError:
            root = b""
        if len(root) != HASH_SIZE:
            raise BadCheckpoint(f"{encoded[:80]!r} is no root hash")
        return cls(origin, int(size), root, tuple(extension))
