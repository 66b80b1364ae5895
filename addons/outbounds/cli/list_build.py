"""`outbounds lists build`: what the running proxy starts, too, when a list has to be compiled."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from traceback import format_exc

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..lists.build import Progress as Report
from ..lists.build import build as build_lists
from ..lists.build_lock import BuildRunning
from ..lists.status import ListStatus, Status
from .config_option import config_option
from .feed_access import feed_access
from .list_naming import complete_list, known, loaded

NICE = 10
_EVERY = 5.0  # s between two lines about the same step, where there is no terminal


@click.command()
@config_option
@click.option("--accept", multiple=True, metavar="ID", shell_complete=complete_list,
              help="Take the copy of this feed although it has shrunk; may be repeated.")
@click.option("--force", is_flag=True,
              help="Ask every feed and read every list again, due and changed or not.")
@click.option("--quiet", is_flag=True, help="Say nothing but what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
def build(config_dir: Path, accept: tuple[str, ...], force: bool, quiet: bool,
          as_json: bool) -> None:
    """Fetch the feeds that are due, read every list, and compile them.

    The running proxy takes the result over within two seconds, without dropping a connection. It
    builds by itself when a file changes or a feed is due, so this is for the impatient, and for
    machines on which lists are built before the proxy starts.

    A list that cannot be used (cut off, poisoned, of another format, suddenly short) keeps its
    last good copy, and is reported. Feeds are fetched only while an evidence collector answers,
    that is while the proxy runs: nothing is sent without a record.

    Exit status: 0 if all lists are as they are published, 1 if any is not or the configuration is
    broken, 2 for a wrong command; and where nothing was built, 75 if it may be tried again
    (another build is under way, a disk is full), 70 for a fault of this product.
    """
    settings = loaded(config_dir)
    known(settings, accept)
    os.nice(NICE)  # requests come first
    try:
        with _progress(quiet or as_json) as report:
            status = build_lists(settings, lambda: feed_access(settings), report,
                                 force=force, accept=accept)
    except (BuildRunning, OSError) as error:
        stays = "" if isinstance(error, BuildRunning) else "; the lists in force stay as they were"
        click.echo(f"Error: {error}{stays}", err=True)
        raise click.exceptions.Exit(os.EX_TEMPFAIL) from None
    except Exception:  # a fault of ours; left to Python it would look like a bad list
        click.echo(f"{format_exc()}The lists in force stay as they were.", err=True)
        raise click.exceptions.Exit(os.EX_SOFTWARE) from None
    for each in status.faults:
        click.echo(sentence(each), err=True)
    if as_json:
        click.echo(json.dumps(asdict(status), ensure_ascii=False))
    elif not quiet:
        click.echo(summary(status))
    if status.faults:
        raise click.exceptions.Exit(1)


def sentence(each: ListStatus) -> str:
    """What is wrong with a list, and what is in force instead."""
    what = "held back: " if each.held_back else ""
    if each.missing:
        now = "there is no good copy to go on with: a running proxy keeps its old " \
              "configuration, and one that starts refuses every request"
    else:
        now = f"the last good copy stays in force, with {each.entries:,} entries"
    return f"{each.id}: {what}{each.error}; {now}"


def summary(status: Status) -> str:
    if not status.lists:
        return "No list needs compiling: all are held in memory."
    entries = sum(each.entries for each in status.lists)
    return (f"{len(status.lists)} list{'' if len(status.lists) == 1 else 's'}, {entries:,} "
            f"entries, in {status.took:.1f} s; generation {status.version[:12] or '-'}")


@contextmanager
def _progress(quiet: bool) -> Iterator[Report]:
    if quiet:
        yield lambda step, done, total: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description:<36}"), BarColumn(),
                   TextColumn("{task.fields[n]}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Bars(bar)
    else:
        yield _Lines()


class _Bars:
    """A bar for each step."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, n="")
        self._bar.update(self._tasks[step], completed=done, total=total or None, n=f"{done:,}")


class _Lines:
    """A line when a step begins, and now and then while it lasts."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        now = monotonic()
        if now - self._said.get(step, -_EVERY) >= _EVERY:
            self._said[step] = now
            of = f" of {total:,}" if total else ""
            click.echo(f"{step}: {done:,}{of}" if done else step, err=True)
