"""Accounts files that an earlier version made: brought up in place, by whoever opens them first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from outbounds.core.account import Account, Standing
from outbounds.identity import accounts_schema
from outbounds.identity.accounts_file import AccountsFile, AccountsFileError
from outbounds.identity.passwords import default_dummy

HASH = default_dummy()
SCHEMA_1 = Path(__file__).with_name("schema1.sql").read_text()
ADA = Account("acct_ada", "ada", "big", Standing.WARNED, "late", True, "2023-11-01", "AdaBot",
              ("192.0.2.0/24",), 1)
INSERT = ("INSERT INTO accounts (id, name, plan, standing, reason, inspect, consent, crawler, "
          "networks, password_hash, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)")


def row(number: int) -> tuple[object, ...]:
    return (f"acct_{number}", f"n{number}", "big", "good", "", 0, "", "", "[]", HASH)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as the first version made it, with an account in it."""
    path = tmp_path / "accounts.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA_1)
        db.execute(INSERT, (ADA.id, ADA.name, ADA.plan, ADA.standing.value, ADA.reason, 1,
                            ADA.consent, ADA.crawler, '["192.0.2.0/24"]', HASH))
        db.execute("INSERT INTO networks VALUES (?, ?)", (bytes([192, 0, 2, 0, 24]), ADA.id))
    path.chmod(0o600)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_an_older_file_is_brought_up(path: Path) -> None:
    assert version(path) == 1
    with closing(AccountsFile(path)) as file:
        assert file.by_name("ada") == (ADA, HASH)
        assert file.by_source("192.0.2.7") == ADA
        file.set_purposes(ADA.id, ["search"], now=1.0)
        assert file.changes_since(1) == (2, (ADA.id,))
        bob = file.add("bob", HASH, now=1.0, purposes=["ai-train"])
    assert version(path) == accounts_schema.VERSION
    with closing(AccountsFile(path)) as again:
        found = again.by_id(ADA.id)
        assert found is not None and (found.purposes, found.revision) == (("search",), 2)
        assert again.by_id(bob.id) == bob


def test_it_is_then_like_a_new_one(path: Path, tmp_path: Path) -> None:
    AccountsFile(path).close()
    AccountsFile(tmp_path / "new.db").close()

    def columns(at: Path) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(at)) as db:
            return sorted(each[1:] for each in db.execute("PRAGMA table_info(accounts)"))

    assert columns(path) == columns(tmp_path / "new.db")


def test_who_has_it_open_goes_on(path: Path) -> None:
    """A process of the version before reads and writes the columns that it knows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as older:
        older.execute("SELECT id FROM accounts").fetchall()
        with closing(AccountsFile(path)) as file:
            older.execute("UPDATE accounts SET standing = 'suspended' WHERE name = 'ada'")
            older.execute(INSERT, row(7))
            found = file.by_id("acct_7")
            assert found is not None and (found.name, found.purposes) == ("n7", ())
            ada = file.by_id(ADA.id)
            assert ada is not None and ada.standing is Standing.SUSPENDED


OPEN = """
import pathlib, sys
from outbounds.identity.accounts_file import AccountsFile
file = AccountsFile(pathlib.Path(sys.argv[1]), timeout=0.01)
print(file.by_name("ada")[0].plan)
"""


def test_several_processes_bring_it_up_at_once(path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, str(path)], stdout=subprocess.PIPE)
                 for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"big\n"] * 4
    assert version(path) == accounts_schema.VERSION


def test_two_that_read_the_old_version_do_it_once(path: Path) -> None:
    """The second one looks again when it is its turn."""
    class Late(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql == "BEGIN IMMEDIATE":
                AccountsFile(path).close()
            return super().execute(sql, *values)  # type: ignore[arg-type]

    with closing(sqlite3.connect(path, isolation_level=None, factory=Late)) as db:
        accounts_schema.bring_up(db)
        assert db.execute("SELECT purposes FROM accounts").fetchall() == [("[]",)]


def test_a_step_that_fails_leaves_it_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps or none: the first has been made when the second fails."""
    with monkeypatch.context() as wrong:
        wrong.setattr(accounts_schema, "VERSION", 3)
        wrong.setitem(accounts_schema.STEPS, 2, "ALTER TABLE acounts ADD COLUMN more")
        with pytest.raises(AccountsFileError, match=r"accounts\.db: made by an older Outbounds "
                           r"\(schema 1\), and bringing it up to 3 failed: no such table"):
            AccountsFile(path)
    assert version(path) == 1
    AccountsFile(path).close()  # the column can be added: it is not there yet


def test_a_file_that_cannot_be_written_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda at, **fields: connect(
        f"file:{at}?mode=ro", uri=True, **fields))
    with pytest.raises(AccountsFileError, match=r"older Outbounds \(schema 1\), and bringing it up "
                       "to 2 failed: .*readonly.*: it cannot be written; check its owner"):
        AccountsFile(path)


def test_a_writer_that_does_not_end_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_schema, "_PATIENCE", 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(AccountsFileError, match="another process is writing to it; try again"):
            AccountsFile(path)
        busy.rollback()
    assert version(path) == 1


def test_patience_is_for_this_only(path: Path) -> None:
    """A proxy passes a short time-out: while it waits nothing else moves."""
    with closing(AccountsFile(path, timeout=0.25)) as file:
        assert file._db.execute("PRAGMA busy_timeout").fetchone() == (250,)
