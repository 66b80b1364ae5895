"""`outbounds evidence export`: events for another system, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from .. import __version__
from ..evidence.ocsf import ocsf
from ..evidence.pseudonym import pseudonym
from ..evidence.search import Query, search
from .case_desk import Office, office
from .config_option import config_option
from .query_options import query_options


@click.command()
@config_option
@click.option("--ocsf", "as_ocsf", is_flag=True, required=True,
              help="As events of the Open Cybersecurity Schema Framework, 1.3.0.")
@query_options
@click.option("--unmask", is_flag=True, help="Account ids and source addresses, not pseudonyms; "
              "needs --case, and is put on record first.")
@click.option("--case", "case_id", metavar="ID", help="The open case that it is done for.")
@click.option("--log", "log_dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Export from this copy of a log.")
def export(query: Query, config_dir: Path, as_ocsf: bool, unmask: bool, case_id: str | None,
           log_dir: Path | None) -> None:
    """Write events to standard output, one JSON object a line, in the order they began.

    Accounts go out as pseudonyms, the same in every export of this installation, and without their
    addresses.
    """
    if unmask and not case_id:
        raise click.UsageError("--unmask needs --case: whose name is shown is on a case's record")
    with office(config_dir) as found, _names(found, query, case_id if unmask else None) as names:
        for event in search(log_dir or found.directory, query):
            click.echo(json.dumps(ocsf(event, __version__, names), ensure_ascii=False))


@contextmanager
def _names(found: Office, query: Query, case_id: str | None
           ) -> Iterator[Callable[[str], str] | None]:
    """By what names accounts go out: None, their own, once that is on record. Raises NoSuchCase,
    CaseClosed, EvidenceUnavailable."""
    if case_id is None:
        yield partial(pseudonym, found.key)
        return
    found.cases.open_case(case_id)
    with found.recorder() as recorder, recorder.act(
            "evidence.unmask", operator=found.operator, case=case_id, scope=f"export of {query}"):
        yield None
