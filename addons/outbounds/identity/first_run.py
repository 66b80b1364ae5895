"""The account that a new installation begins with, so that its first request can be made."""

from __future__ import annotations

import datetime

from outbounds.core.account import Account

from .accounts_file import AccountsFile
from .passwords import hash_password, random_password

FIRST_NAME = "customer"


def create_first_account(file: AccountsFile, now: float) -> tuple[Account, str] | None:
    """(account, password) if the file held no accounts, else None. `now` is Unix time.

    The account is inspected: whoever installs the proxy and uses this account is one person, and
    consents by doing so. The password is nowhere but in the answer. Raises `AccountsFileError`.
    """
    if file.count():
        return None
    password = random_password()
    password_hash = hash_password(password)  # outside the transaction: it takes a while
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
    with file.transaction():
        if file.count():  # another process was first
            return None
        account = file.add(
            FIRST_NAME, password_hash, now=now, inspect=True, consent=today,
            reason="Made on first run; the operator who installed the proxy agreed to inspection.")
    return account, password
