"""`outbounds case export`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from ..evidence.cases.bundle import Log, NotCovered, export
from ..evidence.cases.material import Foreign, NothingToExport, SeveralAccounts
from ..evidence.tlog.checkpoint import BadCheckpoint
from ..evidence.tlog.keys import KeyUnusable
from ..evidence.tlog.log_tree import Unprovable
from ..evidence.tlog.note import BadNote
from ..evidence.tlog.tiles import BadTile
from ..evidence.witness.stamps import BadStamp
from .case_desk import office
from .config_option import config_option

_FAULTS = (NotCovered, Foreign, NothingToExport, SeveralAccounts, BadCheckpoint, KeyUnusable,
           Unprovable, BadNote, BadTile, BadStamp)


@click.command("export")
@click.argument("case")
@click.option("-o", "--output", "out", required=True, type=click.Path(path_type=Path),
              metavar="PATH", help="A folder; or a file, if it ends in .zip or .tar. It must not "
                                   "exist.")
@click.option("--account", metavar="ID", help="Of which account, if the case is about several.")
@click.option("--mixed", is_flag=True,
              help="Of all accounts of the case in one bundle: whoever is given it sees them all.")
@config_option
def export_case(case: str, out: Path, account: str | None, mixed: bool, config_dir: Path) -> None:
    """Write the bundle of a case: the records with their proofs, who did what, a report to read,
    and a README that tells a stranger how to verify it.

    It names the account by its id and holds nothing of other customers. How many records there are,
    and how they were found, is recorded in the evidence log first.
    """
    if account is not None and mixed:
        raise click.UsageError("--mixed is for all accounts, --account for one")
    out = out.absolute()
    console = Console(stderr=True, highlight=False)
    with office(config_dir) as where, where.desk() as desk:
        try:
            with console.status("reading the log") as status:
                stated = export(desk, case, Log(where.directory, where.evidence.witnesses), out,
                                account=account, mixed=mixed, say=status.update)
        except _FAULTS as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{out}: {stated.records} records of {stated.events} events")
    for count, what in ((stated.erased_records, "records were removed before"),
                        (stated.erased_details, "records have lost their details")):
        if count:
            click.echo(f"{count} {what}; only that they were there is proved")
    if stated.left_out:
        click.echo(f"{stated.left_out} entries of the custody log are about other accounts, or may "
                   "be, and are there without what they say")
    click.echo(f"check it with: outbounds case verify {out}")
