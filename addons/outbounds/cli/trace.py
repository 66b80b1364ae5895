"""`outbounds trace`: from a complaint to an account."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from ..evidence.cases.desk import Desk
from ..evidence.complaints import FORMS, Clock, Complaint, Sighting, parse
from ..evidence.complaints.addresses import parse_endpoint
from ..evidence.complaints.moments import read
from ..evidence.complaints.named_fields import host_and_port
from ..evidence.complaints.zones import named, offsets
from ..evidence.pseudonym import pseudonym
from ..evidence.search import search
from ..evidence.trace import Traced, trace
from ..evidence.trace.facts import translated
from ..evidence.trace.filing import chosen, file_in
from ..settings import quantity
from .case_desk import Office, office
from .config_option import config_option
from .trace_printing import Shown, as_json, print_traced, print_understood
from .who_types import operator

MICROSECOND = 1_000_000


class _Tolerance(click.ParamType[int]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None,
                ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return round(quantity.duration(value) * MICROSECOND)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@click.command("trace")
@click.argument("what", metavar="ADDRESS[:PORT]|FILE|-")
@click.option("--at", metavar="TIME", help="When, in any notation; where the complaint says none.")
@click.option("--port", type=click.IntRange(1, 65535),
              help="The source port, where the complaint says none.")
@click.option("--target", metavar="HOST", help="What was reached, where the complaint says none.")
@click.option("--zone", metavar="ZONE", default="",
              help="The time zone of times without one, such as UTC, +01:00 or Europe/Berlin.")
@click.option("--tolerance", type=_Tolerance(), default="5min", show_default=True,
              help="How far the complainant's clock may be off.")
@click.option("--as", "form", type=click.Choice(sorted(FORMS)), default=None,
              help="What the file is, where that is not seen from its content.")
@click.option("--case", "case_id", metavar="ID", help="Add the matching records to this case.")
@click.option("--unmask", is_flag=True, help="Show accounts instead of pseudonyms; needs --case, "
              "and is put on record first.")
@click.option("--json", "json_out", is_flag=True, help="Everything as one JSON object.")
@click.option("--log", "log_dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Search this copy of a log.")
@config_option
def trace_command(what: str, at: str | None, port: int | None, target: str | None, zone: str,
                  tolerance: int, form: str | None, case_id: str | None, unmask: bool,
                  json_out: bool, log_dir: Path | None, config_dir: Path) -> None:
    """Find the account that a complaint is about.

    The complaint is an address with its port and --at, or a file: XARF, an ARF e-mail, access-log
    lines, fail2ban's mail, a listing, a letter. Ends with 0 if an account was found, 1 if not.

        outbounds trace 192.0.2.7:51234 --at 2026-11-21T12:03:07Z --target www.example.org
    """
    if unmask and not case_id:
        raise click.UsageError("--unmask needs --case: whose name is shown is on a case's record")
    if zone and not offsets(zone) and named(zone) is None:
        raise click.UsageError(f"--zone {zone!r} is no time zone known here; write UTC, +01:00 or "
                               "Europe/Berlin")
    now = time.time_ns() // 1000
    complaint = _complaint(what, form, Clock(now, zone))
    complaint = _completed(complaint, at, port, target, Clock(now, zone))
    who = operator()  # before this process becomes the one that the data belong to
    with office(config_dir) as where:
        found = _run(where, log_dir or where.directory, complaint, tolerance, case_id, unmask, who,
                     json_out)
    raise click.exceptions.Exit(0 if found.candidates else 1)


def _run(where: Office, directory: Path, complaint: Complaint, tolerance: int,
         case_id: str | None, unmask: bool, who: str, json_out: bool) -> Traced:
    if case_id:
        where.cases.open_case(case_id)
    if not json_out:
        print_understood(complaint)
    with _busy():
        found = trace(
            complaint.sightings,
            lambda query: search(directory, query, say=lambda text: click.echo(text, err=True)),
            tolerance=tolerance, translated=translated(directory))
    filed = ""
    with ExitStack() as stack:
        name: Callable[[str], str] = partial(pseudonym, where.key)
        if case_id and found.candidates:
            recorder = stack.enter_context(where.recorder())
            if unmask:
                # on disk before a name is on the screen
                act = stack.enter_context(recorder.act(
                    "evidence.unmask", operator=who, case=case_id,
                    scope=f"trace of {_scope(complaint)}"))
                act.count = len(found.candidates)
                name = str
            filed = file_in(Desk(where.cases, recorder, who), case_id, directory, complaint,
                            chosen(found.candidates), tolerance)
        shown = Shown(complaint, found, tolerance, name, directory, where.evidence.retention,
                      filed)
        if json_out:
            click.echo(as_json(shown))
        else:
            print_traced(shown)
    return found


def _busy() -> ExitStack:
    """A spinner on standard error, for a person."""
    stack = ExitStack()
    console = Console(stderr=True)
    if console.is_terminal:
        stack.enter_context(console.status("Searching the log…"))
    return stack


def _scope(complaint: Complaint) -> str:
    first = complaint.sightings[0]
    more = len(complaint.sightings) - 1
    return f"{first.address} port {first.port or 'not given'}" + (f" and {more} more" if more
                                                                  else "")


def _complaint(what: str, form: str | None, clock: Clock) -> Complaint:
    if what == "-":
        return parse(sys.stdin.buffer.read(), clock, form=form or "")
    path = Path(what)
    if path.is_file():
        try:
            return parse(path.read_bytes(), clock, form=form or "")
        except OSError as error:
            raise click.UsageError(f"{what}: {error.strerror}") from None
    try:
        address, port = parse_endpoint(what)
    except ValueError as error:
        raise click.UsageError(f"there is no file of that name, and {error}") from None
    return Complaint("arguments", (Sighting(address, port, source="command line"),))


def _completed(complaint: Complaint, at: str | None, port: int | None, target: str | None,
               clock: Clock) -> Complaint:
    """With what the options say where the complaint says nothing."""
    if at is not None:
        stated = read(at, clock)
        if stated is None or not stated.moments:
            why = "; ".join(stated.notes) if stated else "write 2026-11-21T12:03:07Z"
            raise click.UsageError(f"--at {at!r} is no time that is understood here: {why}")
        complaint = replace(complaint, sightings=tuple(
            each if each.moments else replace(each, moments=stated.moments,
                                              notes=(*each.notes, *stated.notes))
            for each in complaint.sightings))
    elif complaint.form == "arguments":
        raise click.UsageError("--at is missing: when was it?")
    host, its_port = host_and_port(target or "")
    if target and not host:
        raise click.UsageError(f"--target {target!r} is neither a host nor an address")
    return replace(complaint, sightings=tuple(
        replace(each, port=each.port or port, target=each.target or host,
                target_port=each.target_port or its_port) for each in complaint.sightings))
