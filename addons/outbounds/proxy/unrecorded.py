"""What happens to requests while their records cannot be kept: refused, or let through and counted.

`fail: closed`, the default: nothing goes out. `fail: open` is the operator's decision: a request
that would have been let through goes out, and one that would have been refused is refused; either
is counted. As soon as the collector takes records again, the first is about the gap: from when to
when, how many, and why (`event.action` "gap").

Of a request whose opening waits in memory (the collector is away), both records follow when it is
back, late. Where not even that is kept (the disk is nearly full), no closing is posted either: what
room is left belongs to what was recorded as open. These are counted in closed mode, too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from ..evidence.client import EvidenceUnavailable
from ..evidence.gap import Gap, Left, Marker, left_behind
from ..evidence.identifier import timestamp
from .metrics import Metrics

logger = logging.getLogger("outbounds")

type Tell = Callable[[Gap], Coroutine[None, None, str]]
"""Puts a gap on record and returns its id. Raises EvidenceUnavailable."""


class Unrecorded:
    """`opens`: requests go out all the same. `folder` is where gaps are marked, None to mark
    none."""

    def __init__(self, metrics: Metrics, tell: Tell, *, opens: bool = False,
                 folder: Path | None = None, session: str = "") -> None:
        self.opens = opens
        self._metrics = metrics
        self._tell = tell
        self._gap: Gap | None = None
        self._left: list[Left] = []
        self._marker: Marker | None = None
        self._telling: asyncio.Task[None] | None = None
        if folder is not None:
            try:
                self._left = left_behind(folder)
                self._marker = Marker(folder, session)
            except OSError as error:
                logger.warning("%s: %s; a gap in the evidence will not be known after a crash of "
                               "the proxy", folder, error)

    def note(self, why: str, *, out: bool) -> None:
        """A request that is not safely on record: it goes `out`, or is refused."""
        at = time.time_ns()
        if self._gap is None:
            self._gap = Gap(at, at, why)
            if self.opens:
                logger.warning("Requests go out UNRECORDED from now on (evidence.yaml, fail: "
                               "open): %s", why)
        self._gap.add(at, out)
        self._metrics.unrecorded[out].inc()
        if self._marker is not None:
            self._marker.note(self._gap)

    def recovered(self) -> None:
        """Records are taken again; called often, so it does nothing where there is nothing."""
        if (self._gap or self._left) and (self._telling is None or self._telling.done()):
            self._telling = asyncio.get_running_loop().create_task(self._put_on_record())

    async def _put_on_record(self) -> None:
        try:
            while self._left:
                await self._tell(self._left[0].gap)
                self._left.pop(0).remove()
            if (gap := self._gap) is None:
                return
            self._gap = None  # what comes from now on is another one
            try:
                record = await self._tell(gap)
            except BaseException:  # cancelled, too: it is then for the next start
                if self._gap is not None:
                    gap.join(self._gap)
                self._gap = gap
                raise
        except EvidenceUnavailable:
            return  # the next sign of life tries again
        finally:
            if self._marker is not None:
                self._marker.note(self._gap)
        logger.warning("Evidence is recorded again. Between %s and %s, %s (record %s).",
                       timestamp(gap.begin), timestamp(gap.end), gap.told(), record)

    async def aclose(self) -> None:
        if self._telling is not None:
            # awaited: a gap that was about to be put on record is open again then
            self._telling.cancel()
            await asyncio.wait([self._telling])
        if self._marker is not None:
            self._marker.close(self._gap)
            self._marker = None
