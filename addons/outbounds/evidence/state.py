"""What the collector tells its clients besides acknowledgements: the disk, the log, the keeper.

A disk that fills up is noticed before it is full. Below the reserve the collector says so, and the
proxies let nothing more begin; what is under way can then still be recorded, checkpoints are signed
and a new segment begins, all within the reserve. The collector itself refuses nothing for that: a
command that is about to remove something must be able to say so in the log.

The payload of a STATE frame, UTF-8 JSON:

    {"full": "" or why, "free": bytes, "reserve": bytes, "size": records in the log,
     "signed": records that the newest checkpoint covers, "at": Unix s when it was made,
     "kept": {…kept.json…}}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

LOOK = 0.2   # s between two looks at the disk: 4 MB at the rate of the fastest clients
TELL = 1.0   # s after which clients are told again though nothing has changed
INODES = 16  # free ones that a rollover and a checkpoint need, with room to spare


class State(msgspec.Struct, frozen=True):
    """`kept` is what each task of the keeper last said: {task: {"at": Unix s, "ok": bool, …}}."""

    full: str = ""
    free: int = 0
    reserve: int = 0
    size: int = 0
    signed: int = 0
    at: float = 0.0
    kept: dict[str, dict[str, Any]] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(State).decode
_decode_kept = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def parse_state(payload: bytes) -> State | None:
    """None for what is no state."""
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        return None


class Watch:
    """Looks at the disk of `directory`. `reserve` is in bytes; 0 watches nothing."""

    def __init__(self, directory: Path, reserve: int) -> None:
        self._directory = directory
        self._reserve = reserve
        self._looked = self._told = float("-inf")
        self._kept: dict[str, dict[str, Any]] = {}
        self._kept_from = (0, 0)
        self.full = ""
        self.free = 0

    def look(self, now: float) -> bool:
        """Look at the disk if it is time (`now` is monotonic s); whether `full` has changed."""
        if now - self._looked < LOOK:
            return False
        self._looked = now
        before = self.full
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            return False  # what is wrong here is wrong with the next write, which says so
        self.free = disk.f_bavail * disk.f_frsize
        # back only with a little more than the reserve: otherwise each closing record would turn
        # every client's state over
        bound = self._reserve + (self._reserve // 16 if before else 0)
        if self._reserve and self.free < bound:
            self.full = (f"{self.free} bytes are free on the disk of {self._directory}, below the "
                         f"reserve of {self._reserve}")
        elif self._reserve and disk.f_files and disk.f_favail < INODES:
            self.full = f"the disk of {self._directory} has no room for more files"
        else:
            self.full = ""
        return bool(before) != bool(self.full)

    def due(self, now: float) -> bool:
        return now - self._told >= TELL

    def payload(self, size: int, signed: int, now: float, at: float) -> bytes:
        """`now` is monotonic s; `at` Unix s, of the newest checkpoint."""
        self._told = now
        return _encode(State(self.full, self.free, self._reserve, size, signed, at,
                             self._keeper_said()))

    def _keeper_said(self) -> dict[str, dict[str, Any]]:
        path = self._directory / "kept.json"
        try:
            found = path.stat()
            if (found.st_mtime_ns, found.st_ino) != self._kept_from:
                self._kept = _decode_kept(path.read_bytes())
                self._kept_from = (found.st_mtime_ns, found.st_ino)
        except (OSError, msgspec.MsgspecError):
            pass  # none yet, or being replaced: the next second has it
        return self._kept
