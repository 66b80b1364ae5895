"""What the collector knows about the lines it holds: which openings still wait for their closing.

A line is named by (`event.id`, `event.type`), a connection by its `@timestamp`, too, since there
may be several of one id. A client that did not hear an acknowledgement sends its lines again, so
each name is taken once and a repetition is dropped:

    line         dropped when its id is
    opening      open or closed
    connection   closed, or open with a connection of that very time
    closing      closed

"Closed" is remembered for the newest `REMEMBERED` ids: a repetition comes right after a reconnect,
not later. A closing whose opening never came is kept: it tells of a request that was refused
because its opening could not be written. So is a connection without an opening; its id is open
from then on, so that it gets a closing, too, should its maker die.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import msgspec

from .archive.layout import all_segments
from .archive.reading import first_position, read_segment
from .archive.seal import load_seal
from .archive.tiling import load_tiled
from .directory import replace_file
from .line import is_erased, leaf_of, split
from .record import CONNECTION, END, START
from .tlog.peaks import Peaks
from .tlog.tree import edge_peaks

REMEMBERED = 65_536


class InvalidLine(ValueError):
    """Not a line of ours. The message says what is wrong, never what the line held."""


class Slip(
    msgspec.Struct,
    gc=False,  # a restart makes a million of them
    rename={"id": "event.id", "type": "event.type", "action": "event.action",
            "session": "outbounds.session", "timestamp": "@timestamp"},
):
    """The part of a line that names it; the rest is not looked at."""

    id: str
    type: str
    action: str
    session: str
    timestamp: str = ""


class Open(NamedTuple):
    """A record that waits for its closing; `connections` are the times of those on record."""

    session: str
    action: str
    connections: tuple[str, ...] = ()


class _Carried(msgspec.Struct):
    sequence: int  # of the first segment that this does not cover
    open: dict[str, Open]
    closed: list[str]
    size: int = 0            # of the log before that segment,
    peaks: list[str] = []    # and its tree


_decode = msgspec.json.Decoder(Slip).decode


def slip(line: bytes) -> Slip:
    """The names in one line. Raises `InvalidLine`."""
    try:
        found = _decode(split(line)[0])
    except msgspec.MsgspecError as error:
        raise InvalidLine(f"not a record: {error}") from None
    if found.type not in (START, CONNECTION, END):
        raise InvalidLine("event.type is none of start, connection, end")
    return found


class Ledger:
    """`open` maps the id of each open record to what is known of it."""

    def __init__(self) -> None:
        self.open: dict[str, Open] = {}
        # not a plain dict: taking its first key again and again is quadratic in CPython
        self._closed: OrderedDict[str, None] = OrderedDict()

    def note(self, found: Slip) -> bool:
        """Take a line's name; False where it is a repetition."""
        id = found.id
        if id in self._closed:
            return False
        if found.type == START:
            if id in self.open:
                return False
            self.open[id] = Open(found.session, found.action)
            return True
        if found.type == CONNECTION:
            known = self.open.get(id) or Open(found.session, found.action)
            if found.timestamp in known.connections:
                return False
            self.open[id] = known._replace(connections=(*known.connections, found.timestamp))
            return True
        self.open.pop(id, None)
        self._closed[id] = None
        if len(self._closed) > REMEMBERED:
            self._closed.popitem(last=False)
        return True

    def undo(self, noted: list[tuple[Slip, Open | None]]) -> None:
        """Forget names whose lines did not reach the disk; the pairs are (line, what was open)."""
        for found, was_open in reversed(noted):
            if found.type == END:
                self._closed.pop(found.id, None)
            if was_open is None:
                self.open.pop(found.id, None)
            else:
                self.open[found.id] = was_open

    def sessions(self) -> dict[str, list[str]]:
        """The open ids of each session."""
        found: dict[str, list[str]] = {}
        for id, known in self.open.items():
            found.setdefault(known.session, []).append(id)
        return found

    def save(self, directory: Path, next_sequence: int, peaks: Peaks) -> None:
        """Write down what is open, and the tree, before segment `next_sequence` begins. Raises
        OSError.

        So a restart reads that segment only, however long ago a tunnel was opened. A crash between
        this and the new segment is harmless: every later segment will have that number or more.
        """
        replace_file(directory / "carried.json", msgspec.json.encode(
            _Carried(next_sequence, self.open, list(self._closed), peaks.size,
                     [each.hex() for each in peaks.hashes])))


class Loaded(NamedTuple):
    """The ledger and the tree as of the end of the log, a line for the operator about each oddity,
    and the tree's root when it had `marked` records (None if it never had)."""

    ledger: Ledger
    peaks: Peaks
    odd: list[str]
    marked: bytes | None


def load(directory: Path, mark: int = 0) -> Loaded:
    """What the collector must know to go on. `mark`: the size at which the root is wanted.

    Torn last lines must have been cut before. Raises OSError, Damaged, BadSeal, BadTile.
    """
    ledger, odd = Ledger(), []
    carried = _Carried(0, {}, [])
    peaks = Peaks()
    try:
        carried = msgspec.json.decode((directory / "carried.json").read_bytes(), type=_Carried)
        peaks = Peaks(carried.size, [bytes.fromhex(each) for each in carried.peaks])
    except FileNotFoundError:
        if all_segments(directory):
            odd.append(f"{directory / 'carried.json'}: missing; reading every segment instead")
    except (msgspec.MsgspecError, ValueError) as error:
        odd.append(f"{directory / 'carried.json'}: {error}; reading every segment instead")
        carried = _Carried(0, {}, [])
    if 0 < mark < carried.size:
        odd.append(f"{directory / 'carried.json'}: of {carried.size} records, and the newest "
                   f"checkpoint is of {mark}; reading every segment instead")
        carried, peaks = _Carried(0, {}, []), Peaks()
    if not carried.size:
        carried.sequence = 0  # from before the log was a tree: all of it is to be hashed
        away = _after_what_is_away(directory)
        if away is not None:
            carried.sequence, peaks = away
            odd.append(f"{directory}: the copies here of segments in the object store are removed; "
                       f"going on after record {peaks.size}, by the tiles. What was open by then "
                       "and is not closed yet will not be closed as unknown")
    ledger.open = carried.open
    ledger._closed = OrderedDict.fromkeys(carried.closed)
    marked = peaks.root() if peaks.size == mark else None
    for segment in all_segments(directory):
        if segment.sequence < carried.sequence:
            continue
        for stored in read_segment(segment, peaks.size):
            peaks.extend((leaf_of(stored.envelope),))
            if peaks.size == mark:
                marked = peaks.root()
            if not is_erased(stored.envelope):
                try:
                    ledger.note(slip(stored.envelope))
                except InvalidLine as error:
                    odd.append(f"{segment}: record {stored.position}: {error}")
    return Loaded(ledger, peaks, odd, marked)


def _after_what_is_away(directory: Path) -> tuple[int, Peaks] | None:
    """Where segments are not here to be read: the number of the first one after the sealed ones,
    and the tree before it, which the tiles have. Raises BadSeal, BadTile, OSError."""
    segments = all_segments(directory)
    sealed = [each for each in segments if each.sealed]
    if all((each.folder / load_seal(each.seal).records.name).exists() for each in sealed):
        return None
    tiled = load_tiled(directory / "log")
    after = next(each for each in segments if first_position(each) >= tiled.size)
    return after.sequence, edge_peaks(tiled.size, tiled.hashes)
