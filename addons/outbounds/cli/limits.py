"""`outbounds limits`: what is used up, who is throttled most, and the kill switch for a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

# imported when they are used: completion and --help need none of what they need


def _show() -> click.Command:
    from .limits_state import show_
    return show_


def _top() -> click.Command:
    from .limits_top import top
    return top


def _reset() -> click.Command:
    from .limits_state import reset
    return reset


def _close() -> click.Command:
    from .limits_closing import close
    return close


def _open() -> click.Command:
    from .limits_closing import open_
    return open_


def _closed() -> click.Command:
    from .limits_closing import closed
    return closed


_COMMANDS: Mapping[str, tuple[Callable[[], click.Command], str]] = {
    "show": (_show, "Show how much an account, a target or a source has used."),
    "top": (_top, "Show who is throttled most, and which targets are spared."),
    "reset": (_reset, "Forget what was counted."),
    "close": (_close, "Close a target for everybody, at once."),
    "open": (_open, "Open a target that was closed."),
    "closed": (_closed, "List the targets that are closed."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = _COMMANDS.get(cmd_name)
        return known[0]() if known else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands)
def limits() -> None:
    """See and reset what limits have counted; close a target for everybody.

    What has been counted is asked of the proxy that runs. Closing works without one, too, and
    holds until the target is opened again, over every restart.
    """
