"""`outbounds evidence reindex`: the indexes of sealed segments, made again from their records."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from ..evidence.archive.index import checked_index
from ..evidence.archive.layout import Segment, all_segments
from ..evidence.archive.reading import Damaged
from ..evidence.archive.seal import load_seal
from ..evidence.child import module
from ..evidence.keeper.lock import KeeperBusy, kept_alone
from .case_desk import Office, office
from .config_option import config_option

WAIT = 600.0  # s for a pass of the keeper that is under way


@click.command()
@config_option
@click.option("--all", "every", is_flag=True, help="Also those that are as they were made.")
def reindex(config_dir: Path, every: bool) -> None:
    """Make the indexes of sealed segments that are missing or damaged.

    Nothing but the speed of a search depends on them. Exit status 1: some could not be made.
    """
    with office(config_dir) as where:
        os.umask(0o077)
        try:
            with kept_alone(where.directory, WAIT):
                failed = _reindex(where, every)
        except KeeperBusy as error:
            raise click.ClickException(str(error)) from None
    if failed:
        raise click.exceptions.Exit(1)


def _reindex(where: Office, every: bool) -> int:
    segments = [each for each in all_segments(where.directory) if each.sealed]
    wanted = [each for each in segments if every or _wanting(each)]
    console = Console(stderr=True)
    made = failed = 0
    with Progress(console=console, transient=True,
                  disable=not console.is_terminal or not wanted) as bar:
        task = bar.add_task("index", total=len(wanted))
        for segment in wanted:
            bar.update(task, description=segment.stem)
            fault = _make(segment)
            if fault:
                failed += 1
                click.echo(f"{segment.seal}: {fault}", err=True)
            else:
                made += 1
            bar.advance(task)
    click.echo(f"{made} made, {len(segments) - len(wanted)} are as they were made"
               + (f", {failed} could not be made" if failed else ""))
    return failed


def _wanting(segment: Segment) -> bool:
    index = load_seal(segment.seal).index
    if index is None:
        return True
    try:
        checked_index(segment.index, index)
    except (Damaged, FileNotFoundError):
        return True
    return False


def _make(segment: Segment) -> str:
    """In a process of its own: DuckDB's memory ends with it. What went wrong, "" for nothing."""
    if not (segment.folder / load_seal(segment.seal).records.name).exists():
        return "its records are only in the object store; its index is there, too"
    words, environment = module("keeper.indexing", str(segment.seal))
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if not done.returncode:
        return ""
    said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    return f"making its index ended with status {done.returncode} and said: {said}"
