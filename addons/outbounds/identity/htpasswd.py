"""Accounts from htpasswd files, for operators who have them already.

Lines are NAME:HASH, with bcrypt (`htpasswd -B`) or argon2id; empty lines and lines that begin with
# are skipped, as Apache does. Anything else is an error, all of them at once: a line that was
passed over would be a customer locked out without a word, and an MD5 that was let in would be a
password for whoever copies the file. A name may stand once in all files together.

The files are read whole, on the calling thread (about 2 µs a line): they are for thousands of
accounts; more belong in the accounts file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outbounds.core.account import Account

from .fields import AccountError, check_name
from .passwords import UnusableHash, check_hash

logger = logging.getLogger(__name__)



@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `repr` hides the hash, so that it ends up in no log by accident."""

    password_hash: str = field(repr=False)
    plan: str
    where: str = field(compare=False)  # FILE:LINE; a line that only moved has not changed


class HtpasswdError(Exception):
    """Every fault of every file, one per line: file, line, scheme and fix; never a hash."""


def read(files: Sequence[tuple[Path, str]]) -> dict[str, Entry]:
    """Parse (file, plan of its accounts) pairs, strictly, by name. Raises `HtpasswdError`."""
    entries: dict[str, Entry] = {}
    errors: list[str] = []
    for path, plan in files:
        try:
            text = path.read_bytes().decode()
        except OSError as error:
            errors.append(f"{path}: {error.strerror}: check the path in the configuration")
            continue
        except UnicodeDecodeError:
            errors.append(f"{path}: not UTF-8: convert it, or make it anew with `htpasswd -B`")
            continue
        for number, line in enumerate(text.split("\n"), 1):
            line = line.rstrip("\r")
            if not line or line.startswith("#"):
                continue
            where = f"{path}:{number}"
            try:
                name, password_hash = _parse(line)
            except (AccountError, UnusableHash) as error:
                errors.append(f"{where}: {error}")
                continue
            if name in entries:
                errors.append(
                    f"{where}: {name!r} stands at {entries[name].where} already: remove one")
                continue
            entries[name] = Entry(password_hash, plan, where)
    if errors:
        raise HtpasswdError("\n".join(errors))
    return entries


def _parse(line: str) -> tuple[str, str]:
    name, colon, password_hash = line.partition(":")
    if not colon:
        # the line itself is not shown: it may be a password that somebody pasted
        raise AccountError("no colon: write NAME:HASH, as `htpasswd -B` does")
    check_name(name)
    try:
        return name, check_hash(password_hash)
    except UnusableHash as error:
        raise UnusableHash(
            f"account {name!r}: {error}: make it anew with `htpasswd -B`") from None


class Htpasswd:
    """Accounts of several files, each with a plan. Raises `HtpasswdError` if the first read fails.

    Read again when a file changes; while it holds a fault the last good accounts stay, and
    `error` says what is wrong ("" when all is well).
    """

    def __init__(self, files: Sequence[tuple[Path, str]]) -> None:
        self.error = ""
        self._files = tuple(files)
        self._counter = 0
        self._changed: dict[str, int] = {}  # id -> counter of its last change
        self._signature = self._stat()
        self._entries = read(self._files)
        self._revisions = dict.fromkeys(self._entries, 1)

    def by_name(self, name: str) -> tuple[Account, str] | None:
        entry = self._entries.get(name)
        return None if entry is None else (self._account(name, entry), entry.password_hash)

    def by_id(self, account_id: str) -> Account | None:
        kind, _, name = account_id.partition(":")
        entry = self._entries.get(name) if kind == "htpasswd" else None
        return None if entry is None else self._account(name, entry)

    def _account(self, name: str, entry: Entry) -> Account:
        return Account(f"htpasswd:{name}", name, entry.plan, revision=self._revisions[name])

    def by_source(self, ip: str) -> Account | None:
        """None: these files know no networks."""
        return None

    def sample_hashes(self, limit: int) -> Sequence[str]:
        # scattered by name, not as the file stands: its oldest schemes often come first
        return [self._entries[name].password_hash
                for name in sorted(self._entries, key=hash)[:limit]]

    def changes_since(self, counter: int) -> tuple[int, Sequence[str] | None]:
        """(counter now, ids changed since). Looks at the files first, and reads them if changed."""
        signature = self._stat()
        if signature != self._signature:
            self._signature = signature
            self._reload()
        if counter == self._counter:
            return counter, ()
        return self._counter, [i for i, changed in self._changed.items() if changed > counter]

    def _stat(self) -> tuple[tuple[int, int, int] | None, ...]:
        found: list[tuple[int, int, int] | None] = []
        for path, _ in self._files:
            try:
                status = os.stat(path)
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
            except OSError:
                found.append(None)
        return tuple(found)

    def _reload(self) -> None:
        try:
            entries = read(self._files)
        except HtpasswdError as error:
            self.error = str(error)
            logger.error("accounts kept as they were, because of:\n%s", error)
            return
        self.error = ""
        changed = [name for name in self._entries.keys() | entries.keys()
                   if self._entries.get(name) != entries.get(name)]
        self._entries = entries
        if changed:
            self._counter += 1
        for name in changed:
            self._changed[f"htpasswd:{name}"] = self._counter
            # kept for removed names too: one that comes back must not look like its old self
            self._revisions[name] = self._revisions.get(name, 0) + 1
