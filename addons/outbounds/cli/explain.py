"""`outbounds explain`: what would happen to a request, from the same code that decides in traffic.

Names are resolved and robots.txt is fetched as the proxy would do it, the fetch on record. Limits
are those of an account that has sent nothing yet: what has been used so far is known only to the
running proxy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.table import Table
from rich.text import Text

from ..core.account import Account
from ..core.case import Case
from ..core.destination import parse_host
from ..core.policy import CONTROLS
from ..core.request import Request, Source, Way
from ..identity.accounts_file import AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..settings import Settings
from . import robots_case
from .config_option import config_option
from .named_account import named_account
from .own_gate import NOT_IN_FORCE, in_force, own_gate
from .printing import show


@click.command()
@click.argument("url")
@click.option("--account", "name", required=True, metavar="NAME", help="Who asks: name or id.")
@click.option("--user-agent", default="", metavar="UA", help="The User-Agent it sends.")
@click.option("--method", default="GET", show_default=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(url: str, name: str, user_agent: str, method: str, config_dir: Path,
            as_json: bool) -> None:
    """Say what would happen to a request for URL, control by control.

    An https URL is asked for in two steps: the CONNECT, and, if the account's TLS is inspected,
    the request inside. Without inspection nothing inside can be judged.
    """
    try:
        settings = in_force(config_dir)
        account = named_account(settings.identity, name)
        requests = list(_requests(url, account, user_agent, method.upper()))
    except (AccountsFileError, HtpasswdError, *NOT_IN_FORCE) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from None
    cases = asyncio.run(_judge(settings, account, requests))
    if as_json:
        click.echo(json.dumps({"account": account.id, "url": url, "policy": settings.policy.version,
                               "allowed": cases[-1].verdict.allowed,
                               "steps": [_as_json(case) for case in cases]}, ensure_ascii=False))
        return
    for case in cases:
        show(Text(_title(case.request)), _table(case))
    show(Text(_conclusion(cases[-1], account)))


def _requests(url: str, account: Account, user_agent: str, method: str) -> Iterator[Request]:
    """The requests that a client makes for `url`. Raises ValueError, BadHost included."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http or https URL, such as https://example.com/page")
    host, port = parse_host(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    source = Source("", 0)
    if parts.scheme == "http":
        yield Request(Way.PLAIN, method, "http", host, port, path, source, user_agent)
        return
    yield Request(Way.CONNECT, "CONNECT", "https", host, port, "", source, user_agent)
    if account.inspect:
        yield Request(Way.INSPECTED, method, "https", host, port, path, source, user_agent)


async def _judge(settings: Settings, account: Account, requests: list[Request]) -> list[Case]:
    cases = []
    async with own_gate(settings, account) as gate:
        for request in requests:
            case = await gate.judge(request, account)
            cases.append(case)
            if not case.verdict.allowed:
                break
    return cases


def _found(control: str, case: Case) -> str:
    """What a control that had no objection went by."""
    account = case.account
    assert account is not None
    if control == "identity":
        inspected = "inspected" if account.inspect else "not inspected"
        return f"{account.id} ({account.name}), plan {account.plan}, {inspected}"
    if control == "standing":
        return account.standing.value
    if control == "protocol":
        return f"{case.request.method}, port {case.request.port}"
    if control == "destination":
        return ", ".join(map(str, case.addresses))
    if control == "robots":
        return robots_case.went_by(case)
    return ", ".join(charge.limit.id for charge in case.charges) or "none apply"


def _title(request: Request) -> str:
    target = f"{request.host.uri}:{request.port}" if request.way.opens_tunnel else request.url
    return f"{request.method} {target}"


def _table(case: Case) -> Table:
    # every cell as text, never as markup: [::1] is no tag
    table = Table(box=None, pad_edge=False)
    for column in ("control", "says", "because"):
        table.add_column(column, overflow="fold")
    done = dict(case.trail)
    for control, _ in CONTROLS:
        if control not in done:
            table.add_row(control, "-", "not reached")
            continue
        verdict = done[control]
        if verdict is None:
            table.add_row(control, "pass", Text(_found(control, case)))
        else:
            rule = f" [rule {verdict.rule}" + (f", clause {verdict.clause}]" if verdict.clause
                                               else "]")
            more = robots_case.objected(case) if control == "robots" else ""
            table.add_row(control, "refuse", Text(verdict.detail + more + rule))
    return table


def _conclusion(case: Case, account: Account) -> str:
    verdict = case.verdict
    lifted = f" Exceptions used: {', '.join(case.lifted)}." if case.lifted else ""
    if verdict.kind is not None:
        retry = "" if verdict.retry_after is None else f" Retry after {verdict.retry_after:g} s."
        return f"\nrefuse: {verdict.kind.status} {verdict.kind.title}.{retry}{lifted}"
    wait = f", after {verdict.wait:g} s" if verdict.wait else ""
    unseen = ("" if account.inspect or not case.request.way.opens_tunnel else
              " What flows inside the tunnel cannot be seen: this account is not inspected.")
    return f"\n{verdict.result.value}{wait}.{lifted}{unseen}"


def _as_json(case: Case) -> dict[str, Any]:
    done = dict(case.trail)
    verdict = case.verdict
    steps = []
    for control, _ in CONTROLS:
        judged = done.get(control)
        says = "not reached" if control not in done else "pass" if judged is None else "refuse"
        steps.append({"control": control, "says": says,
                      "because": judged.detail if judged is not None
                      else _found(control, case) if control in done else ""})
    return {
        "method": case.request.method, "url": case.request.url, "way": case.request.way.value,
        "verdict": verdict.result.value, "control": verdict.control, "rule": verdict.rule,
        "clause": verdict.clause, "status": verdict.kind.status if verdict.kind else None,
        "retry_after": verdict.retry_after, "wait": verdict.wait, "exceptions": list(case.lifted),
        "controls": steps,
        "robots": robots_case.robots_of(case) if "robots" in done else None,
    }
