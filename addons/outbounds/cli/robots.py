"""`outbounds robots`: a site's robots.txt as it is understood, and why it allows or refuses."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Table

_COMMANDS: Table = {
    "show": ("robots_show.show_", "Show a site's file, and whom it binds by what."),
    "why": ("robots_why.why", "Say which line decides on a URL, and against which others."),
    "refresh": ("robots_refresh.refresh", "Fetch a site's file now, and say what has changed."),
    "snapshot": ("robots_snapshot.snapshot", "Print the file that a record names by its hash."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def robots() -> None:
    """What sites ask of robots, as the proxy understands it.

    The proxy that runs is asked, so that what is shown is what decides. Where none runs, the
    command fetches the file itself, and says so.
    """
