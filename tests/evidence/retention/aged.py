"""Logs with records of any age, sealed: made by the collector's and the keeper's own code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.decision import closing, connection, opening
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import fields, is_erased, leaf_of
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.record import Encoder, Record, orphan
from outbounds.evidence.tlog.log_tree import LogTree
from outbounds.evidence.tlog.note import Verifier
from outbounds.evidence.tlog.peaks import Peaks
from outbounds.evidence.verify import Report, verify
from outbounds.settings.evidence import Retention

DAY = 86_400 * 1_000_000
BASE = 20_000 * DAY  # 2024-10-04T00:00:00Z, Unix µs

RULES = Retention.model_validate({
    "allow": {"details": "30day", "records": "180day"},
    "pace": {"details": "40day", "records": "60day"},
    "refuse": {"details": "90day", "records": "365day"},
    "other": {"details": "90day", "records": "730day"}})


def at(day: float) -> int:
    """Unix µs, `day` days after `BASE`."""
    return BASE + int(day * DAY)


@dataclass
class Event:
    """Records by name: "a" to "z", unique in a log. `day` is when it began."""

    name: str
    day: float
    account: str = "account-1"
    verdict: str = "allow"

    @property
    def id(self) -> str:
        moment = f"{at(self.day) // 1000:012x}"
        return f"{moment[:8]}-{moment[8:]}-7000-8000-0000000000{ord(self.name):02x}"

    def record(self) -> Record:
        record = opening(id=self.id, at=at(self.day) * 1000, action="request")
        record.user_id, record.verdict = self.account, self.verdict
        record.user_agent = f"agent-of-{self.name}"
        return record

    def start(self, encoder: Encoder) -> bytes:
        return encoder.encode(self.record(), f"/path-of-{self.name}")

    def connected(self, encoder: Encoder) -> bytes:
        return encoder.encode(connection(
            self.record(), at=at(self.day) * 1000, egress=("192.0.2.7", 50_000),
            dialled=("198.51.100.1", 443)))

    def end(self, encoder: Encoder, day: float) -> bytes:
        end = closing(self.record(), at=at(day) * 1000, outcome="success",
                      duration=int((day - self.day) * DAY) * 1000)
        end.robots_tag = f"tag-of-{self.name}"
        return encoder.encode(end)

    def orphaned(self, day: float) -> bytes:
        return orphan(self.id, "request", "s1", at(day) * 1000, "the proxy process ended")


class Aged:
    """A log under `directory`; each `segment` is sealed once another follows."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.encoder = Encoder("s1", b"k" * 32)
        (directory / "segments").mkdir(parents=True)

    def segment(self, *lines: bytes) -> None:
        log = EvidenceLog(self.directory)
        log.append([(slip(line), line) for line in lines])
        log.roll()
        log.close()

    def whole(self, event: Event, day: float | None = None) -> list[bytes]:
        return [event.start(self.encoder), event.end(
            self.encoder, event.day if day is None else day)]

    def seal(self) -> list[Segment]:
        seal_all(self.directory, print, {})
        return [each for each in all_segments(self.directory) if each.sealed]


def left(directory: Path) -> dict[str, str]:
    """What is left of each record: name and type of record to "all", "record" or "nothing"; those
    of acts are left out, and placeholders are counted under "gone"."""
    found: dict[str, str] = {}
    gone = 0
    for stored in read_all(directory):
        if is_erased(stored.envelope):
            gone += 1
            continue
        record = fields(stored.envelope, stored.detail)
        if record["event.action"] == "request":
            name = chr(int(record["event.id"][-2:], 16))
            has = "all" if stored.detail else "record"
            found[f"{name} {record['event.type']}"] = has
    return found | ({"gone": str(gone)} if gone else {})


def checked(directory: Path) -> Report:
    """The log verifies, and the tree over its leaves is the one that was signed."""
    tree = LogTree.open(directory)
    peaks = Peaks()
    peaks.extend([leaf_of(each.envelope) for each in read_all(directory)][:tree.checkpoint.size])
    assert peaks.root() == tree.checkpoint.root
    key = Verifier.parse((directory / "log" / "keys").read_text().splitlines()[2])
    report = verify(directory, [key])
    assert report.ok, report.findings
    return report
