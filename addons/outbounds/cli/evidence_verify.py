"""`outbounds evidence verify`: is the log what was signed?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from ..evidence.tlog.cosignature import Cosigner
from ..evidence.tlog.note import BadNote
from ..evidence.verify import Report, verify
from ..evidence.witness.stamps import Trusted
from ..settings.evidence import Evidence
from .log_options import chosen_log, log_options, verifier_option
from .printing import moment
from .trusted_keys import trusted_keys


@click.command("verify")
@log_options
@verifier_option
@click.option("--checkpoint", "checkpoints", multiple=True, metavar="FILE",
              type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A checkpoint that was kept elsewhere: the log must be what it says.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify_command(config_dir: Path, log_dir: Path | None, keys: tuple[str, ...],
                   checkpoints: tuple[Path, ...], as_json: bool) -> None:
    """Verify the log, offline: every record against everything that was signed.

    Each record is hashed again and the tree grown over it; its root is compared with the checkpoint
    of each segment, the newest, those given with --checkpoint, and those that witnesses have seen.
    What differs is named: file, frame, line and record. While a proxy runs, the log is verified as
    far as its newest checkpoint at the start.

    Without --key the log's own keys are believed: that shows that nothing was damaged or changed
    piecemeal, not that nobody who holds the key wrote everything anew.

    Exit status: 0 the log is what was signed, 1 it is not or cannot be read, 2 wrong usage.
    """
    trusted = trusted_keys(keys)
    log = chosen_log(config_dir, log_dir)
    try:
        with _bar() as bar:
            task = bar.add_task("verify", total=None)
            report = verify(
                log.directory, trusted, checkpoints,
                lambda done, all: bar.update(task, completed=done, total=all),
                witnesses=_witnesses(log.settings), processes=len(os.sched_getaffinity(0)))
    except OSError as error:
        click.echo(f"{error.filename or log.directory}: {error.strerror}; may you read all of it?",
                   err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        click.echo(json.dumps({**report.as_json(), "trust": "given" if trusted else "own"}))
    else:
        _print(report, log.directory, bool(trusted))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _witnesses(settings: Evidence | None) -> dict[str, Trusted]:
    found = {}
    for each in settings.witnesses if settings else ():
        try:
            cosigners = (Cosigner.parse(each.key),) if each.key else ()
        except BadNote as error:
            raise click.UsageError(f"evidence.yaml: witness {each.name}: {error}") from None
        found[each.name] = Trusted((), cosigners, (each.ca.read_bytes(),) if each.ca else ())
    return found


def _bar() -> Progress:
    """On standard error, if somebody is looking."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _print(report: Report, directory: Path, trusted: bool) -> None:
    for finding in report.findings:
        click.echo(f"{finding.kind}: {finding.text}")
    if report.unlisted:
        click.echo(f"and {report.unlisted} more findings, which are not listed")
    for note in report.notes:
        click.echo(f"note: {note}")
    made = f", made {moment(report.at)}" if report.at is not None else ""
    click.echo(f"log {report.origin or 'without a checkpoint that can be believed'}: "
               f"{report.size} records in {report.segments} segments; the newest checkpoint covers "
               f"{report.signed}{made}")
    seen = f", {report.witnessed} of them seen by witnesses" if report.witnessed else ""
    click.echo(f"{report.compared} signed roots compared{seen}; {report.details} details checked; "
               f"{report.erased_details} details and {report.erased} records were erased"
               + (f"; {report.elsewhere} records are in the object store" if report.elsewhere
                  else ""))
    if not trusted:
        click.echo("no --key was given: the log's own keys were believed. This shows that nothing "
                   "was changed piecemeal, not that nobody wrote everything anew")
    click.echo(f"{directory}: verified" if report.ok else
               f"{directory}: NOT verified: {len(report.findings) + report.unlisted} findings")
