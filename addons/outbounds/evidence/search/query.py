"""What is searched for: conditions that an event meets all of.

An event is everything that was recorded under one `event.id`. Each condition holds for the event as
a whole: the target's name stands in its opening, the egress port in a "connection" or its closing.
What belongs to one endpoint, an address and its port, must stand in one record.

An event overlaps a time range if any part of its life does: a tunnel that was opened hours before
a complaint, and is still open, was there. Margins for other people's clocks are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from ...core.address import Network

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, or the network that holds it, and a port; None and 0 leave them open."""

    network: Network | None = None
    port: int = 0

    def __str__(self) -> str:
        return _with_port("" if self.network is None else short(self.network), self.port)


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests went: a canonical name (`below`: or any name below it), or addresses that
    were dialled, and a port. Empty, None and 0 leave them open."""

    name: str = ""
    below: bool = False
    network: Network | None = None
    port: int = 0

    def __str__(self) -> str:
        host = "" if self.network is None else short(self.network)
        return _with_port(("." if self.below else "") + self.name or host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`since` and `until` are Unix µs, both inclusive; `ids` event ids, any of which. `url` is a
    part of the path with the names of the query's parameters: "/item?id=&colour=". `status` is the
    least and the greatest. Everything else is compared as it was recorded; empty means any."""

    ids: tuple[str, ...] = ()
    account: str = ""
    since: int | None = None
    until: int | None = None
    target: Target | None = None
    egress: Endpoint | None = None
    source: Endpoint | None = None
    method: str = ""
    url: str = ""
    rule: str = ""
    control: str = ""
    clause: str = ""
    verdict: str = ""
    outcome: str = ""
    status: tuple[int, int] | None = None
    action: str = ""
    connection: str = ""

    def described(self) -> dict[str, str]:
        """The conditions that are set, each as text: for the record of a search, or a bundle."""
        return {each.name: _text(each.name, value) for each in fields(self)
                if (value := getattr(self, each.name)) not in (None, "", ())}

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.described().items()) or "all"


def short(network: Network) -> str:
    """A network of one address without its prefix length."""
    one = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if one else str(network)


def moment(at: int) -> str:
    """Unix µs as RFC 3339 in UTC."""
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _with_port(host: str, port: int) -> str:
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(name: str, value: object) -> str:
    if name in ("since", "until") and isinstance(value, int):
        return moment(value)
    if isinstance(value, tuple):
        return ",".join(value) if name == "ids" else "-".join(str(each) for each in value)
    return str(value)
