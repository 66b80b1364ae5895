"""`outbounds robots show`: the file as it is understood."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..core.robots import Robots
from ..core.robots_reading import MOST, Bound, Line, Reading, read, read_lines
from ..core.robots_terms import Hours, Terms
from .config_option import config_option
from .printing import show
from .robots_printing import as_json as standing_json
from .robots_printing import line_text, readable, standing
from .robots_source import body_of, known_or_fetched, parse_target

_TOKENS = 20  # are named in a heading


@click.command("show")
@click.argument("site", metavar="URL-OR-HOST")
@click.option("--raw", is_flag=True, help="Print the file's octets, and nothing else.")
@config_option
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def show_(site: str, raw: bool, config_dir: Path, in_json: bool) -> None:
    """Show the robots.txt that binds URL, or the https of a host.

    How it stands, whom it binds by which rules, and at the end the lines that have no effect, so
    that a site's owner sees what is misspelt.
    """
    try:
        target = parse_target(site)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL-OR-HOST") from None
    answers = known_or_fetched(config_dir, "robots-show", target)
    known = answers.of[0]["known"]
    body = body_of(known) if known else b""
    if raw:
        if known is None or not known["sha256"]:
            why = known["detail"] if known else answers.how
            raise click.ClickException(f"there is no file to print: {why}")
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    reading, lines = read(body), read_lines(body)
    if in_json:
        click.echo(json.dumps({
            "origin": target.site, "asked": answers.how, "size": len(body),
            **(standing_json(known) if known else {"state": "unknown"}),
            **_read_json(reading, lines, body)}, ensure_ascii=False))
        return
    show(Text(f"{target.site}/robots.txt"), standing(known, len(body), answers.how))
    show(*_parts(reading, lines, body))


def _parts(reading: Reading, lines: Iterable[Line], body: bytes) -> Iterator[Text | Table]:
    by_number = {line.number: line for line in lines}
    robots = Robots.parse(body)
    for bound in reading.bound:
        names = ", ".join(bound.tokens[:_TOKENS])
        more = f" and {len(bound.tokens) - _TOKENS:,} more" if len(bound.tokens) > _TOKENS else ""
        yield Text(f"\n{names}{more}")
        yield _rules(bound, by_number)
        if said := _said(bound.terms):
            yield Text(f"  asks for: {said}")
        if said := _preferences(robots, bound):
            yield Text(f"  uses of /: {said}")
    if reading.cut:
        yield Text(f"\nOnly the first {MOST:,} rules are listed; --raw prints the file.")
    troubled = [line for line in by_number.values() if line.trouble]
    if troubled:
        table = Table(box=None, pad_edge=False)
        for column in ("line", "without effect", "because"):
            table.add_column(column, justify="right" if column == "line" else "left",
                             overflow="fold")
        for line in troubled:
            table.add_row(str(line.number), Text(readable(line.text)), Text(line.trouble))
        yield Text("")
        yield table


def _rules(bound: Bound, lines: Mapping[int, Line]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("line", "says", "compared as"):
        table.add_column(column, justify="right" if column == "line" else "left", overflow="fold")
    for rule in bound.rules:
        text = line_text(lines, rule.line)
        same = text.endswith(rule.pattern)
        table.add_row(str(rule.line), Text(text), Text("" if same else rule.pattern))
    for number in bound.other:
        table.add_row(str(number), Text(line_text(lines, number)), "")
    if not bound.rules:
        table.add_row("-", "no rules: everything is allowed", "")
    return table


def _said(terms: Terms) -> str:
    said = [f"{terms.crawl_delay:g} s between requests"] if terms.crawl_delay is not None else []
    for rate in terms.request_rates:
        when = f" at {_hours(rate.hours)}" if rate.hours else ""
        said.append(f"at most {rate.count} in {rate.seconds:g} s{when}")
    if terms.visit_times:
        said.append(f"visits at {', '.join(map(_hours, terms.visit_times))}")
    return "; ".join(said)


def _hours(hours: Hours) -> str:
    start, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in (hours.start, hours.end))
    return f"{start}-{end} UTC"


def _preferences(robots: Robots, bound: Bound) -> str:
    return ", ".join(f"{each.purpose} {'yes' if each.allowed else 'no'} (line {each.line})"
                     for each in robots.preferences("/", bound.tokens[0]))


def _read_json(reading: Reading, lines: Iterable[Line], body: bytes) -> dict[str, Any]:
    by_number = {line.number: line for line in lines}
    robots = Robots.parse(body)
    return {
        "groups": [{
            "tokens": bound.tokens,
            "rules": [{**asdict(rule), "text": line_text(by_number, rule.line)}
                      for rule in bound.rules],
            "terms": asdict(bound.terms),
            "other": [{"line": number, "text": line_text(by_number, number)}
                      for number in bound.other],
            "preferences": [asdict(each) for each in robots.preferences("/", bound.tokens[0])],
        } for bound in reading.bound],
        "cut": reading.cut,
        "without_effect": [{"line": line.number, "text": readable(line.text),
                            "because": line.trouble}
                           for line in by_number.values() if line.trouble],
    }
