"""`outbounds case add`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..evidence.search import Query, search
from ..evidence.tlog.checkpoint import BadCheckpoint, Checkpoint
from ..evidence.tlog.note import BadNote, split
from .account_ids import account_id
from .case_desk import office
from .config_option import config_option
from .query_options import query_options


@click.command()
@query_options
@click.argument("case")
@config_option
def add(query: Query, case: str, config_dir: Path) -> None:
    """Add to CASE what a search of the log finds: events with all of their records.

    At least one condition is needed, and all of them must hold. What was searched for, and how much
    was found, is in the bundle later. `outbounds evidence search` shows what the same conditions
    find.
    """
    if not query.described():
        raise click.UsageError("no condition: say which records, with --id, --egress, --target, …")
    with office(config_dir) as where:
        where.cases.open_case(case)
        if query.account:
            query = replace(query, account=account_id(config_dir, where.key, query.account))
        try:
            note = (where.directory / "log" / "checkpoint").read_text("utf-8")
            size = Checkpoint.parse(split(note)[0]).size
        except (BadNote, BadCheckpoint, UnicodeDecodeError) as error:
            raise click.ClickException(f"{where.directory}/log/checkpoint: {error}") from None
        events = list(search(where.directory, query, say=lambda text: click.echo(text, err=True)))
        with where.desk() as desk:
            added = desk.add(case, events, query, size=size)
        held = bool(where.cases.get(case).holds)
    click.echo(f"added to {case}: {added.events} events, {added.records} records, of "
               f"{len(added.accounts)} account{'s' if len(added.accounts) != 1 else ''}")
    if not held:
        click.echo("They are not held: retention and erasure remove them when their time is over. "
                   f"`outbounds case hold {case} --all-items --reason …` keeps them.")
