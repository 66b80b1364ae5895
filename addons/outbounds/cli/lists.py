"""`outbounds lists`: build the compiled lists, see how they stand, ask them, compare them."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Table

_COMMANDS: Table = {
    "build": ("list_build.build", "Fetch, read and compile the lists."),
    "status": ("list_status.status", "Show how each list stands."),
    "test": ("list_test.test", "Say which lists name a host, an address or a URL."),
    "diff": ("list_diff.diff", "Say what the newest copy of a list would change."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def lists() -> None:
    """Build, inspect and ask the lists of denied destinations.

    Short lists in the house format are held in memory and live within two seconds of a change.
    All others are compiled, which the running proxy does by itself when a file changes or a feed
    is due; `build` does it now.
    """
