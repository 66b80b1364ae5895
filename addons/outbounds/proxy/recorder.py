"""Records at the moments they are due: the opening before anything moves, the closing after.

An opening record is awaited: when `open` returns, it is safe on disk in the collector. When it
raises, nothing may reach the target. Closing records are handed over and re-sent by the client
until they are acknowledged.
"""

from __future__ import annotations

import time

from ..core.case import Case
from ..evidence.client import EvidenceClient, EvidenceUnavailable
from ..evidence.decision import closing, opening, opening_of
from ..evidence.identifier import new_id
from ..evidence.record import Encoder, Record
from .metrics import Metrics

__all__ = ["EvidenceUnavailable", "Recorder"]


class Recorder:
    def __init__(self, client: EvidenceClient, encoder: Encoder, metrics: Metrics) -> None:
        self._client = client
        self._encoder = encoder
        self._metrics = metrics

    def new_id(self) -> tuple[str, int]:
        """A fresh record id, and the Unix time in nanoseconds that it was made from."""
        at = time.time_ns()
        return new_id(at), at

    async def open(self, case: Case, action: str) -> Record:
        """Record a decision. Raises EvidenceUnavailable when it could not be made safe."""
        id, at = self.new_id()
        record = opening_of(case, id=id, at=at, action=action)
        await self._commit(record, case.request.path)
        return record

    async def open_bare(self, action: str, **known: str | int) -> Record:
        """Record what never became a request. `known`: attributes of `Record`."""
        record = self.bare(action, **known)
        await self._commit(record)
        return record

    def bare(self, action: str, **known: str | int) -> Record:
        id, at = self.new_id()
        record = opening(id=id, at=at, action=action)
        for name, value in known.items():
            setattr(record, name, value)
        return record

    async def _commit(self, record: Record, target: str = "") -> None:
        started = time.perf_counter()
        try:
            await self._client.commit(self._encoder.encode(record, target))
        except BaseException as error:  # cancelled, too: the caller then refuses, or is no more
            if isinstance(error, EvidenceUnavailable):
                self._metrics.evidence_failures.inc()
            # should the opening have arrived after all, it must not look as if it was acted on
            self.close(record, time.perf_counter() - started, outcome="failure", status=503,
                       reason="the opening record was not acknowledged; refused")
            raise
        self._metrics.evidence_ack_seconds.observe(time.perf_counter() - started)

    def close(self, record: Record, duration: float, *, outcome: str, reason: str = "",
              status: int = 0, request_bytes: int = 0, response_bytes: int = 0,
              egress: tuple[str, int] = ("", 0), dialled: str = "", **known: str | int) -> None:
        """Post the closing record; `duration` in seconds."""
        end = closing(record, at=time.time_ns(), outcome=outcome, duration=int(duration * 1e9),
                      reason=reason, status=status, request_bytes=request_bytes,
                      response_bytes=response_bytes, egress=egress, dialled=dialled)
        for name, value in known.items():
            setattr(end, name, value)
        self._client.post(self._encoder.encode(end))

    def both(self, action: str, *, reason: str, status: int = 0, outcome: str = "failure",
             **known: str | int) -> Record:
        """Post opening and closing of something that is over already, without waiting."""
        record = self.bare(action, reason=reason, **known)
        self._client.post(self._encoder.encode(record))
        self.close(record, 0.0, outcome=outcome, reason=reason, status=status)
        return record
