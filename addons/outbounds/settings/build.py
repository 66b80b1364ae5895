"""From the files' words to core.rules: no check left to do, only translation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from types import MappingProxyType

from ..core.account import Plan
from ..core.destination import AddressGrant, AddressRules
from ..core.hit import Terms
from ..core.limits import Limit, Over, Per, Unit
from ..core.list_entry import EVERYONE, Scope
from ..core.rules import Grant, Protocol, RobotsPolicy
from .list_source import ListSource
from .rules import (
    DestinationsFile,
    ExceptionsFile,
    LimitEntry,
    ListEntry,
    PlansFile,
    ProtocolFile,
    RequestsLimit,
    RobotsFile,
)


def limit(entry: LimitEntry) -> Limit:
    per, over = Per(entry.per), Over(entry.over)
    if isinstance(entry, RequestsLimit):
        return Limit(entry.id, Unit.REQUESTS, per, entry.rate.count, entry.rate.window,
                     entry.burst, over, entry.max_wait or 0.0, entry.clause)
    return Limit(entry.id, Unit.TUNNELS, per, entry.max, 0.0, entry.max, over, 0.0, entry.clause)


def plans(file: PlansFile, limits: Iterable[Limit]) -> dict[str, Plan]:
    """Every plan gets every target limit: one that some plans lacked would protect no target."""
    shared = [each.id for each in limits if each.per is Per.TARGET]
    return {
        entry.id: Plan(entry.id, tuple(dict.fromkeys((*entry.limits, *shared))))
        for entry in file.plans
    }


def protocol(file: ProtocolFile) -> Protocol:
    clauses = {port: entry.clause for entry in file.port_clauses for port in entry.ports}
    in_tunnels: dict[str, str] = {name: entry.clause
                  for entry in file.refused_in_tunnels for name in entry.protocols}
    return Protocol(
        methods=frozenset(file.methods), ports=file.ports, tunnel_ports=file.tunnel_ports,
        port_clauses=MappingProxyType(clauses), method_clause=file.clauses.method,
        port_clause=file.clauses.port, forge_clause=file.forged_headers.clause,
        refuse_route_fields=file.forged_headers.action == "refuse",
        refused_in_tunnels=MappingProxyType(in_tunnels))


def terms(entry: ListEntry) -> Terms:
    return Terms(
        entry.id, entry.clause, entry.legal or "", entry.labels, frozenset(entry.only),
        Scope(frozenset(entry.plans), frozenset(entry.accounts),
              float("-inf") if entry.since is None else entry.since,
              float("inf") if entry.until is None else entry.until)
        if entry.plans or entry.accounts or entry.since is not None or entry.until is not None
        else EVERYONE)


def list_source(entry: ListEntry) -> ListSource:
    return ListSource(terms(entry), entry.format or ("rules" if entry.file else "auto"),
                      entry.file, entry.feed)


def address_rules(file: DestinationsFile, own_ports: frozenset[int], now: float) -> AddressRules:
    """Grants that have ended by `now` are left out: AddressRules knows no dates."""
    grants = tuple(
        AddressGrant(ipaddress.ip_network(entry.network), entry.ports, entry.id)
        for entry in file.grants if entry.until is None or now < entry.until)
    return AddressRules(frozenset(), own_ports, grants, file.clauses.own, file.clauses.special)


def robots(file: RobotsFile) -> RobotsPolicy:
    return RobotsPolicy(file.mode, file.clause, file.max_delay, file.max_wait)


def exceptions(file: ExceptionsFile) -> tuple[Grant, ...]:
    return tuple(
        Grant(entry.rule, entry.until, frozenset(entry.accounts), entry.host, entry.id)
        for entry in file.exceptions)
