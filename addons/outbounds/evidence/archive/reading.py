"""Reading records back, hot and sealed alike, in order or by their position in the log.

The bytes are those that were recorded. Whether they are what was *signed* is for `tlog.verify` to
say: here only the checksums are looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..line import split
from .layout import Segment, all_segments
from .seal import Frame, Part, Seal, load_seal

MAX_FRAME = 256 * 1024 * 1024
"""Octets that a frame may hold once it is decompressed: 4,096 lines of the longest kind."""

elsewhere: Callable[[Part, int], bytes] | None = None
"""Gives a frame, decompressed, whose file is not here any more: what `shipping.remote` attaches.
Raises Damaged, OSError."""


class Damaged(Exception):
    """What is on disk is not what was written. The message says where: file, frame, octet."""


class Stored(NamedTuple):
    """A record: its position in the log, its envelope (or placeholder, see `line`), its detail
    (b"" if it has none, or none any more)."""

    position: int
    envelope: bytes
    detail: bytes


def first_position(segment: Segment) -> int:
    """The position of the segment's first record. Raises Damaged, BadSeal, OSError."""
    if segment.sealed:
        return load_seal(segment.seal).first
    if not segment.checkpoint.exists():
        return 0  # from before the log was a tree: `read_all` counts instead
    try:
        return int(segment.checkpoint.read_bytes().split(b"\n", 2)[1])
    except (IndexError, ValueError):
        raise Damaged(f"{segment.checkpoint}: not a checkpoint") from None


def read_segment(segment: Segment, first: int | None = None) -> Iterator[Stored]:
    """Its records in order. A torn last line of a hot segment, which nobody was told of, is left
    out. `first`: the position of its first record, if that is known. Raises Damaged, BadSeal,
    OSError."""
    file = None if segment.sealed else _open_hot(segment)
    if file is None:
        if not segment.sealed:
            return
        seal = load_seal(segment.seal)
        for number in range(len(seal.records.frames)):
            yield from read_sealed(segment, seal, number)
        return
    with file:
        position = first_position(segment) if first is None else first
        for line in file:
            if not line.endswith(b"\n"):
                break
            yield Stored(position, *split(line))
            position += 1


def _open_hot(segment: Segment) -> BinaryIO | None:
    """None where it was sealed just now; or dropped, because it was empty (`sealing`)."""
    try:
        return segment.hot.open("rb")
    except FileNotFoundError:
        return None


def read_all(directory: Path) -> Iterator[Stored]:
    """Every record of the log under `directory`. Raises as `read_segment`."""
    position = 0
    for segment in all_segments(directory):
        for stored in read_segment(segment, position):
            yield stored._replace(position=position)
            position += 1


def fetch(directory: Path, positions: Iterable[int]) -> list[Stored]:
    """The records at `positions`, in their order in the log; those that are not there are left
    out. Raises as `read_segment`."""
    wanted = sorted(set(positions))
    found: list[Stored] = []
    segments = all_segments(directory)
    firsts = [first_position(each) for each in segments]
    for segment, first, after in zip(segments, firsts, [*firsts[1:], None], strict=True):
        end = len(wanted) if after is None else bisect_left(wanted, after)
        here = wanted[bisect_left(wanted, first):end]
        if here:
            found += _pick(segment, first, here)
    return found


def _pick(segment: Segment, first: int, positions: list[int]) -> Iterator[Stored]:
    if segment.sealed:
        seal = load_seal(segment.seal)
        each = seal.frame_records
        for number in sorted({(at - first) // each for at in positions if at - first < seal.count}):
            frame = list(read_sealed(segment, seal, number))
            start = first + number * each
            yield from (frame[at - start] for at in positions if start <= at < start + len(frame))
        return
    wanted = set(positions)
    for stored in read_segment(segment, first):
        if stored.position in wanted:
            yield stored
        elif stored.position > positions[-1]:
            return


def read_sealed(segment: Segment, seal: Seal, number: int) -> Iterator[Stored]:
    """The records of a sealed segment's frame `number`. Raises as `read_segment`."""
    start = seal.first + number * seal.frame_records
    try:
        envelopes = read_frame(segment.folder, seal.records, number).split(b"\n")[:-1]
        details = read_frame(segment.folder, seal.details, number).split(b"\n")[:-1]
    except OSError:  # gone here, or from the store that is asked then
        newer = load_seal(segment.seal)
        if newer.generation == seal.generation:
            raise
        yield from read_sealed(segment, newer, number)  # something was removed while we read
        return
    if len(envelopes) != len(details):
        raise Damaged(f"{segment.seal}: frame {number} has {len(envelopes)} records and "
                      f"{len(details)} details")
    for at, (envelope, detail) in enumerate(zip(envelopes, details, strict=True)):
        yield Stored(start + at, envelope, detail)


def read_frame(folder: Path, part: Part, number: int) -> bytes:
    """Frame `number` of `part`, decompressed. Raises Damaged, OSError."""
    try:
        file = (folder / part.name).open("rb")
    except FileNotFoundError:
        if elsewhere is None:
            raise
        return elsewhere(part, number)
    with file:
        return open_frame(file, part, number)


def open_frame(file: BinaryIO, part: Part, number: int) -> bytes:
    """The same of an open file."""
    offset = sum(each.octets for each in part.frames[:number])
    file.seek(offset)
    return unpacked(file.read(part.frames[number].octets), part.frames[number],
                    f"{part.name}: frame {number}, at octet {offset}")


def unpacked(octets: bytes, frame: Frame, where: str) -> bytes:
    """The content of a frame. Raises Damaged, naming `where`."""
    if len(octets) != frame.octets or sha256(octets).hexdigest() != frame.sha256:
        raise Damaged(f"{where}: {frame.octets} octets are not those that were sealed")
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(octets, max_output_size=MAX_FRAME)
    except zstandard.ZstdError as error:
        raise Damaged(f"{where}: {error}") from None
