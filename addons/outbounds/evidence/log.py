"""The log as the collector sees it: segments and ledger moving together, or not at all."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from .ledger import Slip, load, slip
from .record import orphan
from .segment import MAX_BYTES, AppendError, SegmentWriter, cut_torn_line, segments


def say(text: str) -> None:
    """One line for the operator, on standard error.

    That may be a file on the disk that has just filled up: the line is lost then, not the log.
    """
    with suppress(OSError):
        os.write(2, f"evidence collector: {text}\n".encode("utf-8", "backslashreplace"))


class EvidenceLog:
    """Opens the log of a directory that the caller has locked, mending what a crash left;
    a segment that has reached `max_bytes` is followed by another.

    Raises OSError.
    """

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory
        # only the newest can be torn: a segment is left only when all of it is on disk
        for segment in segments(directory)[-1:]:
            if torn := cut_torn_line(segment):
                say(f"{segment}: cut a torn last line of {torn} bytes, never acknowledged")
        self._ledger, oddities = load(directory)
        for oddity in oddities:
            say(oddity)
        self._writer = SegmentWriter(directory, max_bytes)
        self._failing = False

    def sessions(self) -> set[str]:
        """The sessions that have open records."""
        return {session for session, _ in self._ledger.open.values()}

    def append(self, lines: list[tuple[Slip, bytes]]) -> None:
        """Write the lines that are not repetitions; returns when they are on disk.

        Raises `AppendError`, having changed nothing.
        """
        now = time.time()
        noted = []
        try:
            if self._writer.due(now):
                self._ledger.save(self._directory, self._writer.next_sequence)
            fresh = []
            for name, line in lines:
                was_open = self._ledger.open.get(name.id)
                if self._ledger.note(name):
                    noted.append((name, was_open))
                    fresh.append(line)
            if fresh:
                self._writer.append(b"".join(fresh), now)
        except (AppendError, OSError) as error:
            self._ledger.undo(noted)
            if not self._failing:
                say(f"cannot write: {error}; the proxy refuses until this is mended")
            self._failing = True
            raise AppendError(str(error)) from error
        if self._failing and fresh:
            say("writing again")
            self._failing = False

    def close_orphans(self, session: str) -> int:
        """Close what `session` left open as "unknown"; how many. Raises `AppendError`."""
        at = time.time_ns()
        lines = [orphan(id, action, session, at, "the proxy process ended")
                 for id, (owner, action) in self._ledger.open.items() if owner == session]
        if lines:
            self.append([(slip(line), line) for line in lines])
        return len(lines)

    def close(self) -> None:
        self._writer.close()
