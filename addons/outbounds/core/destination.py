"""Where a request wants to go: one canonical form of a host, and the addresses nobody may reach.

A list is only as good as its comparison. `parse_host` is the one function that makes a host
canonical, for traffic and for lists alike: a name is its lower-case A-labels without the trailing
dot (IDNA 2008 after the mapping of UTS 46, non-transitional), an address is the text of the address
that its spelling reaches. Two spellings of one destination give equal `Host`s; what has no
canonical form is no host, and refused.

Two rules go beyond the letter of IDNA. Labels that are plain letters, digits, hyphens and
underscores pass as they are, wherever the hyphens stand: such names (`_dmarc.example.com`,
`r3---sn-4g5e.example`) resolve and are in use. And a name whose last label is a number must be an
IPv4 address, because a resolver would take it for one (WHATWG URL, section 3.5, host parsing).

Whoever dials or resolves must use `Host.text`, never the spelling it was parsed from: the standard
library's own encoding of names is IDNA 2003, which sends `faß.example` to another machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import idna

from .address import (
    Address,
    Network,
    ends_in_number,
    parse_ipv4,
    parse_ipv6,
    reaches,
    reduced,
    reduced_network,
)
from .special_purpose import METADATA, special_purpose

__all__ = [
    "Address", "AddressGrant", "AddressRules", "BadHost", "Host", "Reason", "parse_host",
    "reaches", "reduced",
]

MAX_NAME = 253  # octets of a name without the trailing dot: RFC 1035 section 2.3.4
MAX_LABEL = 63
_MAX_SPELLING = 1024  # characters; mapping may shorten a name, but nobody writes 1 MiB to mean 253


class BadHost(ValueError):
    """Not a host. `problem` is the phrase after the colon of the message."""

    def __init__(self, text: str, problem: str) -> None:
        shown = text if len(text) <= 80 else text[:80] + "…"
        super().__init__(f"{shown!r} is not a host: {problem}.")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Host:
    """A canonical host. Make one with `parse_host`.

    `text` is the A-label form in lower case without trailing dot, or the text of `address`.
    """

    text: str
    address: Address | None = None

    @property
    def uri(self) -> str:
        """As it stands in a URI: IPv6 in brackets (RFC 3986 section 3.2.2)."""
        return f"[{self.text}]" if ":" in self.text else self.text

    @property
    def and_above(self) -> Iterator[str]:
        """The host, and every name that a name lies below: of a.b.c these are a.b.c, b.c and c."""
        yield self.text
        name = self.text if self.address is None else ""
        while name := name.partition(".")[2]:
            yield name


_NOT_IN_NAMES = re.compile(r"[^a-z0-9_.\-\x80-\U0010ffff]")
_PROBLEMS = {
    "%": "percent-encoding has no place in a host",
    "@": "credentials in front of the host are not accepted",
    "\\": "it contains a backslash",
    "/": "it contains a slash, which would begin a path",
    ":": "it contains a colon that is not ASCII",
    "*": "it contains a wildcard",
    " ": "it contains a space",
}


@lru_cache(maxsize=65536)
def parse_host(text: str) -> Host:
    """The canonical form of a host name or IP address, with or without brackets around IPv6.

    Raises BadHost, whose message is a sentence fit for the customer.
    """
    if len(text) > _MAX_SPELLING:
        raise BadHost(text, f"it is longer than {_MAX_SPELLING} characters")
    try:
        if ":" in text or text.startswith("["):
            inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
            return _host_of(parse_ipv6(inner))
        name = _canonical_name(text)
        if ends_in_number(name):
            return _host_of(parse_ipv4(name))
    except (ValueError, idna.IDNAError) as error:
        raise BadHost(text, str(error)) from None
    return Host(name)


def _host_of(address: Address) -> Host:
    address = reduced(address)
    return Host(str(address), address)


def _canonical_name(text: str) -> str:
    # the ideographic full stops become dots here, so labels cannot be told apart earlier
    name = text.lower() if text.isascii() else idna.uts46_remap(text, std3_rules=False)
    bad = _NOT_IN_NAMES.search(name)
    if bad:
        found = bad.group()
        raise ValueError(_PROBLEMS.get(found, f"it contains the character {found!a}"))
    name = name.removesuffix(".")
    if not name:
        raise ValueError("it is empty")
    labels = name.split(".")
    if "" in labels:
        raise ValueError("it has an empty label (two dots in a row, or one in front)")
    # before decoding, which is slow for long labels; idna checks again what encoding made longer
    if max(map(len, labels)) > MAX_LABEL:
        raise ValueError(f"it has a label longer than {MAX_LABEL} octets")
    if not name.isascii() or "xn--" in name:
        labels = [_a_label(label) for label in labels]
        name = ".".join(labels)
    if len(name) > MAX_NAME:
        raise ValueError(f"it is longer than {MAX_NAME} octets")
    return name


def _a_label(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        return label
    # An A-label is decoded and encoded again: one that comes back different is a second spelling
    # of another name (RFC 5891 section 5.3), and would get past a list that holds the first. Not
    # every release of idna looks at that itself.
    encoded = idna.alabel(idna.ulabel(label)).decode("ascii")
    if label.isascii() and encoded != label:
        raise ValueError(f"the label {label!r} is not the A-label of any name")
    return encoded


# --- addresses that nobody may reach --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an address is refused. `detail` completes "the host is at this address: …"."""

    rule: str
    detail: str
    clause: str


@dataclass(frozen=True, slots=True)
class AddressGrant:
    """An operator opens `network` at `ports` (None: at any port). `id` names the grant."""

    network: Network
    ports: frozenset[int] | None = None
    id: str = ""


_REMEMBERED = 65536  # verdicts kept; all are dropped when full, which costs one slow look-up each


@dataclass(frozen=True, slots=True)
class AddressRules:
    """The addresses nobody may reach, and what the operator grants.

    `own` are the proxy's own addresses and `own_ports` the ports of its listeners. The rules, in
    the order in which they are asked; the first three are about what an attacker would gain:

    own-listener     an own address (loopback included) at one of `own_ports`: never granted,
                     because through it customers would reach the proxy's metrics or each other.
    cloud-metadata   only granted by a network of exactly that address.
    own-address      granted like any other network.
    special-purpose  not globally reachable (`special_purpose`); granted by network and port.
    """

    own: frozenset[Address] = frozenset()
    own_ports: frozenset[int] = frozenset()
    grants: tuple[AddressGrant, ...] = ()
    clause_own: str = ""
    clause_special: str = ""
    _seen: dict[tuple[Address, int], Reason | None] = field(
        default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", frozenset(map(reduced, self.own)))
        object.__setattr__(self, "grants", tuple(
            AddressGrant(reduced_network(grant.network), grant.ports, grant.id)
            for grant in self.grants))

    def refuses(self, address: Address, port: int) -> Reason | None:
        """Why `address` may not be dialled at `port`; None if it may.

        Every address that it `reaches` must pass; the gravest reason is the one returned.
        """
        key = (address, port)
        try:
            return self._seen[key]
        except KeyError:
            pass
        reason = self._judge(reduced(address), port)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = reason
        return reason

    def granted(self, address: Address, port: int) -> AddressGrant | None:
        """The first grant that covers `address` at `port`."""
        address = reduced(address)
        for grant in self.grants:
            if _covers(grant, address, port):
                return grant
        return None

    def _judge(self, address: Address, port: int) -> Reason | None:
        reached = reaches(address)
        for rule in (self._own_listener, self._cloud_metadata, self._own_address, self._special):
            for each in reached:
                reason = rule(each, port)
                if reason is not None:
                    via = "" if each == address else f"it leads to {each}, and "
                    return Reason(reason.rule, via + reason.detail, reason.clause)
        return None

    def _own_listener(self, address: Address, port: int) -> Reason | None:
        # connecting to the unspecified address reaches this machine, too
        own = address in self.own or address.is_loopback or address.is_unspecified
        if not own or port not in self.own_ports:
            return None
        return Reason("own-listener", "the proxy itself listens there.", self.clause_own)

    def _cloud_metadata(self, address: Address, port: int) -> Reason | None:
        cloud = METADATA.get(address)
        if cloud is None or any(
            grant.network.prefixlen == grant.network.max_prefixlen
            and _covers(grant, address, port) for grant in self.grants
        ):
            return None
        return Reason("cloud-metadata", f"that is a cloud's metadata service ({cloud}).",
                      self.clause_special)

    def _own_address(self, address: Address, port: int) -> Reason | None:
        if address not in self.own or self.granted(address, port):
            return None
        return Reason("own-address", "that is an address of the proxy itself.", self.clause_own)

    def _special(self, address: Address, port: int) -> Reason | None:
        block = special_purpose(address)
        if block is None or self.granted(address, port):
            return None
        return Reason("special-purpose",
                      f"{block.name} ({block.source}) is not a public destination.",
                      self.clause_special)


def _covers(grant: AddressGrant, address: Address, port: int) -> bool:
    return (
        grant.network.version == address.version
        and address in grant.network
        and (grant.ports is None or port in grant.ports)
    )
