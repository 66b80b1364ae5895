"""Running one of the keeper's tasks now, for the commands that show how it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..evidence.keeper.kept import Outcome, load_kept
from ..evidence.keeper.lock import KeeperBusy, kept_alone
from ..evidence.keeper.one_pass import one_pass
from ..evidence.keeper.task import Task
from ..evidence.owner import become_owner
from ..settings import SettingsError
from ..settings.evidence import Evidence
from ..settings.evidence_file import load_evidence
from .printing import moment

WAIT = 600.0  # s for a pass under way


def loaded_evidence(config_dir: Path) -> tuple[Path, Evidence]:
    """(the data folder, evidence.yaml). Says what is wrong and exits, where it cannot be had."""
    try:
        return load_evidence(config_dir)
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None


def run_now(name: str, task: Task, data: Path, settings: Evidence) -> None:
    """Run `task`, as the log's owner and while no other pass is at work. Its faults are said where
    its outcome is shown. Exits where it cannot be run."""
    directory = settings.directory
    try:
        become_owner(directory)
        with kept_alone(directory, WAIT):
            one_pass(directory, data, settings, _unsaid(name), {name: task}, remind=0.0)
    except KeeperBusy as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        raise unreadable(directory, error) from None


def outcome(directory: Path, name: str) -> Outcome:
    """What came of the task's last run; empty if it never ran. Raises OSError."""
    return load_kept(directory).get(name, {})


def told(found: Outcome) -> int:
    """Print when a task last ran, and its fault; the command's exit status."""
    if not found:
        click.echo("the keeper has not done this yet; --now does it")
        return 0
    click.echo(f"last run {moment(float(found['at']))}")
    if found["ok"]:
        return 0
    click.echo(f"fault: {found['fault']}")
    return 1


def unreadable(directory: Path, error: OSError) -> click.exceptions.Exit:
    """Say that the log cannot be read; what to raise."""
    click.echo(f"{error.filename or directory}: {error.strerror}; run this as root or as the "
               "collector's user", err=True)
    return click.exceptions.Exit(1)


def _unsaid(name: str) -> Callable[[str], None]:
    """Prints what a task says it did, on standard error."""
    def say(text: str) -> None:
        if not text.startswith(f"{name}: "):
            click.echo(text, err=True)

    return say
