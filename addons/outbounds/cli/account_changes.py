"""What the commands of `outbounds accounts` do to the accounts file.

Each is a function of the open file, so that it can be read and tested without a configuration. All
raise `AccountError` for what cannot be, and for an account that is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from outbounds.core.account import Account, Standing
from outbounds.identity.accounts_file import AccountsFile
from outbounds.identity.fields import AccountError, check_consent
from outbounds.identity.passwords import hash_password, random_password


def add_account(
    file: AccountsFile, name: str, password: str | None, *, now: float,
    plans: Collection[str] = (), **fields: Any,
) -> tuple[Account, str | None]:
    """(account, the password if one was generated). `fields` as for `AccountsFile.add`.

    `plans` are those of the configuration; an account on a plan that is not there would be refused
    at its first request. Raises `AccountError` and `UnusablePassword`.
    """
    _check_plan(fields.get("plan", "default"), plans)
    check_consent(fields.get("inspect", False), fields.get("consent", ""), now)
    if file.by_name(name) is not None:  # before the hash, which takes a while
        raise AccountError(f"there is already an account named {name!r}")
    generated = random_password() if password is None else None
    account = file.add(name, hash_password(generated or password or ""), now=now, **fields)
    return account, generated


def set_standing(
    file: AccountsFile, name: str, standing: Standing, reason: str, now: float
) -> Account:
    account = named(file, name)
    file.set_standing(account.id, standing, reason, now=now)
    return account


def set_password(file: AccountsFile, name: str, password: str | None, now: float) -> str | None:
    """The password if one was generated."""
    account = named(file, name)
    generated = random_password() if password is None else None
    file.set_password(account.id, hash_password(generated or password or ""), now=now)
    return generated


def set_plan(file: AccountsFile, name: str, plan: str, now: float,
             plans: Collection[str] = ()) -> Account:
    _check_plan(plan, plans)
    account = named(file, name)
    file.set_plan(account.id, plan, now=now)
    return account


def set_inspection(file: AccountsFile, name: str, consent: str, now: float) -> Account:
    """`consent` is the date on which the customer agreed; "" ends inspection."""
    account = named(file, name)
    file.set_inspection(account.id, bool(consent), consent, now=now)
    return account


def set_crawler(file: AccountsFile, name: str, token: str, now: float) -> Account:
    """`token` is the product token that the account declares; "": none. The account as it was."""
    account = named(file, name)
    file.set_crawler(account.id, token, now=now)
    return account


def set_purposes(file: AccountsFile, name: str, purposes: Iterable[str], now: float) -> Account:
    """`purposes` is all that the account declares to use what it fetches for."""
    account = named(file, name)
    file.set_purposes(account.id, purposes, now=now)
    return account


def _check_plan(plan: str, plans: Collection[str]) -> None:
    if plans and plan not in plans:
        raise AccountError(f"there is no plan {plan!r}: use one of {', '.join(sorted(plans))}")


def named(file: AccountsFile, name: str) -> Account:
    found = file.by_name(name)
    if found is None:
        raise AccountError(
            f"there is no account named {name!r} in {file.path}: see `outbounds accounts list` "
            "(accounts of htpasswd files are changed there)")
    return found[0]
