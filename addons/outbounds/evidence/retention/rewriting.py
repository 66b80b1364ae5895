"""A sealed segment is written anew, without some of its details or records.

The order, and what a crash right after each step leaves behind:

    1. drafts      X.details.N.zst.new, and X.records.N.zst.new if a record goes; synced, read back
                   and compared; left: drafts
    2. renamed     left: files that no seal names
    3. the seal    names them; from here on what was removed is removed. It names no index any more:
                   that held it, too
    4. old files   and the index are unlinked; left: files that no seal names

What is left is removed by `remove_leftovers` before anything else is done, in the next pass. The
index is made again by the keeper's task for that.

A frame in which nothing changes is copied as it is, octet for octet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedWriter
from pathlib import Path

import msgspec
import zstandard

from ..archive.layout import Segment
from ..archive.packing import LEVEL
from ..archive.reading import Damaged, read_frame
from ..archive.seal import Frame, Part, Seal, load_seal, save_seal
from ..directory import fsync_directory
from ..line import is_erased, placeholder
from .due import Fate

_DRAFT = ".new"


@dataclass(slots=True)
class Removed:
    """How many records, and how many details of records that stay."""

    records: int = 0
    details: int = 0

    def __bool__(self) -> bool:
        return bool(self.records or self.details)

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.records + other.records, self.details + other.details)


def rewrite(segment: Segment, fates: bytearray) -> Removed:
    """Let each record of `segment` have its fate, in the order of the records. The caller holds the
    keeper's lock. Raises Damaged, BadSeal, OSError: then the segment is as it was."""
    seal = load_seal(segment.seal)
    if len(fates) != seal.count:
        raise ValueError(f"{len(fates)} fates for the {seal.count} records of {segment.stem}")
    generation = seal.generation + 1
    targets = (segment.records_of(generation), segment.details(generation))
    drafts = [path.with_name(path.name + _DRAFT) for path in targets]
    try:
        changed = _write(segment, seal, fates, *drafts)
    except BaseException:
        for draft in drafts:
            draft.unlink(missing_ok=True)
        raise
    if not changed.removed:
        for draft in drafts:
            draft.unlink(missing_ok=True)
        return changed.removed
    records = seal.records
    if changed.records:
        records = Part(targets[0].name, tuple(changed.records))
        os.replace(drafts[0], targets[0])
    os.replace(drafts[1], targets[1])
    fsync_directory(segment.folder)
    save_seal(segment.seal, msgspec.structs.replace(
        seal, records=records, details=Part(targets[1].name, tuple(changed.details)), index=None,
        generation=generation, shipped=0, erased=seal.erased + changed.removed.records,
        erased_details=seal.erased_details + changed.removed.details - changed.had_none))
    remove_leftovers([segment])
    return changed.removed


@dataclass(slots=True)
class _Changed:
    """The frames of the new files; those of the records are empty if none goes. `had_none`: records
    removed whose detail had gone before."""

    records: list[Frame]
    details: list[Frame]
    removed: Removed
    had_none: int = 0


def _write(segment: Segment, seal: Seal, fates: bytearray, records: Path,
           details: Path) -> _Changed:
    changed = _Changed([], [], Removed())
    with ExitStack() as files:
        other = files.enter_context(_draft(details))
        one = files.enter_context(_draft(records)) if Fate.RECORD in fates else None
        for number in range(len(seal.records.frames)):
            start = number * seal.frame_records
            held = (_lines(segment, seal.records, number), _lines(segment, seal.details, number))
            left = _left(*held, fates[start:start + seal.frame_records], changed)
            for file, part, before, after, frames in (
                    (one, seal.records, held[0], left[0], changed.records),
                    (other, seal.details, held[1], left[1], changed.details)):
                if file is not None:
                    octets = (_copied(segment, part, number) if before == after
                              else _compress(b"\n".join(after) + b"\n"))
                    file.write(octets)
                    frames.append(Frame(len(octets), sha256(octets).hexdigest()))
        for file in (one, other):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
                # read back from the disk then, not from memory
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    for path, frames in ((records, changed.records), (details, changed.details)):
        for number in range(len(frames)):
            read_frame(path.parent, Part(path.name, tuple(frames)), number)
    return changed


def _left(envelopes: list[bytes], details: list[bytes], fates: bytearray,
          changed: _Changed) -> tuple[list[bytes], list[bytes]]:
    """What is left of the lines of a frame."""
    new_envelopes, new_details = list(envelopes), list(details)
    for at, fate in enumerate(fates):
        envelope, detail = envelopes[at], details[at]
        if fate == Fate.RECORD and not is_erased(envelope):
            new_envelopes[at], new_details[at] = placeholder(envelope), b""
            changed.removed.records += 1
            changed.had_none += not detail and _HASH_OF in envelope
        elif fate == Fate.DETAIL and detail:
            new_details[at] = b""
            changed.removed.details += 1
    return new_envelopes, new_details


_HASH_OF = b'"outbounds.detail.sha256":"'
_compress = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress


def _draft(path: Path) -> BufferedWriter:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "wb")


def _lines(segment: Segment, part: Part, number: int) -> list[bytes]:
    lines = read_frame(segment.folder, part, number).split(b"\n")
    lines.pop()
    return lines


def _copied(segment: Segment, part: Part, number: int) -> bytes:
    offset = sum(each.octets for each in part.frames[:number])
    with (segment.folder / part.name).open("rb") as file:
        file.seek(offset)
        octets = file.read(part.frames[number].octets)
    if sha256(octets).hexdigest() != part.frames[number].sha256:
        raise Damaged(f"{part.name}: frame {number} changed while it was read")
    return octets


def remove_leftovers(segments: Iterable[Segment]) -> int:
    """Unlink what no seal of `segments` names: what was removed is then gone. How many files. The
    caller holds the keeper's lock. Raises BadSeal, OSError."""
    wanted = {each.stem: each for each in segments}
    gone = 0
    for folder in {each.folder for each in wanted.values()}:
        found: dict[str, list[tuple[str, str]]] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, _, rest = entry.name.removeprefix(".").partition(".")
                if stem in wanted and rest.startswith(_KINDS):
                    found.setdefault(stem, []).append((rest.partition(".")[0], entry.name))
        for stem, names in found.items():
            # a seal is read only where there is more than it can name, or a draft
            if (len({kind for kind, _ in names}) < len(names)
                    or any(name.endswith(_DRAFT) for _, name in names)):
                gone += _remove_unnamed(wanted[stem], [name for _, name in names])
        fsync_directory(folder)
    return gone


_KINDS = ("parquet", "records.", "details.")


def _remove_unnamed(segment: Segment, names: list[str]) -> int:
    try:
        seal = load_seal(segment.seal)
    except FileNotFoundError:
        return 0  # not sealed yet: what lies there is the sealer's
    named = {seal.records.name, seal.details.name, seal.index.name if seal.index else ""}
    # the index first: once only it is too many, there is one file of each kind
    unnamed = sorted(set(names) - named, key=lambda name: "parquet" not in name)
    for name in unnamed:
        (segment.folder / name).unlink(missing_ok=True)
    return len(unnamed)
