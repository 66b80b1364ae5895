"""`outbounds evidence ship`: what the object store has of the log."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..evidence.archive.layout import all_segments
from ..evidence.archive.seal import BadSeal, load_seal
from ..evidence.keeper.task import Keeping
from ..evidence.shipping.shipped import load_shipped
from ..settings.evidence import Evidence, ObjectStore
from .config_option import config_option
from .keeper_now import loaded_evidence, outcome, run_now, told, unreadable
from .printing import moment, show

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class _Standing:
    """Segments; `away` are those whose only copy of the records is in the store."""

    sealed: int
    shipped: int
    away: int
    tiles: int
    checkpoint: float


@click.command()
@config_option
@click.option("--now", is_flag=True, help="Send what waits first, however long it takes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ship(config_dir: Path, now: bool, as_json: bool) -> None:
    """Show what the object store has of the log. Without --now nobody is asked: this is what was
    read back from the store when it was sent.

    Exit status 1 if the last pass had a fault.
    """
    data, settings = loaded_evidence(config_dir)
    if settings.store is None:
        click.echo(f"no object store is configured: `store` in {config_dir / 'evidence.yaml'}")
        return
    if now:
        _send(data, settings)
    try:
        found, last = _standing(settings.directory), outcome(settings.directory, "ship")
    except BadSeal as error:
        click.echo(f"{error}; `outbounds evidence verify` says more", err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        raise unreadable(settings.directory, error) from None
    if as_json:
        click.echo(json.dumps({"store": _where(settings.store), **asdict(found), "last": last}))
        code = 0 if last.get("ok", True) else 1
    else:
        show(_table(settings.store, found))
        code = told(last)
    raise click.exceptions.Exit(code)


def _send(data: Path, settings: Evidence) -> None:
    from ..evidence.shipping.ship import run

    with Progress(console=Console(stderr=True), transient=True,
                  disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("asking the store", total=None)

        def step(done: int, total: int, stem: str) -> None:
            bar.update(task, completed=done, total=total, description=stem)

        def sending(keeping: Keeping) -> None:
            run(keeping, math.inf, step)

        run_now("ship", sending, data, settings)


def _standing(directory: Path) -> _Standing:
    """Raises BadSeal, OSError."""
    shipped = load_shipped(directory)
    sealed = [each for each in all_segments(directory) if each.sealed]
    away = sum(not (each.folder / load_seal(each.seal).records.name).exists() for each in sealed)
    return _Standing(len(sealed), sum(shipped.current(each) for each in sealed), away,
                     shipped.tiles, shipped.checkpoint)


def _where(store: ObjectStore) -> str:
    return f"{store.endpoint}/{store.bucket}/{store.prefix}"


def _table(store: ObjectStore, found: _Standing) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("store", _where(store))
    table.add_row("lock", f"{store.lock / _DAY:g} days, {store.mode} (records: no longer than the "
                          "shortest retention; details, indexes and seals: none)"
                  if store.lock else "none")
    table.add_row("segments", f"{found.shipped} of {found.sealed} sealed ones are there, read back")
    if found.away:
        table.add_row("", f"{found.away} of them only there; their index is here")
    table.add_row("tiles", f"of {found.tiles} records")
    table.add_row("checkpoint", f"sent {moment(found.checkpoint)}" if found.checkpoint
                  else "none yet")
    return table
