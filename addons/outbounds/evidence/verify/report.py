"""What a verification came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MOST_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded. `kind` is one of `KINDS`; `text` is a sentence with
    the file and what to do; `position` is the record's, if it is about one."""

    kind: str
    text: str
    position: int | None = None


KINDS = {
    "signature": "a checkpoint is missing, or not signed by the log",
    "key": "the keys, or a signature outside its key's time",
    "fork": "two histories were signed",
    "shrunken": "the log was longer when it was signed",
    "gap": "records are missing",
    "inserted": "there are more records than were signed",
    "record": "records are not those that were signed",
    "detail": "a detail is not what its record says",
    "erased": "something is gone, and nothing says that it was erased",
    "torn": "a line that has no end",
    "frame": "a sealed file is damaged",
    "seal": "a seal is missing or damaged, or does not fit what it seals",
    "tile": "a tile is missing or damaged",
    "index": "an index is missing or damaged; no evidence is lost by that",
    "witness": "what a witness saw is another history, or its stamp does not show it",
}


@dataclass(slots=True)
class Report:
    """`size` records are there, of which the newest checkpoint covers `signed`; it was made at `at`
    (Unix s). Of them `erased` are only hashes, `erased_details` have no detail any more, and
    `elsewhere` were not here but in the object store, so that their hashes alone were looked at.
    `compared` counts the signed roots that were compared. `notes` are no faults."""

    origin: str = ""
    size: int = 0
    signed: int = 0
    root: str = ""
    at: float | None = None
    segments: int = 0
    details: int = 0
    erased: int = 0
    erased_details: int = 0
    elsewhere: int = 0
    compared: int = 0
    witnessed: int = 0
    findings: list[Finding] = field(default_factory=list)
    unlisted: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def say(self, kind: str, text: str, position: int | None = None) -> None:
        assert kind in KINDS, kind
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, text, position))
        else:
            self.unlisted += 1

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}
