"""One build at a time, on this machine: whoever holds the lock may write below `<data>/lists`.

The kernel gives the lock back however its holder ends, so there is none to be left behind.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BuildRunning(Exception):
    """Another process builds."""


@contextmanager
def build_lock(path: Path) -> Iterator[None]:
    """Raises BuildRunning at once if another process holds it, and OSError."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildRunning(
                f"another build of the lists is under way (it holds {path}); wait for it, "
                "`outbounds lists status` shows what came of it") from None
        yield
