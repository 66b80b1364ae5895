"""`outbounds evidence prove`: that one record is in the log, for whoever trusts nobody here."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

import click

from ..evidence.archive.reading import Damaged
from ..evidence.archive.seal import BadSeal
from ..evidence.line import leaf_of, split
from ..evidence.search import Query, search
from ..evidence.shipping.reach import reachable
from ..evidence.tlog.checkpoint import BadCheckpoint
from ..evidence.tlog.log_tree import LogTree, Unprovable
from ..evidence.tlog.merkle import BadProof
from ..evidence.tlog.note import BadNote
from ..evidence.tlog.proof import SUFFIX, Proof
from ..evidence.tlog.tiles import BadTile
from .log_options import chosen_log, log_options, verifier_option
from .trusted_keys import trusted_keys


@click.command()
@log_options
@verifier_option
@click.argument("record")
@click.option("-o", "--output", metavar="DIR", default=".", show_default=True,
              type=click.Path(path_type=Path, file_okay=False), help="Where the proofs go.")
@click.option("--check", "proof", metavar="FILE",
              type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Check this proof instead: RECORD is then a file with the record's bytes, or - "
                   "for standard input. Needs --key and no log.")
def prove(config_dir: Path, log_dir: Path | None, keys: tuple[str, ...], record: str,
          output: Path, proof: Path | None) -> None:
    """Write a proof for each record with the id RECORD that it is in the log.

    RECORD is the reference that a reply carries (`urn:uuid:…`) and `evidence tail` shows. A proof
    is a C2SP tlog-proof: the newest checkpoint, and the hashes from the record to its root. It
    shows nothing of any record; the record's own bytes are handed over in a case's bundle
    (`outbounds case export`).

    Exit status: 0 proved, 1 not proved, 2 wrong usage.
    """
    if proof is not None:
        _check(proof, record, keys)
        return
    try:
        id = str(UUID(record))
    except ValueError:
        raise click.UsageError(f"{record}: a record's id is a UUID, such as "
                               "019a9d3c-5b7e-7c3a-9f41-6b1d2e3f4a5b") from None
    log = chosen_log(config_dir, log_dir)
    try:
        tree = LogTree.open(log.directory)
        with reachable(log.settings.store if log.settings else None):
            positions = [at for event in search(log.directory, Query(ids=(id,)))
                         for at in event.positions]
        covered = [at for at in positions if at < tree.size]
        output.mkdir(parents=True, exist_ok=True)
        for position in covered:
            path = output / f"{id}-{position}{SUFFIX}"
            path.write_text(str(Proof(position, tuple(tree.inclusion(position)), tree.note)))
            click.echo(f"record {position}: {path}")
    except (Unprovable, BadTile, BadNote, BadCheckpoint, Damaged, BadSeal) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{error.filename or log.directory}: {error.strerror}", err=True)
        raise click.exceptions.Exit(1) from None
    if len(covered) < len(positions):
        click.echo("a record was made after the newest checkpoint; run this again in a second",
                   err=True)
        raise click.exceptions.Exit(1)
    if not positions:
        click.echo(f"{log.directory}: no record has the id {id}: it may have been removed when its "
                   "time was over", err=True)
        raise click.exceptions.Exit(1)


def _check(proof: Path, record: str, keys: tuple[str, ...]) -> None:
    trusted = trusted_keys(keys)
    if not trusted:
        raise click.UsageError("--check needs --key: the verifier that you trust")
    try:
        octets = sys.stdin.buffer.read() if record == "-" else Path(record).read_bytes()
        found = Proof.parse(proof.read_bytes().decode("utf-8"))
        # as a line of the log, too: an envelope, and its detail after a tab
        checkpoint = found.check(leaf_of(split(octets)[0]), trusted)
    except (BadProof, UnicodeDecodeError, ValueError) as error:
        click.echo(f"{proof}: {error}", err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from None
    click.echo(f"record {found.index} of {checkpoint.origin}, which had {checkpoint.size} records "
               "then: in the log")
