"""Logs to seal: written by the collector's own code, in this process, a segment at a time."""

from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path

from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import leaf_of
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.record import Encoder
from outbounds.evidence.tlog.peaks import Peaks


def lines(pairs: int) -> list[bytes]:
    """Openings, each followed by its closing."""
    encoder, found = Encoder("s1", b"k" * 32), []
    for _ in range(pairs):
        at = time.time_ns()
        record = opening(id=new_id(at), at=at, action="request")
        record.user_agent = "ExampleFetcher/1.0"
        line = encoder.encode(record, f"/page/{at}?q=1")
        found += [line, encoder.encode(closing(record, at=at + 2_000_000, outcome="success",
                                               duration=2_000_000))]
    return found


def write(directory: Path, *segments: int) -> list[bytes]:
    """A log with that many pairs of records in each of `segments`, and a segment after them that is
    empty; all lines of it, in their order."""
    (directory / "segments").mkdir(parents=True, exist_ok=True)
    log, written = EvidenceLog(directory), []
    for pairs in segments:
        batch = lines(pairs)
        if batch:
            log.append([(slip(line), line) for line in batch])
        written += batch
        log.roll()
    log.close()
    return written


def read(directory: Path) -> list[bytes]:
    """All lines of the log, hot and sealed."""
    return [each.envelope + (b"\t" + each.detail if each.detail else b"") + b"\n"
            for each in read_all(directory)]


def root(found: list[bytes]) -> bytes:
    peaks = Peaks()
    peaks.extend(leaf_of(line.rstrip(b"\n").partition(b"\t")[0]) for line in found)
    return peaks.root()


def files(directory: Path) -> dict[str, str]:
    """Every file of the log but what counts passes: its name and the SHA-256 of its content."""
    return {str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*")) if path.is_file()
            and path.name not in ("keeper.lock", "kept.json", "lock")}


def in_child(work: object) -> int:
    """Call `work` in a forked child; its exit status, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
