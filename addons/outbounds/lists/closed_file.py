"""`<data>/closed.json`: the targets that an operator has closed, for every worker and restart.

Commands write it, whether or not a proxy runs (`settings.operator_file` says how); proxies only
read it. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from ..core.closed_targets import CLAUSE, Closed, ClosedTargets, parse_target
from ..core.destination import BadHost
from ..settings.operator_file import OperatorFile

MAX_SIZE = 4 * 1024 * 1024  # bytes: tens of thousands of targets; more belong in a list

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Line = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ClosedFileError(Exception):
    """The file cannot be read or written. The message names it, what is wrong, and the fix."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: str
    reason: Line
    since: Moment
    until: Moment | None = None
    by: Line = ""
    clause: Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9]{0,7}-[a-z0-9-]{1,40}$")] = CLAUSE


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    closed: tuple[_Entry, ...]


def closed_path(data: Path) -> Path:
    """`data` is the folder of the run data (`settings.service.data`)."""
    return data / "closed.json"


def read_closed(path: Path) -> ClosedTargets:
    """What the file says; nothing is closed where there is none. Raises ClosedFileError."""
    content = _file(path).read()
    if content is None:
        return ClosedTargets()
    try:
        entries = msgspec.json.decode(content, type=_File).closed
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClosedFileError(f"{path}: {error}; mend the file, or move it away and close the "
                              "targets again") from None
    for number, entry in enumerate(entries):
        _check_target(path, number, entry.target)
    return ClosedTargets(
        Closed(each.target, each.reason, each.since.timestamp(),
               None if each.until is None else each.until.timestamp(), each.by, each.clause)
        for each in entries)


def _check_target(path: Path, number: int, target: str) -> None:
    try:
        canonical = parse_target(target)
    except BadHost as error:
        raise ClosedFileError(f"{path}: closed[{number}].target: {error} Mend or remove the "
                              "entry.") from None
    if canonical != target:
        raise ClosedFileError(f"{path}: closed[{number}].target: {target!r} is not as requests "
                              f"are compared; write {canonical!r}")


def close_target(path: Path, entry: Closed) -> None:
    """Add `entry`, in the place of one for the same target. Raises ClosedFileError."""
    with _changing(path) as (targets, write):
        write([*(each for each in targets.entries if each.target != entry.target), entry])


def open_target(path: Path, target: str) -> Closed | None:
    """Remove the entry of exactly this target; None if there is none. Raises ClosedFileError."""
    with _changing(path) as (targets, write):
        found = next((each for each in targets.entries if each.target == target), None)
        if found is not None:
            write([each for each in targets.entries if each.target != target])
        return found


@contextmanager
def _changing(path: Path) -> Iterator[tuple[ClosedTargets, _Writer]]:
    """What the file says, and how to replace it, with the lock held."""
    with _file(path).changing():
        yield read_closed(path), _Writer(path)


def _file(path: Path) -> OperatorFile:
    return OperatorFile(path, ClosedFileError, MAX_SIZE,
                        "so many targets belong in a list (destinations.yaml)")


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, entries: list[Closed]) -> None:
        content = msgspec.json.encode(_File(tuple(
            _Entry(each.target, each.reason, _moment(each.since),
                   None if each.until is None else _moment(each.until), each.by, each.clause)
            for each in entries)))
        try:  # what could not be read again would leave the proxies with what was closed before
            msgspec.json.decode(content, type=_File)
        except msgspec.ValidationError as error:
            raise ClosedFileError(f"{self._path}: not changed: {error}") from None
        _file(self._path).replace(msgspec.json.format(content, indent=1) + b"\n")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
