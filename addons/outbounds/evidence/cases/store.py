"""Cases on disk: read without a lock, changed one at a time.

A change is one line appended to `custody.jsonl` and fsynced; files that it speaks of are there
before it. So after a crash it has happened, or it has not. What cannot be read stops whoever asks:
a retention that could not read a hold must not remove anything.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..directory import fsync_directory, replace_file
from ..identifier import timestamp
from ..tlog.note import Signer
from .custody import Added, CaseDamaged, Closed, Content, Held, Line, Opened, Released, next_line
from .custody import read_lines as read_custody
from .items import Item, read_items, together, write_items

__all__ = ["Case", "CaseClosed", "CaseDamaged", "CaseExists", "Cases", "Change", "Hold",
           "NoSuchCase"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class NoSuchCase(LookupError):
    """The message names the case, and those that there are."""


class CaseExists(Exception):
    """There is a case of that id. The message names it."""


class CaseClosed(Exception):
    """Nothing is done in a case that is closed. The message names it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What must be kept for `case`: everything of `account` that lies between `since` and `until`
    (Unix µs; None: no end), and the records of `events`, whoever's they are, among them those that
    say what was done in the case. `number` is that of its custody entry."""

    case: str
    number: int
    reason: str
    placed: str
    placed_by: str
    account: str | None
    since: int | None
    until: int | None
    events: frozenset[str]

    def covers(self, *, event: str, account: str, begin: int, end: int) -> bool:
        """Whether it keeps the records of an event that lasted from `begin` to `end`, Unix µs."""
        if event in self.events:
            return True
        return (bool(self.account) and account == self.account
                and (self.since is None or end >= self.since)
                and (self.until is None or begin <= self.until))


@dataclass(frozen=True)
class Case:
    """A case as its custody log tells it."""

    folder: Path
    lines: tuple[Line, ...]

    @property
    def id(self) -> str:
        return self.lines[0].entry.case

    @property
    def _first(self) -> Opened:
        content = self.lines[0].content
        assert isinstance(content, Opened)
        return content

    @property
    def title(self) -> str:
        return self._first.title

    @property
    def key(self) -> str:
        """The verifier of what the case signs."""
        return self._first.key

    @property
    def opened(self) -> str:
        return self.lines[0].entry.at

    @property
    def closed(self) -> str:
        """When; "" while it is open."""
        last = self.lines[-1]
        return last.entry.at if isinstance(last.content, Closed) else ""

    @property
    def additions(self) -> list[tuple[Line, Added]]:
        return [(line, line.content) for line in self.lines if isinstance(line.content, Added)]

    def added_by(self, line: Line, added: Added) -> list[Item]:
        """Raises CaseDamaged, OSError."""
        path = self.folder / f"items-{line.entry.number:04d}.jsonl"
        try:
            return read_items(path.read_bytes(), added.items, str(path))
        except FileNotFoundError:
            raise CaseDamaged(f"{path}: is gone; bring it back from a backup") from None

    @cached_property
    def items(self) -> list[Item]:
        """Raises CaseDamaged, OSError."""
        return together(item for line, added in self.additions
                        for item in self.added_by(line, added))

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        """Those that stand. Raises CaseDamaged, OSError."""
        released = {line.content.hold for line in self.lines if isinstance(line.content, Released)}
        return tuple(self._hold(line, line.content) for line in self.lines
                     if isinstance(line.content, Held) and line.entry.number not in released)

    def _hold(self, line: Line, held: Held) -> Hold:
        # with what the log itself says of the case: without that nothing of it could be proved
        events = {*held.events, *(each.entry.record for each in self.lines)}
        if held.all_items:
            events.update(item.event for item in self.items)
        return Hold(case=self.id, number=line.entry.number, reason=held.reason,
                    placed=line.entry.at, placed_by=line.entry.operator,
                    account=held.account or None, since=held.since, until=held.until,
                    events=frozenset(events))

    def signer(self) -> Signer:
        """Raises CaseDamaged."""
        path = self.folder / "key.pem"
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise CaseDamaged(f"{path}: {error}; bring it back from a backup") from None
        if isinstance(key, Ed25519PrivateKey):
            signer = Signer(self.key.partition("+")[0], key)
            if str(signer.verifier) == self.key:
                return signer
        raise CaseDamaged(f"{path}: not the key that the case was opened with; bring it back from "
                          "a backup")


class Change:
    """A case with its lock held. `case` is as it was when the lock was got."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @property
    def number(self) -> int:
        """Of the entry that `append` will write."""
        return len(self.case.lines) + 1

    def keep_items(self, items: list[Item]) -> None:
        """Write the items of the entry that comes next; they count once it is there."""
        replace_file(self.case.folder / f"items-{self.number:04d}.jsonl", write_items(items))

    def append(self, content: Content, octets: bytes, *, at: int, operator: str,
               record: str) -> None:
        """`octets` are `custody.pack`'s of `content`, `at` Unix ns, `record` the id of the log's
        record. On disk when it returns. Raises OSError."""
        line = next_line(self.case.lines, at=timestamp(at), case=self.case.id, operator=operator,
                         record=record, content=content, octets=octets)
        _append(self.case.folder / "custody.jsonl", [*self.case.lines, line])
        self.case = Case(self.case.folder, (*self.case.lines, line))


def cases_of(directory: Path) -> Cases:
    """Those of the log in `directory`. They lie with it, and belong to whom it belongs to: the
    keeper must be able to read their holds, and a proxy that is broken into must not."""
    return Cases(directory / "cases")


class Cases:
    """All cases under `folder` (see `cases_of`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ids(self) -> list[str]:
        """Raises OSError."""
        if not self._folder.exists():
            return []
        return sorted(path.parent.name for path in self._folder.glob("*/custody.jsonl")
                      if _ID.fullmatch(path.parent.name))

    def get(self, id: str) -> Case:
        """Raises NoSuchCase, CaseDamaged, OSError."""
        path = self._folder / id / "custody.jsonl"
        if not _ID.fullmatch(id) or not path.exists():
            known = ", ".join(self.ids()) or "none; `outbounds case open` opens one"
            raise NoSuchCase(f"case {id!r}: there is no such case; there are: {known}")
        lines = read_custody(path.read_bytes(), str(path))
        if not lines or not isinstance(lines[0].content, Opened) or lines[0].entry.case != id:
            raise CaseDamaged(f"{path}: does not begin with the opening of {id}")
        return Case(path.parent, tuple(lines))

    def open_case(self, id: str) -> Case:
        """A case in which something may be done. Raises as `get`, and CaseClosed."""
        case = self.get(id)
        if case.closed:
            raise CaseClosed(f"case {id}: was closed {case.closed}; open another one")
        return case

    def all(self) -> list[Case]:
        """Raises CaseDamaged, OSError."""
        return [self.get(id) for id in self.ids()]

    def holds(self) -> list[Hold]:
        """What must not be removed. Raises CaseDamaged, OSError: then nothing may be."""
        return [hold for case in self.all() for hold in case.holds]

    @contextmanager
    def change(self, id: str) -> Iterator[Change]:
        """An open case, held against others who would change it. Raises as `open_case`."""
        self.get(id)
        with _locked(self._folder / id / ".lock"):
            yield Change(self.open_case(id))

    @contextmanager
    def new(self, year: int, id: str = "") -> Iterator[str]:
        """The id of the case that `create` may make while the block runs: `id`, or else the next
        number of the year. Raises CaseExists, ValueError, OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self._folder / ".lock"):
            if not id:
                taken = [int(found[1]) for path in self._folder.iterdir()
                         if (found := re.fullmatch(rf"C-{year}-(\d+)", path.name))]
                id = f"C-{year}-{max(taken, default=0) + 1:03d}"
            elif not _ID.fullmatch(id):
                raise ValueError(f"case {id!r}: an id has letters, digits and hyphens, 64 at most")
            if (self._folder / id).exists():
                raise CaseExists(f"case {id}: there is one already")
            yield id

    def create(self, id: str, key: Ed25519PrivateKey, content: Opened, octets: bytes, *, at: int,
               operator: str, record: str) -> Case:
        """Within `new`. The folder appears whole, or not at all. Raises OSError."""
        draft = self._folder / f".{id}.{secrets.token_hex(4)}"
        draft.mkdir(mode=0o700)
        try:
            replace_file(draft / "key.pem", key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            line = next_line((), at=timestamp(at), case=id, operator=operator, record=record,
                             content=content, octets=octets)
            _append(draft / "custody.jsonl", [line])
            os.rename(draft, self._folder / id)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        fsync_directory(self._folder)
        return self.get(id)


def _append(path: Path, lines: list[Line]) -> None:
    """Write the last of `lines` after the others, in place of what a crash may have left there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = sum(len(bytes(line)) for line in lines[:-1])
        os.ftruncate(fd, size)
        os.lseek(fd, size, os.SEEK_SET)
        octets = bytes(lines[-1])
        while octets:
            octets = octets[os.write(fd, octets):]
        os.fsync(fd)
    finally:
        os.close(fd)
    fsync_directory(path.parent)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
