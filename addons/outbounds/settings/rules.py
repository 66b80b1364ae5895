"""What decides: plans, limits, destinations, protocol, robots, exceptions and the clauses.

These files together are the policy; its version is the hash of what they say. Each class is one
file or one entry of it, in the words of the file; `build` turns them into core.rules.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .fields import (
    NOT_EMPTY,
    ClauseId,
    ClauseRef,
    Duration,
    FilePath,
    HeaderPattern,
    Host,
    Id,
    LiftableRule,
    LimitId,
    LimitRef,
    Method,
    Network,
    PlanId,
    Ports,
    PositiveDuration,
    Rate,
    Strict,
    Text,
    Until,
    Url,
)
from .service import RobotsCache, RobotsFetch


class StandingRule(Strict):
    clause: ClauseRef


class PlanEntry(Strict):
    id: PlanId
    limits: tuple[LimitRef, ...]


class PlansFile(Strict):
    standing: StandingRule
    plans: Annotated[tuple[PlanEntry, ...], NOT_EMPTY]

    @model_validator(mode="after")
    def _has_default(self) -> PlansFile:
        if all(plan.id != "default" for plan in self.plans):
            raise ValueError("there is no plan with the id default, which new accounts get; "
                             "add one")
        return self


class RequestsLimit(Strict):
    id: LimitId
    unit: Literal["requests"]
    per: Literal["account", "account+host", "target"]
    rate: Rate
    burst: int = Field(ge=1, le=10**9)
    over: Literal["refuse", "pace"] = "refuse"
    max_wait: PositiveDuration | None = None
    clause: ClauseRef

    @model_validator(mode="after")
    def _waits_if_paced(self) -> RequestsLimit:
        if (self.over == "pace") != (self.max_wait is not None):
            raise ValueError("over: pace needs max_wait, and over: refuse has none; "
                             "write both or neither")
        return self


class TunnelsLimit(Strict):
    id: LimitId
    unit: Literal["tunnels"]
    per: Literal["account", "account+host", "target"]
    max: int = Field(ge=1, le=10**9)
    over: Literal["refuse"] = "refuse"
    clause: ClauseRef


LimitEntry = Annotated[RequestsLimit | TunnelsLimit, Field(discriminator="unit")]


class LimitsFile(Strict):
    limits: tuple[LimitEntry, ...]


class ListEntry(Strict):
    id: Id
    file: FilePath
    clause: ClauseRef
    legal: Url | None = None


class NetworkGrant(Strict):
    id: Id
    network: Network
    ports: Ports
    reason: Text
    until: Until | None = None


class AddressClauses(Strict):
    own: ClauseRef
    special: ClauseRef


class DestinationsFile(Strict):
    clauses: AddressClauses
    lists: tuple[ListEntry, ...]
    grants: tuple[NetworkGrant, ...] = ()


class PortClause(Strict):
    ports: Ports
    clause: ClauseRef


class MethodClauses(Strict):
    method: ClauseRef
    port: ClauseRef


class ForgedHeaders(Strict):
    """What happens to header fields that claim an origin or a route.

    `action` strip: they are removed and the request goes on; refuse: it does not. `names` are
    field names, in any case; one that ends in `*` stands for every name that begins so.
    """

    action: Literal["strip", "refuse"]
    names: tuple[HeaderPattern, ...]
    clause: ClauseRef


class ProtocolFile(Strict):
    methods: Annotated[tuple[Method, ...], NOT_EMPTY]
    ports: Ports
    tunnel_ports: Ports
    clauses: MethodClauses
    port_clauses: tuple[PortClause, ...] = ()
    forged_headers: ForgedHeaders

    @model_validator(mode="after")
    def _one_clause_a_port(self) -> ProtocolFile:
        seen: set[int] = set()
        for entry in self.port_clauses:
            for port in sorted(entry.ports & seen):
                raise ValueError(f"port {port} has two entries in port_clauses; keep one")
            seen |= entry.ports
        return self


class RobotsFile(Strict):
    mode: Literal["enforce", "observe", "off"]
    clause: ClauseRef
    max_delay: Duration
    max_wait: Duration
    fetch: RobotsFetch
    cache: RobotsCache


class ExceptionEntry(Strict):
    id: Id
    rule: LiftableRule
    accounts: tuple[Text, ...] = ()
    host: Host = ""
    until: Until
    reason: Text

    @model_validator(mode="after")
    def _is_narrow(self) -> ExceptionEntry:
        if not self.accounts and not self.host:
            raise ValueError("lifts its rule for everyone everywhere; name accounts or a host")
        return self


class ExceptionsFile(Strict):
    exceptions: tuple[ExceptionEntry, ...]


Control = Literal[
    "identity", "standing", "protocol", "destination", "robots", "limits", "evidence"]


class Clause(Strict):
    """One clause of an acceptable-use policy.

    `how` it is met: enforced in line; detected, recorded and raised for a person; attested, since
    a proxy cannot see it. `controls` are those that serve it today; none means nothing does yet.
    """

    id: ClauseId
    title: Text
    summary: Text
    how: Annotated[tuple[Literal["enforced", "detected", "attested"], ...], NOT_EMPTY]
    controls: tuple[Control, ...]


class ClausesFile(Strict):
    policy: Text
    clauses: Annotated[tuple[Clause, ...], NOT_EMPTY]
