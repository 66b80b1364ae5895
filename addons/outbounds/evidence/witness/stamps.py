"""What witnesses have answered: kept, found again, and checked without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..directory import replace_file
from ..tlog.checkpoint import BadCheckpoint, Checkpoint
from ..tlog.cosignature import Cosigner, open_cosigned
from ..tlog.note import BadNote, Verifier, split
from ..tlog.verified import parse_signed
from .timestamp_token import BadToken, token_time

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "file": (".note",),
    "url": (".cosigned",),
    "timestamp": (".stamped", ".tsq", ".tsr"),
}
"""The files of a stamp, by its kind; the first holds the checkpoint, the last is written last."""

_MOMENT = "%Y%m%dT%H%M%SZ"
_STEM = re.compile(r"(\d{8}T\d{6}Z)-(\d+)", re.ASCII)


class BadStamp(Exception):
    """A stamp does not show what it should. The message names its file."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """That the witness `name` saw the log when it had `size` records and the root `root`, at `at`
    (Unix s, by its clock; for a file by the log's). `files` in the order of `SUFFIXES`. What is
    said here is what the files claim, until `check` has looked."""

    name: str
    kind: str
    size: int
    root: bytes
    at: int
    files: tuple[Path, ...]

    @property
    def note(self) -> str:
        """The checkpoint as it was shown, with what the witness added to it."""
        return self.files[0].read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whom `check` believes: the log's own keys (`tlog.keys`), witnesses' keys, and the roots of
    time stamp authorities, each as PEM."""

    log: Sequence[Verifier]
    cosigners: Sequence[Cosigner] = ()
    roots: Sequence[bytes] = field(default=())


def folder_of(directory: Path) -> Path:
    """Where the stamps of the log under `directory` are."""
    return directory / "log" / "witness"


def stamps(directory: Path) -> list[Stamp]:
    """Every stamp of the log under `directory`, oldest first. Raises BadStamp, OSError."""
    found: list[Stamp] = []
    for folder in sorted(path for path in folder_of(directory).glob("*") if path.is_dir()):
        found += stamps_in(folder)
    return sorted(found, key=lambda each: (each.at, each.size, each.name))


def stamps_in(folder: Path) -> list[Stamp]:
    """Those of one witness, which is called as its folder is. Raises as `stamps`."""
    # by the last of its files: without that one a crash cut the others off
    found = [read_stamp(path, kind) for kind, suffixes in SUFFIXES.items()
             for path in folder.glob(f"*-*{suffixes[-1]}") if _STEM.fullmatch(path.stem)]
    return sorted(found, key=lambda each: (each.at, each.size))


def covering(directory: Path, position: int) -> list[Stamp]:
    """Of each witness, the first stamp that covers record `position`. Raises as `stamps`."""
    first: dict[str, Stamp] = {}
    for stamp in stamps(directory):
        if stamp.size > position:
            first.setdefault(stamp.name, stamp)
    return list(first.values())


def read_stamp(path: Path, kind: str) -> Stamp:
    """The stamp of `kind` that `path` is a file of. Raises BadStamp, OSError."""
    named = _STEM.fullmatch(path.stem)
    if named is None:
        raise BadStamp(f"{path}: a stamp is called MOMENT-SIZE")
    files = tuple(path.with_suffix(suffix) for suffix in SUFFIXES[kind])
    checkpoint = _claimed(files[0])
    at = datetime.strptime(named[1], _MOMENT).replace(tzinfo=UTC)
    if checkpoint.size != int(named[2]):
        raise BadStamp(f"{files[0]}: it is of {checkpoint.size} records, not of {named[2]}")
    return Stamp(path.parent.name, kind, checkpoint.size, checkpoint.root, int(at.timestamp()),
                 files)


def _claimed(path: Path) -> Checkpoint:
    try:
        return Checkpoint.parse(split(path.read_bytes().decode("utf-8"))[0])
    except (BadNote, BadCheckpoint, UnicodeDecodeError) as error:
        raise BadStamp(f"{path}: {error}") from None


def check(stamp: Stamp, trusted: Trusted) -> Checkpoint:
    """The checkpoint that was stamped: signed by the log, and seen by the witness when `stamp`
    says. Offline. Raises BadStamp, OSError."""
    note = stamp.files[0]
    try:
        octets = note.read_bytes()
        checkpoint = parse_signed(octets.decode("utf-8"), trusted.log)
        at = _seen(stamp, octets, checkpoint, trusted)
    except (BadNote, BadCheckpoint, BadToken, UnicodeDecodeError) as error:
        raise BadStamp(f"{note}: {error}") from None
    if (checkpoint.size, checkpoint.root, at) != (stamp.size, stamp.root, stamp.at):
        raise BadStamp(f"{note}: it was stamped at another time, or at another size, than its "
                       "name says")
    return checkpoint


def _seen(stamp: Stamp, note: bytes, checkpoint: Checkpoint, trusted: Trusted) -> int:
    """Unix s. Raises BadNote, BadToken, OSError."""
    if stamp.kind == "url":
        known = {each.name: each for each in trusted.cosigners}
        name = next((name for name, _, _ in split(note.decode())[1] if name in known), "")
        if not name:
            raise BadNote("cosigned by nobody whose key is trusted")
        return open_cosigned(note.decode(), known[name])[1]
    if stamp.kind == "timestamp":
        return token_time(stamp.files[-1].read_bytes(), note, trusted.roots)
    if checkpoint.at is None:
        raise BadNote("the checkpoint does not say when it was made")
    return int(checkpoint.at)


def keep(folder: Path, kind: str, at: int, size: int, contents: Sequence[bytes]) -> Stamp:
    """Keep what a witness answered; `contents` in the order of `SUFFIXES`. Afterwards it is on
    disk, and older ones of the same day are gone. Raises BadStamp, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = datetime.fromtimestamp(at, UTC).strftime(_MOMENT)
    stem = folder / f"{moment}-{size}"
    for suffix, content in zip(SUFFIXES[kind], contents, strict=True):
        replace_file(stem.with_suffix(suffix), content)
    kept = read_stamp(stem.with_suffix(SUFFIXES[kind][-1]), kind)
    # only now: a crash before leaves one more than is needed, never one less
    for path in folder.glob(f"{moment[:8]}T*-*"):
        if (_STEM.fullmatch(path.stem) and path not in kept.files
                and path.stem.partition("-")[0] <= moment):
            path.unlink(missing_ok=True)
    return kept
