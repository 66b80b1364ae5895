"""Where the state of the limits is kept: in this process, in a table that all workers map, or on
a server that several machines share.

The table has no name: it is made, opened and taken off its folder again at once, and the workers
inherit the descriptor. So nothing is left behind however the supervisor ends, and no other process
finds it.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from ..settings import service
from ..stores import LimitStore
from ..stores.memory import MemoryStore
from ..stores.shared import SharedStore, create, forget_worker
from ..stores.valkey import ValkeyStore
from .metrics import Metrics
from .workers import Place
from .workers.link import Link

logger = logging.getLogger("outbounds")

# where a file is memory: on a disk, writing it back would hold up requests and the evidence
_IN_MEMORY = Path("/dev/shm")


def open_store(settings: service.Service, link: Link | None, metrics: Metrics) -> LimitStore:
    """The store of this process; `link` where it is one of several workers.

    Raises OSError and ValueError: the table, or the password of the server, cannot be used.
    """
    most = settings.store.max_keys
    if settings.store.url != "memory":
        return ValkeyStore(
            settings.store, f"{socket.gethostname()}:{os.getpid()}",
            on_away=lambda away: metrics.store_up.set(not away),
            count=lambda way: metrics.store_decisions.labels(way).inc())
    if link is None:
        return MemoryStore(most)
    return SharedStore(_path(link.table), link.place.index - 1, link.place.count)


class WorkersTable:
    """The supervisor's hold on the table. `descriptor` is for the workers to inherit."""

    def __init__(self, settings: service.Service) -> None:
        """Raises OSError: there is no room for it anywhere."""
        most = settings.store.max_keys
        try:
            self.descriptor = _nameless(_IN_MEMORY, most)
        except OSError as error:
            self.descriptor = _nameless(settings.data, most)
            logger.warning("The limits that the workers share are kept in %s, which is slower: "
                           "there is no room for %s keys in %s (%s).", settings.data,
                           f"{most:,}", _IN_MEMORY, error.strerror or error)

    def forget(self, place: Place) -> None:
        """What a worker held comes free: it has ended. Never raises: its successor does it too."""
        with suppress(OSError, ValueError):
            forget_worker(_path(self.descriptor), place.index - 1)

    def close(self) -> None:
        os.close(self.descriptor)


def _nameless(beside: Path, max_keys: int) -> int:
    with tempfile.TemporaryDirectory(prefix="outbounds-", dir=beside) as folder:
        path = Path(folder) / "limits.table"
        create(path, max_keys)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _path(descriptor: int) -> Path:
    # opened anew by each: locks belong to what was opened, and a shared one would exclude nobody
    return Path(f"/dev/fd/{descriptor}")
