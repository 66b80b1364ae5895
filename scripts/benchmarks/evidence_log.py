"""Evidence: a log of ten million records, searched and verified."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from . import evidence_search, evidence_verify
from .evidence_corpus import generate
from .machine import filesystem
from .report import OUT, Report, Row

RECORDS = 10_050_000  # the generator makes about so many, and the bounds are for ten million

METHOD = """\
A day of {records:,} records (`evidence_corpus`) on {disk}, all but the last few sealed and \
indexed. {search} {verify}"""


def run(quick: bool) -> Report:
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="evidence-log-", dir=OUT))
    try:
        began = time.perf_counter()
        records = generate(folder / "log", RECORDS // 50 if quick else RECORDS)
        took = time.perf_counter() - began
        report = Report("evidence_log", METHOD.format(
            records=records, disk=filesystem(OUT), search=evidence_search.METHOD,
            verify=evidence_verify.method()))
        report.rows += evidence_search.rows(folder / "log", 2 if quick else 5)
        report.rows += evidence_verify.rows(folder / "log", 1 if quick else 3)
        report.rows.append(Row("made, written, signed, sealed", "records/s", [records / took]))
        return report
    finally:
        shutil.rmtree(folder)
