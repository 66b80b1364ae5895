import logging
import os
import shutil
import subprocess
from pathlib import Path

import argon2
import bcrypt
import pytest

from outbounds.identity import passwords
from outbounds.identity.htpasswd import Htpasswd, HtpasswdError

REAL = Path(__file__).with_name("real.htpasswd")
BCRYPT = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
ARGON = argon2.PasswordHasher(1, 8, 1).hash("x")


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def rewritten(path: Path, *lines: str) -> None:
    """As an editor does it; the new inode shows the change even within one clock tick."""
    written(path.with_suffix(".new"), *lines)
    os.replace(path.with_suffix(".new"), path)


def test_what_htpasswd_made() -> None:
    accounts = Htpasswd([(REAL, "big")])
    for name, password in (("ada", "correct horse"), ("böb", "pass:word")):
        found = accounts.by_name(name)
        assert found is not None
        account, password_hash = found
        assert (account.id, account.name, account.plan) == (f"htpasswd:{name}", name, "big")
        assert account.inspect is False
        assert passwords.verify(password_hash, password)
        assert not passwords.verify(password_hash, password + "x")
        assert accounts.by_id(account.id) == account
    assert accounts.by_name("eve") is None and accounts.by_id("ada") is None
    assert accounts.by_id("htpasswd:eve") is None and accounts.by_source("192.0.2.1") is None


@pytest.mark.skipif(shutil.which("htpasswd") is None, reason="apache2-utils is not installed")
@pytest.mark.parametrize(("options", "scheme"), [
    (["-B"], None), (["-m"], "MD5 ($apr1$)"), (["-s"], "SHA-1 ({SHA})"),
    (["-d"], "DES crypt, or plain text"), (["-p"], "plain text or unknown"),
    (["-2"], "SHA-256 crypt ($5$)"), (["-5"], "SHA-512 crypt ($6$)"),
])
def test_what_htpasswd_makes_today(
    tmp_path: Path, options: list[str], scheme: str | None
) -> None:
    path = tmp_path / "htpasswd"
    made = subprocess.run(["htpasswd", "-c", "-b", *options, str(path), "ada", "sesam"],
                          capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"this htpasswd does not know {options[0]}")
    if scheme is None:
        found = Htpasswd([(path, "default")]).by_name("ada")
        assert found is not None and passwords.verify(found[1], "sesam")
        return
    with pytest.raises(HtpasswdError) as raised:
        Htpasswd([(path, "default")])
    assert str(raised.value) == (f"{path}:1: account 'ada': scheme {scheme} is not accepted: "
                                 "make it anew with `htpasswd -B`")


def test_every_fault_at_once_and_no_hash(tmp_path: Path) -> None:
    one = written(tmp_path / "one", "# customers", "", "ada:" + BCRYPT, "eve:$apr1$salt$HIDDEN",
                  "HIDDEN", "a b:" + BCRYPT, "bob:" + ARGON + ":HIDDEN")
    two = written(tmp_path / "two", "ada:" + ARGON)
    with pytest.raises(HtpasswdError) as raised:
        Htpasswd([(one, "default"), (two, "big"), (tmp_path / "none", "big")])
    lines = str(raised.value).split("\n")
    assert [line.split(": ")[0] for line in lines] == [
        f"{one}:4", f"{one}:5", f"{one}:6", f"{one}:7", f"{two}:1", f"{tmp_path / 'none'}"]
    assert "MD5 ($apr1$)" in lines[0] and "htpasswd -B" in lines[0]
    assert f"{one}:3 already" in lines[4]
    for secret in ("HIDDEN", BCRYPT[7:], ARGON[30:]):
        assert secret not in str(raised.value)


def test_several_files_each_with_its_plan(tmp_path: Path) -> None:
    accounts = Htpasswd([(written(tmp_path / "1", "ada:" + BCRYPT), "small"),
                         (written(tmp_path / "2", "bob:" + ARGON + "\r"), "big")])
    ada, bob = accounts.by_name("ada"), accounts.by_name("bob")
    assert ada is not None and ada[0].plan == "small"
    assert bob is not None and bob[0].plan == "big" and bob[1] == ARGON
    assert set(accounts.sample_hashes(5)) == {BCRYPT, ARGON}
    assert BCRYPT not in repr(accounts._entries)


def test_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "h", "ada:" + BCRYPT, "bob:" + BCRYPT, "zoe:" + BCRYPT)
    accounts = Htpasswd([(path, "default")])
    assert accounts.changes_since(0) == (0, ())
    rewritten(path, "# moved a line down", "ada:" + BCRYPT, "bob:" + ARGON, "eve:" + BCRYPT)
    counter, changed = accounts.changes_since(0)
    assert set(changed or ()) == {"htpasswd:bob", "htpasswd:eve", "htpasswd:zoe"}
    assert accounts.changes_since(counter) == (counter, ())
    bob, ada = accounts.by_id("htpasswd:bob"), accounts.by_id("htpasswd:ada")
    assert bob is not None and ada is not None and (bob.revision, ada.revision) == (2, 1)
    assert accounts.by_name("zoe") is None


def test_a_broken_change_keeps_the_last_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "h", "ada:" + BCRYPT)
    accounts = Htpasswd([(path, "default")])
    with caplog.at_level(logging.ERROR):
        rewritten(path, "ada:HIDDENpassword")
        assert accounts.changes_since(0) == (0, ())
        assert accounts.changes_since(0) == (0, ())
    assert accounts.by_name("ada") is not None
    assert f"{path}:1" in accounts.error and "HIDDEN" not in caplog.text
    assert len(caplog.records) == 1  # said once, not at each look
    path.unlink()
    accounts.changes_since(0)
    assert "No such file" in accounts.error and accounts.by_name("ada") is not None
    written(path, "bob:" + BCRYPT)
    assert set(accounts.changes_since(0)[1] or ()) == {"htpasswd:ada", "htpasswd:bob"}
    assert accounts.error == "" and accounts.by_name("ada") is None
