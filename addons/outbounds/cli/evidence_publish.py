"""`outbounds evidence publish`: the log as files for others' monitors."""

from __future__ import annotations

from pathlib import Path

import click

from ..evidence.archive.reading import Damaged
from ..evidence.archive.seal import BadSeal
from ..evidence.publish import publish
from ..evidence.shipping.reach import reachable
from ..evidence.tlog.checkpoint import BadCheckpoint
from ..evidence.tlog.log_tree import Unprovable
from ..evidence.tlog.note import BadNote
from ..evidence.tlog.tiles import BadTile
from .log_options import chosen_log, log_options


@click.command("publish")
@log_options
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--entries", is_flag=True,
              help="The records' envelopes, too: who, when, where, verdict. Personal data!")
def publish_command(config_dir: Path, log_dir: Path | None, folder: Path, entries: bool) -> None:
    """Write or update the log in FOLDER as C2SP tlog-tiles: a web server that offers it lets
    anybody follow the log and check that it only grows.

    Without --entries these are hashes, which tell nothing of a record but that it is there. A
    bundle of entries with one that was erased is left out, and removed if it was there before.
    """
    log = chosen_log(config_dir, log_dir)
    try:
        with reachable(log.settings.store if log.settings else None):
            done = publish(log.directory, folder, entries)
    except (Unprovable, BadTile, BadNote, BadCheckpoint, Damaged, BadSeal) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{error.filename or folder}: {error.strerror}", err=True)
        raise click.exceptions.Exit(1) from None
    click.echo(f"{folder}: {done.size} records, {done.written} files written")
    if done.left_out:
        click.echo(f"{done.left_out} bundles of entries were left out: they have entries that were "
                   "erased")
