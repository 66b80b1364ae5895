"""One process under measurement: on its core, with what it used, and always ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise RuntimeError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1.0)):
        return True
    return False


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds since the process began, user and system."""

    user: float
    system: float

    @property
    def both(self) -> float:
        return self.user + self.system


def usage(pid: int) -> Usage:
    # the name of the program, the second field, may hold spaces
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage(int(fields[11]) / _TICK, int(fields[12]) / _TICK)


def resident(pid: int) -> int:
    """Resident memory in octets."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


def move(pid: int, core: int) -> None:
    """Put every thread of a running process on `core`."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


class Running:
    """`command` on `core`, until the end of the `with`; its words go to `log`, or nowhere."""

    def __init__(self, command: Sequence[str], core: int, *, log: Path | None = None,
                 env: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self.log = log
        with (log or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output,
                env={**os.environ, **(env or {})}, cwd=folder,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}))

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for_port(self, port: int) -> None:
        """Raises RuntimeError, with what it said, when the process ends instead of listening."""
        def listening() -> bool:
            if self.process.poll() is not None:
                said = self.log.read_text("utf-8", "replace") if self.log else ""
                raise RuntimeError(f"{self.process.args!r} ended instead of listening:\n{said}")
            return accepts(port)

        wait_for(listening, f"{self.process.args!r} listening on port {port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
