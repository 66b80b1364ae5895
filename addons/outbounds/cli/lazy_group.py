"""A group whose commands are imported when they are used.

Importing them all would load mitmproxy for `outbounds --help`; and completion runs the command at
every press of the tab key.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

Table = Mapping[str, tuple[str, str]]
"""Name of a command to ("module.attribute" of this package, one line for --help)."""


class LazyGroup(click.Group):
    def __init__(self, *args: Any, table: Table, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self._table.get(cmd_name)
        if known is None:
            return None
        module, _, name = known[0].partition(".")
        command = getattr(import_module(f".{module}", __package__), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])
