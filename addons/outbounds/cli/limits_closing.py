"""`outbounds limits close`, `open` and `closed`: the kill switch.

What is closed is kept in a file that every worker watches, so that it works while no proxy runs,
and beside a configuration that is broken elsewhere. Afterwards each worker is asked whether it has
taken notice: whoever closes a target at 3 a.m. needs to know, not to hope.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from ..core.closed_targets import CLAUSE, Closed, parse_target
from ..core.destination import BadHost, parse_host
from ..lists.closed_file import (
    ClosedFileError,
    close_target,
    closed_path,
    open_target,
    read_closed,
)
from ..settings import SettingsError, load_service
from ..settings.quantity import duration
from .config_option import config_option
from .printing import moment, show
from .running_proxy import RunningProxy
from .who_types import operator


@click.command()
@click.argument("target")
@click.option("--reason", required=True, help="For the operators and the record; customers are "
              "not told.")
@click.option("--for", "length", default="", metavar="TIME",
              help="Open it again by itself after, such as 2h; otherwise it stays closed.")
@click.option("--clause", default=CLAUSE, show_default=True, metavar="ID",
              help="The policy clause that refusals name.")
@config_option
def close(target: str, reason: str, length: str, clause: str, config_dir: Path) -> None:
    """Close TARGET, a host name with everything below it or an address, for everybody.

    Requests are refused (403) from the next one on, and what is open to it is ended. Only an
    exception for the rule closed:TARGET lets somebody through.
    """
    data, now = _data(config_dir), time.time()
    try:
        entry = Closed(parse_target(target), " ".join(reason.split()), now,
                       now + _seconds(length) if length else None, operator(), clause)
        close_target(closed_path(data), entry)
    except BadHost as error:
        raise click.BadParameter(str(error), param_hint="TARGET") from None
    except ClosedFileError as error:
        raise click.ClickException(str(error)) from None
    below = "" if parse_host(entry.target).address else " and everything below it"
    until = f"until {moment(entry.until)}" if entry.until else "until it is opened again"
    click.echo(f"Closed {entry.target}{below}, {until}. {_in_force(data, entry.target, True)}")


@click.command("open")
@click.argument("target")
@config_option
def open_(target: str, config_dir: Path) -> None:
    """Open TARGET again, as `outbounds limits closed` names it."""
    data = _data(config_dir)
    path = closed_path(data)
    try:
        canonical = parse_host(target).text
        found = open_target(path, canonical)
        above = read_closed(path).match(parse_host(canonical), time.time())
    except BadHost as error:
        raise click.BadParameter(str(error), param_hint="TARGET") from None
    except ClosedFileError as error:
        raise click.ClickException(str(error)) from None
    if found is None:
        more = f"{above.target} is, with everything below it" if above else \
            "`outbounds limits closed` shows what is"
        raise click.ClickException(f"{canonical} is not closed; {more}")
    still = f" It stays closed with {above.target}." if above else ""
    click.echo(f"Opened {canonical}.{still} {_in_force(data, canonical, False)}")


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per target.")
def closed(config_dir: Path, as_json: bool) -> None:
    """List the targets that are closed."""
    now = time.time()
    try:
        entries = [each for each in read_closed(closed_path(_data(config_dir))).entries
                   if each.holds(now)]
    except ClosedFileError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        for each in entries:
            click.echo(json.dumps(asdict(each), ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("target", "since", "until", "by", "clause", "reason"):
        table.add_column(column)
    for each in entries:
        table.add_row(each.target, moment(each.since), moment(each.until) if each.until else "-",
                      Text(each.by), each.clause, Text(each.reason))
    show(table)


def _data(config_dir: Path) -> Path:
    try:
        return load_service(config_dir).data
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _seconds(length: str) -> float:
    try:
        return duration(length)
    except ValueError as error:
        raise click.BadParameter(f"{length!r} is {error}", param_hint="--for") from None


def _in_force(data: Path, target: str, wanted: bool) -> str:
    """What the workers say. Ends the command if one of them has not taken it over."""
    answers = RunningProxy(data).ask_all("closed-targets")
    if not answers:
        return "No proxy runs; it holds when one starts."
    for each in answers:
        if (target in each["targets"]) is not wanted:
            raise click.ClickException(
                f"it is written down, but worker {each['worker']} has not taken it over: "
                f"{each['trouble'] or 'its log may say why'}")
    count = len(answers)
    return f"In force in {count} worker{'s' if count > 1 else ''}."
