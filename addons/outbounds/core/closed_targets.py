"""Targets that an operator has closed for everybody: the kill switch.

A name closes itself and everything below it; an address closes every name that is at it, too. It
stands above the lists: what is closed here is refused whatever they say, and of the dated
exceptions only one that names this very rule (`closed:example.com`) lifts it, for a customer who
has the owner's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .destination import Address, BadHost, Host, parse_host, reaches

CLAUSE = "P-retaliate"


@dataclass(frozen=True, slots=True)
class Closed:
    """`target` is a canonical host (`parse_target`). `reason` is for the operators and the record,
    never for a customer. `since` and `until` are Unix times; None: until somebody opens it. `by`
    is who closed it, `clause` the policy clause that a refusal names."""

    target: str
    reason: str
    since: float
    until: float | None = None
    by: str = ""
    clause: str = CLAUSE

    @property
    def rule(self) -> str:
        return f"closed:{self.target}"

    def holds(self, now: float) -> bool:
        return self.until is None or now < self.until


def parse_target(text: str) -> str:
    """The canonical form of what is to be closed. Raises BadHost; and for a whole top-level
    domain, which nobody means."""
    host = parse_host(text)
    if host.address is None and "." not in host.text:
        raise BadHost(text, "it would close every name below it, a whole top-level domain")
    return host.text


def is_target(text: str) -> bool:
    """Whether `text` is a target in its canonical form, as the rule `closed:…` names it."""
    try:
        return parse_target(text) == text
    except BadHost:
        return False


class ClosedTargets:
    """Immutable. `entries` as given; of two for one target the later counts."""

    __slots__ = ("_addresses", "_names", "entries")

    def __init__(self, entries: Iterable[Closed] = ()) -> None:
        self.entries = tuple(entries)
        self._names: dict[str, Closed] = {}
        self._addresses: dict[Address, Closed] = {}
        for each in self.entries:
            address = parse_host(each.target).address
            if address is None:
                self._names[each.target] = each
            else:
                self._addresses[address] = each

    def match(self, host: Host, now: float) -> Closed | None:
        """What closes `host` at the Unix time `now`, the narrowest first."""
        return self.find(host, now, lambda rule: False)

    def find(self, host: Host, now: float, lifts: Callable[[str], bool]) -> Closed | None:
        """The same, unless `lifts` says that an exception lifts its rule."""
        if not self.entries:
            return None
        if host.address is not None:
            return self.find_at(host.address, now, lifts)
        return _first(self._of_name(host.text), now, lifts)

    def find_at(self, address: Address, now: float, lifts: Callable[[str], bool]) -> Closed | None:
        """What closes an address that a name resolved to; an address that leads to a closed one
        (NAT64, 6to4, …) is closed with it."""
        if not self._addresses:
            return None
        return _first(map(self._addresses.get, reaches(address)), now, lifts)

    def _of_name(self, name: str) -> Iterator[Closed | None]:
        while name:
            yield self._names.get(name)
            name = name.partition(".")[2]


def _first(found: Iterable[Closed | None], now: float,
           lifts: Callable[[str], bool]) -> Closed | None:
    return next((each for each in found
                 if each is not None and each.holds(now) and not lifts(each.rule)), None)


NOTHING = ClosedTargets()
