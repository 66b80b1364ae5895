"""Reading the newest records as they are written, beside a running collector and keeper.

No lock and no socket: hot segments only grow, and a line counts once its newline is there. One
caveat comes with reading beside the writer: a line seen a moment before its acknowledgement may be
taken back, if the disk filled up just then.

This is the operator's live view of the service they run: records are shown as they are, accounts by
their ids. Who looks for somebody's past uses `search`, which is pseudonymous.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from .archive.layout import Segment, all_segments
from .archive.reading import read_sealed, read_segment
from .archive.seal import load_seal
from .line import fields, flat

type Line = dict[str, Any]

_BLOCK = 65536


def follow(directory: Path, lines: int = 10, follow: bool = False,
           poll: float = 0.2) -> Iterator[Line]:
    """The last `lines` records under `directory`, oldest first, hot and sealed alike; with
    `follow`, then every new one, across rotation and sealing, for ever.

    `poll` is the pause in seconds between two looks. An empty or missing directory has no records.
    A line that is no record is passed over. Raises Damaged, BadSeal, OSError.
    """
    known = all_segments(directory)
    held: list[Line] = []
    current = _Followed(known[-1]) if known else None
    if current is not None:
        held = current.last(lines)
    for segment in reversed(known[:-1]):
        if len(held) >= lines:
            break
        held = _last_of(segment, lines - len(held)) + held
    yield from held
    while follow:
        newer = [each for each in all_segments(directory)
                 if current is None or each.sequence > current.sequence]
        # looked for first: a segment that has a successor will not grow any more
        if current is not None:
            yield from current.new()
        if newer:
            current = _Followed(newer[0])
        else:
            time.sleep(poll)


class _Followed:
    """A segment whose new lines are waited for. What is sealed meanwhile is read to its end all the
    same: the open file lives as long as it is held."""

    def __init__(self, segment: Segment) -> None:
        self.sequence = segment.sequence
        self._segment = segment
        self._position = 0
        self._file: BinaryIO | None = None
        try:
            self._file = segment.hot.open("rb")
        except FileNotFoundError:
            self._position = -1  # sealed before we came to it: it is new as a whole

    def last(self, count: int) -> list[Line]:
        """The last `count` records so far; `new` goes on after them."""
        if self._file is None:
            self._position = 0
            return _last_of(self._segment, count)
        found, self._position = _last_lines(self._file, count)
        return _records(found)

    def new(self) -> Iterator[Line]:
        """What came since `last` or `new`."""
        if self._file is not None:
            found, self._position = _new_lines(self._file, self._position)
            yield from _records(found)
        elif self._position < 0:
            self._position = 0
            for stored in read_segment(self._segment):
                yield from _record(stored.envelope, stored.detail)


def _last_of(segment: Segment, count: int) -> list[Line]:
    """The last `count` records of a segment that does not grow any more."""
    try:
        with segment.hot.open("rb") as file:
            return _records(_last_lines(file, count)[0])
    except FileNotFoundError:
        if not segment.sealed:
            return []  # it was empty, and the keeper has dropped it
    seal = load_seal(segment.seal)
    found: list[Line] = []
    for number in reversed(range(len(seal.records.frames))):
        if len(found) >= count:
            break
        found = [line for stored in read_sealed(segment, seal, number)
                 for line in _record(stored.envelope, stored.detail)] + found
    return found[max(0, len(found) - count):]


def _records(lines: list[bytes]) -> list[Line]:
    found = []
    for line in lines:
        try:
            found.append(flat(line))
        except msgspec.MsgspecError:
            continue
    return found


def _record(envelope: bytes, detail: bytes) -> list[Line]:
    try:
        return [fields(envelope, detail)]
    except msgspec.MsgspecError:
        return []


def _last_lines(file: BinaryIO, count: int) -> tuple[list[bytes], int]:
    """The last `count` whole lines of `file`, and the position just after them."""
    begin = file.seek(0, os.SEEK_END)
    data = b""
    while begin > 0 and data.count(b"\n") <= count:
        step = min(_BLOCK, begin)
        begin -= step
        file.seek(begin)
        data = file.read(step) + data
    whole = data[:data.rfind(b"\n") + 1]
    found = whole.splitlines()
    if begin > 0:
        found = found[1:]  # it began before the part that was read
    return found[len(found) - count:] if count < len(found) else found, begin + len(whole)


def _new_lines(file: BinaryIO, position: int) -> tuple[list[bytes], int]:
    """The whole lines of `file` from `position` on, and the position after them."""
    # shorter than before: unacknowledged lines were taken back
    position = min(position, file.seek(0, os.SEEK_END))
    file.seek(position)
    data = file.read()
    whole = data[:data.rfind(b"\n") + 1]
    return whole.splitlines(), position + len(whole)
