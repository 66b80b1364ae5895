"""What a segment consists of in the store, and until when each of it is locked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...settings.evidence import Evidence
from ..archive.layout import Segment
from ..archive.seal import Frame, Part, Seal
from .parts import whole

SEGMENTS = "segments/"


@dataclass(frozen=True, slots=True)
class Item:
    """An object: `name` below the prefix, what it must consist of, where it comes from (a file, or
    octets), until when (Unix s) it is locked, 0.0 for not."""

    name: str
    part: Part
    content: Path | bytes
    lock: float = 0.0


def of_file(directory: Path, name: str, lock: float) -> Item:
    """A small file of the log under `directory`, as it is now. Raises OSError."""
    return of_octets(name, (directory / name).read_bytes(), lock)


def of_octets(name: str, content: bytes, lock: float = 0.0) -> Item:
    return Item(name, whole(name, content), content, lock)


def records_lock(settings: Evidence, seal: Seal, now: float) -> float:
    """Never beyond the moment at which retention may want to remove the first of them."""
    first_due = seal.end / 1e6 + min(each.records for each in (
        settings.retention.allow, settings.retention.pace, settings.retention.refuse,
        settings.retention.other))
    until = min(hashes_lock(settings, now), first_due)
    return until if until > now else 0.0


def hashes_lock(settings: Evidence, now: float) -> float:
    """Of what tells of nobody: tiles, checkpoints, keys."""
    lock = settings.store.lock if settings.store else None
    return now + lock if lock else 0.0


def manifest(segment: Segment, seal: Seal, settings: Evidence, now: float) -> list[Item]:
    """All of `segment` but its seal, in the order in which it is sent. Raises OSError."""
    folder = segment.folder
    items = [Item(SEGMENTS + seal.details.name, seal.details, folder / seal.details.name)]
    if seal.index is not None:
        index = seal.index
        items.append(Item(SEGMENTS + index.name,
                          Part(index.name, (Frame(index.octets, index.sha256),)),
                          folder / index.name))
    items.append(Item(SEGMENTS + seal.records.name, seal.records, folder / seal.records.name,
                      records_lock(settings, seal, now)))
    if segment.checkpoint.exists():
        items.append(of_file(folder.parent, SEGMENTS + segment.checkpoint.name,
                             hashes_lock(settings, now)))
    return items
