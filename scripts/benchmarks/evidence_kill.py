"""Evidence: kill -9 of the collector and the keeper under load, a thousand times."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from .machine import filesystem
from .report import OUT, Report, Row, at_least, at_most

ROUNDS = 1_000
SEED = 6
SEGMENT = 1_000_000  # bytes
MOST = 2_000         # records acknowledged before a kill, by chance

METHOD = """\
{rounds:,} collectors on one log on {disk}, one after the other, each killed at a random moment \
while 16 customers commit an opening and post its closing, one after the other; three times in \
four a keeper seals meanwhile, and is killed too. In the end the log is sealed and read; each \
checkpoint that was seen is shown to be consistent with the next (RFC 9162)."""


def run(quick: bool) -> Report:
    rounds = ROUNDS // 20 if quick else ROUNDS
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="evidence-kill-", dir=OUT))
    sockets = Path(tempfile.mkdtemp(prefix="outbounds-bench-"))
    try:
        found = asyncio.run(_rounds()(folder / "log", sockets / "collector", rounds, SEED, SEGMENT,
                                      MOST))
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(sockets)
    report = Report("evidence_kill", METHOD.format(rounds=rounds, disk=filesystem(OUT)))
    report.rows += [
        Row("collectors killed", "", [found.kills], at_least(rounds)),
        Row("keepers killed", "", [found.keeper_kills]),
        Row("records acknowledged before a kill", "", [found.acknowledged]),
        Row("acknowledged records lost", "", [len(found.lost)], at_most(0)),
        Row("records there twice", "", [len(found.twice)], at_most(0)),
        Row("closings before their openings", "", [len(found.orderless)], at_most(0)),
        Row("checkpoints, each consistent with the next", "", [found.checkpoints]),
        Row("segments sealed", "", [found.sealed]),
        Row("drafts and strays left over", "", [len(found.left_over)], at_most(0)),
    ]
    return report


def _rounds() -> Any:
    """The suite's own: what is measured here is what is tested there."""
    tests = Path(__file__).resolve().parents[2] / "tests" / "evidence"
    sys.path.insert(0, str(tests))
    from kill_rounds import rounds

    return rounds
