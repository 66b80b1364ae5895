"""Reading the newest records as they are written, beside a running collector.

No lock and no socket: segments only grow, and a line counts once its newline is there. One caveat
comes with reading beside the writer: a line seen a moment before its acknowledgement may be taken
back, if the disk filled up just then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .segment import segments, sequence

Line = dict[str, str | int]

_decode = msgspec.json.Decoder(Line).decode
_BLOCK = 65536


def follow(directory: Path, lines: int = 10, follow: bool = False,
           poll: float = 0.2) -> Iterator[Line]:
    """The last `lines` records under `directory`, oldest first; with `follow`, then every new
    one, across rotation, for ever.

    `poll` is the pause in seconds between two looks. An empty or missing directory has no records.
    A line that is no record is passed over.
    """
    known = segments(directory)
    held: list[bytes] = []
    position = 0
    for segment in reversed(known):
        last, end = _last_lines(segment, lines - len(held))
        if segment is known[-1]:
            position = end
        held = last + held
        if len(held) >= lines:
            break
    yield from _records(held)
    current = known[-1] if known else None
    while follow:
        newer = [s for s in segments(directory)
                 if current is None or sequence(s) > sequence(current)]
        # looked for first: a segment that has a successor will not grow any more
        if current is not None:
            found, position = _new_lines(current, position)
            yield from _records(found)
        if newer:
            current, position = newer[0], 0
        else:
            time.sleep(poll)


def _records(lines: list[bytes]) -> Iterator[Line]:
    for line in lines:
        try:
            yield _decode(line)
        except msgspec.MsgspecError:
            continue


def _last_lines(segment: Path, count: int) -> tuple[list[bytes], int]:
    """The last `count` whole lines of `segment`, and the position just after them."""
    with open(segment, "rb") as file:
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


def _new_lines(segment: Path, position: int) -> tuple[list[bytes], int]:
    """The whole lines of `segment` from `position` on, and the position after them."""
    with open(segment, "rb") as file:
        # shorter than before: unacknowledged lines were taken back
        position = min(position, file.seek(0, os.SEEK_END))
        file.seek(position)
        data = file.read()
    whole = data[:data.rfind(b"\n") + 1]
    return whole.splitlines(), position + len(whole)
