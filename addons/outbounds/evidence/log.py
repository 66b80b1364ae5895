"""The log as the collector sees it: segments and ledger moving together, or not at all."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from .ledger import Slip, load, slip
from .line import split
from .record import orphan
from .segment import MAX_BYTES, AppendError, SegmentWriter, cut_torn_line, segments
from .signed import check, newest_signed
from .tlog.growth import Growth
from .tlog.keys import VALID, KeyRing
from .tlog.merkle import leaf_hash


def say(text: str) -> None:
    """One line for the operator, on standard error.

    That may be a file on the disk that has just filled up: the line is lost then, not the log.
    """
    with suppress(OSError):
        os.write(2, f"evidence collector: {text}\n".encode("utf-8", "backslashreplace"))


class EvidenceLog:
    """Opens the log of a directory that the caller has locked, mending what a crash left;
    a segment that has reached `max_bytes` is followed by another. `name` is for a new log
    and `valid` for new keys (`KeyRing`).

    Raises OSError, KeyUnusable, HistoryDiffers, Damaged, BadSeal, BadTile.
    """

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES,
                 name: str = "outbounds", valid: float = VALID) -> None:
        self._directory = directory
        ring = KeyRing(directory / "log", name, time.time(), valid)
        signed = newest_signed(directory, ring, say)
        # only the newest can be torn: a segment is left only when all of it is on disk
        for segment in segments(directory)[-1:]:
            if torn := cut_torn_line(segment):
                say(f"{segment}: cut a torn last line of {torn} bytes, never acknowledged")
        loaded = load(directory, signed.size if signed else 0)
        for oddity in loaded.odd:
            say(oddity)
        check(directory, signed, loaded)
        self._ledger = loaded.ledger
        self.growth = Growth(directory / "log", ring, loaded.peaks)
        self._writer = SegmentWriter(directory, max_bytes)
        self._failing = self._unsigned = False

    @property
    def segment(self) -> int:
        """The number of the newest segment: when it grows, another one can be sealed."""
        return self._writer.next_sequence - 1

    def sessions(self) -> set[str]:
        """The sessions that have open records."""
        return {known.session for known in self._ledger.open.values()}

    def append(self, lines: list[tuple[Slip, bytes]]) -> None:
        """Write the lines that are not repetitions; returns when they are on disk.

        Raises `AppendError`, having changed nothing.
        """
        now = time.time()
        noted = []
        try:
            if self._writer.due(now):
                self._announce(now)
            fresh = []
            for name, line in lines:
                was_open = self._ledger.open.get(name.id)
                if self._ledger.note(name):
                    noted.append((name, was_open))
                    fresh.append(line)
            if fresh:
                self._writer.append(b"".join(fresh), now)
                self.growth.grow([leaf_hash(split(line)[0]) for line in fresh])
        except (AppendError, OSError) as error:
            self._ledger.undo(noted)
            raise self._failed(error) from error
        if self._failing and fresh:
            say("writing again")
            self._failing = False

    def roll(self) -> None:
        """Begin a segment, so that the one before it can be sealed at once; nothing where that has
        no records. Raises `AppendError`."""
        now = time.time()
        try:
            if not self._writer.empty:
                self._announce(now)
                self._writer.roll(now)
        except (AppendError, OSError) as error:
            raise self._failed(error) from error

    def rotate(self) -> None:
        """Replace the signing key, and sign with the new one. Raises OSError, with the old key
        still in force, or the new one on disk and nothing signed by it yet."""
        self.growth.replace_key(time.time())
        self.checkpoint()

    def _announce(self, now: float) -> None:
        """What must be on disk before a segment is there: a restart reads from it on, and what the
        log was when it began is signed."""
        self._ledger.save(self._directory, self._writer.next_sequence, self.growth.peaks)
        self.growth.begin_segment(self._writer.next_path(now), now)

    def _failed(self, error: Exception) -> AppendError:
        if not self._failing:
            say(f"cannot write: {error}; the proxy refuses until this is mended")
        self._failing = True
        return AppendError(str(error))

    def close_orphans(self, session: str) -> int:
        """Close what `session` left open as "unknown"; how many. Raises `AppendError`."""
        at = time.time_ns()
        lines = [orphan(id, known.action, session, at, "the proxy process ended")
                 for id, known in self._ledger.open.items() if known.session == session]
        if lines:
            self.append([(slip(line), line) for line in lines])
        return len(lines)

    def wait(self) -> float:
        """Seconds until a checkpoint is due."""
        return self.growth.wait(time.monotonic())

    def checkpoint(self) -> None:
        """Sign what is on disk. A disk that does not take it is said once: what was acknowledged
        is safe without, and the next one covers it. An hour that has passed without a new record
        ends its segment here."""
        if self._writer.stale(time.time()):
            with suppress(AppendError):  # it was said, and is tried again every second
                self.roll()
        try:
            self.growth.checkpoint(time.monotonic(), time.time())
        except OSError as error:
            if not self._unsigned:
                say(f"cannot write the checkpoint: {error}; trying again every second")
            self._unsigned = True
        else:
            if self._unsigned:
                say("checkpoints are written again")
            self._unsigned = False

    def close(self) -> None:
        self.checkpoint()
        self._writer.close()
