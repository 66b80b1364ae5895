"""An account as an argument: by its name or its id, wherever accounts are kept."""

from __future__ import annotations

from ..core.account import Account
from ..identity.accounts_file import AccountsFile, AccountsFileError
from ..identity.htpasswd import Htpasswd
from ..settings.service import Identity


def named_account(identity: Identity, name: str) -> Account:
    """Raises AccountsFileError, HtpasswdError."""
    accounts = AccountsFile(identity.accounts)
    try:
        found = accounts.by_name(name)
        account = found[0] if found else accounts.by_id(name)
    finally:
        accounts.close()
    if account is None:
        files = Htpasswd([(entry.file, entry.plan) for entry in identity.htpasswd])
        found = files.by_name(name)
        account = found[0] if found else files.by_id(name)
    if account is None:
        raise AccountsFileError(f"there is no account {name!r}; `outbounds accounts list` shows "
                                "those there are")
    return account
