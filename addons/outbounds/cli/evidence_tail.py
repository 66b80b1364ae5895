"""`outbounds evidence tail`: the newest records, and what is written next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..evidence.archive.reading import Damaged
from ..evidence.archive.seal import BadSeal
from ..evidence.tail import follow
from ..lists.rules_file import parse_rules
from ..settings import SettingsError, load
from .config_option import config_option


@click.command()
@config_option
@click.option("-n", "--lines", default=10, show_default=True, type=click.IntRange(0),
              help="How many of the newest records.")
@click.option("-f", "--follow", "keep_on", is_flag=True, help="Go on with what is written next.")
@click.option("--json", "as_json", is_flag=True, help="The records as they are stored.")
def tail(config_dir: Path, lines: int, keep_on: bool, as_json: bool) -> None:
    """Show the newest records, one a line, as they are: accounts by their ids."""
    try:
        directory = load(config_dir, parse_rules).evidence.directory
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    try:
        for record in follow(directory, lines=lines, follow=keep_on):
            click.echo(json.dumps(record, ensure_ascii=False) if as_json else one_line(record))
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    except (Damaged, BadSeal) as error:
        click.echo(f"{error}; `outbounds evidence verify` says more", err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{directory}: {error.strerror}; has the proxy run with this configuration, "
                   "and may you read its data?", err=True)
        raise click.exceptions.Exit(1) from None


def one_line(record: dict[str, Any]) -> str:
    """Time, what, who, where, what came of it; at the end the reference that a reply carries."""
    get = record.get
    target = get("destination.domain") or get("destination.ip") or "-"
    if get("destination.port"):
        target = f"{target}:{get('destination.port')}"
    if get("event.type") == "start":
        what = get("outbounds.verdict", "-")
        if get("rule.id"):
            what += f" ({get('rule.ruleset')}: {get('rule.id')})"
        middle = f"{get('user.id', '-')} {get('http.request.method', '-')} {target}" \
                 f"{get('url.path', '')} {what}"
    elif get("event.type") == "connection":
        middle = f"{get('user.id', '-')} from {_place(record, 'source.nat')} " \
                 f"to {_place(record, 'destination')}"
    else:
        status = get("http.response.status_code", "-")
        up = get("http.request.bytes", 0) or get("source.bytes", 0)
        down = get("http.response.bytes", 0) or get("destination.bytes", 0)
        middle = f"{get('user.id', '-')} {get('event.outcome', '-')} {status} " \
                 f"up {up} down {down} {get('event.reason', '')}".rstrip()
    return f"{get('@timestamp', '-')} {get('event.action', '-'):<12} " \
           f"{get('event.type', '-'):<5} {middle} [{get('event.id', '-')}]"


def _place(record: dict[str, Any], name: str) -> str:
    """Address and port."""
    address, port = record.get(f"{name}.ip", "-"), record.get(f"{name}.port", "-")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
