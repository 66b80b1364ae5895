"""Evidence: how fast segments are sealed, and what a record takes on disk once they are."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.packing import compare, pack
from outbounds.evidence.archive.seal import load_seal
from outbounds.evidence.keeper.indexing import without_index
from outbounds.evidence.keeper.one_pass import one_pass
from outbounds.evidence.summary import summarise

from . import evidence_corpus
from .evidence_lines import envelopes
from .report import OUT, Row, at_most

RECORDS = 1_000_000

METHOD = """\
"sealed" is of a day of realistic traffic, a million records (`evidence_corpus`): envelopes, \
details, tiles, seals, index and checkpoints, in octets as `stat` has them. "packing" compresses \
the lines of one segment, hashes them, and reads them back to compare."""


def rows(quick: bool) -> list[Row]:
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="evidence-sealed-", dir=OUT))
    try:
        return _rows(folder, RECORDS // 10 if quick else RECORDS)
    finally:
        shutil.rmtree(folder)


def _rows(folder: Path, records: int) -> list[Row]:
    log = folder / "log"
    count = evidence_corpus.generate(log, records)
    packing, hot = _packing(folder, records // 5)
    began = time.perf_counter()
    if not one_pass(log, folder, None, lambda _: None) or without_index(log):
        raise RuntimeError("the keeper had a fault; see kept.json")
    indexed = time.perf_counter() - began
    if sum(1 for _ in envelopes(log)) != count:
        raise RuntimeError("not every record is there")
    found = summarise(log)
    seals = [load_seal(each.seal) for each in all_segments(log) if each.sealed]
    each = found.sealed_records
    return [
        Row("sealed, with tiles and index", "octets a record", [found.octets_per_record],
            at_most(250.0)),
        Row("of it envelopes", "octets a record",
            [sum(seal.records.octets for seal in seals) / each]),
        Row("of it details", "octets a record",
            [sum(seal.details.octets for seal in seals) / each]),
        Row("of it the index", "octets a record",
            [sum(seal.index.octets for seal in seals if seal.index) / each]),
        Row("before, hot", "octets a record", [hot]),
        Row("packing", "records/s", [packing]),
        Row("indexing", "records/s", [each / indexed]),
    ]


def _packing(folder: Path, records: int) -> tuple[float, float]:
    """Records a second, and octets of a record before."""
    hot = folder / "lines.jsonl"
    lines = [line for _, line in evidence_corpus.lines(
        1, records // 2, evidence_corpus.START, evidence_corpus.DAY // 10)]
    hot.write_bytes(b"".join(lines))
    drafts = folder / "records.zst.new", folder / "details.zst.new"
    began = time.perf_counter()
    compare(hot, *drafts, pack(hot, *drafts))
    return len(lines) / (time.perf_counter() - began), hot.stat().st_size / len(lines)
