"""`outbounds case verify`: whoever was given a bundle needs no configuration and no log."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from ..evidence.cases.check import Result, Trust, check
from ..evidence.cases.container import BadContainer, reading
from ..evidence.tlog.cosignature import Cosigner
from ..evidence.tlog.note import BadNote, Verifier
from .printing import moment

_SHOWN = 50  # findings


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--key", "keys", multiple=True, metavar="KEY",
              help="The log's key, NAME+ID+BASE64 or a file with it, which you have from somebody "
                   "else than the bundle.")
@click.option("--witness-key", "witnesses", multiple=True, metavar="KEY",
              help="The same of a witness.")
@click.option("--ca", "roots", multiple=True, type=click.Path(path_type=Path, exists=True),
              metavar="FILE", help="Root certificates (PEM) of a time stamp authority.")
@click.option("--json", "as_json", is_flag=True, help="As one object.")
def verify(bundle: Path, keys: tuple[str, ...], witnesses: tuple[str, ...],
           roots: tuple[Path, ...], as_json: bool) -> None:
    """Check a bundle: every file, every proof, every signature, and that it is all of it.

    Ends with 0 if nothing is wrong, and 1 otherwise. Says what the bundle shows, and what not.
    """
    try:
        trusted = [Verifier.parse(_text(key)) for key in keys]
        trust = Trust(tuple(Cosigner.parse(_text(key)) for key in witnesses),
                      tuple(path.read_bytes() for path in roots))
    except (BadNote, OSError, UnicodeDecodeError) as error:
        raise click.UsageError(str(error)) from None
    console = Console(stderr=True)
    try:
        with reading(bundle) as files, Progress(console=console, transient=True,
                                                disable=not console.is_terminal) as bar:
            task = bar.add_task("records", total=None)
            found = check(files, trusted, trust,
                          lambda done, of: bar.update(task, completed=done, total=of))
    except BadContainer as error:
        raise click.ClickException(f"{bundle}: {error}") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or bundle}: {error.strerror}") from None
    if as_json:
        click.echo(json.dumps(_as_object(found), ensure_ascii=False))
    else:
        _say(bundle, found)
    if found.findings:
        raise click.exceptions.Exit(1)


def _text(key: str) -> str:
    path = Path(key)
    return path.read_text("utf-8") if "+" not in key and path.is_file() else key


def _say(bundle: Path, found: Result) -> None:
    for finding in found.findings[:_SHOWN]:
        click.echo(f"{finding.file}: {finding.problem}")
    if len(found.findings) > _SHOWN:
        click.echo(f"and {len(found.findings) - _SHOWN} more")
    if found.findings:
        click.echo(f"NOT GOOD: {bundle} has {len(found.findings)} faults; it proves nothing as it "
                   "is. Ask for another copy.")
        return
    for line in _shown(found):
        click.echo(line)


def _shown(found: Result) -> list[str]:
    stated, checkpoint, key = found.statement, found.checkpoint, found.key
    assert stated is not None and checkpoint is not None and key is not None
    whose = ", ".join(each or "(nobody known)" for each in stated.accounts)
    lines = [
        f"GOOD: case {stated.case}, {stated.records} records of {stated.events} events, account "
        f"{whose}",
        "It shows:",
        f"  these records are, to the last octet, in the log {checkpoint.origin} of "
        f"{checkpoint.size} records, signed {moment(checkpoint.at or 0)} with",
        f"  {key.verifier}",
        f"  before {stated.made[:19]}Z that log recorded that {stated.records} records are what "
        "was found; of the searches:",
    ]
    lines += [f"    {each.query}: {each.events} events, {each.events_here} of them here, in a log "
              f"of {each.log_size} records, by {each.operator}" for each in stated.searches]
    if stated.unrecorded:
        lines.append(f"  of {len(stated.unrecorded)} entries of the custody log the record in the "
                     "evidence log is gone, its time was over")
    if stated.others:
        lines.append(f"  the case is about {stated.others} more accounts, whose records are not "
                     "here")
    if stated.erased_records or stated.erased_details:
        lines.append(f"  {stated.erased_records} records were removed before, and of "
                     f"{stated.erased_details} the details were erased: only their hashes are left")
    for each in found.witnessed:
        word = "" if not each.named_here else (
            " (as much as the file was out of the operator's reach)" if each.kind == "file" else
            " (by a key that only the bundle names)")
        lines.append(f"  {each.name} saw the log, with {each.size} records, {moment(each.at)}"
                     f"{word}")
    lines.append("It does not show:")
    if not found.pinned:
        lines.append("  that the key is that log's: compare it with one that you have from "
                     "somebody else (--key)")
    if not found.witnessed:
        lines.append("  that the operator did not write a second log: no witness has seen this one")
    lines.append("  that everything was recorded, that the proxy's clock was right, or who sat at "
                 "the keyboard")
    return lines


def _as_object(found: Result) -> dict[str, object]:
    stated, checkpoint = found.statement, found.checkpoint
    return {
        "good": not found.findings,
        "findings": [{"file": each.file, "problem": each.problem} for each in found.findings],
        "pinned": found.pinned,
        "key": str(found.key.verifier) if found.key else "",
        "case": stated.case if stated else "",
        "accounts": list(stated.accounts) if stated else [],
        "records": stated.records if stated else 0,
        "events": stated.events if stated else 0,
        "log": {"origin": checkpoint.origin, "size": checkpoint.size,
                "root": checkpoint.root.hex(), "at": checkpoint.at} if checkpoint else {},
        "witnesses": [{"name": each.name, "kind": each.kind, "size": each.size, "at": each.at,
                       "named_here": each.named_here} for each in found.witnessed],
    }
