"""What the collector knows of the tree: how large it is, its root, and what it has signed.

The order matters. A line is hashed when it is on disk, never before: a checkpoint that covered a
line which a power cut then took would say that the log was cut. And it is signed within a second,
or 256 records. So a log may hold a few lines more than its newest checkpoint, and never fewer.

    log/checkpoint                          the newest
    segments/…-000007.checkpoint            the log as it was when segment 7 began

A segment's checkpoint says at which record it begins, signed: a segment that is missing, or moved,
or shorter than it was, is found by that. A checkpoint has one more line than C2SP tlog-checkpoint
asks for, the moment it was made ("time 2026-11-21T12:03:07Z"), and is made anew every second even
if nothing was recorded: so it says until when there was nothing more.

The tiles are not written here. They follow from the records, and are made when a segment is sealed
(`archive`): the process that acknowledges does as little as it can.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..directory import replace_file
from .checkpoint import Checkpoint
from .keys import KeyRing
from .moment import written
from .note import BadNote, sign
from .peaks import Peaks
from .verified import read_checkpoint

EVERY_RECORDS = 256
EVERY_SECONDS = 1.0


class HistoryDiffers(Exception):
    """The records on disk are not those that were signed. The message says what to do."""


class Growth:
    """`peaks` are those of all records on disk. `grow` never raises; `checkpoint` and
    `begin_segment` raise OSError, and lose nothing by that."""

    def __init__(self, folder: Path, ring: KeyRing, peaks: Peaks) -> None:
        self._folder = folder
        self._ring = ring
        self.peaks = peaks
        self.signed = 0          # records that the newest checkpoint covers,
        self.signed_at = 0.0     # and when it was made, Unix s
        self._due = 0.0          # monotonic s

    def grow(self, leaves: Sequence[bytes]) -> None:
        """Take the leaves' hashes of lines that are on disk."""
        self.peaks.extend(leaves)

    def wait(self, now: float) -> float:
        """Seconds until a checkpoint is due; `now` is monotonic s."""
        if self.peaks.size - self.signed >= EVERY_RECORDS:
            return 0.0
        return max(0.0, self._due - now)

    def checkpoint(self, now: float, at: float) -> None:
        """Sign the log as it is; `now` is monotonic s and `at` Unix s."""
        self._due = now + EVERY_SECONDS  # first, so that a disk that is full is not asked all day
        path, draft = self._folder / "checkpoint", self._folder / ".checkpoint.new"
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, self._note(at))
            # the content before the name, or a power cut leaves a name without content; that the
            # name itself is durable matters less: then the one of a second ago is there
            os.fdatasync(fd)
        finally:
            os.close(fd)
        os.replace(draft, path)
        self.signed, self.signed_at = self.peaks.size, at

    def begin_segment(self, path: Path, at: float) -> None:
        """Before segment `path` is made: afterwards its checkpoint is on disk."""
        self._ring.renew(at)
        replace_file(path.with_suffix(".checkpoint"), self._note(at))

    def replace_key(self, at: float) -> None:
        """Sign with a new key from now on; `at` is Unix s. Raises OSError."""
        self._ring.replace(at)

    def _note(self, at: float) -> bytes:
        # never outside the key's time, which a clock that was set back could otherwise lead to
        moment = max(at, self._ring.keys[-1].begin)
        return sign(str(Checkpoint(self._ring.origin, self.peaks.size, self.peaks.root(),
                                   (f"time {written(moment)}",))), (self._ring.signer,)).encode()


def last_signed(folder: Path, ring: KeyRing) -> Checkpoint | None:
    """The newest checkpoint of the log under `folder`, None if there is none or it is torn.
    Raises OSError."""
    try:
        return read_checkpoint(folder / "checkpoint", [each.verifier for each in ring.keys])
    except FileNotFoundError:
        return None
    except (BadNote, ValueError):
        return None
