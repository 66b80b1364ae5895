"""What the proxy fetches itself, on record as any request is: a robots.txt, a proof, a feed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..evidence.record import Record
from ..fetching import Pair
from .recorder import Recorder


class _Fetch:
    __slots__ = ("dialled", "egress", "record", "started")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.started = time.monotonic()
        self.egress: Pair = ("", 0)
        self.dialled: Pair = ("", 0)


class OwnFetches:
    """One request each, from its opening record to its closing one, by the record's id."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._open: dict[str, _Fetch] = {}

    async def opened(self, action: str, url: str, addresses: Sequence[str],
                     **known: str | int) -> str:
        """`known`: attributes of `Record`. Raises EvidenceUnavailable: then nothing may be sent."""
        parts = urlsplit(url)
        record = await self._recorder.open_bare(
            action, destination_domain=parts.hostname or "",
            destination_ip=",".join(addresses)[:64],
            destination_port=parts.port or (443 if parts.scheme == "https" else 80),
            url_scheme=parts.scheme, http_request_method="GET", verdict="allow", **known)
        self._open[record.id] = _Fetch(record)
        return record.id

    def connected(self, record_id: str, egress: Pair, dialled: Pair) -> None:
        fetch = self._open[record_id]
        fetch.egress, fetch.dialled = egress, dialled
        self._recorder.connected(fetch.record, egress, dialled)

    def closed(self, record_id: str, status: int, octets: int, *, failure: bool, reason: str,
               **known: str) -> None:
        fetch = self._open.pop(record_id)
        more: dict[str, Any] = {**known}
        self._recorder.close(
            fetch.record, time.monotonic() - fetch.started, status=status, response_bytes=octets,
            outcome="failure" if failure else "success", reason=reason, egress=fetch.egress,
            dialled=fetch.dialled[0], **more)
