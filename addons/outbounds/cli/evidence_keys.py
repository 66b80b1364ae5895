"""`outbounds evidence keys`: who signs the log, and since when."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.table import Table

from ..evidence.frame import ROTATE
from ..evidence.owner import become_owner
from ..evidence.submit import EvidenceUnavailable, operator, recording
from ..evidence.tlog.keys import KeyUnusable, LogKey, read_keys
from ..settings import SettingsError
from ..settings.evidence_file import load_evidence
from .config_option import config_option
from .log_options import chosen_log, log_options
from .printing import moment, show


@click.group()
def keys() -> None:
    """The log's signing keys: show them, replace the one in force."""


@keys.command("show")
@log_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--first", is_flag=True,
              help="Only the first verifier, from which all later ones follow: what to keep "
                   "elsewhere, and to give to others.")
def show_command(config_dir: Path, log_dir: Path | None, as_json: bool, first: bool) -> None:
    """Show the verifiers of the log and when each is in force.

    Keep one where this machine cannot reach it: `outbounds evidence verify --key` asks for it.
    """
    found = _read(chosen_log(config_dir, log_dir).directory)
    if first:
        click.echo(str(found[0].verifier))
    elif as_json:
        click.echo(json.dumps([{"verifier": str(each.verifier), "from": each.begin,
                                "until": each.end} for each in found]))
    else:
        table = Table("verifier", "from", "until", "", box=None)
        for each in found:
            table.add_row(str(each.verifier), moment(each.begin), moment(each.end),
                          _state(each, found[-1]))
        show(table)


@keys.command("replace")
@config_option
def replace_command(config_dir: Path) -> None:
    """Replace the signing key now, as the collector does by itself when its time is nearly over.

    The old key vouches for the new one, then its private part is removed. Do it when somebody who
    is gone may have read it. Who did it is recorded.
    """
    try:
        _, settings = load_evidence(config_dir)
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    directory = settings.directory
    try:
        who = operator()  # as whom it was started: soon this is the log's owner
        become_owner(directory)
        with recording(directory, settings.socket) as collector, \
                collector.act("evidence.key", operator=who,
                              scope="replace the signing key") as act:
            collector.send(ROTATE)
            act.count = 1
    except EvidenceUnavailable as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{error.filename or directory}: {error.strerror}; run this as root or as the "
                   "collector's user", err=True)
        raise click.exceptions.Exit(1) from None
    click.echo(f"signed from now on by {_read(directory)[-1].verifier}")


def _read(directory: Path) -> list[LogKey]:
    try:
        return read_keys(directory / "log" / "keys")
    except KeyUnusable as error:
        click.echo(str(error), err=True)
    except OSError as error:
        click.echo(f"{error.filename}: {error.strerror}", err=True)
    raise click.exceptions.Exit(1)


def _state(key: LogKey, newest: LogKey) -> str:
    if key is not newest:
        return "replaced"
    return "in force" if key.in_force(time.time()) else "not in force"
