"""What the log itself says about the case: that the statement was recorded before there was a
bundle, and that the custody log says what the evidence log says."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from ..line import fields
from .check_records import check_inclusion
from .container import BadFile, Container
from .custody import CaseDamaged, Line, Opened, read_lines
from .findings import Result
from .statement import Statement

Acts = dict[str, dict[str, Any]]
"""Records of the log by the names of their files."""


def check_acts(bundle: Container, found: Result) -> None:
    acts: Acts = {}
    for name in sorted(each for each in bundle.names if each.startswith("acts/")):
        with found.noted():
            try:
                acts[name] = fields(bundle.read(name))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BadFile(name, f"is no record: {error}") from None
            check_inclusion(bundle, found, name, int(name[5:17]))
    if found.statement is not None:
        with found.noted():
            _scope(bundle, found.statement, acts)
        with found.noted():
            _custody(bundle, found, found.statement, acts)


def _scope(bundle: Container, stated: Statement, acts: Acts) -> None:
    digest = sha256(bundle.read("statement.json")).hexdigest()
    for name, act in acts.items():
        if f" statement sha256:{digest} " in str(act.get("outbounds.scope")):
            said = tuple(act.get(each) for each in (
                "event.action", "outbounds.case", "outbounds.operator", "outbounds.count"))
            if said != ("case.export", stated.case, stated.made_by, stated.records):
                raise BadFile(name, "says something else than statement.json")
            return
    raise BadFile("statement.json", "is not what the log recorded before the bundle was made")


def _custody(bundle: Container, found: Result, stated: Statement, acts: Acts) -> None:
    try:
        lines = read_lines(bundle.read("custody.jsonl"), "custody.jsonl", redacted=True)
    except CaseDamaged as error:
        raise BadFile("custody.jsonl", str(error).removeprefix("custody.jsonl: ")) from None
    if not lines or lines[-1].digest != stated.custody:
        raise BadFile("custody.jsonl", "is not the one that statement.json speaks of")
    first = lines[0].content
    if not isinstance(first, Opened) or (lines[0].entry.case, first.key, first.title,
                                         lines[0].entry.at) != (
            stated.case, stated.key, stated.title, stated.opened):
        found.say("statement.json", "names another case than custody.jsonl")
    if sum(line.content is None for line in lines) != stated.left_out:
        found.say("custody.jsonl", "has another number of contents than statement.json says")
    by_id = {act.get("event.id"): (name, act) for name, act in acts.items()}
    for line in lines:
        name, act = by_id.get(line.entry.record, ("", None))
        if act is not None:
            _recorded(found, line, name, act)
        elif line.content is not None and line.entry.number not in stated.unrecorded:
            found.say("custody.jsonl", f"line {line.entry.number}: the log's record of it is not "
                      "in acts")


def _recorded(found: Result, line: Line, name: str, act: dict[str, Any]) -> None:
    entry = line.entry
    said = tuple(act.get(each) for each in ("event.action", "outbounds.case",
                                            "outbounds.operator"))
    if said != (f"case.{entry.act}", entry.case, entry.operator) or not str(
            act.get("outbounds.scope")).startswith(f"sha256:{entry.content}"):
        found.say("custody.jsonl", f"line {entry.number}: {name}, the log's record of it, says "
                  "something else")
