"""Keeps a few processes of reppy ready, whatever ends them.

**Two, not one.** Both are the same, and one does all the work while nothing is wrong. The other is
there for the quarter of a second in which the first may be held by somebody's file, and the third
of a second that its successor takes to start.

A process that ended is replaced at once; if its successor ends without one answer, after 0.1 s,
and so on up to 5 s. While all are in such a pause whoever asks is told so at once, and does not
wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from .reppy_process import COMMAND, JUDGE_WITHIN, ReppyProcess, WorkerDied

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
MAX_PAUSE = 5.0


class NoWorker(Exception):
    """There is no process of reppy, and none for the next moment."""


class ReppyWorkers:
    """`command` starts a process, `deadline` in seconds is for one judgement."""

    def __init__(self, command: Sequence[str] = COMMAND, *, count: int = 2,
                 deadline: float = JUDGE_WITHIN) -> None:
        self._command = command
        self._count = count
        self._deadline = deadline
        self._free: list[ReppyProcess] = []
        self._all: set[ReppyProcess] = set()
        self._waiting: deque[asyncio.Future[ReppyProcess]] = deque()
        self._paused = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        """The processes that are ready or at work."""
        return [process.pid for process in self._all if process.pid and not process.dead]

    def start(self) -> None:
        """Begin to start them. Idempotent; for the running loop."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._keep(), name="keep reppy")
                           for _ in range(self._count)]

    async def aclose(self) -> None:
        """End them all. Those who wait are told that there is none."""
        processes = list(self._all)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(process.ended() for process in processes if process.pid))
        self._turn_away()

    async def ask(self, digest: str, body: bytes, agents: tuple[str, ...],
                  urls: tuple[bytes, ...]) -> tuple[bool, ...]:
        """As `ReppyProcess.ask`, of whichever is free. Raises NoWorker, too."""
        process = await self._take()
        try:
            return await process.ask(digest, body, agents, urls)
        finally:
            self._give(process)

    async def _take(self) -> ReppyProcess:
        while self._free:
            process = self._free.pop()
            if process.sound():
                return process
            process.kill()
        if self._paused == self._count:
            raise NoWorker("reppy's processes end as soon as they are started")
        waiter: asyncio.Future[ReppyProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._give(waiter.result())  # it came in the same moment
            raise

    def _give(self, process: ReppyProcess) -> None:
        if process.dead:
            return  # `_keep` is about to replace it
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(process)
                return
        # the last used is taken first, so that one of them knows all files
        self._free.append(process)

    def _turn_away(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(NoWorker("reppy's processes end as soon as they are started"))

    async def _keep(self) -> None:
        """One process after the other, until cancelled."""
        failures = 0  # in a row, without one answer
        while True:
            process = ReppyProcess(self._command, self._deadline)
            self._all.add(process)
            try:
                await process.start()
                if failures:
                    log.info("A process of reppy runs again.")
                self._give(process)
                status = await process.ended()
                why = f"ended with status {status}"
            except WorkerDied as error:
                why = str(error)
            finally:
                process.kill()
                self._all.discard(process)
                with suppress(ValueError):
                    self._free.remove(process)
            self.restarts += 1
            failures = 1 if process.answered else failures + 1
            if failures in (1, 2):  # what goes on in the same way is not said again
                log.error("A process of reppy is replaced: %s.", why)
            if failures > 1:
                await self._pause(pause_after(failures))

    async def _pause(self, seconds: float) -> None:
        self._paused += 1
        if self._paused == self._count:
            self._turn_away()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._paused -= 1


def pause_after(failures: int) -> float:
    """Seconds until the next start, after `failures` in a row."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 2, 10), MAX_PAUSE) if failures > 1 else 0.0
