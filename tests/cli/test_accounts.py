import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from outbounds.cli import accounts as command
from outbounds.core.account import Standing
from outbounds.identity import passwords
from outbounds.identity.accounts_file import AccountsFile
from outbounds.identity.fields import AccountError

NOW = 1_700_000_000.0
SHIPPED = Path(__file__).parents[2] / "config"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[AccountsFile]:
    opened = AccountsFile(tmp_path / "accounts.db")
    yield opened
    opened.close()


def works(file: AccountsFile, name: str, password: str | None) -> bool:
    found = file.by_name(name)
    assert found is not None and password is not None
    return passwords.verify(found[1], password)


# --- the functions --------------------------------------------------------------------------


def test_add_generates_a_password(file: AccountsFile) -> None:
    account, password = command.add_account(file, "ada", None, now=NOW, plan="big")
    assert account.plan == "big" and works(file, "ada", password)


def test_add_takes_a_password(file: AccountsFile) -> None:
    account, password = command.add_account(file, "ada", "correct horse", now=NOW)
    assert password is None and works(file, account.name, "correct horse")


@pytest.mark.parametrize(("name", "fields", "why"), [
    ("ada", {}, "already an account named 'ada'"),
    ("bob", {"plan": "none"}, "no plan 'none': use one of big, default"),
    ("bob", {"inspect": True}, "agreed"),
    ("bob", {"networks": ["192.0.2.1/24"]}, "did you mean"),
    ("b:b", {}, "colons"),
])
def test_add_refuses(file: AccountsFile, name: str, fields: dict[str, object], why: str) -> None:
    command.add_account(file, "ada", "x", now=NOW)
    with pytest.raises(AccountError, match=why):
        command.add_account(file, name, "x", now=NOW, plans=["default", "big"], **fields)
    assert file.count() == 1


def test_an_empty_password_is_not_replaced_by_a_generated_one(file: AccountsFile) -> None:
    with pytest.raises(passwords.UnusablePassword, match="empty"):
        command.add_account(file, "ada", "", now=NOW)


def test_standing_and_password(file: AccountsFile) -> None:
    command.add_account(file, "ada", "x", now=NOW)
    command.set_standing(file, "ada", Standing.SUSPENDED, "unpaid", NOW)
    found = file.by_name("ada")
    assert found is not None and found[0].reason == "unpaid" and not found[0].standing.may_use
    assert works(file, "ada", command.set_password(file, "ada", None, NOW))
    assert not works(file, "ada", "x")
    assert command.set_password(file, "ada", "y", NOW) is None and works(file, "ada", "y")
    for call in (lambda: command.set_standing(file, "bob", Standing.GOOD, "", NOW),
                 lambda: command.set_password(file, "bob", "x", NOW)):
        with pytest.raises(AccountError, match=r"no account named 'bob' in .*accounts\.db"):
            call()


# --- the commands, on the shipped configuration ---------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "config", ignore=shutil.ignore_patterns("var"))
    return tmp_path / "config"


def run(config: Path, *words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(command.accounts, [*words, "--config", str(config)], input=stdin)


def listed(config: Path) -> dict[str, dict[str, object]]:
    result = run(config, "list", "--json")
    assert result.exit_code == 0, result.output
    return {one["name"]: one for one in map(json.loads, result.stdout.splitlines())}


def works_in(config: Path, name: str, password: str) -> bool:
    (path,) = config.rglob("accounts.db")
    with closing(AccountsFile(path)) as file:
        return works(file, name, password)


def test_a_customer_from_first_to_last(config: Path) -> None:
    result = run(config, "add", "ada", "--inspect", "--consent", "2023-11-14", "--crawler",
                 "AdaBot", "--network", "192.0.2.0/24", "--network", "2001:db8::/32")
    assert result.exit_code == 0, result.output
    printed = re.search(r"^The password of ada is (\S+)$", result.output, re.MULTILINE)
    assert printed is not None and works_in(config, "ada", printed[1])

    ada = listed(config)["ada"]
    assert (ada["inspect"], ada["consent"], ada["crawler"], ada["networks"]) == (
        True, "2023-11-14", "AdaBot", ["192.0.2.0/24", "2001:db8::/32"])
    assert "password" not in str(ada) and "argon2" not in str(ada)

    assert run(config, "suspend", "ada", "--reason", "see [ticket 7]").exit_code == 0
    assert listed(config)["ada"]["standing"] == "suspended"
    table = run(config, "list").output
    assert "suspended" in table and "ada" in table

    assert run(config, "resume", "ada").exit_code == 0
    ada = listed(config)["ada"]
    assert (ada["standing"], ada["reason"]) == ("good", "")

    result = run(config, "set-password", "ada", "--password-stdin", stdin="pass word\nmore\n")
    assert result.exit_code == 0 and "pass word" not in result.output
    assert works_in(config, "ada", "pass word")
    result = run(config, "set-password", "ada")
    printed = re.search(r"is (\S+)$", result.output, re.MULTILINE)
    assert printed is not None and works_in(config, "ada", printed[1])


@pytest.mark.parametrize(("words", "stdin", "code", "why"), [
    (["add", "bob", "--inspect"], "", 2, "--inspect needs --consent"),
    (["add", "bob", "--inspect", "--consent", "today"], "", 2, "not a date"),
    (["add", "bob", "--inspect", "--consent", "2023-02-30"], "", 1, "write the date as"),
    (["add", "bob", "--inspect", "--consent", "2999-01-01"], "", 1, "future"),
    (["add", "bob", "--plan", "gold-plated"], "", 1, "there is no plan 'gold-plated'"),
    (["add", "bob", "--network", "everywhere"], "", 1, "address or CIDR"),
    (["add", "bob", "--crawler", "Bob/1.0"], "", 1, "product token"),
    (["add", "bob", "--password-stdin"], "", 1, "password is empty"),
    (["add", "bob", "--password-stdin"], "x" * 73, 1, "73 bytes"),
    (["add"], "", 2, "Missing argument"),
    (["suspend", "ada"], "", 2, "Missing option '--reason'"),
    (["suspend", "bob", "--reason", "x"], "", 1, "no account named 'bob'"),
    (["resume", "bob"], "", 1, "no account named 'bob'"),
    (["set-password", "bob"], "", 1, "no account named 'bob'"),
])
def test_errors_are_plain(
    config: Path, words: list[str], stdin: str, code: int, why: str
) -> None:
    result = run(config, *words, stdin=stdin)
    assert result.exit_code == code and why in result.output, result.output
    assert "Traceback" not in result.output and isinstance(result.exception, SystemExit)
    assert listed(config) == {}


def test_a_missing_configuration_is_plain(tmp_path: Path) -> None:
    result = run(tmp_path / "none", "list")
    assert result.exit_code == 1 and result.output.startswith("Error: ")
    assert str(tmp_path / "none") in result.output


def test_a_damaged_file_is_plain(config: Path) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    (path,) = config.rglob("accounts.db")
    for old in path.parent.glob("accounts.db*"):
        old.unlink()
    path.write_bytes(b"ada:x\n" * 100)
    result = run(config, "list")
    assert result.exit_code == 1 and str(path) in result.output and "backup" in result.output


def test_table_shows_brackets_as_they_are(file: AccountsFile) -> None:
    from rich.console import Console

    command.add_account(file, "[red]ada[/red]", "x", now=NOW)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(command.as_table(file.list()))
    assert "[red]ada[/red]" in shown.get()
