"""`outbounds robots`: a site's robots.txt as it is understood, and why it allows or refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

# imported when they are used, because two of them need what it takes to fetch


def _show() -> click.Command:
    from .robots_show import show_
    return show_


def _why() -> click.Command:
    from .robots_why import why
    return why


def _refresh() -> click.Command:
    from .robots_refresh import refresh
    return refresh


def _snapshot() -> click.Command:
    from .robots_snapshot import snapshot
    return snapshot


_COMMANDS: Mapping[str, tuple[Callable[[], click.Command], str]] = {
    "show": (_show, "Show a site's file, and whom it binds by what."),
    "why": (_why, "Say which line decides on a URL, and against which others."),
    "refresh": (_refresh, "Fetch a site's file now, and say what has changed."),
    "snapshot": (_snapshot, "Print the file that a record names by its hash."),
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
def robots() -> None:
    """What sites ask of robots, as the proxy understands it.

    The proxy that runs is asked, so that what is shown is what decides. Where none runs, the
    command fetches the file itself, and says so.
    """
