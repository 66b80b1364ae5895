"""`outbounds accounts`: add, list, show, suspend, resume, and set-… for what can be changed later.

Each command is a thin wrapper over a function of `account_changes`. A running proxy sees every
change within a second; nothing needs a restart or a reload. What must work at 3 a.m. reads no more
of the configuration than where the accounts are: a broken limits.yaml must not stop a suspension.
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

import click
from rich.table import Table
from rich.text import Text

from outbounds.core.account import Account, Standing
from outbounds.core.robots_terms import PURPOSES
from outbounds.identity.accounts_file import AccountsFile, AccountsFileError
from outbounds.identity.fields import AccountError
from outbounds.identity.passwords import UnusablePassword

from .account_changes import (
    add_account,
    named,
    set_crawler,
    set_inspection,
    set_password,
    set_plan,
    set_purposes,
    set_standing,
)
from .config_option import config_option
from .printing import show

# --- what is shown ------------------------------------------------------------------------------

FIELDS: dict[str, Callable[[Account], str]] = {
    "name": lambda account: account.name,
    "id": lambda account: account.id,
    "plan": lambda account: account.plan,
    "standing": lambda account: account.standing.value,
    "inspected": lambda account: account.consent if account.inspect else "no",
    "reason": lambda account: account.reason,
    "crawler": lambda account: account.crawler,
    "purposes": lambda account: ", ".join(account.purposes),
    "networks": lambda account: ", ".join(account.networks),
}
LISTED = ("name", "id", "plan", "standing", "inspected", "reason")  # what fits 80 columns


def as_table(accounts: Iterable[Account]) -> Table:
    """A row an account. `inspected` is the date of the consent, or no."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in LISTED:
        table.add_column(name, overflow="fold", no_wrap=name not in ("name", "reason"))
    for account in accounts:
        # as text, never as markup: a reason may hold square brackets
        table.add_row(*(Text(FIELDS[name](account)) for name in LISTED))
    return table


# --- the commands -------------------------------------------------------------------------------


@click.group()
def accounts() -> None:
    """Add customers, list them, suspend them, change their passwords."""


@contextmanager
def _opened(config_dir: Path) -> Iterator[AccountsFile]:
    """The accounts file that the configuration names."""
    # imported here: completion and --help need neither
    from outbounds.settings import SettingsError, load_identity

    try:
        file = AccountsFile(load_identity(config_dir).accounts)
        try:
            yield file
        finally:
            file.close()
    except (AccountError, AccountsFileError, SettingsError, UnusablePassword) as error:
        raise click.ClickException(str(error)) from None


def _plans(config_dir: Path) -> Collection[str]:
    """The plans there are; for that the whole configuration has to be good."""
    from outbounds.lists.rules_file import parse_rules
    from outbounds.settings import SettingsError, load

    try:
        return load(config_dir, parse_rules).policy.plans.keys()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _command[**P](function: Callable[P, None]) -> click.Command:
    """A subcommand named after its function, with --config."""
    name = function.__name__.strip("_").replace("_", "-")
    return accounts.command(name)(config_option(function))


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
@click.option("--purpose", "purposes", multiple=True, type=click.Choice(PURPOSES),
              help="What the customer uses what it fetches for; may be given again.")
@click.option("--network", "networks", multiple=True, metavar="CIDR",
              help="A source network of the customer; may be given again.")
def _add(config_dir: Path, name: str, plan: str, password_stdin: bool, inspect: bool, consent: str,
         crawler: str, purposes: tuple[str, ...], networks: tuple[str, ...]) -> None:
    """Add an account. Its password is generated and printed once, or read with --password-stdin."""
    if inspect and not consent:
        raise click.UsageError(
            "--inspect needs --consent YYYY-MM-DD: the day on which the customer agreed to it")
    plans = _plans(config_dir)
    with _opened(config_dir) as file:
        account, password = add_account(
            file, name, _from_stdin(password_stdin), now=time.time(), plans=plans, plan=plan,
            inspect=inspect, consent=consent, crawler=crawler, purposes=purposes,
            networks=networks)
    click.echo(f"Added {account.name} ({account.id}) on the plan {account.plan}.")
    _print_password(name, password)


@_command
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def _list(config_dir: Path, as_json: bool) -> None:
    """List the accounts, by name. `show NAME` has more of one, --json all of all."""
    with _opened(config_dir) as file:
        if not as_json:
            show(as_table(file.list()))
            return
        for account in file.list():
            click.echo(json.dumps(dataclasses.asdict(account)))


@_command
@click.argument("name")
@click.option("--reason", required=True, help="Shown to the customer with each refusal.")
def _suspend(config_dir: Path, name: str, reason: str) -> None:
    """Refuse the account's requests from now on, and close its tunnels."""
    with _opened(config_dir) as file:
        account = set_standing(file, name, Standing.SUSPENDED, reason, time.time())
    click.echo(f"Suspended {account.name} ({account.id}).")


@_command
@click.argument("name")
def _resume(config_dir: Path, name: str) -> None:
    """Put the account back into good standing."""
    with _opened(config_dir) as file:
        account = set_standing(file, name, Standing.GOOD, "", time.time())
    click.echo(f"Resumed {account.name} ({account.id}).")


@_command
@click.argument("name")
@_password_stdin
def _set_password(config_dir: Path, name: str, password_stdin: bool) -> None:
    """Give the account a new password; the old one stops working within a second."""
    with _opened(config_dir) as file:
        password = set_password(file, name, _from_stdin(password_stdin), time.time())
    click.echo(f"Changed the password of {name}.")
    _print_password(name, password)


@_command
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def _show(config_dir: Path, name: str, as_json: bool) -> None:
    """Show one account."""
    with _opened(config_dir) as file:
        account = named(file, name)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(account)))
        return
    for label, cell in FIELDS.items():
        click.echo(f"{label:<10} {cell(account)}".rstrip())


@_command
@click.argument("name")
@click.argument("plan")
def _set_plan(config_dir: Path, name: str, plan: str) -> None:
    """Put the account on another plan."""
    plans = _plans(config_dir)
    with _opened(config_dir) as file:
        account = set_plan(file, name, plan, time.time(), plans)
    click.echo(f"{account.name} ({account.id}) is on the plan {plan}; it was on {account.plan}.")


@_command
@click.argument("name")
@click.option("--consent", default="", callback=_date, metavar="YYYY-MM-DD",
              help="Open this customer's TLS; the day on which the customer agreed to it.")
@click.option("--off", is_flag=True, help="Inspect no longer.")
def _set_inspect(config_dir: Path, name: str, consent: str, off: bool) -> None:
    """Turn inspection of the account's TLS on or off, for tunnels that open from now on."""
    if bool(consent) == off:
        raise click.UsageError("give either --consent YYYY-MM-DD or --off")
    with _opened(config_dir) as file:
        account = set_inspection(file, name, consent, time.time())
    what = "no longer inspected" if off else f"inspected; consent of {consent}"
    click.echo(f"{account.name} ({account.id}) is {what}.")


@_command
@click.argument("name")
@click.argument("token", default="")
@click.option("--none", is_flag=True, help="The account declares no crawler any more.")
def _set_crawler(config_dir: Path, name: str, token: str, none: bool) -> None:
    """Change the product TOKEN whose rules in robots.txt bind the account from now on."""
    if bool(token) == none:
        raise click.UsageError("give either a product token, such as ExampleBot, or --none")
    with _opened(config_dir) as file:
        account = set_crawler(file, name, token, time.time())
    click.echo(f"The crawler of {account.name} ({account.id}) is {token or 'not declared'}; it was "
               f"{account.crawler or 'not declared'}.")


@_command
@click.argument("name")
@click.argument("purposes", nargs=-1, type=click.Choice(PURPOSES))
@click.option("--none", is_flag=True, help="The account declares no purpose any more.")
def _set_purposes(config_dir: Path, name: str, purposes: tuple[str, ...], none: bool) -> None:
    """Say all PURPOSES that the account uses what it fetches for. Where a robots.txt does not want
    one of them, it is refused from its next request on."""
    if bool(purposes) == none:
        raise click.UsageError(f"give either purposes ({', '.join(PURPOSES)}) or --none")
    with _opened(config_dir) as file:
        account = set_purposes(file, name, purposes, time.time())
        now = named(file, name)
    before, after = (", ".join(each.purposes) or "not declared" for each in (account, now))
    click.echo(f"The purposes of {account.name} ({account.id}) are {after}; they were {before}.")
