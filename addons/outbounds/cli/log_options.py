"""The options that say which log is meant: the one of a configuration, or a copy somewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..settings import SettingsError
from ..settings.evidence import Evidence
from ..settings.evidence_file import load_evidence
from .config_option import config_option


@dataclass(frozen=True, slots=True)
class ChosenLog:
    """`settings` and `data` (the folder of the run data) are None for a copy."""

    directory: Path
    settings: Evidence | None
    data: Path | None


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config and --log, as `config_dir` and `log_dir`."""
    return config_option(click.option(
        "--log", "log_dir", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
        help="A log, or a copy of one, instead of the configuration's.")(command))


def chosen_log(config_dir: Path, log_dir: Path | None) -> ChosenLog:
    """Says what is wrong and ends with 1 where there is none."""
    if log_dir is not None:
        found = ChosenLog(log_dir, None, None)
    else:
        try:
            data, settings = load_evidence(config_dir)
        except SettingsError as error:
            click.echo(str(error), err=True)
            raise click.exceptions.Exit(1) from None
        found = ChosenLog(settings.directory, settings, data)
    if not (found.directory / "log").is_dir():
        click.echo(f"{found.directory}: there is no log here; nothing has been recorded yet, or "
                   "you may not read it", err=True)
        raise click.exceptions.Exit(1)
    return found


def verifier_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --key, as `keys`."""
    return click.option(
        "--key", "keys", multiple=True, metavar="KEY-OR-FILE",
        help="A verifier of the log that you keep elsewhere, as `outbounds evidence keys` prints "
             "it, or a file with one a line.")(command)
