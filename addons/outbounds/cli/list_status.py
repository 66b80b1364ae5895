"""`outbounds lists status`: how each list stands."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..lists.places import Places
from ..lists.status import ListStatus, Status, read_status
from ..settings import ListSource, Settings
from .config_option import config_option
from .list_naming import loaded
from .printing import show


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(config_dir: Path, as_json: bool) -> None:
    """Show each list: its format, entries, age, when it is asked for again, and what is wrong.

    \b
    in memory  read with the configuration, live within two seconds of a change
    good       the newest copy is in force
    stale      the copy in force is older than the feed's max_age
    failed     the newest copy is bad or could not be had; an older one is in force
    held back  the newest copy has shrunk; `outbounds lists build --accept ID` takes it
    missing    there never was a good copy
    unbuilt    configured since the last build
    """
    settings = loaded(config_dir)
    places = Places.below(settings.service.data)
    try:
        found = read_status(places.status) or Status()
    except OSError as error:
        raise click.ClickException(f"{places.status}: {error.strerror}; may you read the "
                                   "proxy's data?") from None
    now = time.time()
    standing = [(source, found.of(source.id)) for source in settings.sources]
    if as_json:
        click.echo(json.dumps({
            "version": places.version(), "built_at": found.built_at, "took": found.took,
            "in_memory": dict(settings.lists),
            "lists": [_as_json(source, each, now) for source, each in standing],
        }, ensure_ascii=False))
        return
    show(_table(settings, standing, now))
    for _, each in standing:
        if each is not None and each.error:
            show(Text(f"{each.id}: {each.error}"))
    if settings.sources:
        when = f"built {ago(now - found.built_at)} ago" if found.built_at else \
            "never built; `outbounds lists build` does it now"
        show(Text(f"generation {places.version()[:12] or '-'}, {when}"))


def state(source: ListSource, each: ListStatus | None, now: float) -> str:
    if each is None:
        return "unbuilt"
    if each.missing:
        return "missing"
    if each.held_back:
        return "held back"
    if source.feed is not None and now - each.good_at > source.feed.max_age:
        return "stale"
    return "failed" if each.error else "good"


def ago(seconds: float) -> str:
    """A length of time in its largest unit, such as 3 h."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _table(settings: Settings, standing: list[tuple[ListSource, ListStatus | None]],
           now: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("id", "format", "entries", "age", "next", "state"):
        table.add_column(column, justify="right" if column == "entries" else "left")
    for name, entries in settings.lists.items():
        table.add_row(name, "rules", f"{entries:,}", "-", "-", "in memory")
    for source, each in standing:
        known = each is not None and not each.missing
        assert each is not None or not known
        table.add_row(
            source.id, each.format if each else source.format,
            f"{each.entries:,}" if each and known else "-",
            ago(now - each.good_at) if each and known else "-",
            ("due" if each.next_check <= now else f"in {ago(each.next_check - now)}")
            if each and source.feed else "-",
            state(source, each, now))
    return table


def _as_json(source: ListSource, each: ListStatus | None, now: float) -> dict[str, Any]:
    each = each or ListStatus(source.id, source.format)
    return {**asdict(each), "state": state(source, each if each.source else None, now)}
