"""`outbounds accounts`: add, list, suspend, resume, set-password.

Each command is a thin wrapper over a function that takes the open accounts file, so that what it
does can be read and tested without a configuration. A running proxy sees every change within a
second; nothing needs a restart or a reload.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from outbounds.core.account import Account, Standing
from outbounds.identity.accounts_file import AccountsFile, AccountsFileError
from outbounds.identity.fields import AccountError, check_consent
from outbounds.identity.passwords import UnusablePassword, hash_password, random_password

# --- what the commands do -----------------------------------------------------------------------


def add_account(
    file: AccountsFile, name: str, password: str | None, *, now: float,
    plans: Collection[str] = (), **fields: Any,
) -> tuple[Account, str | None]:
    """(account, the password if one was generated). `fields` as for `AccountsFile.add`.

    `plans` are those of the configuration; an account on a plan that is not there would be refused
    at its first request. Raises `AccountError` and `UnusablePassword`.
    """
    plan = fields.get("plan", "default")
    if plans and plan not in plans:
        raise AccountError(f"there is no plan {plan!r}: use one of {', '.join(sorted(plans))}")
    check_consent(fields.get("inspect", False), fields.get("consent", ""), now)
    if file.by_name(name) is not None:  # before the hash, which takes a while
        raise AccountError(f"there is already an account named {name!r}")
    generated = random_password() if password is None else None
    account = file.add(name, hash_password(generated or password or ""), now=now, **fields)
    return account, generated


def set_standing(
    file: AccountsFile, name: str, standing: Standing, reason: str, now: float
) -> Account:
    account = _named(file, name)
    file.set_standing(account.id, standing, reason, now=now)
    return account


def set_password(file: AccountsFile, name: str, password: str | None, now: float) -> str | None:
    """The password if one was generated."""
    account = _named(file, name)
    generated = random_password() if password is None else None
    file.set_password(account.id, hash_password(generated or password or ""), now=now)
    return generated


def _named(file: AccountsFile, name: str) -> Account:
    found = file.by_name(name)
    if found is None:
        raise AccountError(
            f"there is no account named {name!r} in {file.path}: see `outbounds accounts list` "
            "(accounts of htpasswd files are changed there)")
    return found[0]


def as_table(accounts: Iterable[Account]) -> Table:
    table = Table("name", "id", "plan", "standing", "reason", "inspected", "crawler", "networks",
                  box=None, header_style="bold")
    for account in accounts:
        inspected = f"since consent of {account.consent}" if account.inspect else "no"
        # as text, never as markup: a reason may hold square brackets
        table.add_row(*(Text(cell) for cell in (
            account.name, account.id, account.plan, account.standing.value, account.reason,
            inspected, account.crawler, ", ".join(account.networks))))
    return table


# --- the commands -------------------------------------------------------------------------------


@click.group()
def accounts() -> None:
    """Add customers, list them, suspend them, change their passwords."""


@contextmanager
def _opened(config: Path) -> Iterator[tuple[AccountsFile, Collection[str]]]:
    """The accounts file that the configuration names, and the plans there are."""
    # imported here: completion and --help need neither
    from outbounds.lists.rules_file import parse_rules
    from outbounds.settings import SettingsError, load

    try:
        settings = load(config, parse_rules)
        file = AccountsFile(settings.identity.accounts)
        try:
            yield file, settings.policy.plans.keys()
        finally:
            file.close()
    except (AccountError, AccountsFileError, SettingsError, UnusablePassword) as error:
        raise click.ClickException(str(error)) from None


def _command[**P](function: Callable[P, None]) -> click.Command:
    """A subcommand named after its function, with --config."""
    option = click.option("--config", type=click.Path(path_type=Path), default=Path("config"),
                          show_default=True, metavar="DIR", help="Folder of the configuration.")
    name = function.__name__.strip("_").replace("_", "-")
    return accounts.command(name)(option(function))


_password_stdin = click.option(
    "--password-stdin", is_flag=True,
    help="Read the password from the first line of standard input, instead of generating one.")


def _from_stdin(wanted: bool) -> str | None:
    return sys.stdin.readline().rstrip("\r\n") if wanted else None


def _date(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise click.BadParameter(f"{value!r} is not a date; write YYYY-MM-DD")
    return value


def _print_password(name: str, password: str | None) -> None:
    if password is not None:
        click.echo(f"The password of {name} is {password}\nIt is shown only now.")


@_command
@click.argument("name")
@click.option("--plan", default="default", show_default=True, help="What the customer was sold.")
@_password_stdin
@click.option("--inspect", is_flag=True, help="Open this customer's TLS; needs --consent.")
@click.option("--consent", default="", callback=_date, metavar="YYYY-MM-DD",
              help="The day on which the customer agreed to inspection.")
@click.option("--crawler", default="", metavar="TOKEN",
              help="The product token that robots.txt rules name the customer's crawler by.")
@click.option("--network", "networks", multiple=True, metavar="CIDR",
              help="A source network of the customer; may be given again.")
def _add(config: Path, name: str, plan: str, password_stdin: bool, inspect: bool, consent: str,
         crawler: str, networks: tuple[str, ...]) -> None:
    """Add an account. Its password is generated and printed once, or read with --password-stdin."""
    if inspect and not consent:
        raise click.UsageError(
            "--inspect needs --consent YYYY-MM-DD: the day on which the customer agreed to it")
    with _opened(config) as (file, plans):
        account, password = add_account(
            file, name, _from_stdin(password_stdin), now=time.time(), plans=plans, plan=plan,
            inspect=inspect, consent=consent, crawler=crawler, networks=networks)
    click.echo(f"Added {account.name} ({account.id}) on the plan {account.plan}.")
    _print_password(name, password)


@_command
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def _list(config: Path, as_json: bool) -> None:
    """List the accounts, by name."""
    with _opened(config) as (file, _):
        if not as_json:
            Console().print(as_table(file.list()))
            return
        for account in file.list():
            click.echo(json.dumps(dataclasses.asdict(account)))


@_command
@click.argument("name")
@click.option("--reason", required=True, help="Shown to the customer with each refusal.")
def _suspend(config: Path, name: str, reason: str) -> None:
    """Refuse the account's requests from now on, and close its tunnels."""
    with _opened(config) as (file, _):
        account = set_standing(file, name, Standing.SUSPENDED, reason, time.time())
    click.echo(f"Suspended {account.name} ({account.id}).")


@_command
@click.argument("name")
def _resume(config: Path, name: str) -> None:
    """Put the account back into good standing."""
    with _opened(config) as (file, _):
        account = set_standing(file, name, Standing.GOOD, "", time.time())
    click.echo(f"Resumed {account.name} ({account.id}).")


@_command
@click.argument("name")
@_password_stdin
def _set_password(config: Path, name: str, password_stdin: bool) -> None:
    """Give the account a new password; the old one stops working within a second."""
    with _opened(config) as (file, _):
        password = set_password(file, name, _from_stdin(password_stdin), time.time())
    click.echo(f"Changed the password of {name}.")
    _print_password(name, password)
