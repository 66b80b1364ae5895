"""The log on disk: append-only segments of whole JSON lines, one writer per directory.

    DIR/lock                                   flock(2): who writes here
    DIR/carried.json                           what was open when the newest segment began
    DIR/segments/2026-11-21T01-000001.jsonl    hour (UTC) and a sequence number that only grows;
                                               what becomes of it later: `archive`

Acknowledged means: the lines were written and fdatasync returned. What follows from that:

- A write that fails half-way (disk full, I/O error) is cut back to the last acknowledged length
  before anything else is appended, so a torn line is never followed by a whole one.
- After a failed fdatasync the kernel may drop the dirty pages and report success the next time,
  so the segment is not written again: the next append begins a new one.
- A torn last line after a crash was never acknowledged. It is cut off at start.
- Each run begins a segment of its own and never appends to one that a crashed process left. So
  a reader that holds an older segment knows that it is final.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from time import gmtime, strftime

from .archive.layout import all_segments
from .directory import fsync_directory

MAX_BYTES = 256 * 1024 * 1024


class AppendError(Exception):
    """The lines are not on disk, and nothing of them will be. The next append tries again."""


class DirectoryTaken(Exception):
    """Another collector writes to this directory."""


def segments(directory: Path) -> list[Path]:
    """Every segment under `directory` that is not sealed yet, oldest first. The sequence number
    decides: the hour is the wall clock's, which may have been set back."""
    return sorted((directory / "segments").glob("????-??-??T??-*.jsonl"), key=sequence)


def sequence(segment: Path) -> int:
    """The sequence number in the name of a segment."""
    return int(segment.stem.rpartition("-")[2])


def cut_torn_line(segment: Path) -> int:
    """Remove what follows the last newline of `segment`; how many bytes that was. Raises OSError.

    What stays is synced: whole lines that a killed collector wrote but had not flushed yet will
    count as known, so they must be as safe as acknowledged ones.
    """
    with open(segment, "r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        keep = 0
        while end > 0:
            begin = max(0, end - 65536)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                keep = begin + newline + 1
                break
            end = begin
        if keep < size:
            file.truncate(keep)
        os.fsync(file.fileno())
    return size - keep


def lock(directory: Path, wait: float) -> int:
    """Take the directory for this process, making it if need be; the descriptor holds the lock.

    Waits up to `wait` seconds for another holder to leave. Raises `DirectoryTaken`, OSError.
    """
    (directory / "segments").mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise DirectoryTaken(
                    f"{directory}: another collector (process {holder}) is writing here and did "
                    f"not leave within {wait:g} s; stop it, or give this one another directory"
                ) from None
            time.sleep(0.05)
        else:
            break
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except OSError:
        pass  # the process number is for the message only: a full disk must not stop a start
    return fd


class SegmentWriter:
    """Appends to the newest segment of a directory that the caller has locked."""

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory / "segments"
        self._max_bytes = max_bytes
        existing = all_segments(directory)  # the sealed ones, too: a number is used once
        self._sequence = existing[-1].sequence if existing else 0
        self._fd = -1
        self._hour = ""
        self._length = 0     # bytes acknowledged in the open segment
        self._dirty = False  # bytes beyond `_length` may be on disk

    @property
    def next_sequence(self) -> int:
        """The number that the next new segment will have."""
        return self._sequence + 1

    def next_path(self, now: float) -> Path:
        """Where the segment that an append at `now` would begin will be."""
        return self._directory / f"{max(_hour(now), self._hour)}-{self.next_sequence:06d}.jsonl"

    def due(self, now: float) -> bool:
        """Whether an append at `now` (Unix s) begins a new segment."""
        return self._fd < 0 or self._length >= self._max_bytes or _hour(now) > self._hour

    @property
    def empty(self) -> bool:
        """Whether the newest segment has no records, or there is none."""
        if self._fd >= 0:
            return self._length == 0
        newest = all_segments(self._directory.parent)[-1:]
        return not newest or (newest[0].hot.exists() and newest[0].hot.stat().st_size == 0)

    def stale(self, now: float) -> bool:
        """Whether the open segment has records, and its hour is over."""
        return self._fd >= 0 and self._length > 0 and _hour(now) > self._hour

    def roll(self, now: float) -> None:
        """Begin a segment now, with or without an `append` to come. Raises `AppendError`."""
        try:
            if self._dirty:
                self._cut_back()
            self._begin(now)
        except OSError as error:
            raise AppendError(_say(error)) from error

    def append(self, lines: bytes, now: float) -> None:
        """Write whole `lines` and wait until they are on disk. `now` is Unix s.

        All or nothing. Raises `AppendError`, and then none of the lines will be found by a reader
        once a later append succeeds or the collector starts again.
        """
        try:
            if self._dirty:
                self._cut_back()
            if self.due(now):
                self._begin(now)
            self._dirty = True
            self._write(lines)
        except OSError as error:
            self._recover()
            raise AppendError(_say(error)) from error
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._recover()
            self._abandon()
            raise AppendError(_say(error)) from error
        self._length += len(lines)
        self._dirty = False

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, lines: bytes) -> None:
        left = memoryview(lines)
        while left:
            # after a short write the next one reports why it was short
            left = left[os.write(self._fd, left):]

    def _begin(self, now: float) -> None:
        # closed first, and the number is spent even if this fails: a segment that was left is
        # never written again, which is what `ledger.load` relies on
        self.close()
        path = self.next_path(now)
        hour = max(_hour(now), self._hour)
        self._sequence += 1
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.fsync(fd)
            # without this a power cut could take away the name, and every acknowledged line in it
            fsync_directory(self._directory)
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
        self._fd, self._hour, self._length = fd, hour, 0

    def _recover(self) -> None:
        try:
            if self._dirty and self._fd >= 0:
                self._cut_back()
        except OSError:
            pass  # still dirty: the next append begins with this, and fails until it succeeds

    def _cut_back(self) -> None:
        os.ftruncate(self._fd, self._length)
        os.fsync(self._fd)
        self._dirty = False

    def _abandon(self) -> None:
        if not self._dirty:
            self.close()


def _hour(now: float) -> str:
    return strftime("%Y-%m-%dT%H", gmtime(now))


def _say(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, "OSError")
    return f"{name}: {error.strerror}"
