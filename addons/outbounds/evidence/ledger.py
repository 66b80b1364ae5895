"""What the collector knows about the lines it holds: which openings still wait for their closing.

A line is named by (`event.id`, `event.type`). A client that did not hear an acknowledgement sends
its lines again, so each name is taken once and a repetition is dropped:

    line      dropped when its id is
    opening   open or closed
    closing   closed

"Closed" is remembered for the newest `REMEMBERED` ids: a repetition comes right after a reconnect,
not later. A closing whose opening never came is kept: it tells of a request that was refused
because its opening could not be written.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import msgspec

from .directory import replace_file
from .record import END, START
from .segment import segments, sequence

REMEMBERED = 65_536


class InvalidLine(ValueError):
    """Not a line of ours. The message says what is wrong, never what the line held."""


class Slip(
    msgspec.Struct,
    gc=False,  # a restart makes a million of them
    rename={"id": "event.id", "type": "event.type", "action": "event.action",
            "session": "outbounds.session"},
):
    """The part of a line that names it; the rest is not looked at."""

    id: str
    type: str
    action: str
    session: str


class _Carried(msgspec.Struct):
    sequence: int  # of the first segment that this does not cover
    open: dict[str, tuple[str, str]]
    closed: list[str]


_decode = msgspec.json.Decoder(Slip).decode


def slip(line: bytes) -> Slip:
    """The names in one line. Raises `InvalidLine`."""
    try:
        found = _decode(line)
    except msgspec.MsgspecError as error:
        raise InvalidLine(f"not a record: {error}") from None
    if found.type not in (START, END):
        raise InvalidLine("event.type is neither start nor end")
    return found


class Ledger:
    """`open` maps the id of each open record to (session, action)."""

    def __init__(self) -> None:
        self.open: dict[str, tuple[str, str]] = {}
        # not a plain dict: taking its first key again and again is quadratic in CPython
        self._closed: OrderedDict[str, None] = OrderedDict()

    def note(self, found: Slip) -> bool:
        """Take a line's name; False where it is a repetition."""
        if found.id in self._closed:
            return False
        if found.type == START:
            if found.id in self.open:
                return False
            self.open[found.id] = (found.session, found.action)
            return True
        self.open.pop(found.id, None)
        self._closed[found.id] = None
        if len(self._closed) > REMEMBERED:
            self._closed.popitem(last=False)
        return True

    def undo(self, noted: list[tuple[Slip, tuple[str, str] | None]]) -> None:
        """Forget names whose lines did not reach the disk; the pairs are (line, what was open)."""
        for found, was_open in reversed(noted):
            if found.type == START:
                self.open.pop(found.id, None)
            else:
                self._closed.pop(found.id, None)
                if was_open is not None:
                    self.open[found.id] = was_open

    def sessions(self) -> dict[str, list[str]]:
        """The open ids of each session."""
        found: dict[str, list[str]] = {}
        for id, (session, _) in self.open.items():
            found.setdefault(session, []).append(id)
        return found

    def save(self, directory: Path, next_sequence: int) -> None:
        """Write down what is open before segment `next_sequence` begins. Raises OSError.

        So a restart reads that segment only, however long ago a tunnel was opened. A crash between
        this and the new segment is harmless: every later segment will have that number or more.
        """
        replace_file(directory / "carried.json", msgspec.json.encode(
            _Carried(next_sequence, self.open, list(self._closed))))


def load(directory: Path) -> tuple[Ledger, list[str]]:
    """The ledger as of the end of the log, and a line for the operator about each oddity.

    Torn last lines must have been cut before. Raises OSError.
    """
    ledger, odd = Ledger(), []
    carried = _Carried(0, {}, [])
    try:
        carried = msgspec.json.decode((directory / "carried.json").read_bytes(), type=_Carried)
    except FileNotFoundError:
        pass
    except msgspec.MsgspecError as error:
        odd.append(f"{directory / 'carried.json'}: {error}; reading every segment instead")
    ledger.open = carried.open
    ledger._closed = OrderedDict.fromkeys(carried.closed)
    for segment in segments(directory):
        if sequence(segment) < carried.sequence:
            continue
        with open(segment, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    ledger.note(slip(line))
                except InvalidLine as error:
                    odd.append(f"{segment}:{number}: {error}")
    return ledger, odd
