"""`outbounds sites`: claim, list, check, remove. What accounts own is theirs to crawl.

The operator writes a claim down and tells the customer what to publish; the proxy that runs looks
for it. Claiming and removing work without one, too. What must work at 3 a.m. is `remove`: it reads
no more of the configuration than where the data and the accounts are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..core.destination import BadHost, parse_host
from ..core.site_claims import FILE_PATH, Proof, SiteClaim, State, parse_site
from ..identity.accounts_file import AccountsFile, AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..lists.rules_file import parse_rules
from ..robotstxt.ownership_file import (
    SitesFileError,
    add_claim,
    new_token,
    read_sites,
    remove_claim,
    sites_path,
)
from ..settings import Settings, SettingsError, load, load_identity, load_service
from .config_option import config_option
from .named_account import named_account
from .printing import moment, show
from .running_proxy import RunningProxy
from .who_types import operator

PATIENCE = 40.0  # seconds for the proxy to look: other claims may come first
EVERY = 0.1  # seconds


@click.group()
def sites() -> None:
    """Exempt an account from the robots.txt of sites that it has proved to own.

    Robots.txt only: lists, limits and the rules about addresses bind it there as anywhere.
    """


@sites.command()
@click.argument("account")
@click.argument("host")
@click.option("--by", type=click.Choice([each.value for each in Proof]), default=Proof.DNS.value,
              show_default=True, help="dns: a TXT record, which covers HOST and all names below. "
              "file: a file at HOST, which covers HOST alone.")
@config_option
def claim(account: str, host: str, by: str, config_dir: Path) -> None:
    """Write down that ACCOUNT claims to own HOST, and print what it has to publish.

    Claimed again, the same is printed again.
    """
    try:
        account_id = named_account(load_identity(config_dir), account).id
        data = load_service(config_dir).data
        name = parse_site(host, Proof(by)).text
        made = add_claim(sites_path(data), SiteClaim(
            account_id, name, Proof(by), new_token(), time.time(), operator()))
    except BadHost as error:
        raise click.BadParameter(str(error), param_hint="HOST") from None
    except (SettingsError, AccountsFileError, HtpasswdError, SitesFileError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{account} claims {name}. To prove it, publish this, and leave it there:\n")
    click.echo("".join(f"  {line}\n" for line in to_publish(made)))
    if made.looked is not None:
        click.echo("It was claimed before; `outbounds sites list` shows how it stands.")
    elif _workers(data, made, claimed=True):
        click.echo("The proxy looks for it within seconds, and again at growing pauses.")
    else:
        click.echo("No proxy runs; it is looked for when one starts.")


def to_publish(claim: SiteClaim) -> list[str]:
    """The proof of a claim, in lines for the customer."""
    if claim.proof is Proof.DNS:
        return [f'{claim.txt_name}. TXT "{claim.txt}"']
    host = parse_host(claim.host).uri
    return [f"https://{host}{FILE_PATH}  (http where there is no https), plain text, with the line",
            claim.token]


@sites.command("list")
@click.argument("account", default="")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per claim.")
@config_option
def list_(account: str, as_json: bool, config_dir: Path) -> None:
    """List what is claimed, of ACCOUNT or of all, and how the proofs stand."""
    try:
        settings = load(config_dir, parse_rules)
        wanted = _account_id(config_dir, account) if account else ""
        claims = [each for each in read_sites(sites_path(settings.service.data))
                  if each.account == wanted or not wanted]
        names = _names(settings, {each.account for each in claims})
    except (SettingsError, AccountsFileError, SitesFileError) as error:
        raise click.ClickException(str(error)) from None
    rows = [_row(each, names[each.account], settings, time.time()) for each in claims]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("account", "host", "by", "state", "since", "next look", "ends", "last failure"):
        table.add_column(column)
    for row in rows:
        table.add_row(Text(row["name"] or row["account"]), row["host"], row["proof"], row["state"],
                      *(moment(row[key]) if row[key] else "-"
                        for key in ("since", "next_look", "until")), Text(row["failure"]))
    show(table)


def _row(claim: SiteClaim, name: str, settings: Settings, now: float) -> dict[str, Any]:
    """Everything about a claim; times as Unix times. `since` is that of the proof."""
    terms = settings.robots.ownership
    state = claim.state(now, terms.lapse)
    return {**asdict(claim), "name": name, "state": state.value,
            "since": claim.since if state.in_force else None,
            "next_look": claim.next_look(now, terms.check), "until": claim.until(terms.lapse)}


@sites.command()
@click.argument("account")
@click.argument("host")
@config_option
def check(account: str, host: str, config_dir: Path) -> None:
    """Have the running proxy look for the proof now, and say what came of it.

    Ends with status 1 where it was not found.
    """
    try:
        settings = load(config_dir, parse_rules)
        path = sites_path(settings.service.data)
        account_id, name = _account_id(config_dir, account), parse_host(host).text
        _one(path, account_id, name)  # there is such a claim
        asked = int(time.time() * 1000) / 1000  # as exactly as the file says it
        answers = RunningProxy(settings.service.data).ask_all(
            "sites-check", account=account_id, host=name)
        if not any(each["looks"] for each in answers):
            raise click.ClickException("no proxy runs that could look; it is looked for once one "
                                       "does" if not answers else "the proxy does not know the "
                                       "claim; its log may say why")
        after = _looked(path, account_id, name, asked)
    except BadHost as error:
        raise click.BadParameter(str(error), param_hint="HOST") from None
    except (SettingsError, SitesFileError) as error:
        raise click.ClickException(str(error)) from None
    now, lapse = time.time(), settings.robots.ownership.lapse
    state = after.state(now, lapse)
    if state is State.PROVED:
        click.echo(f"Found. {name} is proved, by {after.proof}.")
        return
    until = after.until(lapse)
    holds = f" The proof still holds, until {moment(until)}." if state.in_force and until else ""
    raise click.ClickException(f"not found: {after.failure}{holds}")


def _looked(path: Path, account_id: str, name: str, asked: float) -> SiteClaim:
    """The claim after the first look that began later than the Unix time `asked`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = _one(path, account_id, name)
        if now.looked is not None and now.looked >= asked:
            return now
        time.sleep(EVERY)
    raise click.ClickException(f"the proxy has not looked within {PATIENCE:g} s; its log may say "
                               "why, and `outbounds sites list` shows what comes of it")


@sites.command()
@click.argument("account")
@click.argument("host")
@config_option
def remove(account: str, host: str, config_dir: Path) -> None:
    """Remove the claim of ACCOUNT to HOST: from now on its robots.txt binds the account.

    What was published for it proves nothing any more: a new claim has another token.
    """
    try:
        data = load_service(config_dir).data
        account_id, name = _account_id(config_dir, account), parse_host(host).text
        found = remove_claim(sites_path(data), account_id, name)
    except BadHost as error:
        raise click.BadParameter(str(error), param_hint="HOST") from None
    except (SettingsError, SitesFileError) as error:
        raise click.ClickException(str(error)) from None
    if found is None:
        raise _no_claim(account, name)
    count = _workers(data, found, claimed=False)
    click.echo(f"Removed. In force in {count} worker{'s' if count > 1 else ''}." if count else
               "Removed. No proxy runs; it holds when one starts.")


def _one(path: Path, account_id: str, host: str) -> SiteClaim:
    for each in read_sites(path):
        if (each.account, each.host) == (account_id, host):
            return each
    raise _no_claim(account_id, host)


def _no_claim(account: str, host: str) -> click.ClickException:
    return click.ClickException(f"{account} does not claim {host}; `outbounds sites list` shows "
                                "what is claimed")


def _account_id(config_dir: Path, account: str) -> str:
    """The id; as it was typed where there is no such account: its claims may have outlived it."""
    try:
        return named_account(load_identity(config_dir), account).id
    except (AccountsFileError, HtpasswdError):
        return account


def _names(settings: Settings, account_ids: Iterable[str]) -> dict[str, str]:
    """The accounts' names, "" for those that are gone or kept elsewhere."""
    with closing(AccountsFile(settings.identity.accounts)) as file:
        return {each: found.name if (found := file.by_id(each)) else "" for each in account_ids}


def _workers(data: Path, claim: SiteClaim, *, claimed: bool) -> int:
    """How many run and know. Ends the command if one of them has not taken the change over."""
    answers = RunningProxy(data).ask_all("owned-site", account=claim.account, host=claim.host)
    for each in answers:
        if each["claimed"] is not claimed:
            raise click.ClickException(
                f"it is written down, but worker {each['worker']} has not taken it over: "
                f"{each['trouble'] or 'its log may say why'}")
    return len(answers)
