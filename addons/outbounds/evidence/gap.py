"""Gaps: what went on while nothing could be recorded, counted, so that the log can say so later.

With `fail: open` requests go out while their records cannot be kept. How many, from when to when
and why is counted here, in memory and in a file:

    DATA/gaps/SESSION     512 octets of JSON and spaces, locked (flock(2)) by the proxy process

The file is made at start, at its full size, and only ever written over: so it needs no room on a
disk that has become full (on a file system that copies on write it may, and is then behind). It is
written at every request of a gap, into the page cache: a proxy that is killed within a gap leaves
the count, a machine that loses power may leave an older one or none. Whoever starts next finds a
file that nobody holds, and puts what it says on record.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .directory import fsync_directory

SIZE = 512
_REASON = 300


class Gap(msgspec.Struct):
    """`begin` and `end` are Unix ns of the first and the last request; `out` went to a target,
    `refused` were refused, all of them without a record that was known to be safe. `why` is the
    first reason. `cut_short`: the process ended before the gap did."""

    begin: int
    end: int
    why: str
    out: int = 0
    refused: int = 0
    cut_short: bool = False

    @property
    def count(self) -> int:
        return self.out + self.refused

    def add(self, at: int, out: bool) -> None:
        self.end = max(self.end, at)
        self.out += out
        self.refused += not out

    def join(self, later: Gap) -> None:
        """Take in what came after: this one could not be put on record in between."""
        self.end = max(self.end, later.end)
        self.out += later.out
        self.refused += later.refused

    def told(self) -> str:
        """For the record and the operator."""
        parts = [f"{self.out} went out unrecorded"] if self.out else []
        parts += [f"{self.refused} were refused unrecorded"] if self.refused else []
        more = "; the proxy ended before this was over" if self.cut_short else ""
        return f"{' and '.join(parts)}: {self.why}{more}"


@dataclass(frozen=True, slots=True)
class Left:
    """What a process that is gone left behind: its gap, and the file, locked by `fd`."""

    path: Path
    fd: int
    gap: Gap

    def remove(self) -> None:
        """Once it is on record."""
        self.path.unlink(missing_ok=True)
        os.close(self.fd)


class Marker:
    """The file of this process, under `folder`. Raises OSError where it cannot be made."""

    def __init__(self, folder: Path, session: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / session
        # locked before it has its name: a process that starts now must not take it for a dead one's
        draft = folder / f".{session}.new"
        self._fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(self._fd, b" " * SIZE, 0)
        os.fsync(self._fd)
        os.rename(draft, self._path)
        fsync_directory(folder)

    def note(self, gap: Gap | None) -> None:
        """Write down what is open. A disk that does not take it leaves the count in memory."""
        octets = b""
        if gap is not None:
            octets = msgspec.json.encode(msgspec.structs.replace(gap, why=gap.why[:_REASON]))
            if len(octets) > SIZE:
                octets = msgspec.json.encode(msgspec.structs.replace(gap, why=""))
        with suppress(OSError):
            os.pwrite(self._fd, octets.ljust(SIZE), 0)

    def close(self, gap: Gap | None) -> None:
        """Leave the file only if there is a gap that is not on record."""
        if gap is None:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)


def left_behind(folder: Path) -> list[Left]:
    """The gaps of processes that are gone; files without one are removed. Raises OSError."""
    found = []
    for path in sorted(folder.glob("*")):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        try:
            gap = msgspec.json.decode(os.pread(fd, SIZE, 0), type=Gap)
        except msgspec.MsgspecError:
            path.unlink(missing_ok=True)
            os.close(fd)
        else:
            gap.cut_short = True
            found.append(Left(path, fd, gap))
    return found
