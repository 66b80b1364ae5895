"""From the files' words to core.rules: no check left to do, only translation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from ..core.account import Plan
from ..core.destination import AddressGrant, AddressRules
from ..core.hit import Terms
from ..core.limits import Away, Limit, Over, Per, Unit
from ..core.list_entry import EVERYONE, Scope
from ..core.rules import (
    AdaptiveTerms,
    Grant,
    Identity,
    Protocol,
    QueueTerms,
    RobotsMode,
    RobotsPolicy,
)
from .calendar import Calendar, Every
from .limits import HeldLimit, LimitEntry, LimitsFile
from .list_source import ListSource
from .robots import RobotsFile
from .rules import (
    DestinationsFile,
    ExceptionsFile,
    ListEntry,
    PlansFile,
    ProtocolFile,
)


def limit(entry: LimitEntry, zone: str) -> Limit:
    unit, per, over = Unit(entry.unit), Per(entry.per), Over(entry.over)
    wait = entry.max_wait or 0.0
    if isinstance(entry, HeldLimit):
        shape = Limit(entry.id, unit, per, entry.max, 0.0, entry.max, over, wait)
    elif entry.quota is not None:
        shape = Limit(entry.id, unit, per, entry.quota.count, 0.0, entry.quota.count, over, wait,
                      calendar=Calendar(Every(entry.quota.every), zone))
    else:
        rate = entry.rate
        assert rate is not None
        shape = Limit(entry.id, unit, per, rate.count, rate.window, entry.burst or rate.count,
                      over, wait)
    return replace(shape, clause=entry.clause, ports=entry.ports, targets=entry.targets,
                   methods=None if entry.methods is None else frozenset(entry.methods),
                   away=Away(entry.when_away))


def plans(file: PlansFile, limits: Iterable[Limit]) -> dict[str, Plan]:
    """Every plan gets every limit that is not of an account: one that some plans lacked would
    protect no target."""
    shared = [each.id for each in limits if not each.per.of_account]
    return {
        entry.id: Plan(entry.id, tuple(dict.fromkeys((*entry.limits, *shared))), entry.weight,
                       entry.rate_limit_fields == "always")
        for entry in file.plans
    }


def queue(file: LimitsFile) -> QueueTerms:
    return QueueTerms(file.queue.per_account, file.queue.total)


def adaptive(file: LimitsFile) -> AdaptiveTerms | None:
    terms = file.adaptive
    return None if terms is None else AdaptiveTerms(
        terms.start, terms.least, terms.most, terms.max_wait, terms.most_pause, terms.clause)


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
    return RobotsPolicy(
        file.mode, file.clause, file.max_delay, file.max_wait, Identity(file.identity),
        frozenset(file.honour),
        tuple(RobotsMode(
            entry.id, entry.mode, frozenset(entry.plans), frozenset(entry.accounts),
            frozenset(entry.hosts), float("inf") if entry.until is None else entry.until)
            for entry in file.modes))


def exceptions(file: ExceptionsFile) -> tuple[Grant, ...]:
    return tuple(
        Grant(entry.rule, entry.until, frozenset(entry.accounts), entry.host, entry.id)
        for entry in file.exceptions)
