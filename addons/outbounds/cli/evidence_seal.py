"""`outbounds evidence seal`: seal what has been recorded, now."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from ..evidence.archive.layout import Segment, all_segments
from ..evidence.frame import ROLL
from ..evidence.keeper.lock import KeeperBusy, kept_alone
from ..evidence.keeper.one_pass import one_pass
from ..evidence.keeper.sealing import seal_all, waiting
from ..evidence.keeper.table import TASKS
from ..evidence.keeper.task import Keeping
from ..evidence.owner import become_owner
from ..evidence.submit import EvidenceUnavailable, recording
from ..settings import SettingsError
from ..settings.evidence_file import load_evidence
from .config_option import config_option

WAIT = 600.0  # s for a pass under way: it is about to do the same


@click.command()
@config_option
@click.option("--no-roll", is_flag=True, help="Only what the collector has left by itself.")
def seal(config_dir: Path, no_roll: bool) -> None:
    """Seal what has been recorded until now, and do what the keeper does besides.

    The collector begins a new segment, and all before it are compared with what was signed, then
    compressed, indexed, shown to witnesses and copied, as config/evidence.yaml says. The keeper
    does the same by itself, each hour or when a segment is full.
    """
    try:
        data, settings = load_evidence(config_dir)
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    directory = settings.directory
    if not directory.is_dir() or not all_segments(directory):
        click.echo(f"{directory}: nothing has been recorded yet")
        return
    os.umask(0o077)
    try:
        become_owner(directory)
        if not no_roll:
            with recording(directory, settings.socket) as collector:
                collector.send(ROLL)
        with kept_alone(directory, WAIT), _progress(len(waiting(directory))) as bar:
            task = bar.add_task("seal", total=len(waiting(directory)))

            def sealing(keeping: Keeping) -> None:
                seal_all(keeping.directory, keeping.say, keeping.status, step)

            def step(segment: Segment) -> None:
                bar.update(task, advance=1, description=segment.stem)

            fine = one_pass(directory, data, settings, lambda text: click.echo(text),
                            {**TASKS, "seal": sealing}, remind=0.0)
    except (EvidenceUnavailable, KeeperBusy) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{error.filename or directory}: {error.strerror}; run this as root or as the "
                   "collector's user", err=True)
        raise click.exceptions.Exit(1) from None
    if not fine:
        raise click.exceptions.Exit(1)


def _progress(segments: int) -> Progress:
    """On standard error, if somebody is looking and there is something to see."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True,
                    disable=not console.is_terminal or segments == 0)
