"""`outbounds case show`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..evidence.cases.custody import Added
from ..evidence.cases.material import everybody
from ..evidence.cases.store import Case
from ..evidence.cases.wording import told
from ..evidence.pseudonym import pseudonym
from .case_desk import office
from .config_option import config_option
from .printing import show


@click.command("show")
@click.argument("case")
@click.option("--unmask", is_flag=True,
              help="Accounts by their ids instead of pseudonyms; this is put on record.")
@click.option("--json", "as_json", is_flag=True, help="As one object.")
@config_option
def show_case(case: str, unmask: bool, as_json: bool, config_dir: Path) -> None:
    """Show what a case holds, what it keeps from being removed, and who did what in it."""
    with office(config_dir) as where:
        found = where.cases.get(case)
        names = {each: pseudonym(where.key, each) for each in everybody(found) | _searched(found)}
        if unmask:
            where.cases.open_case(case)
            with where.recorder() as recorder, recorder.act(
                    "evidence.unmask", operator=where.operator, case=case,
                    scope="outbounds case show") as act:
                act.count = len(names)
            names = {each: each for each in names}
        said = _as_object(found, names)
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(f"{found.id}  {found.title}")
    click.echo(f"opened {found.opened}" + (f", closed {found.closed}" if found.closed else ""))
    for each in said["accounts"]:
        click.echo(f"  {each['account']}: {each['events']} events, {each['records']} records")
    if not said["accounts"]:
        click.echo("  no records yet")
    elif not said["holds"]:
        click.echo("  not held: retention and erasure remove them when their time is over; "
                   f"`outbounds case hold {found.id} --all-items` keeps them")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("no", "when", "who", "what"):
        table.add_column(name, justify="right" if name == "no" else "left", overflow="fold",
                         no_wrap=name in ("no", "when"))
    standing = {each["number"] for each in said["holds"]}
    for line in said["custody"]:
        mark = " (stands)" if line["number"] in standing else ""
        table.add_row(*(Text(text) for text in (
            str(line["number"]), line["at"][:19].replace("T", " "), line["operator"],
            f"{line['act']}{mark}: {line['what']}")))
    show(table)


def _searched(case: Case) -> set[str]:
    """Accounts that were searched for, and may have had nothing."""
    return {line.content.conditions["account"] for line in case.lines
            if isinstance(line.content, Added) and "account" in line.content.conditions}


def _as_object(case: Case, names: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    def masked(text: str) -> str:
        # the longest first: one id may begin like another
        for account in sorted(names, key=len, reverse=True):
            if account:
                text = text.replace(account, names[account])
        return text

    events = Counter(item.account for item in case.items)
    records: Counter[str] = Counter()
    for item in case.items:
        records[item.account] += len(item.positions)
    return {
        "accounts": [{"account": names.get(each, each) or "(nobody known)", "events": events[each],
                      "records": records[each]} for each in sorted(events)],
        "holds": [{"number": hold.number, "account": names.get(hold.account or "", ""),
                   "events": len(hold.events), "reason": hold.reason} for hold in case.holds],
        "custody": [{"number": line.entry.number, "at": line.entry.at, "act": line.entry.act,
                     "operator": line.entry.operator, "record": line.entry.record,
                     "what": masked(told(line))} for line in case.lines],
    }
