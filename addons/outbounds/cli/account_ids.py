"""An account's id from what somebody types: its name, its id, or its pseudonym.

Accounts that are gone are still in the log, by their ids: what nobody knows is taken for one.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..evidence.pseudonym import is_pseudonym, pseudonym
from ..identity.accounts_file import AccountsFile, AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..settings import SettingsError, load_identity
from .named_account import named_account


def account_id(config_dir: Path, key: bytes, text: str) -> str:
    """`key` is `privacy.load_key`'s. Says on standard error what it could not find out."""
    try:
        identity = load_identity(config_dir)
        try:
            return named_account(identity, text).id
        except AccountsFileError:
            if is_pseudonym(text):
                accounts = AccountsFile(identity.accounts)
                try:
                    for each in accounts.list():
                        if pseudonym(key, each.id) == text:
                            return each.id
                finally:
                    accounts.close()
    except (SettingsError, AccountsFileError, HtpasswdError) as error:
        click.echo(f"the accounts cannot be read ({error})", err=True)
    click.echo(f"{text!r} is not among the accounts there are now; taken for the id of one that "
               "was", err=True)
    return text
