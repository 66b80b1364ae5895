"""`outbounds case open`."""

from __future__ import annotations

from pathlib import Path

import click

from .case_desk import office
from .config_option import config_option


@click.command("open")
@click.argument("title")
@click.option("--id", "id", default="", metavar="ID",
              help="Your own number for it: letters, digits and hyphens. Otherwise the next of the "
                   "year, such as C-2026-001.")
@config_option
def open_case(title: str, id: str, config_dir: Path) -> None:
    """Open a case, and print its id. TITLE is what it is about; it stands in every bundle, so it
    should name no customer."""
    title = " ".join(title.split())
    if not title:
        raise click.UsageError("the title is empty")
    with office(config_dir) as where, where.desk() as desk:
        click.echo(desk.open_case(title, id).id)
