"""Reading segments that have no index: the newest, which is being written, and what is damaged.

Twice: first for the ids of events of which a record meets one condition, the one that narrows most,
then for all records of these. Most lines are not decoded the first time: the condition's value
stands in them as certain octets (`Condition.needle`), and a file is searched for those at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..archive.index_rows import row_of
from ..archive.layout import Segment
from ..archive.reading import Stored, read_segment
from ..line import fields, is_erased, split
from ..record import END, START
from .conditions import Condition
from .part import SHOWN, Part

_BLOCK = 16 * 1024 * 1024
# {"@timestamp":"2026-11-21T12:03:07.000250Z","event.id":"01a1fb67-1a5a-76f7-a8e2-2c6a210581c9",…
_NAME = b'","event.id":"'
_BEFORE_ID = slice(42, 42 + len(_NAME))


def anchor(conditions: list[Condition]) -> Condition | None:
    """The condition to look for first."""
    return next((each for each in conditions if each.needle),
                conditions[0] if conditions else None)


def scan(segments: Iterable[Segment], conditions: list[Condition],
         known: frozenset[str]) -> Iterator[Part]:
    """A part for each record in `segments` of an event that has a record there which meets the
    first condition, or whose id is `known`. Raises as `read_segment`."""
    segments = list(segments)
    first = anchor(conditions)
    ids = set(known)
    for segment in segments:
        ids |= _candidates(segment, first)
    if not ids:
        return
    for segment in segments:
        for stored in _of(segment, ids):
            found = fields(stored.envelope, stored.detail)
            yield _part(stored, frozenset(
                n for n, each in enumerate(conditions) if each.holds(found)))


def _part(stored: Stored, met: frozenset[int]) -> Part:
    row = row_of(stored, 0)
    shown = {name: value for name in SHOWN if (value := getattr(row, name))}
    return Part(row.id, row.begin if row.type == START else None, row.begin,
                row.ended if row.type == END else None, met, (stored.position,), shown)


def _candidates(segment: Segment, condition: Condition | None) -> set[str]:
    """Ids of the events of which a record meets `condition`."""
    found = set()
    for envelope, detail in _lines_with(segment, condition.needle if condition else b""):
        if is_erased(envelope):
            continue
        record = fields(envelope, detail)
        if condition is None or condition.holds(record):
            found.add(str(record["event.id"]))
    return found


def _lines_with(segment: Segment, needle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(envelope, detail) of the lines that have `needle` in them."""
    if needle and not segment.sealed:
        try:
            yield from _hot_lines_with(segment.hot, needle)
            return
        except FileNotFoundError:
            pass  # it was sealed just now
    for stored in read_segment(segment, 0):
        if needle in stored.envelope or needle in stored.detail:
            yield stored.envelope, stored.detail


def _hot_lines_with(path: Path, needle: bytes) -> Iterator[tuple[bytes, bytes]]:
    # not mapped: the collector may cut off a line that it could not write, and whoever then looks
    # at what was mapped there is killed
    with path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            lines = rest + block
            whole = lines.rfind(b"\n") + 1
            at = lines.find(needle, 0, whole)
            while at >= 0:
                end = lines.find(b"\n", at)
                yield split(lines[lines.rfind(b"\n", 0, at) + 1:end])
                at = lines.find(needle, end, whole)
            rest = lines[whole:]


def _of(segment: Segment, ids: set[str]) -> Iterator[Stored]:
    """The records of these events."""
    octets = {each.encode() for each in ids}
    for stored in read_segment(segment):
        envelope = stored.envelope
        if envelope[_BEFORE_ID] == _NAME:
            begin = _BEFORE_ID.stop
            id = envelope[begin:envelope.find(b'"', begin)]
            if id in octets or (b"\\" in id and fields(envelope)["event.id"] in ids):
                yield stored
        elif not is_erased(envelope) and fields(envelope).get("event.id") in ids:
            yield stored
