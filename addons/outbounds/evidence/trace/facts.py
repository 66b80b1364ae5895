"""What the records of an event say that a complaint can be held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from ..search import Event
from ..tail import follow

# what no stranger sees: behind one of these stands a translator (NAT), or another proxy
_INSIDE = tuple(ip_network(each) for each in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128"))

NEWEST = 1000  # records that tell whether there is a translator


def inside(address: str) -> bool:
    """Whether `address` is one that only exists inside somebody's network."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found.version == each.version and found in each for each in _INSIDE)


def translated(directory: Path) -> bool:
    """Whether what the proxy sends may be given another address on its way, by the newest records:
    one of them went out from an inside address, or none says from which. Raises as
    `tail.follow`."""
    egress = {str(each["source.nat.ip"]) for each in follow(directory, lines=NEWEST, follow=False)
              if "source.nat.ip" in each}
    return not egress or any(inside(each) for each in egress)


@dataclass(frozen=True, slots=True)
class Facts:
    """Times are Unix µs, corrected by what was recorded of our clock; `end` None while it is open.
    `error` is the most that they may still be wrong, None where that was not recorded. `names` and
    `addresses` are those of the target; `account` is "" for what the proxy did by itself."""

    event: Event
    account: str
    action: str
    begin: int
    end: int | None
    error: int | None
    egress: frozenset[tuple[str, int]]
    names: frozenset[str]
    addresses: frozenset[str]
    target_port: int
    method: str
    path: str
    status: int
    left: bool
    """Whether it may have reached a target at all."""


def facts_of(event: Event) -> Facts:
    offset = _number(event, "outbounds.clock.offset") // 1000
    error = max((int(each.fields.get("outbounds.clock.error", 0)) for each in event.records),
                default=0)
    end = event.end
    closing = event.closing or {}
    egress = frozenset(
        (str(each.fields["source.nat.ip"]), int(each.fields.get("source.nat.port", 0)))
        for each in event.records if each.fields.get("source.nat.ip"))
    failed = closing.get("event.outcome") == "failure" and not egress
    return Facts(
        event=event, account=str(event.first("user.id")), action=str(event.first("event.action")),
        begin=event.begin + offset, end=None if end is None else end + offset,
        error=-(-error // 1000) if error else None, egress=egress,
        names=_all(event, "destination.domain", "tls.client.server_name"),
        addresses=_all(event, "destination.ip"), target_port=_number(event, "destination.port"),
        method=str(event.first("http.request.method")), path=str(event.first("url.path")),
        status=int(closing.get("http.response.status_code", 0)),
        left=bool(egress) or not (failed or event.first("outbounds.verdict") == "refuse"))


def _number(event: Event, name: str) -> int:
    return int(event.first(name, 0))


def _all(event: Event, *names: str) -> frozenset[str]:
    found: Iterable[str] = (str(each.fields[name]) for each in event.records for name in names
                            if each.fields.get(name))
    return frozenset(found)
