"""`outbounds evidence status`: how the log stands."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..evidence.archive.seal import BadSeal
from ..evidence.keeper.kept import Outcome, load_kept
from ..evidence.summary import Summary, summarise
from ..evidence.tlog.keys import KeyUnusable
from ..evidence.tlog.tiles import BadTile
from ..settings import SettingsError
from ..settings.evidence_file import load_evidence
from .config_option import config_option
from .printing import moment, show

_SHOWN_APART = ("at", "ok", "fault", "good", "said")


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(config_dir: Path, as_json: bool) -> None:
    """Show how the evidence log stands: its size, the newest checkpoint, what is sealed, the disk,
    and what became of each of the keeper's tasks.

    Exit status 1 if a task has a fault, or the log cannot be read. This looks at names and seals;
    `outbounds evidence verify` looks at every record.
    """
    try:
        directory = load_evidence(config_dir)[1].directory
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    if not (directory / "segments").is_dir():
        click.echo(f"{directory}: nothing has been recorded yet")
        return
    try:
        found, kept = summarise(directory), load_kept(directory)
    except (BadSeal, BadTile, KeyUnusable, ValueError) as error:
        click.echo(f"{error}; `outbounds evidence verify` says more", err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{error.filename or directory}: {error.strerror}; run this as root or as the "
                   "collector's user", err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        click.echo(json.dumps(_as_json(found, kept)))
    else:
        show(_log(directory, found), _tasks(kept))
        for name, each in kept.items():
            if not each["ok"]:
                click.echo(f"{name}: {each['fault']}")
    if not all(each["ok"] for each in kept.values()):
        raise click.exceptions.Exit(1)


def _as_json(found: Summary, kept: dict[str, Outcome]) -> dict[str, Any]:
    signed = found.checkpoint
    return {**asdict(found), "octets_per_record": round(found.octets_per_record, 1),
            "checkpoint": None if signed is None else {
                "origin": signed.origin, "size": signed.size, "root": signed.root.hex(),
                "at": signed.at},
            "kept": kept}


def _log(directory: Path, found: Summary) -> Table:
    signed, table = found.checkpoint, Table(box=None, show_header=False)
    table.add_row("log", str(directory))
    if signed is None:
        table.add_row("checkpoint", "none yet")
    else:
        age = "" if signed.at is None else (
            f", {moment(signed.at)}, {max(0.0, time.time() - signed.at):.0f} s ago")
        table.add_row("name", signed.origin)
        table.add_row("checkpoint", f"{signed.size} records{age}")
    table.add_row("hot", f"{_segments(found.hot)}, {_size(found.hot_octets)}")
    table.add_row("sealed", f"{_segments(found.sealed)}, {found.sealed_records} records, "
                            f"{_size(found.sealed_octets)}" + (
        f", {found.octets_per_record:.0f} bytes a record" if found.sealed_records else ""))
    for name, count, what in (
            ("no index", found.unindexed, "sealed segments (searched slowly): {}"),
            ("shipped", found.shipped, "sealed segments: {}"),
            ("erased", found.erased, "records: {}"),
            ("", found.erased_details, "details of further records: {}")):
        if count:
            table.add_row(name, what.format(count))
    table.add_row("disk", f"{_size(found.free)} free")
    return table


def _tasks(kept: dict[str, Outcome]) -> Table:
    table = Table("task", "last run", "outcome", "last without fault", "", box=None)
    for name, each in kept.items():
        numbers = ", ".join(f"{key} {value}" for key, value in each.items()
                            if key not in _SHOWN_APART)
        table.add_row(name, moment(float(each["at"])), "fine" if each["ok"] else "fault",
                      moment(float(each["good"])) if "good" in each else "never", numbers)
    if not kept:
        table.add_row("(the keeper has not run yet)")
    return table


def _segments(count: int) -> str:
    return f"{count} segment{'' if count == 1 else 's'}"


def _size(octets: int) -> str:
    for unit, each in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if octets >= each:
            return f"{octets / each:.1f} {unit}"
    return f"{octets} bytes"
