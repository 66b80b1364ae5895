"""Logs on disk as a collector leaves them, made in this process."""

from __future__ import annotations

import random
from pathlib import Path

from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import leaf_of, split
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.record import Encoder
from outbounds.evidence.tlog.merkle import EMPTY_ROOT, node_hash
from outbounds.evidence.tlog.note import Verifier

AT = 1_795_262_587_000_000_000  # 2026-11-21T12:03:07Z


class Written:
    """A log under `directory`. Each run of it begins a segment of its own."""

    def __init__(self, directory: Path, seed: int = 1) -> None:
        self.directory = directory
        self.encoder = Encoder("session-1", b"k" * 32)
        self.leaves: list[bytes] = []
        self.ids: list[str] = []
        self._random = random.Random(seed)
        self._at = AT

    def run(self, *batches: int, close: bool = True) -> EvidenceLog:
        """One run of the collector: records appended in batches of so many."""
        (self.directory / "segments").mkdir(parents=True, exist_ok=True)
        log = EvidenceLog(self.directory)
        for count in batches:
            lines = [self.line() for _ in range(count)]
            log.append([(slip(line), line) for line in lines])
        if close:
            log.close()
        return log

    def line(self) -> bytes:
        self._at += self._random.randrange(1, 2_000_000_000)
        record = opening(id=new_id(self._at), at=self._at, action="request")
        record.user_id = f"account-{self._random.randrange(50)}"
        record.destination_domain = f"www{self._random.randrange(99)}.example.org"
        if self._random.random() < 0.4:
            record = closing(record, at=self._at, outcome="success", duration=7)
            line = self.encoder.encode(record)
        else:
            line = self.encoder.encode(record, f"/a/{self._random.randrange(1000)}?q=1")
        self.leaves.append(leaf_of(split(line)[0]))
        self.ids.append(record.id)
        return line

    def seal(self) -> None:
        """Every segment but the newest."""
        seal_all(self.directory, print, {})

    @property
    def verifier(self) -> Verifier:
        """The log's first key."""
        text = (self.directory / "log" / "keys").read_text()
        return Verifier.parse(text.splitlines()[2])


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(tree_hash(leaves[:half]), tree_hash(leaves[half:]))
