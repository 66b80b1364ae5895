"""The entries that all formats are made of, with the bounds that no list may pass.

A name or network that denies a whole registry or a large part of the Internet is poison, whoever
publishes it: one line of it would stop the service, or, as an exception, lift the whole list.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from ...core.address import Network, parse_network
from ...core.destination import BadHost, Host, parse_host
from ...core.list_entry import BadEntry, Effect, Entry, Kind, canonical_name
from ..report import BadLine, Poison
from .suffixes import is_named_so, is_public_suffix

# Lists of unallocated and reserved space are full of huge networks (224.0.0.0/3, 4000::/2), and
# they are right. Where public addresses are, no list means more than the largest block that IANA
# hands to one registry: a /8 of IPv4, a /12 of IPv6 (iana.org/assignments/ipv4-address-space,
# iana.org/assignments/ipv6-unicast-address-assignments: all of it lies in 2000:: to 2cff:…).
_PUBLIC = {
    4: (int(IPv4Address("1.0.0.0")), int(IPv4Address("223.255.255.255")), 8),
    6: (int(IPv6Address("2000::")), int(IPv6Address("2cff:" + "ffff:" * 6 + "ffff")), 12),
}


def check_network(network: Network) -> Network:
    """The network itself. Raises Poison for one that holds too many public addresses."""
    first, last, shortest = _PUBLIC[network.version]
    if network.prefixlen < shortest and int(network.network_address) <= last \
            and int(network.broadcast_address) >= first:
        raise Poison(f"{network} holds more than a /{shortest} of the public IPv{network.version} "
                     "addresses; take the line out, or name the networks that are meant")
    return network


def check_name(kind: Kind, name: str) -> str:
    """The canonical name itself. Raises Poison for a public suffix with what is below it, BadLine
    for what only may be one and for any other single label."""
    if kind is Kind.HOST:
        return name
    if is_public_suffix(name):
        if not is_named_so(name):
            raise BadLine("a name in whose place the registry has suffixes only")
        raise Poison(f"it means every name under {name}, a public suffix; take the line out, or "
                     "name the domains that are meant")
    if "." not in name:
        raise BadLine("a single label, which is no domain")
    return name


def network(text: str, line: int, effect: Effect = Effect.DENY) -> Entry:
    """An entry for address/length or an address. Raises BadLine and Poison."""
    try:
        found = parse_network(text)
    except ValueError as error:
        raise BadLine(str(error).partition(";")[0]) from None
    return Entry(Kind.NETWORK, check_network(found), line, effect)


def host_of(text: str) -> Host:
    """Raises BadLine for what is no host."""
    try:
        return parse_host(text)
    except BadHost as error:
        raise BadLine(error.problem) from None


def name(kind: Kind, text: str, line: int, effect: Effect = Effect.DENY) -> Entry:
    """An entry for a name, or for the address that stands where names do.

    Raises BadLine and Poison.
    """
    try:
        return Entry(kind, check_name(kind, canonical_name(text)), line, effect)
    except (BadEntry, BadHost):
        host = host_of(text)
    if host.address is None:
        return Entry(kind, check_name(kind, host.text), line, effect)
    return Entry(Kind.NETWORK, ip_network(host.address), line, effect)


def everything() -> Poison:
    return Poison("it means every destination there is; take the line out, or name what is meant")
