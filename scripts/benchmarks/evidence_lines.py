"""The records of a log, hot and sealed, read without our own reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import zstandard

from outbounds.evidence.keeper.lock import kept_alone


def envelopes(log: Path) -> Iterator[bytes]:
    """Of every record in the folder `log`, in no order; nothing is sealed meanwhile."""
    with kept_alone(log, 600.0):
        yield from _envelopes(log)


def _envelopes(log: Path) -> Iterator[bytes]:
    for hot in log.glob("segments/*.jsonl"):
        if not hot.with_suffix(".seal").exists():
            for line in hot.read_bytes().splitlines():
                yield line.partition(b"\t")[0]
    for sealed in log.glob("segments/*.records.zst"):
        with sealed.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            yield from reader.read().splitlines()
