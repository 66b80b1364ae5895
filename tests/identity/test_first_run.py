from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from outbounds.core.account import Account
from outbounds.identity import passwords
from outbounds.identity.accounts_file import AccountsFile
from outbounds.identity.first_run import create_first_account

NOW = 1_700_000_000.0  # 2023-11-14 in UTC


def test_first_account_and_no_second(tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "accounts.db")
    made = create_first_account(file, NOW)
    assert made is not None
    account, password = made
    assert (account.name, account.inspect, account.consent) == ("customer", True, "2023-11-14")
    found = file.by_name("customer")
    assert found is not None and found[0] == account and passwords.verify(found[1], password)
    assert create_first_account(file, NOW) is None and file.count() == 1
    file.close()


def test_any_account_means_no_first_run(tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "accounts.db")
    file.add("ada", passwords.default_dummy(), now=NOW)
    assert create_first_account(file, NOW) is None and file.count() == 1
    file.close()


def test_two_at_once_make_one(tmp_path: Path) -> None:
    def start(_: int) -> tuple[Account, str] | None:
        file = AccountsFile(tmp_path / "accounts.db", timeout=30)
        try:
            return create_first_account(file, NOW)
        finally:
            file.close()

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(start, range(2)))
    assert sum(one is not None for one in made) == 1
