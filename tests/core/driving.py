"""Drives `decide` without mitmproxy, from a table of answers.

An answer is a value, an exception (thrown in, as the proxy does when a part fails) or a function of
the question. What is not in the table gets the answer of a fine day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from outbounds.core.account import Account, Plan
from outbounds.core.case import Case
from outbounds.core.denylist import Denylist
from outbounds.core.destination import AddressRules, parse_host
from outbounds.core.hit import Terms
from outbounds.core.limits import Limit, Over, Per, Taken, Unit
from outbounds.core.list_entry import Entry, Kind, parse_value
from outbounds.core.policy import decide
from outbounds.core.questions import (
    AddressesOf,
    JudgeRobots,
    Question,
    RobotsAnswer,
    RobotsOf,
    Take,
    TargetCharges,
    WhoIs,
    judged,
)
from outbounds.core.request import Credentials, Request, Source, Way
from outbounds.core.robots import Robots
from outbounds.core.rules import Grant, Policy, Protocol, RobotsPolicy

NOW = 1_800_000_000.0
PUBLIC = (ip_address("93.184.216.34"),)
HOST = parse_host("site.example")
ACCOUNT = Account("acct_a", "ada")
INSPECTED = replace(ACCOUNT, inspect=True, consent="2026-01-01")

PER_ACCOUNT = Limit("per-account", Unit.REQUESTS, Per.ACCOUNT, 60, 60.0, 10, clause="S-fair")
PER_HOST = Limit("per-host", Unit.REQUESTS, Per.ACCOUNT_HOST, 60, 60.0, 5, Over.PACE, 5.0)
PER_TARGET = Limit("per-target", Unit.REQUESTS, Per.HOST, 120, 60.0, 20)
TUNNELS = Limit("tunnels", Unit.TUNNELS, Per.ACCOUNT, 3, 0.0, 3, clause="S-fair")
LIMITS = {limit.id: limit for limit in (PER_ACCOUNT, PER_HOST, PER_TARGET, TUNNELS)}


def denylist(*lines: tuple[str, str], list_id: str = "blocked", legal: str = "") -> Denylist:
    """Lines as (kind, value), counted from 1."""
    return Denylist.build([entries(*lines, list_id=list_id, legal=legal)])


def entries(*lines: tuple[str, str], list_id: str = "blocked", legal: str = ""
            ) -> tuple[Terms, list[Entry]]:
    return Terms(list_id, "P-content", legal), [
        Entry(Kind(kind), parse_value(Kind(kind), value), number)
        for number, (kind, value) in enumerate(lines, 1)]


POLICY = Policy(
    version="v1",
    plans={"default": Plan("default", tuple(LIMITS))},
    limits=LIMITS,
    protocol=Protocol(
        frozenset({"GET", "HEAD", "POST", "OPTIONS"}), frozenset({80, 443, 8080}),
        frozenset({80, 443, 8443}), {25: "P-spam"}, "P-method", "P-port", "P-forge"),
    denylist=Denylist.build(),
    addresses=AddressRules(clause_own="P-own", clause_special="P-special"),
    robots=RobotsPolicy("enforce", "P-robots", 60.0, 10.0),
    suspended_clause="S-suspend",
)
NO_RULES = RobotsAnswer(Robots.parse(b""), "absent")

FINE: Mapping[type, Any] = {WhoIs: ACCOUNT, AddressesOf: PUBLIC, RobotsOf: NO_RULES,
                             JudgeRobots: judged, TargetCharges: (), Take: Taken()}


def request(url: str = "http://site.example/page", way: Way = Way.PLAIN, method: str = "GET",
            **fields: Any) -> Request:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    name, _, port = authority.rpartition(":") if authority[-1:].isdigit() and ":" in authority \
        else (authority, "", "")
    defaults: dict[str, Any] = {"credentials": Credentials("ada", "pw"),
                                "source": Source("192.0.2.7", 5000)}
    return Request(way, method, scheme, parse_host(name),
                   int(port or {"http": 80, "https": 443}[scheme]), slash + path or "/",
                   **(defaults | fields))


def tunnel(host: str = "site.example", port: int = 443, way: Way = Way.CONNECT,
           **fields: Any) -> Request:
    opened = request(f"{'http' if port == 80 else 'https'}://{host}:{port}", way, "CONNECT",
                     **fields)
    return replace(opened, path="")


def robots(text: str, **fields: Any) -> RobotsAnswer:
    return RobotsAnswer(Robots.parse(text.encode()), "fresh", "digest", **fields)


def grant(rule: str, *, until: float = NOW + 1, accounts: tuple[str, ...] = (), host: str = "",
          name: str = "exception") -> Grant:
    return Grant(rule, until, frozenset(accounts), host, name)


@dataclass
class Driven:
    case: Case
    asked: list[Question]

    @property
    def outcome(self) -> tuple[str, str, int | None]:
        """(control, rule, status); ("", "", None) for an allow."""
        verdict = self.case.verdict
        return verdict.control, verdict.rule, verdict.kind.status if verdict.kind else None

    @property
    def kinds(self) -> list[type]:
        return [type(question) for question in self.asked]


def drive(what: Request | None = None, policy: Policy = POLICY,
          answers: Mapping[type, Any] | None = None, *, now: float = NOW,
          charge: bool = True) -> Driven:
    table = {**FINE, **(answers or {})}
    asked: list[Question] = []
    asking = decide(what or request(), policy, now, charge=charge)
    try:
        question = next(asking)
        while True:
            asked.append(question)
            answer = table[type(question)]
            if callable(answer):
                answer = answer(question)
            if isinstance(answer, Exception):
                question = asking.throw(answer)
            else:
                question = asking.send(answer)
    except StopIteration as stop:
        return Driven(stop.value, asked)
