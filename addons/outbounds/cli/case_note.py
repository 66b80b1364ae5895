"""`outbounds case note`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .case_desk import office
from .config_option import config_option

MAX_SIZE = 1024 * 1024  # octets of a note


@click.command()
@click.argument("case")
@click.argument("text", required=False)
@config_option
def note(case: str, text: str | None, config_dir: Path) -> None:
    """Write something down in a case: TEXT, or what is read from standard input.

    Nothing written can be changed. Notes are in the bundle, unless the case is about several
    accounts and the bundle about one of them.
    """
    if text is None:
        if sys.stdin.isatty():
            click.echo("Write the note; end it with Ctrl-D on a line of its own.", err=True)
        octets = sys.stdin.buffer.read(MAX_SIZE + 1)
        if len(octets) > MAX_SIZE:
            raise click.UsageError(f"the note is longer than {MAX_SIZE} octets")
        try:
            text = octets.decode("utf-8")
        except UnicodeDecodeError:
            raise click.UsageError("the note is not UTF-8 text") from None
    with office(config_dir) as where, where.desk() as desk:
        desk.note(case, text)
