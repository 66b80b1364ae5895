"""`outbounds robots why`: which line decides on a URL, whose it is, and which others it beat."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..core.account import Account
from ..core.robots import Robots
from ..core.robots_reading import Line, ReadRule, competing, read, read_lines
from ..core.robots_readings import others
from ..identity.accounts_file import AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..proxy.robots_desk import SOMEBODY
from ..settings import SettingsError, load_identity
from .config_option import config_option
from .named_account import named_account
from .printing import show
from .robots_printing import as_json as standing_json
from .robots_printing import line_text, readable, standing
from .robots_source import Target, body_of, known_or_fetched, parse_target

_SHOWN = 20  # rules that matched


@click.command()
@click.argument("url")
@click.option("--agent", default="", metavar="TOKEN-OR-UA",
              help="Who asks: a product token, or a whole User-Agent.")
@click.option("--account", "name", default="", metavar="NAME",
              help="For this account, by name or id; else for one on the plan default.")
@config_option
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def why(url: str, agent: str, name: str, config_dir: Path, in_json: bool) -> None:
    """Say what robots.txt makes of a request for URL, and why.

    The other controls are not asked: `outbounds explain` says what becomes of a whole request.

    Exit status: 0 if it is let through, 1 if it is refused, 2 if that cannot be said.
    """
    try:
        target = parse_target(url)
        account = named_account(load_identity(config_dir), name) if name else SOMEBODY
        answers = known_or_fetched(config_dir, "robots-why", target, account, path=target.path,
                                   agent=agent, account_id=account.id)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from None
    except (SettingsError, AccountsFileError, HtpasswdError) as error:
        raise click.UsageError(str(error)) from None
    except click.ClickException as error:
        error.show()
        raise click.exceptions.Exit(2) from None
    answer = answers.of[0]
    known = answer["known"]
    body = body_of(known) if known else b""
    lines = {line.number: line for line in read_lines(body)}
    token, rules = _matched(body, answer, target, agent)
    if in_json:
        click.echo(json.dumps({
            "url": f"{target.site}{target.path}", "asked": answers.how,
            "allowed": answer["verdict"] is None,
            **{key: answer[key] for key in (
                "verdict", "mode", "mode_entry", "identity", "scope", "exempt", "exceptions",
                "observed", "names", "agent", "purposes", "preferences", "limits")},
            "token": token, "matched": [{**asdict(rule), "text": line_text(lines, rule.line)}
                                        for rule in rules],
            "file": standing_json(known) if known else None}, ensure_ascii=False))
    else:
        show(Text(_verdict(answer)), _facts(answer, account, token))
        if rules:
            show(Text(""), _table(rules, lines, answer))
        show(Text(""), standing(known, len(body), answers.how))
    if answer["verdict"] is not None:
        raise click.exceptions.Exit(1)


def _matched(body: bytes, answer: Mapping[str, Any], target: Target,
             agent: str) -> tuple[str, list[ReadRule]]:
    """The token that binds, and its rules that match, the longest first; in the reading of the URL
    that was decided by."""
    name = answer["agent"] or agent
    token = answer["names"].get(name) or Robots.parse(body).token(name)
    if target.path.partition("?")[0] == "/robots.txt":
        return token, []  # always allowed, whatever matches: RFC 9309 section 2.2.2
    line = (answer["match"] or {}).get("line", 0)
    if answer["scope"] == "site":  # what decides is that no rule of the token allows anything
        return token, [rule for bound in read(body).bound if token in bound.tokens
                       for rule in bound.rules if rule.line == line]
    readings = [competing(body, token, path) for path in (target.path, *others(target.path))]
    return token, next((rules for rules in readings if rules and rules[0].line == line),
                       readings[0])


def _verdict(answer: Mapping[str, Any]) -> str:
    verdict = answer["verdict"]
    if verdict is None:
        if answer["observed"]:
            return f"allowed, but only observed: {answer['observed']}"
        return "allowed"
    clause = f", clause {verdict['clause']}" if verdict["clause"] else ""
    retry = "" if verdict["retry_after"] is None else f" Retry after {verdict['retry_after']:g} s."
    return (f"refused with {verdict['status']}: {readable(verdict['detail'])} "
            f"[rule {verdict['rule']}{clause}]{retry}")


def _facts(answer: Mapping[str, Any], account: Account, token: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for key, text in _said(answer, account, token):
        table.add_row(key, Text(text))
    return table


def _said(answer: Mapping[str, Any], account: Account, token: str) -> Iterator[tuple[str, str]]:
    if account is not SOMEBODY:
        declared = f", declared {account.crawler}" if account.crawler else ""
        yield "account", f"{account.id} ({account.name}), plan {account.plan}{declared}"
    entry = f", by the entry {answer['mode_entry']} of modes" if answer["mode_entry"] else ""
    yield "mode", answer["mode"] + entry
    yield "identity", answer["identity"]
    if answer["scope"] == "site":
        yield "seen", ("that a tunnel opens; TLS of this account is not inspected, so only a rule "
                       "for the whole site is applied")
    if answer["exempt"].startswith("owner:"):
        yield "owner", f"{answer['exempt'].removeprefix('owner:')} is the account's own"
    for grant in answer["exceptions"]:
        yield "exception", grant
    for name, bound in answer["names"].items():
        yield "asks as", f"{readable(name) or '(no name)'}, bound as {bound}"
    if not answer["names"]:
        yield "bound as", token
    for each in answer["preferences"]:
        yield "use", (f"{each['purpose']}: {'yes' if each['allowed'] else 'no'} "
                      f"(line {each['line']})")
    for each in answer["limits"]:
        yield "limit", f"{each['id']}: {each['count']} in {each['window']:g} s"


def _table(rules: list[ReadRule], lines: Mapping[int, Line], answer: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("line", "matches", "octets", ""):
        table.add_column(column, justify="right" if column in ("line", "octets") else "left",
                         overflow="fold")
    line = (answer["match"] or {}).get("line", 0)
    for rule in rules[:_SHOWN]:
        if rule.line == line:
            note = "decides"
        elif not line and rule is rules[0]:  # reppy says no lines; an exempt account has none
            note = "decides, by the built-in matcher"
        elif rule.length < rules[0].length:
            note = "shorter"
        else:
            note = "as long; allow wins, else the first line" if rules[0].allow else "a later line"
        table.add_row(str(rule.line), Text(line_text(lines, rule.line)), str(rule.length), note)
    if len(rules) > _SHOWN:
        table.add_row("", f"and {len(rules) - _SHOWN} more", "", "")
    return table
