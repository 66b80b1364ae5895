"""The names of a segment's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Segment:
    """`folder` is the log's `segments`, `stem` hour and number: 2026-11-21T01-000001."""

    folder: Path
    stem: str

    @property
    def sequence(self) -> int:
        return int(self.stem.rpartition("-")[2])

    @property
    def hot(self) -> Path:
        return self.folder / f"{self.stem}.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.stem}.checkpoint"

    @property
    def seal(self) -> Path:
        return self.folder / f"{self.stem}.seal"

    @property
    def records(self) -> Path:
        return self.folder / f"{self.stem}.records.zst"

    def details(self, generation: int) -> Path:
        return self.folder / f"{self.stem}.details.{generation}.zst"

    def records_of(self, generation: int) -> Path:
        """Where the records are once some were removed; 0 is as they were sealed."""
        return (self.folder / f"{self.stem}.records.{generation}.zst" if generation
                else self.records)

    @property
    def index(self) -> Path:
        return self.folder / f"{self.stem}.parquet"

    @property
    def sealed(self) -> bool:
        return self.seal.exists()

    def __str__(self) -> str:
        return str(self.seal if self.sealed else self.hot)


def all_segments(directory: Path) -> list[Segment]:
    """Every segment of the log under `directory`, hot or sealed, oldest first. The number decides:
    the hour is the wall clock's, which may have been set back."""
    folder = directory / "segments"
    stems = {path.name.partition(".")[0] for pattern in ("*.jsonl", "*.seal")
             for path in folder.glob(f"????-??-??T??-{pattern}")}
    return sorted((Segment(folder, stem) for stem in stems), key=lambda each: each.sequence)
