"""Records at the moments they are due: the opening before anything moves, the closing after.

An opening record is awaited: when `open` returns, it is safe on disk in the collector. When it
raises, nothing may reach the target; where the operator has chosen otherwise (`unrecorded`), it
does not raise for evidence that is away. Closing records are handed over and re-sent by the client
until they are acknowledged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.case import Case
from ..evidence.client import EvidenceClient, EvidenceUnavailable
from ..evidence.clock import Clock
from ..evidence.decision import closing, connection, opening, opening_of
from ..evidence.gap import Gap
from ..evidence.identifier import new_id, timestamp
from ..evidence.record import Encoder, Record
from .metrics import Metrics
from .unrecorded import Unrecorded

__all__ = ["EvidenceUnavailable", "Recorder"]

logger = logging.getLogger("outbounds")


class Recorder:
    """`fail_open` and `gaps` (a folder) are for `Unrecorded`; `news` is called whenever the
    collector has said something."""

    def __init__(self, client: EvidenceClient, encoder: Encoder, metrics: Metrics, *,
                 fail_open: bool = False, gaps: Path | None = None,
                 news: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._encoder = encoder
        self._metrics = metrics
        self._clock = Clock(logger.warning)
        self._news = news
        self._unrecorded = Unrecorded(metrics, self._tell_gap, opens=fail_open, folder=gaps,
                                      session=encoder.session)
        self._unkept: set[str] = set()  # ids of what is under way without an opening
        client.news = self._heard

    async def aclose(self, within: float) -> None:
        """Give the last records `within` seconds, then let go of the collector."""
        await self._client.close(within)
        await self._unrecorded.aclose()

    def new_id(self) -> tuple[str, int]:
        """A fresh record id, and the Unix time in nanoseconds that it was made from."""
        at = time.time_ns()
        return new_id(at), at

    async def open(self, case: Case, action: str, known: Mapping[str, str] | None = None) -> Record:
        """Record a decision. `known`: more attributes of `Record`. Raises EvidenceUnavailable when
        it could not be made safe."""
        id, at = self.new_id()
        record = opening_of(case, id=id, at=at, action=action)
        record.clock_offset, record.clock_error = self._clock.now()
        for name, value in known.items() if known else ():
            setattr(record, name, value)
        await self._commit(record, case.request.path, out=case.verdict.allowed)
        return record

    async def open_bare(self, action: str, **known: str | int) -> Record:
        """Record what never became a request. `known`: attributes of `Record`."""
        record = self.bare(action, **known)
        await self._commit(record)
        return record

    def bare(self, action: str, **known: str | int) -> Record:
        id, at = self.new_id()
        record = opening(id=id, at=at, action=action)
        record.clock_offset, record.clock_error = self._clock.now()
        for name, value in known.items():
            setattr(record, name, value)
        return record

    async def _commit(self, record: Record, target: str = "", out: bool = True) -> None:
        """`out`: something goes to a target once this is on record."""
        started = time.perf_counter()
        try:
            await self._client.commit(self._encoder.encode(record, target))
        except BaseException as error:  # cancelled, too: the caller then refuses, or is no more
            if isinstance(error, EvidenceUnavailable):
                self._metrics.evidence_failures.inc()
                if self._passes(record, error, out):
                    return
                if not error.kept:
                    raise
            # should the opening have arrived after all, it must not look as if it was acted on
            self.close(record, time.perf_counter() - started, outcome="failure", status=503,
                       reason="the opening record was not acknowledged; refused")
            raise
        self._metrics.evidence_ack_seconds.observe(time.perf_counter() - started)

    def _passes(self, record: Record, error: EvidenceUnavailable, out: bool) -> bool:
        """Whether what is not safely on record goes on all the same; counted if it is so, and if
        no trace of it is left otherwise."""
        opens = self._unrecorded.opens
        if opens or not error.kept:
            self._unrecorded.note(str(error), out=out and opens)
        if opens and not error.kept:
            self._unkept.add(record.id)
        return opens

    async def _tell_gap(self, gap: Gap) -> str:
        record = self.bare("gap", begin=timestamp(gap.begin), count=gap.count, reason=gap.told(),
                           network_transport="")
        await self._client.commit(self._encoder.encode(record))
        self.close(record, 0.0, outcome="success")
        return record.id

    def _heard(self) -> None:
        if self._client.available:
            self._unrecorded.recovered()
        self._news()

    def connected(self, record: Record, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        """Post that what `record` let through is carried by this connection: `egress` is our end of
        it, `dialled` the target's."""
        if record.id not in self._unkept:
            self._client.post(self._encoder.encode(
                connection(record, at=time.time_ns(), egress=egress, dialled=dialled)))

    def close(self, record: Record, duration: float, *, outcome: str, reason: str = "",
              status: int = 0, request_bytes: int = 0, response_bytes: int = 0,
              egress: tuple[str, int] = ("", 0), dialled: str = "", **known: str | int) -> None:
        """Post the closing record; `duration` in seconds. One whose opening is not even kept is
        in the count of the gap already."""
        if record.id in self._unkept:
            self._unkept.discard(record.id)
            return
        end = closing(record, at=time.time_ns(), outcome=outcome, duration=int(duration * 1e9),
                      reason=reason, status=status, request_bytes=request_bytes,
                      response_bytes=response_bytes, egress=egress, dialled=dialled)
        for name, value in known.items():
            setattr(end, name, value)
        self._client.post(self._encoder.encode(end))

    def both(self, action: str, *, reason: str, status: int = 0, outcome: str = "failure",
             **known: str | int) -> Record:
        """Post opening and closing of something that is over already, without waiting. Once the
        disk is nearly full it is counted only."""
        record = self.bare(action, reason=reason, **known)
        if self._client.full:
            self._unrecorded.note(self._client.full, out=False)
            return record
        self._client.post(self._encoder.encode(record))
        self.close(record, 0.0, outcome=outcome, reason=reason, status=status)
        return record
