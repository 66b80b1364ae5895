"""`outbounds check`: is the configuration good? Every fault on a line, or one line of summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..proxy.reload import read_settings
from ..settings import Problem, Settings, SettingsError
from ..settings.problem import ABSENT, key_path
from .config_option import config_option


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def check(config_dir: Path, as_json: bool) -> None:
    """Check the configuration.

    Prints every fault of every file and exits 1, or says what the configuration holds. The
    running proxy makes the same check before it takes a change over.
    """
    try:
        settings = read_settings(config_dir)
    except SettingsError as error:
        if as_json:
            faults = [fault(problem) for problem in error.problems]
            click.echo(json.dumps({"ok": False, "errors": faults}, default=str))
        else:
            for problem in error.problems:
                click.echo(str(problem), err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        click.echo(json.dumps({"ok": True, **contents(settings)}))
        return
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(summary(settings))


def fault(problem: Problem) -> dict[str, Any]:
    """`message` is the line as `check` prints it; the rest is its parts, where they are known."""
    parts: dict[str, Any] = {"message": str(problem)}
    if problem.file:
        parts |= {"file": problem.file, "line": problem.line, "key": key_path(problem.key)}
    if problem.value is not ABSENT:
        parts["value"] = problem.value
    return parts


def contents(settings: Settings) -> dict[str, Any]:
    policy = settings.policy
    return {
        "policy": policy.version,
        "plans": list(policy.plans),
        "limits": list(policy.limits),
        "lists": dict(settings.lists),
        "compiled_lists": [source.id for source in settings.sources],
        "exceptions": [grant.id for grant in policy.grants],
        "clauses": len(settings.clauses),
        "warnings": list(settings.warnings),
    }


def summary(settings: Settings) -> str:
    policy = settings.policy
    lists = ", ".join(f"{name} {count}" for name, count in settings.lists.items())
    compiled = f", {len(settings.sources)} compiled (`outbounds lists status`)" \
        if settings.sources else ""
    return (f"{settings.folder} is good: {_count(len(policy.plans), 'plan')}, "
            f"{_count(len(policy.limits), 'limit')}, {_count(len(settings.lists), 'list')}"
            f"{f' (entries: {lists})' if lists else ''}{compiled}, "
            f"{_count(len(policy.grants), 'exception')}, "
            f"{_count(len(settings.clauses), 'clause')}; policy {policy.version[:12]}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
