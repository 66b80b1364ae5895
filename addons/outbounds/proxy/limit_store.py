"""Where the state of the limits is kept, as the settings say."""

from __future__ import annotations

from ..settings.service import Service
from ..stores import LimitStore
from ..stores.memory import MemoryStore
from .workers import Place


def open_store(settings: Service, place: Place | None) -> LimitStore:
    return MemoryStore()


class WorkersTable:
    def __init__(self, settings: Service, workers: int) -> None:
        pass

    def forget(self, worker: int) -> None:
        pass

    def close(self) -> None:
        pass
