"""`outbounds limits show` and `reset`: what has been counted, asked of the proxy that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..core.account import Account
from ..identity.accounts_file import AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..settings import SettingsError, load_identity, load_service
from ..settings.service import Service
from .config_option import config_option
from .list_status import ago
from .named_account import named_account
from .printing import show
from .running_proxy import RunningProxy

Of = tuple[str, str, str]
"""Kind, name as the proxy counts it, and the plan of an account."""

_target = click.option("--target", default="", metavar="HOST",
                       help="Of a target, over all accounts, instead of an account.")
_source = click.option("--source", default="", metavar="IP",
                       help="Of a client's address, instead of an account.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command("show")
@click.argument("account", default="")
@_target
@_source
@config_option
@_json
def show_(account: str, target: str, source: str, config_dir: Path, as_json: bool) -> None:
    """Show each limit of ACCOUNT (name or id), and of each host that it has been counted on.

    \b
    used    of what may be had at once, or in the calendar period
    debt    what was used beyond that; it delays what follows
    whole   when all of it is there again, if nothing more is used
    """
    service, (kind, name, plan), title = _asked(config_dir, account, target, source)
    answer = ask(service, "limits-show", kind=kind, name=name, plan=plan)
    if as_json:
        click.echo(json.dumps({"kind": kind, "name": name, **answer}, ensure_ascii=False))
        return
    show(Text(title), _table(answer["limits"]))
    if answer["waiting"]:
        show(Text(f"{answer['waiting']} requests are waiting for their turn"))


@click.command()
@click.argument("account", default="")
@_target
@_source
@click.option("--limit", default="", metavar="ID", help="This limit only.")
@config_option
def reset(account: str, target: str, source: str, limit: str, config_dir: Path) -> None:
    """Forget what was counted for ACCOUNT, debts included; what it holds stays held.

    It is logged and put on record, with who did it.
    """
    service, (kind, name, _), title = _asked(config_dir, account, target, source)
    answer = ask(service, "limits-reset", kind=kind, name=name, limit=limit)
    what = f"the limit {limit}" if limit else "all limits"
    click.echo(f"Reset {what} of {title}: {answer['forgotten']} counts forgotten.")


def ask(service: Service, command: str, **fields: Any) -> dict[str, Any]:
    """Of whichever worker answers first: they share what they count."""
    answer = RunningProxy(service.data).ask_one(command, **fields)
    if answer is None:
        raise not_running(service)
    return answer


def not_running(service: Service) -> click.ClickException:
    where = ("what was counted was in its memory, and went with it" if service.store.url == "memory"
             else f"what is counted is kept at {service.store.url}; ask where a proxy runs")
    return click.ClickException(f"no proxy runs on {service.data}: {where}")


def _asked(config_dir: Path, account: str, target: str, source: str) -> tuple[Service, Of, str]:
    """The configuration, of whom a command speaks, and how to name them."""
    if sum(map(bool, (account, target, source))) != 1:
        raise click.UsageError("of whom? give one of ACCOUNT, --target HOST and --source IP")
    try:
        service = load_service(config_dir)
        if target:
            return service, ("target", target, ""), f"the target {target}"
        if source:
            return service, ("source", source, ""), f"the source {source}"
        found: Account = named_account(load_identity(config_dir), account)
    except (SettingsError, AccountsFileError, HtpasswdError) as error:
        raise click.ClickException(str(error)) from None
    return service, ("account", found.id, found.plan), (
        f"{found.name} ({found.id}), plan {found.plan}")


# --- the table ----------------------------------------------------------------------------------


def _table(states: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("limit", "on", "allows", "used", "left", "debt", "whole"):
        table.add_column(column, justify="right" if column in ("used", "left", "debt") else "left")
    for each in states:
        octets = each["unit"].startswith("bytes")
        used, left, debt = (_amount(each[key], octets) for key in ("used", "remaining", "debt"))
        table.add_row(
            each["limit"], Text(each["of"] or "-"), _allows(each, octets),
            used if each["most"] else "-", left if each["most"] else "-",
            debt if each["debt"] else "-", _whole(each))
    return table


def _allows(state: dict[str, Any], octets: bool) -> str:
    if not state["most"]:
        return "-"
    most, count = _amount(state["most"], octets), _amount(state["count"], octets)
    if state["whole"] is None:
        return f"{most} at once"
    if state["every"]:
        return f"{count}/{state['every']}"
    units = {1: "s", 60: "min", 3600: "h", 86400: "day"}
    per = units.get(state["window"]) or f"{state['window']:g} s"
    return f"{count}/{per}, {most} at once"


def _whole(state: dict[str, Any]) -> str:
    if state["whole"] is None:
        return "-"
    return f"in {ago(state['whole'])}" if state["whole"] > 0 else "now"


def _amount(count: int, octets: bool) -> str:
    if not octets:
        return f"{count:,}"
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} B"
