"""`outbounds robots refresh`: fetch a site's file now, in every worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from ..core.robots_reading import read
from .config_option import config_option
from .printing import show
from .robots_printing import as_json as standing_json
from .robots_printing import readable
from .robots_source import body_of, of_all, parse_target

Known = Mapping[str, Any] | None


@click.command()
@click.argument("site", metavar="URL-OR-HOST")
@config_option
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def refresh(site: str, config_dir: Path, in_json: bool) -> None:
    """Fetch the robots.txt that binds URL, or the https of a host, and say what has changed.

    Each worker of the proxy fetches it, on record with who asked for it.

    Exit status: 0 if the site has answered, 1 if it has not.
    """
    try:
        target = parse_target(site)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL-OR-HOST") from None
    answers = of_all(config_dir, "robots-refresh", target)
    said = [_change(each) for each in answers.of]
    if in_json:
        click.echo(json.dumps({"origin": target.site, "asked": answers.how, "workers": said},
                              ensure_ascii=False))
    else:
        show(Text(f"{target.site}/robots.txt, {answers.how}"))
        for each in said:
            show(*_lines(each))
    if any(each["state"] not in ("fresh", "absent") for each in said):
        raise click.exceptions.Exit(1)


def _change(answer: Mapping[str, Any]) -> dict[str, Any]:
    before, after = answer["before"], answer["after"]
    old, new = _rules(before), _rules(after)
    return {"worker": answer["worker"], "before": before["sha256"] if before else "",
            **(standing_json(after) if after else {"state": "unknown", "detail": "", "sha256": ""}),
            "added": sorted(new - old), "removed": sorted(old - new)}


def _rules(known: Known) -> set[tuple[str, str]]:
    if known is None:
        return set()
    return {(token, f"{'Allow' if rule.allow else 'Disallow'}: {rule.pattern}")
            for bound in read(body_of(known)).bound
            for token in bound.tokens for rule in bound.rules}


def _lines(change: Mapping[str, Any]) -> list[Text]:
    worker = f"worker {change['worker']}: " if change["worker"] else ""
    before, after = change["before"][:12] or "none", change["sha256"][:12] or "none"
    what = f"still {after}" if before == after else f"{before} -> {after}"
    detail = f" ({readable(change['detail'])})" if change["detail"] else ""
    return [Text(f"{worker}{change['state']}{detail}, {what}"),
            *(Text(f"  {sign} {token}: {rule}") for sign, rules in (
                ("-", change["removed"]), ("+", change["added"])) for token, rule in rules)]
