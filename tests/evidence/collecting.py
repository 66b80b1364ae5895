"""Real collector processes on real sockets and disks, and what a proxy process does with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import read_segment
from outbounds.evidence.client import EvidenceClient
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.line import fields, flat
from outbounds.evidence.record import Encoder

ADDONS = str(Path(__file__).resolve().parents[2] / "addons")


class Collector:
    """A collector under test; `errors` is what it wrote to standard error so far."""

    def __init__(self, directory: Path, socket: Path, *options: str, **popen: object) -> None:
        self.directory = directory
        self.socket = socket
        self._errors = directory.parent / f"stderr-{time.time_ns()}"
        with open(self._errors, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "outbounds.evidence.collector", "--dir", str(directory),
                 "--socket", str(socket), *options],
                env={**os.environ, "PYTHONPATH": ADDONS}, stderr=errors, **popen)  # type: ignore[call-overload]

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        return self.process.wait(10)


class Proxy:
    """What a proxy process does with evidence: a session, its encoder, its client."""

    def __init__(self, socket: Path, **options: float) -> None:
        self.session = new_id(time.time_ns())
        self.encoder = Encoder(self.session, b"k" * 32)
        self.client = EvidenceClient(socket, self.session, **options)  # type: ignore[arg-type]

    def pair(self) -> tuple[str, bytes, bytes]:
        """(id, opening line, closing line)."""
        at = time.time_ns()
        record = opening(id=new_id(at), at=at, action="request")
        line = self.encoder.encode(record, "/path?q=1")
        return record.id, line, self.encoder.encode(
            closing(record, at=at, outcome="success", duration=1))


def on_disk(directory: Path) -> list[dict[str, str | int]]:
    """Every record, hot and sealed; fails on a torn line or one that is not JSON."""
    found = []
    for segment in all_segments(directory):
        try:
            data = segment.hot.read_bytes()
        except FileNotFoundError:  # sealed
            found += [fields(each.envelope, each.detail) for each in read_segment(segment)]
            continue
        assert data == b"" or data.endswith(b"\n"), f"{segment} is torn"
        found += [flat(line) for line in data.splitlines()]
    return found


def names(directory: Path) -> list[tuple[str, str]]:
    """(event.id, event.type) of every record, in order."""
    return [(str(r["event.id"]), str(r["event.type"])) for r in on_disk(directory)]


def wait_for(condition: Callable[[], object], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
