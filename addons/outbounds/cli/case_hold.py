"""`outbounds case hold` and `outbounds case release`."""

from __future__ import annotations

from pathlib import Path

import click

from ..evidence.cases.custody import Held
from .account_ids import account_id
from .case_desk import office
from .config_option import config_option
from .moment_type import Moment


@click.command()
@click.argument("case")
@click.option("--account", metavar="ACCOUNT", help="Everything of this account,")
@click.option("--since", type=Moment(), metavar="TIME", help="from then on,")
@click.option("--until", type=Moment(last=True), metavar="TIME", help="until then.")
@click.option("--id", "ids", multiple=True, metavar="RECORD-ID",
              help="These records; may be given again.")
@click.option("--all-items", is_flag=True,
              help="All records of the case, and those that are added later.")
@click.option("--reason", required=True, help="Why: who asked for it, and under which number.")
@config_option
def hold(case: str, account: str | None, since: int | None, until: int | None,
         ids: tuple[str, ...], all_items: bool, reason: str, config_dir: Path) -> None:
    """Keep records from retention and erasure, until the hold is released. Prints its number.

    What is held is held as a whole, details included. A hold of an account keeps what is recorded
    after it, too, unless --until ends it.
    """
    with office(config_dir) as where, where.desk() as desk:
        held = Held(reason=reason, since=since, until=until, events=ids, all_items=all_items,
                    account=account_id(config_dir, where.key, account) if account else "")
        click.echo(desk.hold(case, held))


@click.command()
@click.argument("case")
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why it may go.")
@config_option
def release(case: str, number: int, reason: str, config_dir: Path) -> None:
    """Take back hold NUMBER of CASE (`outbounds case show` lists them). What retention or an
    erasure wanted to remove meanwhile goes with its next pass."""
    with office(config_dir) as where, where.desk() as desk:
        desk.release(case, number, reason)
    click.echo(f"hold {number} of {case} is released.")
