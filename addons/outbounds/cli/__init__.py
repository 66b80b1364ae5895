"""The command `outbounds`: one file per command, imported when it is used."""

from __future__ import annotations

import click

from .. import __version__
from .lazy_group import LazyGroup, Table

COMMANDS: Table = {
    "serve": ("serve.serve", "Run the proxy."),
    "check": ("check.check", "Check the configuration; every fault at once."),
    "explain": ("explain.explain", "Say what would happen to a request, control by control."),
    "limits": ("limits.limits", "Show and reset what limits have counted; close a target at once."),
    "lists": ("lists.lists", "Build, inspect and ask the lists of denied destinations."),
    "robots": ("robots.robots", "Show what a robots.txt says, and why it allows or refuses."),
    "sites": ("sites.sites", "Exempt accounts from the robots.txt of sites they own."),
    "accounts": ("accounts.accounts", "Add, list, suspend and resume accounts."),
    "trace": ("trace.trace_command", "Find the account that a complaint is about."),
    "evidence": ("evidence.evidence", "Read the evidence log."),
    "case": ("case.case", "Cases: hold records, hand them on with proofs."),
    "init": ("init.init", "Write a commented starter configuration."),
    "completion": ("completion.completion", "Print the completion script for bash, zsh or fish."),
}


@click.group(cls=LazyGroup, table=COMMANDS,
             context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="outbounds")
def main() -> None:
    """Acceptable use, enforced in the path of a forward proxy."""
