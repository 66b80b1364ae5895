"""`outbounds evidence search`: events of the log that meet conditions."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..evidence.privacy import printable
from ..evidence.pseudonym import is_pseudonym, pseudonym
from ..evidence.search import Query, Search, Summary, accounts
from ..evidence.search.masking import masked, masked_summary
from ..evidence.search.query import moment
from ..evidence.shipping.reach import remote_log
from .account_ids import account_id
from .case_desk import Office, office
from .config_option import config_option
from .printing import show
from .query_options import query_options
from .who_types import operator

Name = Callable[[str], str]

_ROWS = 200  # of a table, which somebody reads


@click.command()
@config_option
@query_options
@click.option("--format", "form", type=click.Choice(["table", "jsonl", "csv"]), default="table",
              show_default=True, help="jsonl has every record as it was written, the others an "
                                      "event a line.")
@click.option("--limit", type=click.IntRange(0), metavar="N",
              help=f"Show the first N events; 0: all. A table has {_ROWS} otherwise.")
@click.option("--count", is_flag=True, help="Only say how many events there are.")
@click.option("--unmask", is_flag=True, help="Account ids and source addresses, not pseudonyms; "
              "needs --case, and is put on record first.")
@click.option("--case", "case_id", metavar="ID", help="The open case that it is done for.")
@click.option("--log", "log_dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Search this copy of a log.")
@click.option("--store", "in_store", is_flag=True, help="Search the copy in the object store.")
def search(query: Query, config_dir: Path, form: str, limit: int | None, count: bool, unmask: bool,
           case_id: str | None, log_dir: Path | None, in_store: bool) -> None:
    """Show the events that meet all conditions, the earliest first.

    An event is a request or a tunnel, from its opening to its closing; a time range finds all that
    were under way in it. Times are shown in UTC. Accounts are shown as pseudonyms, which --account
    takes, too, and without the addresses they came from.

    \b
        outbounds evidence search --egress 192.0.2.7:51234 --since '2h ago'
    """
    if unmask and not case_id:
        raise click.UsageError("--unmask needs --case: whose name is shown is on a case's record")
    if in_store and log_dir:
        raise click.UsageError("--log and --store are two places: name one")
    if re.search(r"\?.*=[^&]", query.url):
        raise click.UsageError(f"--url {query.url!r}: values of a query are not recorded, only the "
                               f"parameters' names: {re.sub('=[^&]+', '=', query.url)!r}")
    who = operator()  # before this process becomes the one that the data belong to
    with office(config_dir) as where, ExitStack() as stack:
        directory = stack.enter_context(_place(where, query, log_dir, in_store))
        query = _known(config_dir, where, directory, query)
        name, shown = stack.enter_context(_names(where, query, who, case_id if unmask else None))
        with _busy():
            found = Search(directory, query, say=_say)
            total = found.count()
        if count:
            click.echo(total)
            return
        most = (_ROWS if form == "table" else 0) if limit is None else limit
        shown(min(total, most or total))
        if form == "jsonl":
            _print_records(found, most or None, name)
        else:
            rows = found.summaries(most or None)
            (_print_table if form == "table" else _print_csv)(
                rows if name is None else (masked_summary(each, name) for each in rows),
                name is not None)
    if not total:
        _say("nothing was found")
    elif most and total > most:
        _say(f"the first {most} of {total} events; --limit 0 shows all")


@contextmanager
def _place(where: Office, query: Query, log_dir: Path | None, in_store: bool) -> Iterator[Path]:
    if not in_store:
        yield log_dir or where.directory
        return
    if where.evidence.store is None:
        raise ValueError("--store: no object store is configured: `store` in evidence.yaml")
    with remote_log(where.evidence.store, query.since, query.until) as directory:
        yield directory


def _known(config_dir: Path, where: Office, directory: Path, query: Query) -> Query:
    """With the account's id instead of its name or pseudonym."""
    text = query.account
    if not text:
        return query
    if is_pseudonym(text):  # also of an account that there is no more
        for account in accounts(directory):
            if account and pseudonym(where.key, account) == text:
                return replace(query, account=account)
    return replace(query, account=account_id(config_dir, where.key, text))


@contextmanager
def _names(where: Office, query: Query, who: str, case_id: str | None
           ) -> Iterator[tuple[Name | None, Callable[[int], None]]]:
    """How accounts are shown (None: as they are, once that is on record), and what takes how many
    are. Raises NoSuchCase, CaseClosed, EvidenceUnavailable."""
    if case_id is None:
        yield partial(pseudonym, where.key), lambda count: None
        return
    where.cases.open_case(case_id)
    with where.recorder() as recorder, recorder.act(
            "evidence.unmask", operator=who, case=case_id, scope=f"search of {query}") as act:
        yield None, partial(setattr, act, "count")


def _busy() -> ExitStack:
    """A spinner on standard error, for a person."""
    stack = ExitStack()
    console = Console(stderr=True)
    if console.is_terminal:
        stack.enter_context(console.status("Searching the log…"))
    return stack


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print_records(found: Search, most: int | None, name: Name | None) -> None:
    for event in found.events(most):
        account = str(event.first("user.id"))
        for each in event.records:
            fields = each.fields if name is None else masked(each.fields, account, name)
            # in ASCII: nothing in it can speak to a terminal
            click.echo(json.dumps({**fields, "outbounds.position": each.position}))


def _print_table(rows: Iterable[Summary], is_masked: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("time (UTC)", "lasted", "account", *(() if is_masked else ("source",)), "what",
                   "target", "came of it", "egress", "record"):
        table.add_column(column, overflow="fold")
    for each in rows:
        cells = [moment(each.begin)[:-4].replace("T", " "), _lasted(each), each.account or "-",
                 *(() if is_masked else (_endpoint(each.source_ip, each.source_port),)),
                 each.method or each.action, _target(each), _outcome(each),
                 _endpoint(each.egress_ip, each.egress_port), each.id]
        # what was recorded is no markup; and in the copy of a log there may be anything
        table.add_row(*(Text(_printable(cell)) for cell in cells))
    if table.row_count:
        show(table)


def _lasted(each: Summary) -> str:
    if each.end is None:
        return "open"
    seconds = (each.end - each.begin) / 1e6
    return f"{seconds:.3f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _endpoint(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return (f"{host}:{port}" if port else host) or "-"


def _target(each: Summary) -> str:
    return _endpoint(each.target or each.target_ip, each.target_port) + each.url


def _outcome(each: Summary) -> str:
    words = [each.verdict, f"({each.rule})" if each.rule else "", str(each.status or ""),
             each.outcome if each.outcome != "success" else ""]
    return " ".join(word for word in words if word) or "-"


_CSV = ("id", "begin", "end", "account", "source_ip", "source_port", "action", "method", "target",
        "target_ip", "target_port", "url", "verdict", "control", "rule", "clause", "status",
        "outcome", "egress_ip", "egress_port")


def _print_csv(rows: Iterable[Summary], is_masked: bool) -> None:
    columns = [name for name in _CSV if not is_masked or not name.startswith("source_")]
    click.echo(",".join(columns))
    for each in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_cell(each, name) for name in columns])
        click.echo(line.getvalue())


def _cell(each: Summary, name: str) -> str | int:
    value = getattr(each, name)
    if name in ("begin", "end"):
        return "" if value is None else moment(value)
    if isinstance(value, int):
        return value or ""
    text = _printable(value)
    # a spreadsheet takes such a cell for a formula, and anybody may choose a path
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def _printable(text: str) -> str:
    return printable(text, len(text.encode("utf-8", "surrogatepass")) * 3)[0]
