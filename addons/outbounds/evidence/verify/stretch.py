"""What one process looks at, at a time: some frames of a sealed segment, or a hot one.

Each record is hashed; its detail is held against the hash that the record has of it; a frame's
checksum, its number of lines and the time that the seal says are checked on the way. What cannot be
read leaves a hole, which the tiles may fill: so damage in one place does not hide what comes after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from ..archive.layout import Segment
from ..archive.packing import batches, told
from ..archive.reading import Damaged, unpacked
from ..archive.seal import Part, Seal, load_seal
from ..archive.tiling import Tiled
from ..line import is_erased, leaf_of, split
from ..tlog.merkle import HASH_SIZE, leaf_hash
from ..tlog.tiles import TileReader, TileStore
from .naming import MOST_NAMED
from .report import Finding
from .runs import Compared, Span, compare

FRAMES = 16  # of a sealed segment at a time: 65,536 records, their hashes 2 MiB
_HASH_OF = b'"outbounds.detail.sha256":"'


@dataclass(frozen=True, slots=True)
class Stretch:
    """`frames` of the sealed `segment` whose `seal` is given, or all of a hot one, whose first
    record comes at `first`. `log` is the folder with the tiles, which `tiled` says the reach of;
    `cuts` are the sizes at which a root was signed."""

    segment: Segment
    first: int
    seal: Seal | None
    frames: range
    log: Path
    tiled: Tiled
    cuts: Sequence[int]
    newest: bool = False

    @property
    def octets(self) -> int:
        """On disk, for the progress bar."""
        if self.seal is None:
            try:
                return self.segment.hot.stat().st_size
            except FileNotFoundError:
                return 0
        return sum(part.frames[number].octets for part in (self.seal.records, self.seal.details)
                   for number in self.frames if number < len(part.frames))


@dataclass(slots=True)
class Looked:
    """What was found in a stretch of `count` records."""

    count: int = 0
    details: int = 0
    erased: int = 0
    erased_details: int = 0
    elsewhere: int = 0
    unread: bool = False  # some could not be read, so the seal's counts cannot be compared
    findings: list[Finding] = field(default_factory=list)
    compared: Compared = field(default_factory=lambda: Compared([], [], 0, []))

    def add(self, other: Looked) -> None:
        """Count what another stretch of the segment had."""
        self.details += other.details
        self.erased += other.erased
        self.erased_details += other.erased_details
        self.elsewhere += other.elsewhere
        self.unread |= other.unread
        self.findings += other.findings

    def say(self, kind: str, text: str, position: int | None = None) -> None:
        self.findings.append(Finding(kind, text, position))


def look(stretch: Stretch) -> Looked:
    """Raises OSError for what cannot be read though it is there."""
    looked = Looked()
    if stretch.seal is None:
        spans = list(_hot(stretch, looked))
    else:
        spans = list(_sealed(stretch, stretch.seal, looked))
    looked.count = sum(span.count for span in spans)
    tiled = stretch.tiled
    reader = TileReader(TileStore(stretch.log), tiled.size, tiled.hashes)
    looked.compared = compare(spans, reader, tiled.size, stretch.cuts)
    return looked


# --- hot -------------------------------------------------------------------------------------

def _hot(stretch: Stretch, looked: Looked) -> Iterator[Span]:
    try:
        file = stretch.segment.hot.open("rb")
    except FileNotFoundError:
        seal = load_seal(stretch.segment.seal)  # it was sealed while we looked elsewhere
        yield from _sealed(Stretch(stretch.segment, seal.first, seal,
                                   range(len(seal.records.frames)), stretch.log, stretch.tiled,
                                   stretch.cuts), seal, looked)
        return
    at = stretch.first
    with file:
        for batch in batches(file):
            if not batch[-1].endswith(b"\n"):
                torn = batch.pop()
                # the newest may be written to at this moment; but then nobody has signed this line
                if not stretch.newest or at + len(batch) < max(stretch.cuts, default=0):
                    looked.say("torn", f"{stretch.segment.hot}: record {at + len(batch)} is a torn "
                               f"line of {len(torn)} octets", at + len(batch))
            pairs = [split(line) for line in batch]
            yield _leaves(stretch, at, [each for each, _ in pairs], [each for _, each in pairs],
                          str(stretch.segment.hot), looked)
            at += len(batch)


# --- sealed ----------------------------------------------------------------------------------

def _sealed(stretch: Stretch, seal: Seal, looked: Looked) -> Iterator[Span]:
    folder = stretch.segment.folder
    records, details = _open(folder, seal.records), _open(folder, seal.details)
    if (records is None or details is None) and not seal.shipped:
        newer = load_seal(stretch.segment.seal)
        if newer.generation != seal.generation:  # something was erased while we looked elsewhere
            yield from _sealed(stretch, newer, looked)
            return
    try:
        for number in stretch.frames:
            yield _frame(stretch, seal, number, records, details, looked)
    finally:
        for file in (records, details):
            if file is not None:
                file.close()


def _open(folder: Path, part: Part) -> BinaryIO | None:
    try:
        return (folder / part.name).open("rb")
    except FileNotFoundError:
        return None


def _frame(stretch: Stretch, seal: Seal, number: int, records: BinaryIO | None,
           details: BinaryIO | None, looked: Looked) -> Span:
    folder, start = stretch.segment.folder, seal.first + number * seal.frame_records
    count = min(seal.frame_records, seal.first + seal.count - start)
    if records is None:
        looked.unread = True
        if seal.shipped:
            looked.elsewhere += count
        elif number == 0:
            looked.say("gap", f"{folder / seal.records.name}: the file is missing: records "
                       f"{seal.first} to {seal.first + seal.count - 1}")
        return Span(start, None, count)
    envelopes = _lines(records, seal.records, number, folder, count, start, looked)
    if envelopes is None:
        return Span(start, None, count)
    held: list[bytes] | None = None
    if details is not None:
        held = _lines(details, seal.details, number, folder, count, start, looked)
    elif number == 0 and not seal.shipped:
        looked.say("detail", f"{folder / seal.details.name}: the file is missing: the details of "
                   f"records {seal.first} to {seal.first + seal.count - 1}")
    if held is None:
        looked.unread = True
    where = f"{folder / seal.records.name}: frame {number}"
    begin, end = told(envelopes)
    if begin < seal.begin or end > seal.end:
        looked.say("seal", f"{stretch.segment.seal}: it says from when to when its records are, "
                   f"and frame {number} has others: a search by time could miss them")
    return _leaves(stretch, start, envelopes, held, where, looked)


def _lines(file: BinaryIO, part: Part, number: int, folder: Path, count: int, start: int,
           looked: Looked) -> list[bytes] | None:
    """The lines of a frame; None where it is damaged, which is said."""
    span = f"(records {start} to {start + count - 1})"
    if number >= len(part.frames):
        looked.say("frame", f"{folder / part.name}: there is no frame {number} {span}", start)
        looked.unread = True
        return None
    offset = sum(each.octets for each in part.frames[:number])
    file.seek(offset)
    frame = part.frames[number]
    where = f"{folder / part.name}: frame {number}, at octet {offset} {span}"
    try:
        lines = unpacked(file.read(frame.octets), frame, where).split(b"\n")
    except (Damaged, OSError) as error:
        looked.say("frame", str(error) if isinstance(error, Damaged) else
                   f"{where}: cannot be read: {error.strerror}", start)
        looked.unread = True
        return None
    if lines.pop() or len(lines) != count:
        looked.say("seal", f"{where}: it has {len(lines)} lines, and its seal says {count}", start)
        looked.unread = True
        return None
    return lines


# --- records ---------------------------------------------------------------------------------

def _leaves(stretch: Stretch, start: int, envelopes: list[bytes], details: list[bytes] | None,
            where: str, looked: Looked) -> Span:
    leaves = []
    for at, envelope in enumerate(envelopes):
        if is_erased(envelope):
            looked.erased += 1
            try:
                leaves.append(leaf_of(envelope))
            except ValueError as error:
                looked.say("record", f"{where}, line {at + 1}: record {start + at}: {error}",
                           start + at)
                # the tree will not agree either; 0s keep the others in their places
                leaves.append(bytes(HASH_SIZE))
        else:
            leaves.append(leaf_hash(envelope))
    if details is not None:
        _details(start, envelopes, details, where, looked)
    return Span(start, b"".join(leaves), len(envelopes))


def _details(start: int, envelopes: list[bytes], details: list[bytes], where: str,
             looked: Looked) -> None:
    odd: list[tuple[int, str]] = []
    for at, (envelope, detail) in enumerate(zip(envelopes, details, strict=True)):
        said = envelope.rfind(_HASH_OF)
        if detail:
            looked.details += 1
        if said >= 0:
            said += len(_HASH_OF)
            if not detail:
                looked.erased_details += 1
            elif sha256(detail).hexdigest().encode() != envelope[said:said + 64]:
                odd.append((at, "has a detail that is not what was recorded"))
        elif detail:
            odd.append((at, "has a detail, and was recorded without one"))
    for at, what in odd[:MOST_NAMED]:
        looked.say("detail", f"{where}, line {at + 1}: record {start + at} {what}", start + at)
    if len(odd) > MOST_NAMED:
        looked.say("detail", f"{where}: and {len(odd) - MOST_NAMED} more records after it have "
                   "details that are not theirs", start + odd[MOST_NAMED][0])
