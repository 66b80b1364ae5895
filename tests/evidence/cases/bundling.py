"""A real log with the records of several accounts, a desk at it, and bundles out of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from collecting import Collector, wait_for

from outbounds.evidence.cases.bundle import Log
from outbounds.evidence.cases.check import Result, check
from outbounds.evidence.cases.container import reading
from outbounds.evidence.cases.desk import Desk
from outbounds.evidence.cases.store import Cases
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.frame import RECORDS
from outbounds.evidence.identifier import new_id
from outbounds.evidence.record import CONNECTION, Encoder, Record
from outbounds.evidence.search import Endpoint, Query, Target, search
from outbounds.evidence.submit import Recording

KEY = b"k" * 32
EGRESS = "192.0.2.7"


@dataclass
class Traffic:
    """Writes events as a proxy would, one after the other."""

    recorder: Recording
    encoder: Encoder
    at: int = 1_795_262_587_000_250_000  # 2026-11-21T12:03:07.000250Z

    def event(self, account: str, host: str, path: str = "/login?user=kim", *, port: int = 51234,
              agent: str = "curl/8.5", source: str = "198.51.100.9", verdict: str = "allow",
              over: bool = True, reason: str = "", method: str = "POST") -> str:
        self.at += 1_700_000_000
        record = opening(id=new_id(self.at), at=self.at, action="request")
        record.user_id, record.destination_domain, record.destination_port = account, host, 443
        record.source_ip, record.source_port, record.verdict = source, 40_000, verdict
        record.user_agent, record.http_request_method, record.reason = agent, method, reason
        lines = [self.encoder.encode(record, path)]
        made = Record(timestamp=record.timestamp, id=record.id, type=CONNECTION, kind="event",
                      action="request", user_id=account, source_nat_ip=EGRESS,
                      source_nat_port=port, destination_ip="203.0.113.80", destination_port=443)
        lines.append(self.encoder.encode(made))
        if over:
            lines.append(self.encoder.encode(closing(
                record, at=self.at + 250_000_000, outcome="success", duration=250_000_000,
                status=200, request_bytes=120, response_bytes=4096, egress=(EGRESS, port),
                dialled="203.0.113.80")))
        self.recorder.send(RECORDS, b"".join(lines))
        return record.id


@dataclass
class Office:
    """`directory` is the log's; a collector runs on it, and `desk` is connected to that."""

    directory: Path
    data: Path
    desk: Desk
    recorder: Recording
    traffic: Traffic

    @property
    def log(self) -> Log:
        return Log(self.directory)

    def add(self, case: str, query: Query, **known: object) -> None:
        size = len(list(search(self.directory, Query())))
        self.desk.add(case, search(self.directory, query), query, size=size,
                      **known)  # type: ignore[arg-type]

    def covered(self) -> None:
        """Wait until everything that was written is signed."""
        newest = max(position for event in search(self.directory, Query())
                     for position in event.positions)
        checkpoint = self.directory / "log" / "checkpoint"
        wait_for(lambda: int(checkpoint.read_bytes().split(b"\n")[1]) > newest)


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    directory = folder / "evidence"
    collector = Collector(directory, folder / "socket")
    recorder = None
    try:
        wait_for((folder / "socket").exists)
        recorder = Recording(folder / "socket", KEY)
        desk = Desk(Cases(folder / "cases"), recorder, "kim")
        yield Office(directory, folder, desk, recorder,
                     Traffic(recorder, Encoder(f"test-{time.time_ns()}", KEY)))
    finally:
        if recorder is not None:
            recorder.close()
        collector.kill()
        collector.process.wait()


def of_target(host: str) -> Query:
    return Query(target=Target(host))


def of_egress(port: int) -> Query:
    return Query(egress=Endpoint(ip_network(EGRESS), port))


def checked(path: Path) -> Result:
    with reading(path) as bundle:
        return check(bundle)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix()
                  for path in folder.rglob("*") if path.is_file())
