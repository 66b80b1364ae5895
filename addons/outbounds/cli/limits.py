"""`outbounds limits`: what is used up, who is throttled most, and the kill switch for a target."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Table

_COMMANDS: Table = {
    "show": ("limits_state.show_", "Show how much an account, a target or a source has used."),
    "top": ("limits_top.top", "Show who is throttled most, and which targets are spared."),
    "reset": ("limits_state.reset", "Forget what was counted."),
    "close": ("limits_closing.close", "Close a target for everybody, at once."),
    "open": ("limits_closing.open_", "Open a target that was closed."),
    "closed": ("limits_closing.closed", "List the targets that are closed."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def limits() -> None:
    """See and reset what limits have counted; close a target for everybody.

    What has been counted is asked of the proxy that runs. Closing works without one, too, and
    holds until the target is opened again, over every restart.
    """
