"""Who may change sealed segments: one process at a time, the keeper's pass or a command.

The collector holds another lock (`segment.lock`): it goes on recording meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class KeeperBusy(Exception):
    """Another process is at work on the sealed segments. The message says which."""


@contextmanager
def kept_alone(directory: Path, wait: float = 0.0) -> Iterator[None]:
    """With `DIR/keeper.lock` held, waiting up to `wait` seconds for it. Raises KeeperBusy,
    OSError."""
    path = directory / "keeper.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                    raise KeeperBusy(f"{path}: process {holder} is at work on the sealed segments; "
                                     "try again when it has finished") from None
                time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(fd)
