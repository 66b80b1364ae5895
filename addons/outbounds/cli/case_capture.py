"""`outbounds case capture`: keep what an account's requests and answers hold, for a case, until a
day. Nobody on this machine can read what is kept; `evidence.captures` says how."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from ..evidence.captures.orders import (
    CaptureOrder,
    CapturesFileError,
    add_order,
    captured_folder,
    captures_path,
    read_orders,
    remove_orders,
)
from ..evidence.cases.desk import CaseDamaged, Desk
from ..evidence.cases.store import CaseClosed, NoSuchCase, cases_of
from ..evidence.submit import EvidenceUnavailable, recording
from ..identity.accounts_file import AccountsFileError
from ..identity.htpasswd import HtpasswdError
from ..lists.rules_file import parse_rules
from ..settings import Settings, SettingsError, load, quantity
from .config_option import config_option
from .named_account import named_account
from .who_types import operator


class _Quantity(click.ParamType[float]):
    def __init__(self, name: str, read: Callable[[object], float]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: object, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        try:
            return self._read(value) if isinstance(value, str) else value  # type: ignore[return-value]
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


_DAY, _SIZE = _Quantity("day", quantity.end_of_day), _Quantity("size", quantity.size)


@click.command()
@click.argument("case")
@click.option("--account", metavar="NAME", help="Whose requests and answers.")
@click.option("--until", type=_DAY, metavar="DAY", help="The last day, such as 2026-12-24 (UTC).")
@click.option("--identity", type=click.Path(path_type=Path), metavar="FILE",
              help="Make a new age identity and write it here: a medium that leaves this machine.")
@click.option("--recipient", metavar="AGE1…", help="The recipient of an identity that you have.")
@click.option("--each", type=_SIZE, default="256KiB", show_default=True,
              help="What is kept of each body.")
@click.option("--most", type=_SIZE, default="1GiB", show_default=True,
              help="What is kept in all; beyond that nothing more is.")
@click.option("--stop", is_flag=True, help="End it, for --account or for all of the case.")
@config_option
def capture(case: str, account: str | None, until: float | None, identity: Path | None,
            recipient: str | None, each: int, most: int, stop: bool, config_dir: Path) -> None:
    """Capture what ACCOUNT sends and gets, for CASE, encrypted to the case's recipient.

    Only what the proxy can see: HTTP in the clear, and tunnels of accounts that are inspected. The
    order is in the evidence log before it takes effect, and so is each exchange that is kept. To
    read one, where the identity is:

        age -d -i IDENTITY RECORD-ID.age > RECORD-ID.warc

    Without --account, shows what is captured for CASE.
    """
    try:
        settings = load(config_dir, parse_rules)
        path = captures_path(settings.service.data)
        if stop:
            _stop(settings, path, case, account)
        elif account is None:
            _show(settings, path, case)
        else:
            _order(settings, path, case, account, until, identity, recipient, each, most)
    except (SettingsError, AccountsFileError, HtpasswdError, CapturesFileError, NoSuchCase,
            CaseClosed, CaseDamaged, EvidenceUnavailable, OSError) as error:
        raise click.ClickException(str(error)) from None


def _order(settings: Settings, path: Path, case: str, account: str, until: float | None,
           identity: Path | None, recipient: str | None, each: int, most: int) -> None:
    if until is None:
        raise click.UsageError("--until is missing: a capture has an end")
    if (identity is None) == (recipient is None):
        raise click.UsageError("name one of --identity and --recipient: whom it is encrypted to")
    known = named_account(settings.identity, account)
    cases_of(settings.evidence.directory).open_case(case)
    made = recipient or _make_identity(identity)
    order = CaptureOrder(
        case=case, account=known.id, recipient=made, since=datetime.now(UTC),
        until=datetime.fromtimestamp(until, UTC), each=each, most=most, by=operator())
    with recording(settings.evidence.directory, settings.evidence.socket) as recorder:
        Desk(cases_of(settings.evidence.directory), recorder, operator()).tell(
            case, f"capture of account {known.id} until {order.until.isoformat()}, at most {each} "
            f"octets of each body and {most} in all, to {made}")
        add_order(path, order)
    folder = captured_folder(settings.service.data, case)
    click.echo(f"What {account} sends and gets is captured for {case} until "
               f"{order.until:%Y-%m-%d %H:%M} UTC, in {folder}, readable only "
               "with the identity" + (f" in {identity}. Take that file away from this machine."
                                      if identity else f" of {made}."))
    if not known.inspect:
        click.echo(f"{account} is not inspected: of its tunnels nothing is captured.")


def _stop(settings: Settings, path: Path, case: str, account: str | None) -> None:
    account_id = named_account(settings.identity, account).id if account else None
    # ended first: whoever asks for it wants it over even if nothing can be put on record
    gone = remove_orders(path, case, account_id)
    if not gone:
        raise click.ClickException(f"nothing is being captured for {case}" + (
            f" of {account}" if account else ""))
    with recording(settings.evidence.directory, settings.evidence.socket) as recorder:
        Desk(cases_of(settings.evidence.directory), recorder, operator()).tell(
            case, "capture ended of account " + ", ".join(each.account for each in gone))
    folder = captured_folder(settings.service.data, case)
    click.echo(f"Ended: {len(gone)}. What was kept stays in {folder}.")


def _show(settings: Settings, path: Path, case: str) -> None:
    cases_of(settings.evidence.directory).get(case)
    now = datetime.now(UTC)
    orders = [each for each in read_orders(path) if each.case == case and each.until > now]
    folder = captured_folder(settings.service.data, case)
    kept = list(folder.glob("*.age")) if folder.exists() else []
    for order in orders:
        click.echo(f"{order.account}: until {order.until:%Y-%m-%d %H:%M} UTC, to {order.recipient}"
                   f", ordered by {order.by}")
    click.echo(f"{len(orders)} captures under way; {len(kept)} exchanges kept, "
               f"{sum(each.stat().st_size for each in kept)} octets, in {folder}.")


def _make_identity(path: Path | None) -> str:
    """A new age identity in `path`, which must not exist; its recipient."""
    import pyrage  # type: ignore[import-untyped]

    assert path is not None
    made = pyrage.x25519.Identity.generate()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{path}: exists already; an identity is written once. Use "
                                   "--recipient with what belongs to it, or another file") from None
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(f"# public key: {made.to_public()}\n{made}\n")
        file.flush()
        os.fsync(fd)
    return str(made.to_public())
