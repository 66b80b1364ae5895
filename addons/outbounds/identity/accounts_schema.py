"""The tables of the accounts file, how a new one comes to be, and how an older one is brought up.

Triggers, not the code that writes, keep the log of changes and the revision: so a change that an
operator makes with the `sqlite3` shell closes a suspended account's tunnels like any other. The
one thing the shell must not touch is a network, because its index holds packed addresses.

An older file gets what it lacks when it is opened, in one transaction: of several processes that
open it one does it, and a crash leaves it as it was. Steps only add columns that have a default, so
that a process of the version before, which has the file open, goes on working with it.

A new file is built under a temporary name and linked into place when it is whole. A crash leaves
no half-made file behind, and of two processes that start at once one wins and both go on.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

VERSION = 2
CHANGES_KEPT = 10_000

SCHEMA = f"""
CREATE TABLE accounts (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    plan          TEXT NOT NULL,
    standing      TEXT NOT NULL CHECK (standing IN ('good', 'warned', 'suspended', 'terminated')),
    reason        TEXT NOT NULL DEFAULT '',
    inspect       INTEGER NOT NULL DEFAULT 0 CHECK (inspect IN (0, 1)),
    consent       TEXT NOT NULL DEFAULT '',
    crawler       TEXT NOT NULL DEFAULT '',
    networks      TEXT NOT NULL DEFAULT '[]',
    purposes      TEXT NOT NULL DEFAULT '[]',
    revision      INTEGER NOT NULL DEFAULT 1,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    CHECK (inspect = 0 OR consent <> '')
);
CREATE TABLE networks (
    network    BLOB PRIMARY KEY NOT NULL,
    account_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX networks_of_account ON networks (account_id);
CREATE TABLE changes (
    counter    INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL
);
CREATE TRIGGER changes_trimmed AFTER INSERT ON changes BEGIN
    DELETE FROM changes WHERE counter <= NEW.counter - {CHANGES_KEPT};
END;
CREATE TRIGGER account_added AFTER INSERT ON accounts BEGIN
    INSERT INTO changes (account_id) VALUES (NEW.id);
END;
CREATE TRIGGER account_changed AFTER UPDATE ON accounts BEGIN
    UPDATE accounts SET revision = OLD.revision + 1 WHERE id = NEW.id;
    INSERT INTO changes (account_id) VALUES (NEW.id);
END;
CREATE TRIGGER account_removed AFTER DELETE ON accounts BEGIN
    DELETE FROM networks WHERE account_id = OLD.id;
    INSERT INTO changes (account_id) VALUES (OLD.id);
END;
CREATE TRIGGER account_id_is_fixed BEFORE UPDATE OF id ON accounts WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'the id of an account never changes: records name it');
END;
PRAGMA user_version = {VERSION};
"""


def create(path: Path) -> None:
    """Make an empty accounts file, mode 0600, unless there is one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes it 0600, and SQLite gives its -wal and -shm files the same mode
    handle, name = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
    os.close(handle)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")  # remembered in the file
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(SCHEMA)
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        os.unlink(name)
    _sync_folder(path.parent)


STEPS: dict[int, str] = {
    1: "ALTER TABLE accounts ADD COLUMN purposes TEXT NOT NULL DEFAULT '[]'",
}
"""What makes the next schema out of each older one. Constant time: no row is rewritten."""

_PATIENCE = 10_000  # ms: another process may be at it, and nothing can be read until it is done


class UnknownSchema(Exception):
    """No schema of this file. The message says what it is, and the fix."""


def bring_up(db: sqlite3.Connection) -> None:
    """Make the newest schema of what `db` has. Raises UnknownSchema, sqlite3.Error."""
    version = _version(db)
    if version == VERSION:
        return
    timeout = db.execute("PRAGMA busy_timeout").fetchone()[0]
    db.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
    db.execute("PRAGMA synchronous = FULL")
    try:
        db.execute("BEGIN IMMEDIATE")
        for old in range(_version(db), VERSION):  # asked again: it may be done by now
            db.execute(STEPS[old])
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.commit()
    except sqlite3.Error as error:
        db.rollback()
        error.args = (f"made by an older Outbounds (schema {version}), and bringing it up to "
                      f"{VERSION} failed: {error}",)
        raise
    db.execute(f"PRAGMA busy_timeout = {timeout}")


def _version(db: sqlite3.Connection) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise UnknownSchema(f"made by a newer Outbounds (schema {version}; this one knows "
                            f"{VERSION}): upgrade this one, or restore an older backup")
    if version < 1:
        raise UnknownSchema(f"not an accounts file (schema {version}): move it away to begin with "
                            "a new one, or restore a backup")
    return version


def _sync_folder(folder: Path) -> None:
    """Without this the name itself may be gone after a power cut, and with it every account."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
