"""`outbounds case list`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from .case_desk import office
from .config_option import config_option
from .printing import show


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@config_option
def list_cases(as_json: bool, config_dir: Path) -> None:
    """Show all cases, open and closed."""
    with office(config_dir) as where:
        cases = where.cases.all()
        if as_json:
            for case in cases:
                click.echo(json.dumps({
                    "id": case.id, "title": case.title, "opened": case.opened,
                    "closed": case.closed, "events": len(case.items),
                    "holds": [hold.number for hold in case.holds]}, ensure_ascii=False))
            return
        if not cases:
            click.echo("no cases; `outbounds case open` opens one", err=True)
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("id", "opened", "state", "events", "holds", "title"):
            table.add_column(name, justify="right" if name in ("events", "holds") else "left",
                             no_wrap=name != "title", overflow="fold")
        for case in cases:
            table.add_row(*(Text(each) for each in (
                case.id, case.opened[:10], f"closed {case.closed[:10]}" if case.closed else "open",
                str(len(case.items)), str(len(case.holds)), case.title)))
        show(table)
