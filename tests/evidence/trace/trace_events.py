"""Events made by hand, and complaints about them, around one second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from outbounds.evidence.complaints import Moment, Sighting
from outbounds.evidence.identifier import timestamp
from outbounds.evidence.search import Event, Found, Query
from outbounds.evidence.search.conditions import meets
from outbounds.evidence.trace import Traced, trace

SECOND = 1_000_000
AT = 1_795_262_587 * SECOND  # 2026-11-21 12:03:07 UTC
MINUTES = 5 * 60 * SECOND
OURS = "192.0.2.7"


def event(number: int, account: str = "acct_a", *, begin: float = -1.0, end: float | None = 1.0,
          egress: tuple[str, int] | None = (OURS, 51234), host: str = "www.example.org",
          dialled: str = "198.51.100.9", path: str = "/", verdict: str = "allow",
          clock_error: int = 1_000_000, **more: Any) -> Event:
    """One that lasted from `begin` to `end` seconds after AT; `end` None: not over. `clock_error`
    is ns."""
    id = f"019a{number:04x}-0000-7000-8000-{number:012x}"
    base = {"event.id": id, "event.kind": "event", "event.action": "request"}
    opening: dict[str, Any] = {
        **base, "@timestamp": timestamp(int(AT + begin * SECOND) * 1000), "event.type": "start",
        "source.ip": "203.0.113.50", "source.port": 40_000, "destination.domain": host,
        "destination.port": 443, "http.request.method": "GET", "url.path": path,
        "outbounds.verdict": verdict, "outbounds.clock.error": clock_error, **more}
    if account:
        opening["user.id"] = account
    closing: dict[str, Any] = {**base, "event.type": "end", "event.outcome": "success",
                               "http.response.status_code": 200}
    made: dict[str, Any] = {**base, "@timestamp": opening["@timestamp"], "event.type": "connection",
                            "destination.ip": dialled}
    records = [opening]
    if egress is not None:
        made |= {"source.nat.ip": egress[0], "source.nat.port": egress[1]}
        records.append(made)
    if end is not None:
        closing["@timestamp"] = timestamp(int(AT + end * SECOND) * 1000)
        records.append(closing)
    return Event(id, tuple(
        Found(number * 3 + n, {name: value for name, value in fields.items() if value})
        for n, fields in enumerate(records)))


def sighting(*, at: float = 0.0, lasts: float = 0.999999, port: int | None = 51234,
             address: str = OURS, target: str = "", **more: Any) -> Sighting:
    first = int(AT + at * SECOND)
    return Sighting(address, port, (Moment(first, first + int(lasts * SECOND)),), target, **more)


def over(events: Iterable[Event]) -> Any:
    """A search over `events`: what `search` does, by what defines it."""
    known = list(events)

    def search(query: Query) -> Iterator[Event]:
        return (each for each in known if meets(each, query))
    return search


def traced(sightings: list[Sighting] | Sighting, *events: Event,
           tolerance: int = MINUTES) -> Traced:
    several = sightings if isinstance(sightings, list) else [sightings]
    return trace(several, over(events), tolerance=tolerance)


def order(found: Traced) -> list[tuple[str, str]]:
    return [(each.account, each.confidence) for each in found.candidates]
