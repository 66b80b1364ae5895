"""`outbounds lists test`: which lists name a destination, and does that deny it?"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.table import Table
from rich.text import Text

from ..core.account import Account
from ..core.destination import BadHost, Host, parse_host
from ..core.hit import Hit, Hits, denials
from ..core.list_entry import EVERYONE, Effect, Scope
from ..core.rules import Grant
from ..identity.accounts_file import AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..lists.compiled import BadGeneration
from ..lists.in_force import with_lists_in_force
from .config_option import config_option
from .list_naming import loaded
from .named_account import named_account
from .printing import show

SOMEBODY = Account("", "")
"""On the plan that new accounts get, and named by no list."""


@dataclass(frozen=True, slots=True)
class Target:
    """`port` 0, `scheme` "" and `path` "" where they were not said: then nothing that is about
    them matches, as for a tunnel whose inside cannot be seen."""

    host: Host
    port: int = 0
    scheme: str = ""
    path: str = ""


@click.command()
@click.argument("target", metavar="HOST-OR-URL")
@click.option("--account", "name", metavar="NAME",
              help="For this account, by name or id; else for one on the plan default.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def test(target: str, name: str | None, config_dir: Path, as_json: bool) -> None:
    """Say which entries of which lists match a host, an address or a URL.

    HOST-OR-URL is such as example.com, example.com:8443, 192.0.2.7 or https://example.com/page.
    Both the lists in memory and the compiled ones in force are asked, with the code that decides
    in traffic. Nothing is resolved: an entry for a network is found by giving the address.
    `outbounds explain` says what becomes of a whole request.

    Exit status: 0 if nothing denies it, 1 if something does, 2 if that cannot be said.
    """
    try:
        settings = with_lists_in_force(loaded(config_dir))
        account = named_account(settings.identity, name) if name else SOMEBODY
        asked = parse_target(target)
    except (AccountsFileError, HtpasswdError) as error:
        raise click.UsageError(str(error)) from None
    except BadGeneration as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(2) from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="HOST-OR-URL") from None
    policy = settings.policy
    hits = policy.denylist.match(asked.host, asked.port, asked.scheme, asked.path)
    now = time.time()
    deny = denials(hits, account.id, account.plan, now)
    lifted = {hit.rule: _lifting(policy.grants, hit, account, asked.host, now)
              for hit in deny}
    denied = any(not grant for grant in lifted.values())
    rows = [_row(hit, deny, lifted, account, now)
            for hit in sorted(hits, key=lambda hit: (hit not in deny, -hit.weight))]
    if as_json:
        click.echo(json.dumps({"host": asked.host.text, "port": asked.port,
                               "scheme": asked.scheme, "path": asked.path, "denied": denied,
                               "unusable": list(policy.unusable_lists), "hits": rows},
                              ensure_ascii=False))
    else:
        if rows:
            show(_table(rows))
        show(Text(f"{asked.host.text} is {'denied' if denied else 'not denied'} by the lists"
                  f"{f' for {name}' if name else ''}"))
    for each in policy.unusable_lists:
        click.echo(f"{each}: it was never built, so it was not asked; `outbounds lists build` "
                   "does it", err=True)
    if denied:
        raise click.exceptions.Exit(1)
    if policy.unusable_lists:
        raise click.exceptions.Exit(2)


def parse_target(text: str) -> Target:
    """Raises ValueError, BadHost included."""
    if "://" not in text:
        try:
            return Target(parse_host(text))
        except BadHost:
            if ":" not in text and "/" not in text:
                raise
    parts = urlsplit(text if "://" in text else f"//{text}")
    if parts.scheme not in ("", "http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is neither a host nor an http or https URL, such as "
                         "example.com or https://example.com/page")
    host = parse_host(parts.hostname)
    if not parts.scheme:
        if parts.path or parts.query:
            raise ValueError(f"{text!r} has a path but no scheme; write https://{text}")
        return Target(host, parts.port or 0)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, parts.port or (443 if parts.scheme == "https" else 80), parts.scheme, path)


def _lifting(grants: tuple[Grant, ...], hit: Hit, account: Account, host: Host,
             now: float) -> str:
    """The id of the dated exception that lifts a denial, or ""."""
    return next((grant.id for grant in grants for rule in (hit.rule, hit.list_id)
                 if grant.lifts(rule, account.id, host, now)), "")


def _row(hit: Hit, deny: Hits, lifted: dict[str, str], account: Account,
         now: float) -> dict[str, Any]:
    if hit in deny:
        grant = lifted[hit.rule]
        says = f"lifted by the exception {grant}" if grant else "denies"
    elif not hit.counts(account.id, account.plan, now):
        says = "not in force for this account now"
    else:
        says = "lifted by an allow entry" if hit.effect is Effect.DENY else "allows"
    return {"list": hit.list_id, "line": hit.line, "effect": hit.effect.name.lower(),
            "labels": list(hit.labels), "clause": hit.clause, "blocked_by": hit.blocked_by,
            "scope": _scope(hit), "says": says}


def _scope(hit: Hit) -> str:
    return "; ".join(said for scope in (hit.terms.scope, hit.scope) if (said := _said(scope)))


def _said(scope: Scope) -> str:
    said = []
    if scope.plans:
        said.append(f"plans {','.join(sorted(scope.plans))}")
    if scope.accounts:
        said.append(f"accounts {','.join(sorted(scope.accounts))}")
    for word, at, none in (("from", scope.since, EVERYONE.since),
                           ("before", scope.until, EVERYONE.until)):
        if at != none:
            said.append(f"{word} {datetime.fromtimestamp(at, UTC):%Y-%m-%d}")
    return " ".join(said)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("list:line", "effect", "says", "labels", "clause", "for"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in (
            f"{row['list']}:{row['line']}", row["effect"], row["says"],
            ",".join(row["labels"]) or "-", row["clause"], row["scope"] or "everyone")))
    return table
