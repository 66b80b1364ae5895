"""Tables for people and for pipes.

On a terminal a table is folded to its width. Anywhere else each row stays one line, however long,
because it will be read by grep and by scripts; and no line ends in the spaces of its last column.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click
from rich.console import Console, RenderableType

WIDE = 10_000  # columns; without a terminal rich would assume 80, and fold


def show(*parts: RenderableType) -> None:
    """Print each of `parts` on standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    with console.capture() as shown:
        for part in parts:
            console.print(part)
    for line in shown.get().splitlines():
        click.echo(line.rstrip())


def moment(seconds: float) -> str:
    """A Unix time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
