"""`outbounds lists`: build the compiled lists, see how they stand, ask them, compare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

# imported when they are used: only `build` needs what it takes to fetch and to compile

def _build() -> click.Command:
    from .list_build import build
    return build


def _status() -> click.Command:
    from .list_status import status
    return status


def _test() -> click.Command:
    from .list_test import test
    return test


def _diff() -> click.Command:
    from .list_diff import diff
    return diff


_COMMANDS: Mapping[str, tuple[Callable[[], click.Command], str]] = {
    "build": (_build, "Fetch, read and compile the lists."),
    "status": (_status, "Show how each list stands."),
    "test": (_test, "Say which lists name a host, an address or a URL."),
    "diff": (_diff, "Say what the newest copy of a list would change."),
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
def lists() -> None:
    """Build, inspect and ask the lists of denied destinations.

    Short lists in the house format are held in memory and live within two seconds of a change.
    All others are compiled, which the running proxy does by itself when a file changes or a feed
    is due; `build` does it now.
    """
