"""The proxy's end: lines go out once per tick of the event loop and come back acknowledged.

    line = encoder.encode(opening, target)
    try:
        await client.commit(line)      # on disk in the collector process
    except EvidenceUnavailable:
        ...                            # refuse the request (503)
    client.post(closing_line)          # not awaited, and not lost while this process lives

**A commit that raised, or was cancelled, still needs its closing**, unless the exception says that
nothing was `kept`. Its opening stays queued and may reach the disk later (or may be there already:
only the acknowledgement was missing). So the caller refuses the request and posts a closing with
outcome "failure", as for every other refusal.

What is not acknowledged is kept, in order, and sent again after a reconnect or a refusal; the
collector drops repetitions. The memory for that is bounded: beyond half of it no opening is kept,
beyond all of it no line (`lost` counts them; the collector closes their openings as "unknown" when
this process ends). While anything is wrong `available` is False and `commit` raises at once
instead of making every customer wait for a timeout of their own.

Once the collector says that its disk is nearly `full`, openings are not even kept: what room is
left belongs to the closings of what is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter

from .frame import ACK, HELLO, NACK, PROTOCOL, RECORDS, RETRY, STATE, FrameError, frame, frames
from .identifier import is_session
from .outbox import Batch, EvidenceUnavailable, Outbox
from .state import State, parse_state

__all__ = ["EvidenceClient", "EvidenceUnavailable"]

# Both well below the collector's grace, after which it takes a session for gone.
MAX_RECONNECT = 1.0
MAX_RETRY = 1.0


class EvidenceClient:
    """One connection to the collector at `socket`, for the event loop it is started on.

    `session` is the `Encoder`'s. `timeout` seconds bound each commit; `max_bytes` bounds what is
    kept unacknowledged. `observe(seconds)` is called with the time from hand-over to
    acknowledgement of each batch. `acks` and `nacks` count batches, `reconnects` the connections
    after the first. `state` is what the collector last said of the log and its disk; `news`, if
    set, is called after each of these and after each acknowledgement.
    """

    def __init__(
        self, socket: Path, session: str, *, timeout: float = 2.0,
        max_bytes: int = 16 * 1024 * 1024, observe: Callable[[float], None] | None = None,
    ) -> None:
        if not is_session(session):
            raise ValueError(f"session {session!r}: must be 1 to 64 letters, digits and hyphens")
        self._path = socket
        self._hello = frame(HELLO, 0, PROTOCOL + session.encode("ascii"))
        self._timeout = timeout
        self._observe = observe
        self._outbox = Outbox(max_bytes)
        self.acks = self.nacks = self.reconnects = 0
        self.state = State()
        self.news: Callable[[], None] | None = None
        self._trouble = "not connected yet"
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._refused = False     # since a NACK: the next frame must be a RETRY
        self._pause = 0.0         # s before it

    @property
    def available(self) -> bool:
        """Whether a commit has a chance now."""
        return not self._trouble and not self.state.full

    @property
    def full(self) -> str:
        """Why nothing new may begin though the collector answers, or ""."""
        return self.state.full

    @property
    def lost(self) -> int:
        """Lines given up because too many were unacknowledged."""
        return self._outbox.lost

    def start(self) -> None:
        """Connect, and stay connected, in the background of the running loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._stay_connected())

    async def wait_available(self, within: float) -> None:
        """Return once the collector answers. Raises `EvidenceUnavailable` after `within` s."""
        if not await self._until(lambda: self.available, within):
            raise EvidenceUnavailable(
                f"{self._path}: {self._trouble or self.full} (waited {within:g} s)")

    async def commit(self, line: bytes) -> None:
        """Return when `line` (one encoded record) is on disk in the collector process.

        Raises `EvidenceUnavailable` when that is not known to be so within the timeout, and
        ValueError where `line` is not exactly one line. See above for what must follow.
        """
        if self.state.full:
            raise EvidenceUnavailable(self.state.full)
        # half is kept free for closings: they tell the fate of what is already under way
        batch = self._keep(line, self._outbox.max_bytes // 2)
        if self._trouble:
            raise EvidenceUnavailable(self._trouble, kept=batch is not None)
        if batch is None:
            raise EvidenceUnavailable("too many records wait for an acknowledgement")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.waiters.append(waiter)
        await waiter

    def post(self, line: bytes) -> None:
        """Hand over `line` without waiting. Raises ValueError where it is not exactly one line."""
        self._keep(line, self._outbox.max_bytes)

    async def close(self, within: float = 5.0) -> bool:
        """Wait up to `within` s for every acknowledgement, then disconnect; whether all came.

        The collector takes the disconnect as the end of this process: post all closings before.
        """
        done = await self._until(lambda: not len(self._outbox), within)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._fail("closed")
        return done

    # --- sending ----------------------------------------------------------------------------

    def _keep(self, line: bytes, bound: int) -> Batch | None:
        batch, new = self._outbox.keep(line, bound, perf_counter())
        if new:
            asyncio.get_running_loop().call_soon(self._tick)
        return batch

    def _tick(self) -> None:
        self._outbox.seal()
        if not self._trouble:
            self._send()

    def _send(self) -> None:
        if self._transport is None:
            return
        for batch in self._outbox.number_unsent(perf_counter()):
            kind = RETRY if self._refused else RECORDS
            self._refused = False
            self._transport.write(frame(kind, batch.number, b"".join(batch.lines)))
        self._keep_watch()

    def _keep_watch(self) -> None:
        """One timer, for the oldest batch: those behind it cannot be acknowledged before it."""
        oldest = self._outbox.oldest
        if self._watch is None and oldest is not None:
            left = oldest.sent + self._timeout - perf_counter()
            self._watch = asyncio.get_running_loop().call_later(left, self._expire)

    def _expire(self) -> None:
        self._watch = None
        # whoever comes next need not find out by waiting: the first acknowledgement ends this
        self._fail(f"no acknowledgement within {self._timeout:g} s")

    def _fail(self, reason: str) -> None:
        self._trouble = reason
        self._outbox.fail(reason)
        self._changed.set()

    # --- answers ----------------------------------------------------------------------------

    def answer(self, kind: int, number: int, payload: bytes) -> None:
        """One frame from the collector."""
        oldest = self._outbox.oldest
        if kind == ACK:
            self._acknowledge(number)
        elif kind == STATE and (state := parse_state(payload)) is not None:
            self.state = state
            self._told()
        # a NACK for a frame sent before the retry is old news: its lines have a new number, or none
        elif kind == NACK and oldest is not None and 0 < oldest.number <= number:
            self.nacks += 1
            self._outbox.unsend()
            self._refused = True
            self._stop_watch()
            self._fail(f"the collector refused: {payload.decode('utf-8', 'replace')}")
            self._pause = min(max(self._pause * 2, 0.05), MAX_RETRY)
            asyncio.get_running_loop().call_later(self._pause, self._retry)

    def _acknowledge(self, number: int) -> None:
        now = perf_counter()
        done = self._outbox.acknowledge(number)
        self.acks += len(done)
        if self._observe is not None:
            for batch in done:
                self._observe(now - batch.since)
        self._pause = 0.0
        self._stop_watch()
        self._trouble = ""
        self._told()
        self._send()

    def _told(self) -> None:
        self._changed.set()
        if self.news is not None:
            self.news()

    def _retry(self) -> None:
        if self._refused:
            self._send()  # the trouble lasts until this is acknowledged

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # --- the connection ---------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.02
        connected_before = False
        while True:
            ended = asyncio.Event()
            try:
                transport, _ = await loop.create_unix_connection(
                    partial(_Protocol, self, ended), str(self._path))
            except OSError as error:
                self._fail(f"cannot reach the collector: {error.strerror or error}")
            else:
                self.reconnects += connected_before
                connected_before = True
                pause = 0.02
                try:
                    self._transport = transport
                    transport.write(self._hello)
                    await ended.wait()
                finally:
                    self._lose(transport)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_RECONNECT)

    def _lose(self, transport: asyncio.Transport) -> None:
        self._transport = None
        transport.abort()
        self._outbox.unsend(new_connection=True)
        self._refused = False
        self._stop_watch()
        self._fail("the collector went away")

    async def _until(self, condition: Callable[[], bool], within: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()


class _Protocol(asyncio.Protocol):
    def __init__(self, client: EvidenceClient, ended: asyncio.Event) -> None:
        self._client = client
        self._ended = ended
        self._buffer = bytearray()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            for kind, number, payload in frames(self._buffer):
                self._client.answer(kind, number, payload)
        except FrameError:
            assert self._transport is not None
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
