"""A file elsewhere that checkpoints are appended to, as signed notes with an empty line after each.

Nothing in it is ever changed: it may be a file that only root on another machine can shorten
(`chattr +a`, an NFS export, a WORM medium). A note that a crash tore is left as it is, and skipped.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...settings.evidence import Witness
from ..tlog.checkpoint import BadCheckpoint, Checkpoint
from ..tlog.note import BadNote, Verifier
from ..tlog.verified import parse_signed
from .stamps import Stamp
from .view import Answer, Refused, Rewritten, View, compare

EVERY = 60  # s after which a log that did not grow is shown again: nothing more was recorded
_TAIL = 64 * 1024  # octets read of its end
_NOTE = re.compile(rb"(?:\A|(?<=\n\n))((?:[^\n]+\n){3,}\n(?:\xe2\x80\x94 [^\n]+\n)+)(?=\n)")


def ask(view: View, witness: Witness, before: Stamp | None) -> Answer | None:
    """As `view.Ask`."""
    path = witness.file
    assert path is not None
    made = view.tree.checkpoint.at
    assert made is not None  # the collector's checkpoints have their time
    tail = _tail(path)
    last = _last(path, tail, view.keys)
    if last is None and before is not None:
        raise Rewritten(f"{path} was shown {before.size} records, and is empty or gone. If you "
                        f"removed it, remove {before.files[0].parent}, too; otherwise somebody "
                        "hides what the log was")
    if last is not None:
        compare(view, last.size, last.root, str(path))
        if last.size == view.tree.size and made - (last.at or 0.0) < EVERY:
            return None
    note = view.tree.note.encode()
    _append(path, (b"\n\n" if tail and not tail.endswith(b"\n\n") else b"") + note + b"\n")
    return Answer(int(made), (note,))


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            return file.read(_TAIL)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise Refused(f"{path.parent} is not there; is it mounted?") from None
        return b""


def _last(path: Path, tail: bytes, keys: list[Verifier]) -> Checkpoint | None:
    """The newest checkpoint; None in a new file. Raises Refused, Rewritten."""
    notes = _NOTE.findall(tail)
    if not notes:
        if tail.strip():
            raise Refused(f"{path}: no checkpoint is found in it; a file of its own is needed")
        return None
    try:
        return parse_signed(notes[-1].decode("utf-8"), keys)
    except (BadNote, BadCheckpoint, UnicodeDecodeError) as error:
        raise Rewritten(f"{path}: its newest checkpoint is not this log's ({error}). Each log needs"
                        " a file of its own; if this is its own, the log was replaced") from None


def _append(path: Path, octets: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        # one write: whoever reads beside us meets whole notes
        if os.write(fd, octets) < len(octets):
            raise Refused(f"{path}: only a part of the checkpoint was written; is the disk full?")
        os.fsync(fd)
    finally:
        os.close(fd)
