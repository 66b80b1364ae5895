"""Cases made without an evidence log, for what needs none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from outbounds.evidence.cases.custody import Content, Opened, pack
from outbounds.evidence.cases.items import Item
from outbounds.evidence.cases.store import Case, Cases
from outbounds.evidence.tlog.note import Signer

AT = 1_795_262_587_000_250_000  # 2026-11-21T12:03:07.000250Z
RECORD = "019aa667-f9f8-7000-8000-000000000001"


@dataclass
class Casework:
    folder: Path
    cases: Cases = field(init=False)

    def __post_init__(self) -> None:
        self.cases = Cases(self.folder)

    def open(self, id: str = "", title: str = "Attack on www.example.org") -> Case:
        with self.cases.new(2026, id) as name:
            key = Ed25519PrivateKey.generate()
            content = Opened(title=title, key=str(Signer(f"outbounds-case/{name}", key).verifier))
            octets, _ = pack(content)
            return self.cases.create(name, key, content, octets, at=AT, operator="kim",
                                     record=RECORD)

    def do(self, id: str, content: Content, items: list[Item] | None = None) -> None:
        octets, _ = pack(content)
        with self.cases.change(id) as change:
            if items is not None:
                change.keep_items(items)
            change.append(content, octets, at=AT, operator="kim", record=RECORD)
