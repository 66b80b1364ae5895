"""Trying cases until the time is over."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .inputs import Case, case
from .invariants import INVARIANTS, SELDOM

MOST_FINDINGS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    invariant: str
    what: str
    case: Case

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"invariant": self.invariant, "what": self.what, **{
            key: value.decode("latin-1") if isinstance(value, bytes) else value
            for key, value in asdict(self.case).items()}}, indent=1) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        path = folder / f"{self.invariant}-{digest}.json"
        path.write_text(text)
        return path


@dataclass(slots=True)
class Result:
    cases: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)


def fuzz(seed: int, seconds: float) -> Result:
    """Try cases for `seconds`, in an order that `seed` gives; ends early at `MOST_FINDINGS`."""
    source = random.Random(seed)
    result = Result()
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(result.findings) < MOST_FINDINGS:
        tried = case(source)
        for name, invariant in INVARIANTS.items():
            if result.cases % SELDOM.get(name, 1):
                continue
            result.checks[name] += 1
            try:
                invariant(tried)
            except Exception as error:
                result.findings.append(
                    Finding(name, f"{type(error).__name__}: {str(error)[:500]}", tried))
        result.cases += 1
    return result
