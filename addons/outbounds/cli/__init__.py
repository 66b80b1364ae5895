"""The command `outbounds`: one file per command, imported when it is used.

Importing them all would load mitmproxy for `outbounds --help`; and completion runs the command at
every press of the tab key.
"""

from __future__ import annotations

from importlib import import_module

import click

from .. import __version__

# name: (module, one line for --help)
COMMANDS = {
    "serve": ("serve", "Run the proxy."),
    "check": ("check", "Check the configuration; every fault at once."),
    "explain": ("explain", "Say what would happen to a request, control by control."),
    "limits": ("limits", "Show and reset what limits have counted; close a target at once."),
    "lists": ("lists", "Build, inspect and ask the lists of denied destinations."),
    "robots": ("robots", "Show what a site's robots.txt says, and why it allows or refuses."),
    "sites": ("sites", "Exempt an account from the robots.txt of sites that it proves to own."),
    "accounts": ("accounts", "Add, list, suspend and resume accounts."),
    "evidence": ("evidence", "Read the evidence log."),
    "init": ("init", "Write a commented starter configuration."),
    "completion": ("completion", "Print the completion script for bash, zsh or fish."),
}


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        command = getattr(import_module(f".{known[0]}", __name__), known[0])
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="outbounds")
def main() -> None:
    """Acceptable use, enforced in the path of a forward proxy."""
