"""What decides: plans, destinations, protocol, exceptions and the clauses.

With `limits` and `robots`, these files together are the policy; its version is the hash of what
they say. Each class is one file or one entry of it, in the words of the file; `build` turns them
into core.rules.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .fields import (
    NOT_EMPTY,
    ClauseId,
    ClauseRef,
    FilePath,
    HeaderPattern,
    Host,
    Id,
    Label,
    LiftableRule,
    LimitRef,
    Method,
    Network,
    PlanId,
    PlanRef,
    Ports,
    PositiveDuration,
    PositiveSize,
    Sha256,
    Since,
    Strict,
    Text,
    TunnelProtocol,
    Until,
    Url,
)


class StandingRule(Strict):
    clause: ClauseRef


class PlanEntry(Strict):
    """`rate_limit_fields`: on refusals only, or on every reply."""

    id: PlanId
    limits: tuple[LimitRef, ...]
    weight: int = Field(default=1, ge=1, le=1000)
    rate_limit_fields: Literal["refusals", "always"] = "refusals"


class PlansFile(Strict):
    standing: StandingRule
    plans: Annotated[tuple[PlanEntry, ...], NOT_EMPTY]

    @model_validator(mode="after")
    def _has_default(self) -> PlansFile:
        if all(plan.id != "default" for plan in self.plans):
            raise ValueError("there is no plan with the id default, which new accounts get; "
                             "add one")
        return self


FormatName = Literal[
    "rules", "auto", "domains", "wildcard", "hosts", "adblock", "dnsmasq", "rpz", "dstdomain",
    "urls", "urlhaus-csv", "phishtank-csv", "drop-text", "drop-json", "netset", "ranges", "ut1"]


class Feed(Strict):
    """A list that others publish. Times in seconds, `max_size` in bytes, unpacked as well.

    A copy older than `max_age` is stale: `when_stale` keep goes on with it, refuse refuses every
    request. A new copy with less than `min_percent` of the entries of the last one is held back.
    `sha256` is the hex digest that the file must have, for a list that never changes.
    """

    url: Url
    refresh: PositiveDuration = 3600.0
    max_size: PositiveSize = 256 * 1024 * 1024
    max_age: PositiveDuration = 3 * 86400.0
    when_stale: Literal["keep", "refuse"] = "keep"
    min_percent: int = Field(default=50, ge=0, le=100)
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _can_be_fresh(self) -> Feed:
        if self.max_age < 2 * self.refresh:
            raise ValueError("max_age is less than two times refresh, so one failed attempt makes "
                             "the list stale; raise max_age")
        return self


class ListEntry(Strict):
    id: Id
    file: FilePath | None = None
    feed: Feed | None = None
    format: FormatName | None = None
    clause: ClauseRef
    legal: Url | None = None
    labels: tuple[Label, ...] = ()
    only: tuple[Label, ...] = ()
    plans: tuple[PlanRef, ...] = ()
    accounts: tuple[Text, ...] = ()
    since: Since | None = None
    until: Until | None = None

    @model_validator(mode="after")
    def _one_place(self) -> ListEntry:
        if (self.file is None) == (self.feed is None):
            raise ValueError("a list has either a file or a feed; write one of them")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since is not before until, so the list is never in force; "
                             "mend the dates")
        return self


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
    mixed_answers: Literal["refuse", "drop"] = "refuse"
    lists: tuple[ListEntry, ...]
    grants: tuple[NetworkGrant, ...] = ()


class PortClause(Strict):
    ports: Ports
    clause: ClauseRef


class MethodClauses(Strict):
    method: ClauseRef
    port: ClauseRef


class TunnelProtocols(Strict):
    """Protocols that no tunnel may carry, at whatever port, and the clause each refusal names."""

    protocols: Annotated[tuple[TunnelProtocol, ...], NOT_EMPTY]
    clause: ClauseRef


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
    refused_in_tunnels: tuple[TunnelProtocols, ...] = ()
    forged_headers: ForgedHeaders

    @model_validator(mode="after")
    def _one_clause_a_port(self) -> ProtocolFile:
        seen: set[int] = set()
        for entry in self.port_clauses:
            for port in sorted(entry.ports & seen):
                raise ValueError(f"port {port} has two entries in port_clauses; keep one")
            seen |= entry.ports
        return self

    @model_validator(mode="after")
    def _one_clause_a_protocol(self) -> ProtocolFile:
        named = [name for entry in self.refused_in_tunnels for name in entry.protocols]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"{name} is named twice in refused_in_tunnels; keep one")
        return self


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
