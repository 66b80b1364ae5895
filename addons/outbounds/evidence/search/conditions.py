"""Each condition of a query, three times: as a test of a record, as SQL over the index, and as
octets that a line of the log must hold to meet it.

The first defines what is meant. The other two find what may meet it quickly, and must never miss:
the tests hold all three against each other. Values reach SQL as parameters only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec

from ...core.address import Network
from ..archive.index_rows import connection_hash
from ..told import canonical, url_text
from .event import Event, Fields
from .query import Endpoint, Query, short

_text = msgspec.json.Encoder().encode
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Condition(NamedTuple):
    """`holds` of a record. `sql` over the columns of the index, with a `?` for each of
    `parameters`; `networks` are (column, network) pairs that it needs the addresses of, each a
    further parameter at its `?`, in front. `needle` is b"" where no octets are certain."""

    name: str
    holds: Callable[[Fields], bool]
    sql: str
    parameters: tuple[Any, ...] = ()
    networks: tuple[tuple[str, Network], ...] = ()
    needle: bytes = b""


def conditions(query: Query) -> list[Condition]:
    """Those of `query`, but for its time range; what narrows most first."""
    return list(_conditions(query))


def meets(event: Event, query: Query) -> bool:
    """Whether `event` is what was searched for."""
    if query.until is not None and event.begin > query.until:
        return False
    if query.since is not None and event.end is not None and event.end < query.since:
        return False
    return all(any(each.holds(found.fields) for found in event.records)
               for each in conditions(query))


def url_of(fields: Fields) -> str:
    """The path of a request, and the names of its query's parameters: what `Query.url` is a part
    of. The values are not recorded."""
    return url_text(str(fields.get("url.path", "")), str(fields.get("url.query", "")))


def _conditions(query: Query) -> Iterator[Condition]:
    if query.ids:
        ids = frozenset(query.ids)
        uuids = sorted(each for each in ids if _UUID.fullmatch(each))
        yield Condition("ids", lambda fields: fields.get("event.id") in ids,
                        "(id IN (SELECT unnest(?::UUID[])) OR "
                        "odd IN (SELECT unnest(?::VARCHAR[])))",
                        (uuids, sorted(ids)),
                        needle=_needle("event.id", *ids) if len(ids) == 1 else b"")
    if query.egress:
        yield _endpoint("egress", query.egress, "source.nat", "egress")
    if query.connection:
        yield _exact("outbounds.connection", "connection", query.connection)._replace(
            parameters=(connection_hash(query.connection),))
    if query.source and query.source.port:
        yield _endpoint("source", query.source, "source", "source")
    if query.account:
        yield _exact("user.id", "account", query.account)
    yield from _target(query)
    if query.source and not query.source.port:
        yield _endpoint("source", query.source, "source", "source")
    if query.url:
        part = query.url
        yield Condition("url", lambda fields: part in url_of(fields), "contains(url, ?)", (part,),
                        # what stands between these is not next to it in the record
                        needle=_text(max(re.split("[?&=]", part), key=len))[1:-1])
    for name, column, value in (
        ("rule.id", "rule", query.rule),
        ("rule.reference", "clause", query.clause),
        ("rule.ruleset", "control", query.control),
        ("outbounds.verdict", "verdict", query.verdict),
        ("event.outcome", "outcome", query.outcome),
        ("event.action", "action", query.action),
        ("http.request.method", "method", query.method),
    ):
        if value:
            yield _exact(name, column, value)
    if query.status:
        least, greatest = max(query.status[0], 1), query.status[1]  # 0 is not recorded
        yield Condition(
            "status",
            lambda fields: least <= int(fields.get("http.response.status_code", 0)) <= greatest,
            "status BETWEEN ? AND ?", (least, greatest))


def _target(query: Query) -> Iterator[Condition]:
    target = query.target
    if target is None:
        return
    if target.name and target.below:
        name, tail = target.name, "." + target.name
        yield Condition(
            "target",
            lambda fields: (found := str(fields.get("destination.domain", ""))) == name
            or found.endswith(tail),
            "(target = ? OR suffix(target, ?))", (name, tail), needle=_text(name)[1:])
    elif target.name:
        yield _exact("destination.domain", "target", target.name)
    if target.network is not None:
        yield _endpoint("target", Endpoint(target.network), "destination", "target")
    if target.port:
        yield _exact("destination.port", "target_port", target.port)


def _exact(name: str, column: str, value: str | int) -> Condition:
    return Condition(name, lambda fields: fields.get(name) == value, f"{column} = ?", (value,),
                     needle=_needle(name, value))


def _endpoint(name: str, wanted: Endpoint, field: str, column: str) -> Condition:
    network, port = wanted.network, wanted.port

    def holds(fields: Fields) -> bool:
        return (not port or fields.get(f"{field}.port") == port) and (
            network is None or inside(str(fields.get(f"{field}.ip", "")), network))

    parts: list[str] = []
    parameters: list[Any] = []
    networks: tuple[tuple[str, Network], ...] = ()
    if network is not None and network.prefixlen == network.max_prefixlen:
        parts.append(f"{column}_ip = ?")
        parameters.append(short(network))
    elif network is not None:
        parts.append(f"{column}_ip IN (SELECT unnest(?::VARCHAR[]))")
        networks = ((f"{column}_ip", network),)
    if port:
        parts.append(f"{column}_port = ?")
        parameters.append(port)
    return Condition(name, holds, f"({' AND '.join(parts)})" if parts else "TRUE",
                     tuple(parameters), networks, _needle(f"{field}.port", port) if port else b"")


@lru_cache(maxsize=65536)
def inside(address: str, network: Network) -> bool:
    """Whether a recorded address lies in `network`, whatever its spelling."""
    try:
        found = ip_address(canonical(address))
    except ValueError:
        return False
    return found.version == network.version and found in network


def _needle(name: str, value: str | int) -> bytes:
    """The octets of a field in an envelope: the encoder writes no spaces, and a value in one way
    only. Only the start of a number: 51234 is found in 512345, too, and `holds` decides."""
    return _text(name) + b":" + _text(value)
