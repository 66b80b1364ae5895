"""`outbounds case close`."""

from __future__ import annotations

from pathlib import Path

import click

from .case_desk import office
from .config_option import config_option


@click.command()
@click.argument("case")
@click.option("--reason", required=True, help="Why it is over.")
@config_option
def close(case: str, reason: str, config_dir: Path) -> None:
    """Close a case. Its holds must be released first. What was written stays, and nothing more is
    done in it: no export, no unmasking. Its folder is kept until you remove it."""
    with office(config_dir) as where, where.desk() as desk:
        desk.close(case, reason)
    click.echo(f"{case} is closed.")
