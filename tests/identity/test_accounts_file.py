import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from outbounds.core.account import Standing
from outbounds.identity import accounts_file, accounts_schema
from outbounds.identity.accounts_file import AccountsFile, AccountsFileError
from outbounds.identity.fields import AccountError
from outbounds.identity.passwords import UnusableHash, default_dummy

HASH = default_dummy()
NOW = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "accounts.db"


@pytest.fixture
def file(path: Path) -> Iterator[AccountsFile]:
    opened = AccountsFile(path)
    yield opened
    opened.close()


def shell(path: Path, sql: str) -> None:
    """What an operator does with the sqlite3 shell."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


def test_round_trip(file: AccountsFile) -> None:
    made = file.add("ada", HASH, now=NOW, plan="big", inspect=True, consent="2023-11-01",
                    crawler="AdaBot", networks=["192.0.2.0/24", "2001:db8::/32"], reason="new",
                    purposes=["ai-train", "search"])
    assert made.purposes == ("search", "ai-train")
    assert made.id.startswith("acct_") and len(made.id) == 17
    assert file.by_name("ada") == (made, HASH)
    assert file.by_id(made.id) == made
    assert file.by_name("Ada") is None and file.by_id("acct_") is None
    assert made.standing is Standing.GOOD and made.revision == 1
    assert list(file.list()) == [made] and file.count() == 1


def test_changes_are_kept_and_counted(file: AccountsFile, path: Path) -> None:
    made = file.add("ada", HASH, now=NOW)
    file.set_standing(made.id, Standing.SUSPENDED, "unpaid [bill]", now=NOW + 1)
    other = default_dummy()
    file.set_password(made.id, other, now=NOW + 2)
    file.set_crawler(made.id, "Ada2Bot", now=NOW + 3)
    file.set_purposes(made.id, ["ai-input"], now=NOW + 4)
    reopened = AccountsFile(path)
    found = reopened.by_name("ada")
    assert found is not None and found[1] == other
    assert (found[0].standing, found[0].reason, found[0].revision) == (
        Standing.SUSPENDED, "unpaid [bill]", 5)
    assert (found[0].crawler, found[0].purposes) == ("Ada2Bot", ("ai-input",))
    reopened.set_crawler(made.id, "", now=NOW + 5)
    reopened.set_purposes(made.id, [], now=NOW + 6)
    found = file.by_name("ada")
    assert found is not None and (found[0].crawler, found[0].purposes) == ("", ())
    reopened.close()


@pytest.mark.parametrize("change", [
    lambda f: f.set_standing("acct_none", Standing.GOOD, "", now=NOW),
    lambda f: f.set_password("acct_none", HASH, now=NOW),
    lambda f: f.set_crawler("acct_none", "AdaBot", now=NOW),
    lambda f: f.set_purposes("acct_none", ["search"], now=NOW),
    lambda f: f.add("bob", HASH, now=NOW, crawler="Bob/1"),
    lambda f: f.add("bob", HASH, now=NOW, purposes=["resale"]),
    lambda f: f.add("ada", HASH, now=NOW),
    lambda f: f.add("a b", HASH, now=NOW),
    lambda f: f.add("bob", HASH, now=NOW, inspect=True),
    lambda f: f.add("bob", HASH, now=NOW, networks=["192.0.2.0/24"]),
    lambda f: f.add("bob", HASH, now=NOW, networks=["198.51.100.0/24", "192.0.2.0/24"]),
    lambda f: f.add("bob", HASH, now=NOW, plan="no plan"),
])
def test_refused_changes_change_nothing(file: AccountsFile, change) -> None:
    file.add("ada", HASH, now=NOW, networks=["192.0.2.0/24"])
    before = file.changes_since(0)
    with pytest.raises(AccountError):
        change(file)
    assert file.changes_since(0) == before and file.count() == 1
    assert file.by_source("198.51.100.1") is None


def test_refused_hash(file: AccountsFile) -> None:
    with pytest.raises(UnusableHash):
        file.add("bob", "hunter2", now=NOW)
    made = file.add("bob", HASH, now=NOW)
    with pytest.raises(UnusableHash):
        file.set_password(made.id, "$apr1$x$y", now=NOW)
    assert file.by_name("bob") == (made, HASH)


def test_taken_network_names_its_holder(file: AccountsFile) -> None:
    file.add("ada", HASH, now=NOW, networks=["192.0.2.0/24"])
    with pytest.raises(AccountError, match=r"192\.0\.2\.0/24 already belongs to account 'ada'"):
        file.add("bob", HASH, now=NOW, networks=["192.0.2.0/24"])


@pytest.mark.parametrize(("ip", "name"), [
    ("192.0.2.1", "wide"), ("192.0.2.129", "narrow"), ("192.0.2.130", "host"),
    ("::ffff:192.0.2.130", "host"), ("192.0.3.1", None), ("198.51.100.1", None),
    ("2001:db8::1", "wide"), ("2001:db8:1::1", "narrow"), ("2001:db9::1", None),
    ("2001:db8:1::1%eth0", "narrow"), ("", None), ("unix", None),
])
def test_longest_prefix_wins(file: AccountsFile, ip: str, name: str | None) -> None:
    file.add("wide", HASH, now=NOW, networks=["192.0.2.0/24", "2001:db8::/32"])
    file.add("host", HASH, now=NOW, networks=["192.0.2.130"])
    file.add("narrow", HASH, now=NOW, networks=["192.0.2.128/25", "2001:db8:1::/48"])
    found = file.by_source(ip)
    assert (found.name if found else None) == name


def test_changes_since(file: AccountsFile, path: Path) -> None:
    start, none = file.changes_since(0)
    assert not none
    ada = file.add("ada", HASH, now=NOW, networks=["192.0.2.0/24"])  # by this connection
    writer = AccountsFile(path)
    bob = writer.add("bob", HASH, now=NOW)                           # by another one
    writer.close()
    after, changed = file.changes_since(start)
    assert changed == (ada.id, bob.id)
    assert file.changes_since(after) == (after, ())

    shell(path, "UPDATE accounts SET name = 'eve' WHERE name = 'ada'")
    renamed, changed = file.changes_since(after)
    assert changed == (ada.id,)
    found = file.by_id(ada.id)
    assert found is not None and (found.name, found.revision) == ("eve", 2)

    shell(path, "DELETE FROM accounts WHERE name = 'eve'")
    removed, changed = file.changes_since(renamed)
    assert changed == (ada.id,) and file.by_id(ada.id) is None
    assert file.by_source("192.0.2.1") is None
    file.add("zoe", HASH, now=NOW, networks=["192.0.2.0/24"])  # the network is free again

    # two callers with different counters both get what they missed
    assert file.changes_since(after)[1] is not None
    assert ada.id in (file.changes_since(start)[1] or ())
    assert ada.id not in (file.changes_since(removed)[1] or ())


def test_many_changes_are_not_listed(file: AccountsFile) -> None:
    with file.transaction():
        for n in range(accounts_file.TOO_MANY):
            file.add(f"n{n}", HASH, now=NOW)
    counter, changed = file.changes_since(0)
    assert changed is not None and len(changed) == accounts_file.TOO_MANY
    file.add("more", HASH, now=NOW)
    assert file.changes_since(0) == (counter + 1, None)
    assert len(file.changes_since(1)[1] or ()) == accounts_file.TOO_MANY


def test_forgotten_changes_are_not_passed_over(file: AccountsFile, path: Path) -> None:
    file.add("ada", HASH, now=NOW)
    file.add("bob", HASH, now=NOW)
    shell(path, "DELETE FROM changes WHERE counter = 1")  # as trimming does
    assert file.changes_since(0) == (2, None)
    assert file.changes_since(1)[1] is not None
    assert file.changes_since(7) == (2, None)  # a counter from the future: an older copy


def test_the_log_of_changes_is_trimmed(file: AccountsFile, path: Path) -> None:
    made = file.add("ada", HASH, now=NOW)
    shell(path, f"UPDATE sqlite_sequence SET seq = {accounts_schema.CHANGES_KEPT + 50} "
                "WHERE name = 'changes'")
    file.set_password(made.id, HASH, now=NOW)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM changes").fetchone() == (1,)


def test_a_backup_is_restored_into_the_file_in_use(
    file: AccountsFile, path: Path, tmp_path: Path
) -> None:
    file.add("ada", HASH, now=NOW)
    with closing(sqlite3.connect(path)) as live, \
            closing(sqlite3.connect(tmp_path / "backup")) as backup:
        live.backup(backup)
        bob = file.add("bob", HASH, now=NOW)
        counter, _ = file.changes_since(0)
        backup.backup(live)
    assert file.changes_since(counter) == (counter - 1, None)
    assert file.by_id(bob.id) is None and file.by_name("ada") is not None


@pytest.mark.parametrize("put", [lambda path: None, lambda path: path.write_bytes(b"")],
                         ids=["removed", "replaced"])
def test_a_lost_file_identifies_nobody(file: AccountsFile, path: Path, put) -> None:
    file.add("ada", HASH, now=NOW, networks=["192.0.2.0/24"])
    path.rename(path.with_name("elsewhere"))
    put(path)
    for call in (lambda: file.changes_since(1), lambda: file.by_name("ada"),
                 lambda: file.by_source("192.0.2.1")):
        with pytest.raises(AccountsFileError, match=r"accounts\.db: was removed or replaced"):
            call()
    path.with_name("elsewhere").rename(path)
    assert file.changes_since(1) == (1, ())
    assert file.by_name("ada") is not None


def test_an_account_keeps_its_id(file: AccountsFile, path: Path) -> None:
    file.add("ada", HASH, now=NOW)
    with pytest.raises(sqlite3.IntegrityError, match="never changes"):
        shell(path, "UPDATE accounts SET id = 'acct_other'")


def test_the_table_itself_refuses_inspection_without_consent(
    file: AccountsFile, path: Path
) -> None:
    file.add("ada", HASH, now=NOW)
    with pytest.raises(sqlite3.IntegrityError):
        shell(path, "UPDATE accounts SET inspect = 1")


def test_nobody_else_may_read_it(file: AccountsFile, path: Path) -> None:
    file.add("ada", HASH, now=NOW)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "accounts.db", "accounts.db-shm", "accounts.db-wal"]
    assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}


def test_a_copied_backup_is_closed_to_others(path: Path) -> None:
    AccountsFile(path).close()
    path.chmod(0o644)
    AccountsFile(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_writes_are_durable(file: AccountsFile) -> None:
    assert file._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert file._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_newer_schema(path: Path) -> None:
    AccountsFile(path).close()
    shell(path, f"PRAGMA user_version = {accounts_schema.VERSION + 1}")
    with pytest.raises(AccountsFileError,
                       match=r"accounts\.db: made by a newer Outbounds .*3; .*2"):
        AccountsFile(path)


@pytest.mark.parametrize(("content", "why"), [
    (b"", "not an accounts file"),
    (b"ada:secret\n" * 1000, "it is not an accounts file, or damaged; restore a backup"),
])
def test_not_an_accounts_file(path: Path, content: bytes, why: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(AccountsFileError, match=rf"accounts\.db: .*{why}"):
        AccountsFile(path)
    assert path.read_bytes() == content


def test_damage_within(file: AccountsFile, path: Path) -> None:
    with file.transaction():
        for n in range(500):
            file.add(f"n{n}", HASH, now=NOW)
    file.close()
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)  # all but the schema
    path.write_bytes(raw)
    damaged = AccountsFile(path)
    with pytest.raises(AccountsFileError, match=r"accounts\.db: .*damaged; restore a backup"):
        damaged.by_name("n7")
    damaged.close()


def test_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AccountsFileError, match="check that it and its folder"):
        AccountsFile(tmp_path / "file" / "accounts.db")


def test_locked_by_another(file: AccountsFile, path: Path) -> None:
    impatient = AccountsFile(path, timeout=0.01)
    with file.transaction():
        file.add("ada", HASH, now=NOW)
        assert impatient.by_name("ada") is None  # a reader does not wait
        with pytest.raises(AccountsFileError, match="another process is writing"):
            impatient.add("bob", HASH, now=NOW)
    assert impatient.by_name("ada") is not None
    impatient.close()


def test_a_failed_transaction_leaves_nothing(file: AccountsFile) -> None:
    with pytest.raises(ZeroDivisionError), file.transaction():
        file.add("ada", HASH, now=NOW)
        raise ZeroDivisionError
    assert file.count() == 0
    file.add("ada", HASH, now=NOW)


ADD_100 = """
import pathlib, sys
from outbounds.identity.accounts_file import AccountsFile
file = AccountsFile(pathlib.Path(sys.argv[1]), timeout=30)
for n in range(100):
    file.add(f"{sys.argv[2]}{n}", sys.argv[3], now=0)
"""


def test_two_processes_make_and_fill_one_file(path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", ADD_100, str(path), who, HASH])
                 for who in ("a", "b")]
    assert [process.wait(60) for process in processes] == [0, 0]
    file = AccountsFile(path)
    assert file.count() == 200 and file.changes_since(0)[0] == 200
    assert [p.name for p in path.parent.glob("*.db.*")] == []  # nothing half-made is left
    file.close()


def test_another_process_sees_a_change_at_once(file: AccountsFile, path: Path) -> None:
    made = file.add("ada", HASH, now=NOW)
    code = ("import pathlib, sys\n"
            "from outbounds.core.account import Standing\n"
            "from outbounds.identity.accounts_file import AccountsFile\n"
            "file = AccountsFile(pathlib.Path(sys.argv[1]))\n"
            "file.set_standing(sys.argv[2], Standing.SUSPENDED, 'x', now=0)\n")
    subprocess.run([sys.executable, "-c", code, str(path), made.id], check=True, timeout=30)
    assert file.changes_since(1) == (2, (made.id,))
    found = file.by_id(made.id)
    assert found is not None and found.standing is Standing.SUSPENDED


def test_a_hundred_thousand_accounts_are_found_by_index(file: AccountsFile) -> None:
    rows = ((f"acct_{n}", f"n{n}", HASH, time.time()) for n in range(100_000))
    with file.transaction():
        file._db.executemany(
            "INSERT INTO accounts (id, name, password_hash, plan, standing, created, updated) "
            "VALUES (?, ?, ?, 'default', 'good', ?4, ?4)", rows)
    assert file.count() == 100_000
    assert file.changes_since(5) == (100_000, None)
    found = file.by_name("n77777")
    assert found is not None and found[0].id == "acct_77777"
    keys = [b""] * 32
    for sql, values in ((accounts_file._BY_NAME, [""]), (accounts_file._BY_ID, [""]),
                        (accounts_file._BY_SOURCE[32], keys)):
        plan = [row[3] for row in file._db.execute("EXPLAIN QUERY PLAN " + sql, values)]
        assert any("SEARCH accounts USING INDEX" in step for step in plan), plan
        assert not any("SCAN" in step for step in plan), plan
