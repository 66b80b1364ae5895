"""`outbounds lists diff`: what the newest copy of a list would change."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from ..lists.compiled.part import BadPart
from ..lists.difference import SHOWN, Difference, difference
from ..lists.feeds.state import FeedFolder
from ..lists.part_store import PartStore
from ..lists.places import Places, digest
from ..lists.sources import MAX_FILE
from ..lists.status import ListStatus, Status, read_status
from ..settings import ListSource, Settings
from .config_option import config_option
from .list_naming import complete_list, known, loaded
from .printing import show


@click.command()
@config_option
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=complete_list)
@click.option("--against", metavar="FILE", type=click.Path(exists=True, dir_okay=False,
                                                          path_type=Path),
              help="Take FILE for the newest copy of the list, of which one must be named.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(config_dir: Path, ids: tuple[str, ...], against: Path | None, as_json: bool) -> None:
    """Say which entries the newest copy of each list adds and removes.

    Compared are the entries in force and, for a file, what it holds now; for a feed, what was
    downloaded last, such as a copy that is held back because it shrank. Nothing is fetched and
    nothing is changed. Entries are compared by what they mean: their order does not count.

    Exit status: 0 if nothing would change, 1 if something would, 2 if that cannot be said.
    """
    settings = loaded(config_dir)
    known(settings, ids)
    if against is not None and len(ids) != 1:
        raise click.UsageError("--against needs one list: name its id")
    found: dict[str, Difference] = {}
    problems: dict[str, str] = {}
    for source in settings.sources:
        if not ids or source.id in ids:
            try:
                found[source.id] = _compare(settings, source, against)
            except (ValueError, OSError) as error:
                problems[source.id] = str(error)
    if as_json:
        click.echo(json.dumps({"lists": {name: asdict(each) for name, each in found.items()},
                               "errors": problems}, ensure_ascii=False))
    else:
        for name, each in found.items():
            _show(name, each)
    for name, problem in problems.items():
        click.echo(f"{name}: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(2)
    if any(each.added or each.removed for each in found.values()):
        raise click.exceptions.Exit(1)


def _compare(settings: Settings, source: ListSource, against: Path | None) -> Difference:
    """Raises ValueError with what is wrong with the newest copy, OSError."""
    places = Places.below(settings.service.data)
    old = (read_status(places.status) or Status()).of(source.id) or ListStatus(source.id)
    newest = against or _newest(settings, source, places)
    if newest is None:
        raise ValueError("it was never fetched; `outbounds lists build` does it")
    largest = int(source.feed.max_size) if source.feed else MAX_FILE
    # into a folder of our own: a build may be sweeping the parts at this moment
    with tempfile.TemporaryDirectory(prefix="outbounds-diff-") as folder:
        store = PartStore(Path(folder))
        reading = store.read(newest, digest(newest), str(newest), source.format, largest)
        if not reading.part:
            raise ValueError(reading.error)
        try:
            return difference(places.parts / old.part if old.part else None,
                              store.path(reading.part))
        except (BadPart, FileNotFoundError):
            raise ValueError("the part in force cannot be read; `outbounds lists build` makes it "
                             "again") from None


def _newest(settings: Settings, source: ListSource, places: Places) -> Path | None:
    if source.feed is None:
        assert source.file is not None
        return settings.folder / source.file
    folder = FeedFolder(places.feed(source.id))
    return folder.newest(folder.read(source.feed.url))


def _show(name: str, each: Difference) -> None:
    show(Text(f"{name}: {each.added:,} added, {each.removed:,} removed"))
    for sign, count, first in (("+", each.added, each.first_added),
                               ("-", each.removed, each.first_removed)):
        for text in first:
            show(Text(f"  {sign} {text}"))
        if count > SHOWN:
            show(Text(f"  {sign} … and {count - SHOWN:,} more"))
