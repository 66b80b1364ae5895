"""Accounts in one SQLite file: a million of them, changed one at a time, without a restart.

A request reads one row by an index, on the event loop; in WAL mode that neither waits for a
writer nor makes one wait. A change is safe on disk when the call returns (synchronous=FULL).
Other processes see it by asking `changes_since`, several times a second, whose usual cost is one
`PRAGMA data_version` and one stat.

SQLite's connections must not cross a fork and belong to one thread: each process opens its own.
`timeout` is how long a call may wait for another process' write; a proxy passes a short one,
because while it waits nothing else moves.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from outbounds.core.account import Account, Standing

from . import accounts_schema
from .fields import (
    AccountError,
    check_consent,
    check_crawler,
    check_name,
    check_networks,
    check_plan,
    check_purposes,
    source_address,
)
from .passwords import check_hash

TOO_MANY = 1_000  # changed ids that a caller would look up one by one

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_COLUMNS = ("id, name, plan, standing, reason, inspect, consent, crawler, networks, revision, "
            "purposes, password_hash")
_BY_NAME = f"SELECT {_COLUMNS} FROM accounts WHERE name = ?"
_BY_ID = f"SELECT {_COLUMNS} FROM accounts WHERE id = ?"
_BY_SOURCE = {
    bits: (f"SELECT {_COLUMNS} FROM networks JOIN accounts ON accounts.id = networks.account_id "
           f"WHERE network IN ({', '.join('?' * bits)}) ORDER BY substr(network, -1) DESC LIMIT 1")
    for bits in (32, 128)
}

# SQLite's primary result codes, and what an operator can do about each
_FIXES = {
    sqlite3.SQLITE_BUSY: "another process is writing to it; try again",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_READONLY: "it cannot be written; check its owner and its folder's",
    sqlite3.SQLITE_PERM: "check its owner and mode",
    sqlite3.SQLITE_CANTOPEN: "check that it and its folder belong to the user who runs this",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a backup, or try `sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "it is not an accounts file, or damaged; restore a backup, or move it "
                           "away to begin with a new one",
    sqlite3.SQLITE_IOERR: "the disk failed; check it, then restore a backup if need be",
}
_Row = tuple[str, str, str, str, str, int, str, str, str, int, str, str]


class AccountsFileError(Exception):
    """The file cannot be used. The message names the file and the fix."""


class AccountsFile:
    """The open file; it is made, with mode 0600, if there is none, and brought up to the present
    schema if it is an older one. Raises `AccountsFileError`.

    A backup is restored into the file in use with `sqlite3 FILE '.restore BACKUP'`. Putting
    another file in its place instead would mix that one with the old one's -wal: once
    `changes_since` notices, every look-up is an error, because nobody could be suspended any more.
    """

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self.path = path
        self._lost = ""  # why the file cannot be relied on any more
        with self._explained():
            if not self.path.exists():
                accounts_schema.create(self.path)
            status = os.stat(self.path)
            if status.st_mode & 0o077:
                os.chmod(self.path, 0o600)  # a copied backup: its hashes are nobody else's to read
            db = sqlite3.connect(self.path, timeout=timeout, isolation_level=None)
            try:
                accounts_schema.bring_up(db)
                db.execute("PRAGMA synchronous = FULL")
            except BaseException:
                db.close()
                raise
        self._db = db
        self._file = (status.st_dev, status.st_ino)
        self._seen: tuple[tuple[int, int], int] | None = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            fix = _FIXES.get(code, "restore a backup if this goes on")
            raise AccountsFileError(f"{self.path}: {error}: {fix}") from error
        except accounts_schema.UnknownSchema as error:
            raise AccountsFileError(f"{self.path}: {error}") from error
        except OSError as error:
            raise AccountsFileError(
                f"{self.path}: {error.strerror}: check that it and its folder belong to the user "
                "who runs this") from error

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes within it or none, safe on disk at its end. Nested ones join the outer."""
        if self._db.in_transaction:
            yield
            return
        with self._explained():
            # IMMEDIATE: what is checked within must still hold when it is written
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.commit()
            except BaseException:
                self._db.rollback()
                raise

    # --- looking up -------------------------------------------------------------------------

    def _one(self, sql: str, values: Sequence[object]) -> _Row | None:
        if self._lost:
            raise AccountsFileError(self._lost)
        with self._explained():
            row: _Row | None = self._db.execute(sql, values).fetchone()
        return row

    def by_name(self, name: str) -> tuple[Account, str] | None:
        """The account and its password hash."""
        row = self._one(_BY_NAME, (name,))
        return None if row is None else (_account(row), row[-1])

    def by_id(self, account_id: str) -> Account | None:
        row = self._one(_BY_ID, (account_id,))
        return None if row is None else _account(row)

    def by_source(self, ip: str) -> Account | None:
        """The account whose network holds the address; of nested networks the narrowest."""
        address = source_address(ip)
        if address is None:
            return None
        bits = address.max_prefixlen
        number, size = int(address), bits // 8
        keys = [(number >> (bits - n) << (bits - n)).to_bytes(size) + bytes([n])
                for n in range(bits, 0, -1)]
        row = self._one(_BY_SOURCE[bits], keys)
        return None if row is None else _account(row)

    def count(self) -> int:
        with self._explained():
            return int(self._db.execute("SELECT count(*) FROM accounts").fetchone()[0])

    def sample_hashes(self, limit: int) -> Sequence[str]:
        """Hashes of a random few: ids are random, so the first by id are a fair sample."""
        with self._explained():
            rows = self._db.execute("SELECT password_hash FROM accounts ORDER BY id LIMIT ?",
                                    (limit,)).fetchall()
        return [row[0] for row in rows]

    def changes_since(self, counter: int) -> tuple[int, Sequence[str] | None]:
        """(counter now, ids changed since; None if over `TOO_MANY` or no longer known)."""
        self._look_for_it()
        now = self._counter()
        if now == counter:
            return now, ()
        with self._explained():
            rows = self._db.execute(
                "SELECT counter, account_id FROM changes WHERE counter > ? AND counter <= ? "
                "ORDER BY counter LIMIT ?", (counter, now, TOO_MANY + 1)).fetchall()
        # no rows: a backup was restored, and the counter went back; a gap: the log was trimmed
        if len(rows) > TOO_MANY or not rows or rows[0][0] != counter + 1:
            return now, None
        return now, tuple(dict.fromkeys(row[1] for row in rows))

    def _look_for_it(self) -> None:
        try:
            status = os.stat(self.path)
            here = (status.st_dev, status.st_ino) == self._file
        except OSError:
            here = False
        self._lost = "" if here else (
            f"{self.path}: was removed or replaced while in use: stop what uses it, put the right "
            f"file in place, remove {self.path.name}-wal and {self.path.name}-shm, start again")
        if self._lost:
            raise AccountsFileError(self._lost)

    def _counter(self) -> int:
        with self._explained():
            # data_version moves with other connections' changes, total_changes with our own
            version = (self._db.execute("PRAGMA data_version").fetchone()[0],
                       self._db.total_changes)
            if self._seen is None or self._seen[0] != version:
                counter = self._db.execute("SELECT max(counter) FROM changes").fetchone()[0] or 0
                self._seen = (version, counter)
        return self._seen[1]

    # --- changing ---------------------------------------------------------------------------

    def add(self, name: str, password_hash: str, *, now: float, plan: str = "default",
            reason: str = "", inspect: bool = False, consent: str = "", crawler: str = "",
            networks: Iterable[str] = (), purposes: Iterable[str] = ()) -> Account:
        """Make an account, in good standing. `now` is Unix time.

        Raises `AccountError` for a field that cannot stand, a name that is taken, and a network
        that another account holds: one source address must mean one account.
        """
        account = Account(
            "acct_" + "".join(secrets.choice(_BASE32) for _ in range(12)),
            check_name(name), check_plan(plan), Standing.GOOD, reason, inspect,
            check_consent(inspect, consent, now), check_crawler(crawler), check_networks(networks),
            revision=1, purposes=check_purposes(purposes))
        check_hash(password_hash)
        with self.transaction():
            if self.by_name(name) is not None:
                raise AccountError(f"there is already an account named {name!r}")
            self._db.execute(
                f"INSERT INTO accounts ({_COLUMNS}, created, updated) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)",
                (account.id, name, plan, account.standing.value, reason, int(inspect),
                 account.consent, crawler, json.dumps(account.networks),
                 json.dumps(account.purposes), password_hash, int(now), int(now)))
            for network in account.networks:
                self._index(network, account.id)
        return account

    def _index(self, network: str, account_id: str) -> None:
        parsed = ipaddress.ip_network(network)
        key = parsed.network_address.packed + bytes([parsed.prefixlen])
        holder = self._db.execute("SELECT name FROM networks JOIN accounts ON id = account_id "
                                  "WHERE network = ?", (key,)).fetchone()
        if holder is not None:
            raise AccountError(f"network {network} already belongs to account {holder[0]!r}")
        self._db.execute("INSERT INTO networks VALUES (?, ?)", (key, account_id))

    def set_password(self, account_id: str, password_hash: str, *, now: float) -> None:
        """Raises `AccountError` if there is no such account."""
        self._set(account_id, now, "password_hash = ?", check_hash(password_hash))

    def set_standing(self, account_id: str, standing: Standing, reason: str, *, now: float) -> None:
        """`reason` is shown to the customer. Raises `AccountError` if there is no such account."""
        self._set(account_id, now, "standing = ?, reason = ?", standing.value, reason)

    def set_plan(self, account_id: str, plan: str, *, now: float) -> None:
        """Raises `AccountError` for a plan that cannot be, and if there is no such account."""
        self._set(account_id, now, "plan = ?", check_plan(plan))

    def set_inspection(self, account_id: str, inspect: bool, consent: str, *, now: float) -> None:
        """`consent` is a date, as for `add`. Raises `AccountError`, also for no such account."""
        self._set(account_id, now, "inspect = ?, consent = ?", int(inspect),
                  check_consent(inspect, consent, now))

    def set_crawler(self, account_id: str, crawler: str, *, now: float) -> None:
        """`crawler` as for `add`. Raises `AccountError`, also for no such account."""
        self._set(account_id, now, "crawler = ?", check_crawler(crawler))

    def set_purposes(self, account_id: str, purposes: Iterable[str], *, now: float) -> None:
        """`purposes` as for `add`. Raises `AccountError`, also for no such account."""
        self._set(account_id, now, "purposes = ?", json.dumps(check_purposes(purposes)))

    def _set(self, account_id: str, now: float, what: str, *values: str | int) -> None:
        with self.transaction():
            cursor = self._db.execute(f"UPDATE accounts SET {what}, updated = ? WHERE id = ?",
                                      (*values, int(now), account_id))
            if cursor.rowcount == 0:
                raise AccountError(f"there is no account with the id {account_id!r}")

    def list(self) -> Iterator[Account]:
        """All accounts by name, read as they are asked for."""
        with self._explained():
            for row in self._db.execute(f"SELECT {_COLUMNS} FROM accounts ORDER BY name"):
                yield _account(row)


def _account(row: _Row) -> Account:
    return Account(row[0], row[1], row[2], Standing(row[3]), row[4], bool(row[5]), row[6], row[7],
                   tuple(json.loads(row[8])), row[9], tuple(json.loads(row[10])))
