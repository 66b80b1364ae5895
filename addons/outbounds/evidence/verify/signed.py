"""What was signed: every root that the log, or a witness of it, vouches for.

A checkpoint counts if the log's key signed it, at a time at which that key was in force. The keys
are those that the trusted one leads to (`tlog.keys`); a checkpoint of an older key counts as well,
because every later root covers it, but the newest must be by a key that is trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..tlog.checkpoint import BadCheckpoint, Checkpoint
from ..tlog.keys import KeyUnusable, LogKey, read_keys
from ..tlog.moment import written
from ..tlog.note import BadNote, Verifier, open_note
from ..witness.stamps import BadStamp, Trusted, check, stamps
from .report import Report


@dataclass(frozen=True, slots=True)
class Mark:
    """A signed root: of the first `size` records. `source` is where it was read; `witness` is
    whether somebody else has seen it."""

    size: int
    root: bytes
    source: str
    witness: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """All `marks`, by size. `begins` maps a segment's stem to the size it began at."""

    marks: tuple[Mark, ...]
    begins: dict[str, int]
    newest: Checkpoint | None


class _Keys:
    """Who may have signed, and when. `everyone` in the file; `led`, those that trust leads to."""

    def __init__(self, directory: Path, trusted: Sequence[Verifier], report: Report) -> None:
        path = directory / "log" / "keys"
        self.everyone: list[LogKey] = []
        self.led: set[Verifier] = set(trusted)
        try:
            self.everyone = read_keys(path)
            led = read_keys(path, trusted)
            self.led |= {each.verifier for each in led}
        except FileNotFoundError:
            report.say("key", f"{path}: the file is missing; bring it back from a backup")
        except KeyUnusable as error:
            report.say("key", f"{error}; bring the file back from a backup, and see who may write "
                       "there")
        self.verifiers = list({*(each.verifier for each in self.everyone), *trusted})

    def said_at(self, signers: Sequence[Verifier], checkpoint: Checkpoint) -> str:
        """What is wrong with the time of a signature, "" if nothing."""
        at = checkpoint.at
        if at is None:
            return "it does not say when it was made"
        mine = [each for each in self.everyone if each.verifier in signers]
        if not mine or any(each.in_force(at) for each in mine):
            return ""
        key = mine[0]
        when = "not yet valid" if at < key.begin else "expired, or replaced,"
        return (f"its key {key.verifier.id.hex()} was {when} when it was made, {written(at)}: "
                f"that key is in force from {written(key.begin)} until {written(key.end)}")


def signed(directory: Path, trusted: Sequence[Verifier], known: Iterable[Path],
           witnesses: Mapping[str, Trusted] | None, report: Report) -> Signed:
    """Everything signed of the log under `directory`, and in the checkpoint files `known`. What
    cannot be believed is said in `report`. `witnesses`: by name, whom their stamps must be by; of
    the stamps of others only what the log itself signed is looked at. Raises OSError."""
    keys = _Keys(directory, trusted, report)
    marks: list[Mark] = []
    begins: dict[str, int] = {}
    newest: Checkpoint | None = None
    paths = [directory / "log" / "checkpoint",
             *sorted((directory / "segments").glob("*.checkpoint"))]
    for path in [*paths, *known]:
        checkpoint = _believed(path, keys, report)
        if checkpoint is None:
            continue
        marks.append(Mark(checkpoint.size, checkpoint.root, str(path)))
        if path in paths[1:]:
            begins[path.stem] = checkpoint.size
        if newest is None or checkpoint.size > newest.size:
            newest = checkpoint
    if marks and newest is not None:
        _by_trusted(directory, paths[0], keys, report)
    marks += _witnessed(directory, keys, witnesses, report)
    _forks(marks, report)
    return Signed(tuple(sorted(marks, key=lambda each: each.size)), begins, newest)


def _believed(path: Path, keys: _Keys, report: Report) -> Checkpoint | None:
    try:
        text, signers = open_note(path.read_bytes().decode("utf-8"), keys.verifiers)
        checkpoint = Checkpoint.parse(text)
    except FileNotFoundError:
        report.say("signature", f"{path}: the checkpoint is missing")
        return None
    except UnicodeDecodeError:
        report.say("signature", f"{path}: it is no text")
        return None
    except (BadNote, BadCheckpoint) as error:
        report.say("signature", f"{path}: {error}")
        return None
    if checkpoint.origin not in {each.name for each in signers}:
        report.say("signature", f"{path}: it is of another log: {checkpoint.origin}")
        return None
    if wrong := keys.said_at(signers, checkpoint):
        report.say("key", f"{path}: {wrong}")
        return None
    return checkpoint


def _by_trusted(directory: Path, path: Path, keys: _Keys, report: Report) -> None:
    """The newest checkpoint must be by a key that trust leads to: it covers all the others."""
    try:
        open_note(path.read_bytes().decode("utf-8"), sorted(keys.led, key=str))
    except (FileNotFoundError, UnicodeDecodeError):
        pass  # said already
    except BadNote as error:
        text = f"{path}: {error}"
        if all(text != each.text for each in report.findings):
            report.say("signature", text)


def _witnessed(directory: Path, keys: _Keys, witnesses: Mapping[str, Trusted] | None,
               report: Report) -> list[Mark]:
    try:
        found = stamps(directory)
    except BadStamp as error:
        report.say("witness", str(error))
        return []
    marks, unknown = [], set[str]()
    for stamp in found:
        source = f"{stamp.files[0]} (seen by {stamp.name}, {written(stamp.at)})"
        known = (witnesses or {}).get(stamp.name)
        try:
            if known is not None:
                check(stamp, Trusted(keys.verifiers, known.cosigners, known.roots))
            else:
                open_note(stamp.note, keys.verifiers)
                unknown.add(stamp.name)
        except (BadStamp, BadNote) as error:
            report.say("witness", f"{stamp.files[0]}: {error}".replace(
                f"{stamp.files[0]}: {stamp.files[0]}", f"{stamp.files[0]}"))
            continue
        marks.append(Mark(stamp.size, stamp.root, source, witness=True))
    if unknown:
        report.notes.append(f"witness {', '.join(sorted(unknown))}: not among those that are "
                            "configured, so it was not checked that the stamps are theirs")
    return marks


def _forks(marks: Sequence[Mark], report: Report) -> None:
    """Two roots of one size cannot be of one log, whatever its records are."""
    seen: dict[int, Mark] = {}
    for mark in marks:
        first = seen.setdefault(mark.size, mark)
        if first.root != mark.root:
            report.say("fork", f"{mark.source}: signed for another history of {mark.size} records "
                       f"than {first.source}: the log was forked. Keep both files")
