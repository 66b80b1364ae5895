"""Lists as arguments of commands: loaded from the configuration, completed by the shell."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..lists.rules_file import parse_rules
from ..settings import Settings, SettingsError, load


def loaded(config_dir: Path) -> Settings:
    """Ends the command with every fault of the configuration, if there is any."""
    try:
        return load(config_dir, parse_rules)
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None


def known(settings: Settings, names: Collection[str]) -> None:
    """Raises UsageError for an id that is no compiled list."""
    ids = [source.id for source in settings.sources]
    for name in names:
        if name in settings.lists:
            raise click.UsageError(f"{name} is held in memory: it is never built, and live "
                                   "within two seconds of a change")
        if name not in ids:
            raise click.UsageError(f"there is no list {name!r}; there are: "
                                   f"{', '.join(ids) or 'no compiled lists'}")


def complete_list(ctx: click.Context, param: click.Parameter,
                  incomplete: str) -> list[CompletionItem]:
    """The ids of the compiled lists; none while the configuration cannot be read."""
    try:
        settings = load(Path(ctx.params.get("config_dir") or "config"), parse_rules)
    except (SettingsError, OSError):
        return []
    return [CompletionItem(source.id) for source in settings.sources
            if source.id.startswith(incomplete)]
