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
    (["add", "bob", "--purpose", "resale"], "", 2, "'search', 'ai-input', 'ai-train'"),
    (["set-crawler", "bob", "BobBot"], "", 1, "no account named 'bob'"),
    (["set-purposes", "bob", "search"], "", 1, "no account named 'bob'"),
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


# --- at 3 a.m. ------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [
    "limits.yaml", "plans.yaml", "destinations.yaml", "protocol.yaml", "robots.yaml",
    "evidence.yaml", "exceptions.yaml", "aup/proxymesh.yaml", "lists/blocked.txt"])
def test_a_broken_file_stops_no_suspension(config: Path, broken: str) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    for content in (b"\t: [\n", None):
        if content is None:
            (config / broken).unlink()
        else:
            (config / broken).write_bytes(content)
        assert run(config, "suspend", "ada", "--reason", "now").exit_code == 0
        assert listed(config)["ada"]["standing"] == "suspended"
        assert run(config, "resume", "ada").exit_code == 0
        assert run(config, "set-password", "ada", "--password-stdin", stdin="y\n").exit_code == 0
        assert run(config, "set-inspect", "ada", "--off").exit_code == 0
        assert run(config, "set-crawler", "ada", "AdaBot").exit_code == 0
        assert run(config, "set-purposes", "ada", "search").exit_code == 0
        assert "good" in run(config, "show", "ada").output
    assert works_in(config, "ada", "y")


@pytest.mark.parametrize("broken", ["outbounds.yaml", "identity.yaml"])
def test_where_the_accounts_are_must_be_known(config: Path, broken: str) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    (config / broken).write_text("realm: [\n")
    result = run(config, "suspend", "ada", "--reason", "now")
    assert result.exit_code == 1 and f"{config / broken}:" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("words", [["add", "bob"], ["set-plan", "ada", "large"]])
def test_what_needs_the_plans_needs_a_good_configuration(config: Path, words: list[str]) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    (config / "plans.yaml").write_text("plans: 7\n")
    result = run(config, *words)
    assert result.exit_code == 1 and f"{config}/plans.yaml:1: " in result.output
    assert list(listed(config)) == ["ada"] and listed(config)["ada"]["plan"] == "default"


def test_another_plan(config: Path) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    result = run(config, "set-plan", "ada", "large")
    assert result.output.endswith("is on the plan large; it was on default.\n")
    assert listed(config)["ada"]["plan"] == "large"
    result = run(config, "set-plan", "ada", "gold")
    assert result.exit_code == 1 and "there is no plan 'gold': use one of default" in result.output
    assert run(config, "set-plan", "bob", "large").exit_code == 1


def test_inspection_on_and_off(config: Path) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    before = listed(config)["ada"]["revision"]
    assert run(config, "set-inspect", "ada", "--consent", "2023-11-14").exit_code == 0
    ada = listed(config)["ada"]
    assert (ada["inspect"], ada["consent"]) == (True, "2023-11-14")
    assert ada["revision"] > before  # type: ignore[operator]  # a running proxy notices by it
    assert run(config, "set-inspect", "ada", "--off").exit_code == 0
    ada = listed(config)["ada"]
    assert (ada["inspect"], ada["consent"]) == (False, "")
    for words, code in (((), 2), (("--off", "--consent", "2023-11-14"), 2),
                        (("--consent", "2999-01-01"), 1), (("--consent", "today"), 2)):
        assert run(config, "set-inspect", "ada", *words).exit_code == code
        assert listed(config)["ada"]["inspect"] is False


def test_another_crawler(config: Path) -> None:
    run(config, "add", "ada", "--password-stdin", "--crawler", "AdaBot", stdin="x\n")
    before = listed(config)["ada"]["revision"]
    result = run(config, "set-crawler", "ada", "MJ12bot")
    assert result.output.endswith("is MJ12bot; it was AdaBot.\n")
    ada = listed(config)["ada"]
    assert ada["crawler"] == "MJ12bot"
    assert ada["revision"] > before  # type: ignore[operator]  # a running proxy notices by it
    for words, code in ((("Ada/1",), 1), ((), 2), (("AdaBot", "--none"), 2)):
        assert run(config, "set-crawler", "ada", *words).exit_code == code
        assert listed(config)["ada"]["crawler"] == "MJ12bot"
    assert run(config, "set-crawler", "ada", "--none").output.endswith(
        "is not declared; it was MJ12bot.\n")
    assert listed(config)["ada"]["crawler"] == ""


def test_other_purposes(config: Path) -> None:
    run(config, "add", "ada", "--password-stdin", "--purpose", "ai-train", "--purpose", "search",
        stdin="x\n")
    assert listed(config)["ada"]["purposes"] == ["search", "ai-train"]
    result = run(config, "set-purposes", "ada", "ai-input")
    assert result.output.endswith("are ai-input; they were search, ai-train.\n")
    assert listed(config)["ada"]["purposes"] == ["ai-input"]
    for words in (("resale",), (), ("search", "--none")):
        assert run(config, "set-purposes", "ada", *words).exit_code == 2
        assert listed(config)["ada"]["purposes"] == ["ai-input"]
    assert run(config, "set-purposes", "ada", "--none").exit_code == 0
    assert listed(config)["ada"]["purposes"] == []


def test_show(config: Path) -> None:
    run(config, "add", "ada", "--password-stdin", "--crawler", "AdaBot", "--network",
        "192.0.2.0/24", "--purpose", "search", "--purpose", "ai-train", stdin="x\n")
    run(config, "suspend", "ada", "--reason", "see [ticket 7]")
    shown = run(config, "show", "ada").output
    for label, value in (("name", "ada"), ("standing", "suspended"), ("crawler", "AdaBot"),
                         ("networks", "192.0.2.0/24"), ("purposes", "search, ai-train"),
                         ("reason", "see [ticket 7]")):
        assert re.search(rf"^{label} +{re.escape(value)}$", shown, re.MULTILINE), label
    assert json.loads(run(config, "show", "ada", "--json").output) == listed(config)["ada"]
    assert run(config, "show", "bob").exit_code == 1


def test_the_configuration_may_be_named_once(config: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    monkeypatch.setenv("OUTBOUNDS_CONFIG", str(config))
    assert "ada" in CliRunner().invoke(command.accounts, ["list"]).output


# --- tables ---------------------------------------------------------------------------------


def test_in_a_pipe_a_row_is_a_line(config: Path) -> None:
    """Else `outbounds accounts list | grep ada` would show half an account."""
    run(config, "add", "ada", "--password-stdin", stdin="x\n")
    run(config, "add", "bob", "--password-stdin", stdin="x\n")
    reason = "a long reason with many words, " * 20
    run(config, "suspend", "ada", "--reason", reason)
    lines = run(config, "list").output.splitlines()
    assert len(lines) == 3 and reason.strip() in lines[1]
    assert not any(line.endswith(" ") for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_table_fits_80_columns(file: AccountsFile) -> None:
    from rich.console import Console

    command.add_account(file, "a-name-of-20-letters", "x", now=NOW, plan="default",
                        inspect=True, consent="2023-11-14")
    command.set_standing(file, "a-name-of-20-letters", Standing.SUSPENDED, "why " * 30, NOW)
    account = next(iter(file.list()))
    console = Console(width=80)
    with console.capture() as shown:
        console.print(command.as_table(file.list()))
    lines = shown.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    for whole in (account.id, "suspended", "2023-11-14", "default"):
        assert whole in lines[1]
