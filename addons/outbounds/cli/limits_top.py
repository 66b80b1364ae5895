"""`outbounds limits top`: who is throttled most, over all workers, and which targets are spared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..identity.accounts_file import AccountsFile, AccountsFileError
from ..proxy.throttled import KINDS, Throttled, Top, merged
from ..settings import SettingsError, load_identity, load_service
from .config_option import config_option
from .limits_state import not_running
from .printing import show
from .running_proxy import RunningProxy


@click.command()
@config_option
@click.option("-n", "most", type=click.IntRange(1, 100), default=10, show_default=True,
              help="How many of each.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def top(config_dir: Path, most: int, as_json: bool) -> None:
    """Show the most throttled accounts, targets and limits of the last 5 and 60 minutes.

    \b
    refused  requests answered with 429
    paced    requests held back and then let through; waited: for how long, in all
    """
    try:
        service = load_service(config_dir)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    answers = RunningProxy(service.data).ask_all("limits-top")
    if not answers:
        raise not_running(service)
    tops = {minutes: merged((_top(each["throttled"][minutes]) for each in answers), most)
            for minutes in answers[0]["throttled"]}
    targets = [{"worker": each["worker"], **target} for each in answers
               for target in each["targets"]]
    waiting = sum(each["waiting"] for each in answers)
    if as_json:
        click.echo(json.dumps({
            "workers": len(answers), "waiting": waiting, "targets": targets, "throttled": {
                minutes: {kind: [asdict(row) for row in rows] for kind, rows in found.items()}
                for minutes, found in tops.items()}}, ensure_ascii=False))
        return
    names = _names(config_dir, tops)
    for minutes, found in tops.items():
        show(Text(f"the last {minutes} minutes", style="bold"), _table(found, names))
    if targets:
        show(Text("targets that are spared", style="bold"), _targets(targets))
    show(Text(f"{waiting} requests are waiting for their turn"))


def _top(plain: Mapping[str, list[dict[str, Any]]]) -> Top:
    return {kind: [Throttled(**row) for row in plain[kind]] for kind in KINDS}


def _names(config_dir: Path, tops: Mapping[str, Top]) -> dict[str, str]:
    """Names of the accounts, where the accounts file knows them; without it the ids will do."""
    ids = {row.name for found in tops.values() for row in found["accounts"]}
    try:
        file = AccountsFile(load_identity(config_dir).accounts)
    except (AccountsFileError, SettingsError):
        return {}
    try:
        return {each: account.name for each in ids if (account := file.by_id(each)) is not None}
    except AccountsFileError:
        return {}
    finally:
        file.close()


def _table(found: Top, names: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "refused", "paced", "waited"):
        table.add_column(column, justify="left" if column in ("kind", "name") else "right")
    for kind in KINDS:
        for row in found[kind]:
            known = f"{names[row.name]} ({row.name})" if row.name in names else row.name
            table.add_row(kind.removesuffix("s"), Text(known), f"{row.refused:,}",
                          f"{row.paced:,}", f"{row.waited:.1f} s")
    return table


def _targets(targets: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    columns = list(targets[0])
    for column in columns:
        table.add_column(column.replace("_", " "))
    for each in targets:
        table.add_row(*(Text(_cell(each[column])) for column in columns))
    return table


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
