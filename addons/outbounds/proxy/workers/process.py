"""One worker, seen from the supervisor: started, watched, started again.

A worker that ends is started again after 0.1 s, then ever later up to 10 s; one that had served
for a while begins anew with 0.1 s. Each time is one line in the log. A worker that no longer
answers (its event loop hangs, and the kernel goes on giving it connections) is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import outbounds

from . import Place
from .channel import Ask, Channel, Counted, Ready
from .page import Family

logger = logging.getLogger("outbounds")

# found from where we are, which need not be on anybody's path
_PACKAGE = str(Path(outbounds.__file__).resolve().parent.parent)

FIRST_PAUSE, MAX_PAUSE = 0.1, 10.0  # s before a worker is started again
LIVED = 10.0     # s: a worker that served this long is not in a crash loop
STARTING = 60.0  # s in which one must be ready
SILENT = 30.0    # s without an answer, after which one is taken to hang


class WorkerProcess:
    """`words` are the arguments of `outbounds` for this worker, which inherits the descriptors
    `inherited`. `ended(place)` is awaited each time it is gone, before it is started again. One
    that cannot start the first time is left alone."""

    def __init__(self, place: Place, words: Sequence[str],
                 ended: Callable[[Place], Awaitable[None]],
                 inherited: Sequence[int] = ()) -> None:
        self.place = place
        self.restarts = 0
        self.failed_starts = 0  # in a row
        self.failure = ""       # how the very first one ended, if it could not start
        self.status = 0         # of the last one that ended
        self.stopping = False
        self._words = tuple(words)
        self._ended = ended
        self._inherited = tuple(inherited)
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._ready = self._served = False
        self._answers: dict[int, asyncio.Future[list[Family] | None]] = {}
        self._asked = 0
        self._heard = 0.0  # on the loop's clock

    @property
    def ready(self) -> bool:
        """It serves."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """The running process, or None between two."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def keep(self) -> None:
        """Run it, again and again, until it is told to stop."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while not self.stopping:
            started = loop.time()
            how = await self._run()
            await self._ended(self.place)
            if self.stopping:
                return
            if not self._served:
                self.failure = how
                return
            if loop.time() - started > LIVED:
                pause = FIRST_PAUSE
            logger.error("Worker %d %s; starting it again in %g s.", self.place.index, how, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)
            self.restarts += 1

    def signal(self, number: int) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def ask(self, within: float) -> list[Family] | None:
        """What it has counted; None when it does not serve, or does not answer in time."""
        channel = self._channel
        if channel is None or not self._ready:
            return None
        self._asked = number = self._asked + 1
        answer: asyncio.Future[list[Family] | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        channel.send(Ask(number))
        try:
            return await asyncio.wait_for(answer, within)
        except TimeoutError:
            return None
        finally:
            self._answers.pop(number, None)

    def kill_if_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        patience = SILENT if self._ready else STARTING
        if self.pid is not None and now - self._heard > patience:
            logger.error("Worker %d has not answered for %g s; killing it.", self.place.index,
                         patience)
            self.signal(signal.SIGKILL)

    # --- one life -------------------------------------------------------------------------------

    async def _run(self) -> str:
        """Start it and wait for its end; says how it ended."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = process = await self._spawn(theirs)
        except OSError as error:
            ours.close()
            self.failed_starts, self.status = self.failed_starts + 1, 1
            return f"could not be started ({error})"
        if self.stopping:  # told so while it was being made
            self.signal(signal.SIGTERM)
        self._heard = loop.time()
        self._channel = channel = await Channel.over(ours)
        listening = asyncio.create_task(self._listen(channel))
        try:
            status = await process.wait()
        finally:
            listening.cancel()
            channel.close()
            self._channel = None
            was_ready, self._ready = self._ready, False
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(None)
        self.failed_starts = 0 if was_ready else self.failed_starts + 1
        self.status = status
        doing = "" if was_ready else " while it started"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}{doing}"
        return f"ended with status {status}{doing}"

    async def _spawn(self, end: socket.socket) -> asyncio.subprocess.Process:
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([_PACKAGE, inherited] if inherited else [_PACKAGE])
        return await asyncio.create_subprocess_exec(
            # -P: a file in the current directory must not stand in for a module
            sys.executable, "-P", "-m", "outbounds", *self._words,
            stdin=end.fileno(), stdout=subprocess.DEVNULL, pass_fds=self._inherited,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the supervisor, which then stops this in order
        )

    async def _listen(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        while (message := await channel.receive()) is not None:
            self._heard = loop.time()
            if isinstance(message, Ready):
                self._ready = self._served = True
            elif isinstance(message, Counted):
                answer = self._answers.get(message.number)
                if answer is not None and not answer.done():
                    answer.set_result(message.families)
