"""What a decided request owes to robots.txt, for `outbounds explain`."""

from __future__ import annotations

from typing import Any

from ..core.case import Case
from ..core.robots_control import agents
from ..core.robots_reading import read_lines
from .list_status import ago
from .robots_printing import readable


def went_by(case: Case) -> str:
    """What the control had no objection by, in one line."""
    said = robots_of(case)
    by = f", by the entry {said['mode_entry']} of modes" if said["mode_entry"] else ""
    if case.robots is None:
        if said["exempt"].startswith("owner:"):
            return f"not asked: {said['exempt'].removeprefix('owner:')} is the account's own"
        return f"off{by}" if said["mode"] == "off" else "not asked"
    what = "whole-site rule only" if case.robots_scope == "site" else "this path"
    line = f"line {said['line']}, {said['text']!r}" if said["line"] else "no rule applies"
    observed = f"; would be refused{by}: {case.observed}" if case.observed else ""
    return f"{said['state']}, {what}: {line}{observed}{_more(case, said)}"


def objected(case: Case) -> str:
    """What a refusal leaves unsaid that is a sentence for the customer; begins with a space."""
    if case.robots is None or case.robots.robots is None:
        return ""
    said = robots_of(case)
    line = f" It is {said['text']!r}" if said["text"] else f" It is {said['state']}"
    return line + _more(case, said)


def _more(case: Case, said: dict[str, Any]) -> str:
    parts = [f"; {name or 'no name'} is bound as {token}" for name, token in said["names"].items()]
    parts += [f"; asks for {each.id} {each.count} in {each.window:g} s"
              for each in case.site_limits]
    parts += [f"; {each['purpose']}={'yes' if each['allowed'] else 'no'} (line {each['line']})"
              for each in said["preferences"]]
    if said["age"] is not None:
        parts.append(f"; {ago(said['age'])} old")
    return "".join(parts)


def robots_of(case: Case) -> dict[str, Any]:
    """The same as an object; `names` are those who were asked about, each with the product token
    by which the file binds it."""
    terms, account, answer = case.policy.robots, case.account, case.robots
    assert account is not None
    mode, entry = terms.mode_for(account, case.request.host, case.now)
    match = case.robots_match
    line = match.line if match is not None else 0
    names = agents(account, case.request.user_agent, terms.identity)
    rules = answer.robots if answer is not None else None
    return {
        "mode": mode, "mode_entry": entry, "identity": terms.identity.value,
        "exempt": case.robots_exempt, "scope": case.robots_scope,
        "state": answer.state if answer is not None else "",
        "sha256": answer.digest if answer is not None else "",
        "age": max(0.0, case.now - answer.fetched) if answer is not None and answer.fetched
        else None,
        "names": {readable(name): rules.token(name) for name in names} if rules else {},
        "agent": case.robots_agent, "line": line,
        "text": _text(answer.body, line) if answer is not None and line else "",
        "observed": case.observed,
        "limits": [{"id": each.id, "count": each.count, "window": each.window}
                   for each in case.site_limits],
        "preferences": [{"purpose": each.purpose, "allowed": each.allowed, "line": each.line}
                        for each in case.preferences],
    }


def _text(body: bytes, number: int) -> str:
    return next((readable(line.text) for line in read_lines(body) if line.number == number), "")
