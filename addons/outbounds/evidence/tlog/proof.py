"""That one record is in the log, as a file of its own (C2SP tlog-proof).

    c2sp.org/tlog-proof@v1
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
    …

    example.net/log
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — example.net/log hI2DJw…

The first hash is that of the record's sibling, the last the root's child. With the record's bytes
and a key that is trusted it can be checked anywhere, and it shows nothing of any other record but
hashes.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from .checkpoint import BadCheckpoint, Checkpoint
from .merkle import HASH_SIZE, BadProof, verify_inclusion
from .note import BadNote, Verifier, strict_base64
from .verified import parse_signed

TITLE = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
MAX_STEPS = 63


@dataclass(frozen=True, slots=True)
class Proof:
    """That record `index` is in the log of the checkpoint `note`; `path` from the leaf to the root.
    `extra` is what somebody else's proof may carry, and nobody signed."""

    index: int
    path: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    def __str__(self) -> str:
        lines = [TITLE]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines += [f"index {self.index}", *(base64.b64encode(each).decode() for each in self.path)]
        return "\n".join(lines) + "\n\n" + self.note

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Raises BadProof."""
        head, gap, note = text.partition("\n\n")
        lines = head.split("\n")[::-1]
        if lines.pop() != TITLE or not gap:
            raise BadProof(f"its first line is not {TITLE}, or it has no checkpoint")
        extra = None
        if lines and lines[-1].startswith("extra "):
            extra = _octets(lines.pop().removeprefix("extra "))
        name, _, index = (lines.pop() if lines else "").partition(" ")
        if (name != "index" or not (index.isascii() and index.isdecimal())
                or len(index) > 19 or (index[0] == "0" and index != "0")):
            raise BadProof("it does not say the record's index")
        path = tuple(_octets(line) for line in reversed(lines))
        if len(path) > MAX_STEPS or any(len(each) != HASH_SIZE for each in path):
            raise BadProof(f"{len(path)} hashes of {HASH_SIZE} octets cannot be a path")
        return cls(int(index), path, note, extra)

    def check(self, leaf: bytes, verifiers: Sequence[Verifier]) -> Checkpoint:
        """What the log said of itself, if it was signed by one of `verifiers` and has the leaf
        hash `leaf` at `index`. Raises BadProof."""
        try:
            checkpoint = parse_signed(self.note, verifiers)
        except (BadNote, BadCheckpoint) as error:
            raise BadProof(f"its checkpoint: {error}") from None
        verify_inclusion(leaf, self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint


def _octets(text: str) -> bytes:
    try:
        return strict_base64(text)
    except ValueError:
        raise BadProof(f"{text[:80]!r} is not base64") from None
