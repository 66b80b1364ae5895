"""Lines that are not acknowledged yet, in order, within bounds: no socket, no clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

MAX_FRAME = 1024 * 1024  # bytes of lines in one batch


class EvidenceUnavailable(Exception):
    """The record is not known to be on disk. The message is for the operator, not the customer.
    `kept`: it still waits to be sent, and may reach the disk later."""

    def __init__(self, why: str, *, kept: bool = False) -> None:
        super().__init__(why)
        self.kept = kept


class Batch:
    """Lines that travel as one frame. `number` is 0 until it is sent on this connection;
    `since` is when its first line was handed over and `sent` when it was sent (perf_counter s)."""

    __slots__ = ("lines", "number", "sent", "since", "size", "waiters")

    def __init__(self, since: float) -> None:
        self.lines: list[bytes] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.number = 0
        self.size = 0
        self.since = since
        self.sent = 0.0

    def settle(self, reason: str) -> None:
        """Wake every waiter: with success where `reason` is empty."""
        for waiter in self.waiters:
            if not waiter.done():  # its caller may have been cancelled
                if reason:
                    waiter.set_exception(EvidenceUnavailable(reason, kept=True))
                else:
                    waiter.set_result(None)
        self.waiters.clear()


class Outbox:
    """Holds at most `max_bytes`; `lost` counts the lines there was no room for."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.lost = 0
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._filling: Batch | None = None
        self._next = 1

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def oldest(self) -> Batch | None:
        return self._batches[0] if self._batches else None

    def keep(self, line: bytes, bound: int, now: float) -> tuple[Batch | None, bool]:
        """Add `line` to the batch being filled: (that batch, whether it is a new one), or
        (None, False) where the outbox would hold more than `bound` bytes. Raises ValueError."""
        if not line or line.find(b"\n") != len(line) - 1 or len(line) > MAX_FRAME:
            raise ValueError("a record is exactly one line, ending in a newline")
        if self._bytes + len(line) > bound:
            self.lost += 1
            return None, False
        batch, new = self._filling, False
        if batch is None or batch.size + len(line) > MAX_FRAME:
            batch, new = Batch(now), True
            self._filling = batch
            self._batches.append(batch)
        batch.lines.append(line)
        batch.size += len(line)
        self._bytes += len(line)
        return batch, new

    def seal(self) -> None:
        """What is kept from now on goes into another batch."""
        self._filling = None

    def number_unsent(self, now: float) -> Iterator[Batch]:
        """Give each batch that has no number the next one, in order, as sent `now`.

        The one being filled is sealed: an acknowledgement may come between two lines of one tick,
        and a line added to a batch that is on its way would be taken for acknowledged, unsent.
        """
        self.seal()
        unsent = []
        for batch in reversed(self._batches):  # they are the end of it, mostly one
            if batch.number:
                break
            unsent.append(batch)
        for batch in reversed(unsent):
            batch.number = self._next
            batch.sent = now
            self._next += 1
            yield batch

    def acknowledge(self, number: int) -> list[Batch]:
        """Let go of every batch sent up to `number`."""
        done = []
        while self._batches and 0 < self._batches[0].number <= number:
            batch = self._batches.popleft()
            self._bytes -= batch.size
            batch.settle("")
            done.append(batch)
        return done

    def fail(self, reason: str) -> None:
        """Wake everyone who waits; the lines stay."""
        for batch in self._batches:
            batch.settle(reason)

    def unsend(self, *, new_connection: bool = False) -> None:
        """All must be sent again; numbers start at 1 on a new connection."""
        self.seal()
        for batch in self._batches:
            batch.number = 0
        if new_connection:
            self._next = 1
