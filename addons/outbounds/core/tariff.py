"""What the limits of a plan come to for each kind of request, worked out once, not for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .limits import Limit, Per, Unit
from .request import Way

# octets that must be free before a transfer may begin, so that whoever comes back when told to is
# not cut off with the first chunk
ROOM = 65_536


class Item(NamedTuple):
    """One limit that may have a say. `narrowed`: only for some methods, ports or targets, so it
    has to be asked; `cost` and `need` as in `Charge`; `visits`: the host is its member."""

    limit: Limit
    per: Per
    narrowed: bool
    cost: int
    need: int
    visits: bool


class Tariff:
    """`at_verdict` by the way a request comes in; `at_dial` for a new connection to its target."""

    __slots__ = ("at_dial", "at_verdict")

    def __init__(self, limits: Iterable[Limit]) -> None:
        limits = tuple(limits)
        self.at_verdict: dict[Way, tuple[Item, ...]] = {
            way: tuple(_items(limits, way)) for way in Way}
        self.at_dial = tuple(item(limit) for limit in limits if limit.unit is Unit.CONNECTIONS)


def _items(limits: Iterable[Limit], way: Way) -> Iterator[Item]:
    """Those that have a say when a request is judged. New connections are charged at the dial,
    refusals when there is one; octets of requests inside a tunnel are the tunnel's."""
    for limit in limits:
        unit = limit.unit
        if unit is Unit.TUNNELS:
            applies = way.opens_tunnel
        elif unit is Unit.CONCURRENT:
            applies = not way.opens_tunnel
        elif unit.octets:
            applies = not way.in_tunnel
        else:
            applies = unit in (Unit.REQUESTS, Unit.HOSTS)
        if applies:
            yield item(limit)


def item(limit: Limit) -> Item:
    narrowed = bool(limit.methods is not None or limit.ports is not None or limit.targets)
    cost, need = (0, min(ROOM, limit.burst)) if limit.unit.octets else (1, 0)
    return Item(limit, limit.per, narrowed, cost, need, limit.unit is Unit.HOSTS)
