"""What was signed before, held against what is on disk, before the collector goes on.

The newest checkpoint is DIR/log/checkpoint, up to a second old; the newest segment has one from
when it began. Either may be missing or torn after a power cut, or older than the other: the one
with more records counts. To sign a history that differs would hide for ever what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .archive.layout import all_segments
from .ledger import Loaded
from .tlog.checkpoint import Checkpoint
from .tlog.growth import HistoryDiffers
from .tlog.keys import KeyRing
from .tlog.note import BadNote
from .tlog.verified import read_checkpoint


def newest_signed(directory: Path, ring: KeyRing, say: Callable[[str], None]) -> Checkpoint | None:
    """None where the log is new, or everything that was signed is gone, which is said. Raises
    OSError."""
    verifiers = [each.verifier for each in ring.keys]
    segments = all_segments(directory)
    found: Checkpoint | None = None
    for path in (directory / "log" / "checkpoint", *(each.checkpoint for each in segments[-1:])):
        try:
            signed = read_checkpoint(path, verifiers)
        except FileNotFoundError:
            if segments:
                say(f"{path}: missing; going on without")
        except (BadNote, ValueError) as error:
            say(f"{path}: {error}; going on without")
        else:
            if found is None or signed.size > found.size:
                found = signed
    if segments and found is None:
        say(f"{directory}: nothing here says what was signed before, and what is here is signed "
            "now. A witness, or a checkpoint kept elsewhere, shows whether it is the same: "
            "`outbounds evidence verify --checkpoint FILE`")
    return found


def check(directory: Path, signed: Checkpoint | None, loaded: Loaded) -> None:
    """Refuse to go on with a history other than the one that was signed. Raises HistoryDiffers."""
    if signed is None or loaded.marked == signed.root:
        return
    size = loaded.peaks.size
    what = (f"it has {size} records and {signed.size} were signed: some are missing"
            if size < signed.size else
            f"its first {signed.size} records are not those that were signed")
    raise HistoryDiffers(
        f"{directory}: {what}. Nothing is recorded until this is clear: `outbounds evidence verify`"
        " says which. Bring the missing files back from a backup; or keep this directory as "
        "evidence, and give the log another one")
