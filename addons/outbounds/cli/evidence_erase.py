"""`outbounds evidence erase`: the details of one account's records, gone for good."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from ..evidence.archive.layout import Segment, all_segments
from ..evidence.archive.reading import Damaged
from ..evidence.archive.seal import BadSeal
from ..evidence.cases.store import CaseDamaged, Hold, cases_of
from ..evidence.frame import ROLL
from ..evidence.keeper import indexing
from ..evidence.keeper.lock import KeeperBusy, kept_alone
from ..evidence.keeper.sealing import seal_all
from ..evidence.keeper.task import KeeperFault, Keeping
from ..evidence.owner import become_owner
from ..evidence.privacy import load_key
from ..evidence.retention.erasure import Found, find, forget
from ..evidence.retention.rewriting import remove_leftovers, rewrite
from ..evidence.shipping.reach import bring_back, reachable
from ..evidence.submit import EvidenceUnavailable, operator, recording
from ..settings import SettingsError
from ..settings.evidence import Evidence
from ..settings.evidence_file import load_evidence
from .account_ids import account_id
from .config_option import config_option

WAIT = 600.0  # s for a pass of the keeper that is under way
_EXPECTED = (EvidenceUnavailable, KeeperBusy, KeeperFault, CaseDamaged, Damaged, BadSeal)

_STAYS = """\
What stays: that the account made these requests, when, from where, to which host, with what
verdict; until retention removes it. Also what cases hold of them, and bundles that were exported.
The octets may stay on the disk's surface until it needs the room: encrypt the disk."""


@click.command()
@config_option
@click.option("--account", required=True, help="The account: its name, id or pseudonym.")
@click.option("--reason", required=True, help="Why, for the record: such as a request's number.")
@click.option("--dry-run", is_flag=True, help="Only say what there is to erase.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(config_dir: Path, account: str, reason: str, dry_run: bool, yes: bool) -> None:
    """Erase the details (paths, query keys, user agents) of all records of an account.

    The log can be verified as before: the records keep the hashes of what is gone. That it was
    erased, by whom and why is on record in the log before it happens. What a case holds is not
    erased, and the exit status is then 1.
    """
    try:
        data, settings = load_evidence(config_dir)
        # as whom it was started: soon this is the log's owner
        who, account = operator(), account_id(config_dir, load_key(data), account)
        become_owner(settings.directory)
        holds = cases_of(settings.directory).holds()
        found = _look(settings, account, holds)
        _say(found, account)
        if dry_run or not any(each.details for each in found):
            raise click.exceptions.Exit(1 if _kept(found) or not found else 0)
        if not yes:
            click.confirm("Erase these details for good?", abort=True)
        found = _erase(data, settings, account, reason, who)
    except SettingsError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    except _EXPECTED as error:
        click.echo(f"{error}. Nothing more was erased; run this again when it is mended", err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{error.filename or config_dir}: {error.strerror or error}; run this as root "
                   "or as the collector's user", err=True)
        raise click.exceptions.Exit(1) from None
    for each in found:
        if each.details:
            click.echo(f"  {each.segment.stem}: {each.details} details erased")
    click.echo(f"{sum(each.details for each in found)} details erased. What is recorded from now "
               f"on is not touched.\n{_STAYS}")
    if settings.store is not None:
        click.echo(f"Copies in the object store ({settings.store.bucket}) are replaced by the "
                   "keeper's next pass, which then removes the old ones; `outbounds evidence ship "
                   "--now` does it at once. Details are never locked there. Indexes that other "
                   "users of `outbounds evidence search` have fetched are in their cache folders.")
    if _kept(found):
        raise click.exceptions.Exit(1)


def _look(settings: Evidence, account: str, holds: list[Hold]) -> list[Found]:
    """Segments in which there is something of the account's, hot ones, too."""
    segments = all_segments(settings.directory)
    console = Console(stderr=True)
    with reachable(settings.store):
        every = [find(each, account, holds) for each in track(
            segments, "reading", console=console, transient=True,
            disable=not console.is_terminal)]
    return [each for each in every if each.records]


def _say(found: list[Found], account: str) -> None:
    if not found:
        click.echo(f"There is no record of account {account!r}.", err=True)
        return
    for each in found:
        if each.details:
            click.echo(f"  {each.segment.stem}: {each.details} details of {each.records} records")
    click.echo(f"Account {account}: {sum(each.records for each in found)} records, "
               f"{sum(each.details for each in found)} details to be erased.")
    for case, count in _kept(found).items():
        click.echo(f"Case {case} holds {count} details, which are not erased; see `outbounds case "
                   f"show {case}`.", err=True)


def _kept(found: list[Found]) -> Counter[str]:
    return sum((each.kept for each in found), Counter())


def _erase(data: Path, settings: Evidence, account: str, reason: str,
           who: str) -> list[Found]:
    """Recorded, then erased; what was."""
    directory = settings.directory
    keeping = Keeping(directory, data, settings, time.time(),
                      lambda text: click.echo(text, err=True))
    with ExitStack() as stack:
        recorder = stack.enter_context(recording(directory, settings.socket))
        act = stack.enter_context(recorder.act(
            "evidence.erase", operator=who, reason=reason, scope=f"account {account}"))
        # what is being written to cannot be changed: it is closed, and sealed
        recorder.send(ROLL)
        stack.enter_context(kept_alone(directory, WAIT))
        seal_all(directory, lambda _: None, keeping.status)
        sealed: list[Segment] = [each for each in all_segments(directory) if each.sealed]
        remove_leftovers(sealed)
        # as they are now: one may just have been placed
        holds = cases_of(settings.directory).holds()
        with reachable(settings.store):
            found = [find(each, account, holds) for each in sealed]
        for each in found:
            if each.details:
                bring_back(settings.store, each.segment)
                act.count += rewrite(each.segment, each.fates).details
        _forget(settings, found)
        try:
            indexing.run(keeping)
        except KeeperFault as error:
            click.echo(f"{error}. The keeper tries again; until then searches are slower", err=True)
    return found


def _forget(settings: Evidence, found: list[Found]) -> None:
    if settings.store is not None:
        from ..evidence.shipping.credentials import BadCredentials
        from ..evidence.shipping.remote import Remote
        from ..evidence.shipping.store import StoreFault

        try:
            forget(Remote(settings.store).cache, found)
        except (StoreFault, BadCredentials) as error:
            click.echo(f"{error}; indexes fetched from the store may still be in the cache",
                       err=True)
