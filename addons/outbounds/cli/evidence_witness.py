"""`outbounds evidence witness`: what each witness has seen of the log."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..evidence.keeper.table import TASKS
from ..evidence.tlog.keys import KeyUnusable, read_keys
from ..evidence.tlog.note import BadNote
from ..evidence.witness.asking import kind_of
from ..evidence.witness.stamps import BadStamp, check, folder_of, stamps_in
from ..evidence.witness.trusting import trusting
from ..settings.evidence import Evidence, Witness
from .config_option import config_option
from .keeper_now import loaded_evidence, outcome, run_now, told, unreadable
from .printing import moment, show


@click.command()
@config_option
@click.option("--now", is_flag=True, help="Show them the newest checkpoint first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def witness(config_dir: Path, now: bool, as_json: bool) -> None:
    """Show what each witness has seen of the log, and whether its newest stamp holds.

    Stamps are checked offline: against the log's keys, the witness's key, the authority's root.
    Exit status 1 if one does not hold, or a witness could not be asked last time.
    """
    data, settings = loaded_evidence(config_dir)
    if not settings.witnesses:
        click.echo(f"no witness is configured: `witnesses` in {config_dir / 'evidence.yaml'}")
        return
    if now:
        run_now("witness", TASKS["witness"], data, settings)
    try:
        found = [_standing(settings, each) for each in settings.witnesses]
        last = outcome(settings.directory, "witness")
    except OSError as error:
        raise unreadable(settings.directory, error) from None
    good = all(each["good"] for each in found)
    if as_json:
        click.echo(json.dumps({"witnesses": found, "last": last}))
    else:
        show(_table(found))
        for each in found:
            if each["fault"]:
                click.echo(f"{each['name']}: {each['fault']}")
        good = told(last) == 0 and good
    if not good or not last.get("ok", True):
        raise click.exceptions.Exit(1)


def _standing(settings: Evidence, each: Witness) -> dict[str, Any]:
    """Raises OSError."""
    known: dict[str, Any] = {
        "name": each.name, "kind": kind_of(each), "where": str(getattr(each, kind_of(each))),
        "records": 0, "at": 0, "kept": 0, "good": True, "fault": ""}
    try:
        kept = stamps_in(folder_of(settings.directory) / each.name)
        if kept:
            newest = kept[-1]
            known.update(records=newest.size, at=newest.at, kept=len(kept))
            keys = [key.verifier for key in read_keys(settings.directory / "log" / "keys")]
            check(newest, trusting(keys, each))
    except (BadStamp, BadNote, KeyUnusable) as error:
        known.update(good=False, fault=str(error))
    return known


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("witness", "kind", "records", "seen", "age", "kept", "newest stamp", "where",
                  box=None)
    for each in found:
        seen = each["at"] > 0
        table.add_row(each["name"], each["kind"], str(each["records"]) if seen else "-",
                      moment(each["at"]) if seen else "never",
                      f"{max(0, time.time() - each['at']):.0f} s" if seen else "-",
                      str(each["kept"]), ("good" if each["good"] else "DOES NOT HOLD")
                      if seen or not each["good"] else "-", each["where"])
    return table
