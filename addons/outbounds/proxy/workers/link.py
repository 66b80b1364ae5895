"""A worker's end of the channel to its supervisor."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import CollectorRegistry

from . import Place
from .channel import Ask, Channel, Counted, Ready
from .page import families


class Link:
    """`place` says which worker this is, `table` is the descriptor of the limits that all share.
    `start` before anything else: from then on `orphaned` is called, once, when the supervisor is
    gone."""

    def __init__(self, place: Place, end: socket.socket, table: int) -> None:
        self.place = place
        self.table = table
        self._end = end
        self._channel: Channel | None = None
        self._registry: CollectorRegistry | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, orphaned: Callable[[], None]) -> None:
        self._channel = await Channel.over(self._end)
        self._task = asyncio.create_task(self._listen(self._channel, orphaned),
                                         name="listen to the supervisor")

    def ready(self, registry: CollectorRegistry) -> None:
        """Tell that connections are served, and from now on what `registry` counts."""
        assert self._channel is not None, "not started"
        self._registry = registry
        self._channel.send(Ready())

    async def _listen(self, channel: Channel, orphaned: Callable[[], None]) -> None:
        while (message := await channel.receive()) is not None:
            if isinstance(message, Ask):
                page = families(self._registry) if self._registry is not None else []
                channel.send(Counted(message.number, page))
        orphaned()

    async def aclose(self) -> None:
        """Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._channel is not None:
            self._channel.close()
