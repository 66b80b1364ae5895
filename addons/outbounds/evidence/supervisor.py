"""Keeps a collector process running beside the proxy.

The collector is told by a pipe when this process is gone: its end of file arrives whatever ended
us, kill -9 included. A collector that ends is started again, after 0.1 s, then ever later up to
2 s. While there is none, the client has no connection and the proxy refuses.

With "external" collectors (their own user, started by systemd) nothing is spawned: leave this
class out and give `EvidenceClient` the socket.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .child import module

FIRST_PAUSE = 0.1
MAX_PAUSE = 2.0
LIVED = 10.0  # s: a collector that ran this long is not in a crash loop


def command(directory: Path, socket: Path) -> tuple[list[str], dict[str, str]]:
    """Words and environment that start a collector on `directory` and `socket`."""
    return module("collector", "--dir", str(directory), "--socket", str(socket))


class CollectorProcess:
    """`python -m outbounds.evidence.collector` on `directory` and `socket`, as a child.

    `report(text)` is called with a line for the operator each time it had to be started again.
    `options` are more of its arguments, such as ("--segment-size", "1000000"). Its own messages
    go to our standard error.
    """

    def __init__(self, directory: Path, socket: Path, *, options: Sequence[str] = (),
                 report: Callable[[str], None] = lambda _: None) -> None:
        self._directory = directory
        self._socket = socket
        self._options = tuple(options)
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._pipe: tuple[int, int] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The running collector, or None between two."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Spawn it, and watch over it in the background. Raises OSError.

        It listens a little later: `EvidenceClient.wait_available` tells when.
        """
        self._pipe = os.pipe()  # neither end is inherited but the one named to the child
        try:
            await self._spawn()
        except OSError:
            self._close_pipe()
            raise
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self, within: float = 5.0) -> None:
        """SIGTERM, and SIGKILL after `within` s. Close the client first."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), within)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._close_pipe()

    def _close_pipe(self) -> None:
        for fd in self._pipe or ():
            os.close(fd)
        self._pipe = None

    async def _spawn(self) -> None:
        assert self._pipe is not None
        words, environment = command(self._directory, self._socket)
        self._process = await asyncio.create_subprocess_exec(
            *words, "--parent-fd", "0", *self._options,
            stdin=self._pipe[0], stdout=subprocess.DEVNULL, env=environment,
            start_new_session=True,  # Ctrl-C is for the proxy, which then stops this in order
        )

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            started = loop.time()
            if self._process is not None:
                code = await self._process.wait()
                what = f"ended with status {code}"
            if loop.time() - started > LIVED:
                pause = FIRST_PAUSE
            self._report(f"the evidence collector {what}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)
            self.restarts += 1
            try:
                await self._spawn()
            except OSError as error:
                self._process, what = None, f"could not be started: {error}"
