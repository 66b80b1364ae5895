"""Which searches find every event that a sighting may be about.

With a port, the port: whatever address is recorded with it, for something in front of the proxy may
have changed the address. Without a port, the target, of which the sighting may name another host of
the same site; and without that all that went out over the address. Times are widened by the
tolerance and by what our own clock is assumed to have been wrong at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from ..complaints import Sighting
from ..search import Endpoint, Query, Target
from .facts import inside
from .matching import SECOND, named

OUR_CLOCK = 60 * SECOND
"""More than a clock that is kept by NTP is ever wrong; what was recorded of it decides later."""
MANY = 8  # searches over one address; beyond, everything over the address is looked at once


@dataclass(frozen=True, slots=True)
class Step:
    """A search, and the numbers of the sightings that its events are held against."""

    query: Query
    sightings: tuple[int, ...]


def by_port(sightings: Sequence[Sighting], numbers: Sequence[int], tolerance: int
            ) -> Iterator[Step]:
    """For those of `numbers` that have a port."""
    ports: dict[str, set[int]] = {}
    for number in numbers:
        if port := sightings[number].port:
            ports.setdefault(sightings[number].address, set()).add(port)
    groups: dict[Endpoint, list[int]] = {}
    for number in numbers:
        each = sightings[number]
        if each.port:
            many = len(ports[each.address]) > MANY
            groups.setdefault(Endpoint(ip_network(each.address)) if many
                              else Endpoint(port=each.port), []).append(number)
    for endpoint, group in groups.items():
        for since, until, members in spans(sightings, group, tolerance):
            yield Step(Query(egress=endpoint, since=since, until=until), members)


def by_target(sightings: Sequence[Sighting], numbers: Sequence[int], tolerance: int
              ) -> Iterator[Step]:
    """For `numbers`: by target, or else by address."""
    groups: dict[Target | Endpoint, list[int]] = {}
    for number in numbers:
        each = sightings[number]
        groups.setdefault(_wanted(each), []).append(number)
    for wanted, group in groups.items():
        for since, until, members in spans(sightings, group, tolerance):
            yield Step(
                Query(target=wanted, since=since, until=until) if isinstance(wanted, Target)
                else Query(egress=wanted, since=since, until=until), members)


def _wanted(sighting: Sighting) -> Target | Endpoint:
    if not sighting.target or (inside(sighting.target) and not inside(sighting.address)):
        return Endpoint(ip_network(sighting.address))
    address, _, site = named(sighting.target)
    return Target(network=ip_network(address)) if address else Target(name=site, below=True)


def spans(sightings: Sequence[Sighting], numbers: Sequence[int],
          tolerance: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """(since, until, sightings) of each stretch of time that their moments, widened, cover."""
    margin = tolerance + OUR_CLOCK
    stretches = sorted((moment.earliest - margin, moment.latest + margin, number)
                       for number in numbers for moment in sightings[number].moments)
    since = until = 0
    members: dict[int, None] = {}
    for begin, end, number in stretches:
        if members and begin > until:
            yield since, until, tuple(members)
            members = {}
        if not members:
            since, until = begin, end
        until = max(until, end)
        members[number] = None
    if members:
        yield since, until, tuple(members)
