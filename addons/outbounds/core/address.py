"""IP addresses in every spelling and wrapping, and where a packet sent to one ends up.

An IPv4 address can hide in two ways. As another *spelling*: `0x7f.1` is 127.0.0.1, and so are
::ffff:127.0.0.1 (the socket opens an IPv4 connection, RFC 4291 section 2.5.5.2) and
64:ff9b::127.0.0.1 (the translator talks IPv4 to that very address, RFC 6052). `reduced` undoes
spellings: one target, one form, one limit, one robots.txt. Or as a *tunnel endpoint* inside an
address of its own: behind 2002:c633:6407::1 sits some IPv6 host, reached through the 6to4 router
198.51.100.7. These stay what they are, because calling them by the router's name would dial one
machine under the rules of another; `reaches` lists all the addresses involved, and a policy has to
be content with every one.

What cannot be seen: a network-specific NAT64 prefix (RFC 6052 section 2.2) looks like any other
IPv6 network. An operator who runs one lists it as denied.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LOW32 = 0xFFFF_FFFF


def _low(value: int) -> tuple[int, ...]:
    return (value & _LOW32,)


def _compatible(value: int) -> tuple[int, ...]:
    return (value,) if value > 1 else ()  # :: and ::1 are addresses of their own


def _six_to_four(value: int) -> tuple[int, ...]:
    return (value >> 80 & _LOW32,)


def _teredo(value: int) -> tuple[int, ...]:
    # the server, and the client's address with every bit inverted (RFC 4380 section 4)
    return (value >> 64 & _LOW32, ~value & _LOW32)


def _local_translation(value: int) -> tuple[int, ...]:
    # RFC 8215 leaves the prefix length to the operator, so any layout of RFC 6052 section 2.2 may
    # be meant. A reading in 0.0.0.0/8 is dropped: no translator can deliver there, and every
    # address in the /96 layout would read so in the shorter ones.
    layouts = (
        (value >> 64 & 0xFFFF) << 16 | value >> 40 & 0xFFFF,     # /48
        (value >> 64 & 0xFF) << 24 | value >> 32 & 0xFF_FFFF,    # /56
        value >> 24 & _LOW32,                                    # /64
        value & _LOW32,                                          # /96
    )
    return tuple(dict.fromkeys(found for found in layouts if found >> 24))


Extract = Callable[[int], tuple[int, ...]]


def _table(*rows: tuple[str, Extract]) -> tuple[tuple[int, int, Extract], ...]:
    """(shift, prefix value after the shift, extractor) for each network."""
    networks = ((IPv6Network(text), extract) for text, extract in rows)
    return tuple(
        (128 - net.prefixlen, int(net.network_address) >> (128 - net.prefixlen), extract)
        for net, extract in networks
    )


_SPELLINGS = _table(
    ("::ffff:0:0/96", _low),      # IPv4-mapped, RFC 4291 section 2.5.5.2
    ("::/96", _compatible),       # IPv4-compatible, RFC 4291 section 2.5.5.1
    ("64:ff9b::/96", _low),       # NAT64 well-known prefix, RFC 6052 section 2.1
)
_TUNNELS = _table(
    ("::ffff:0:0:0/96", _low),    # IPv4-translated, RFC 2765 section 2.1
    ("64:ff9b:1::/48", _local_translation),  # RFC 8215
    ("2002::/16", _six_to_four),  # RFC 3056 section 2
    ("2001::/32", _teredo),       # RFC 4380 section 4
)
# the interface identifiers of ISATAP, below any prefix: RFC 5214 section 6.1
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})


def reduced(address: Address) -> Address:
    """The address that this one is a spelling of; itself where it is none. Zone ids are dropped."""
    if address.version == 4:
        return address
    value = int(address)
    for shift, prefix, extract in _SPELLINGS:
        if value >> shift == prefix:
            for found in extract(value):
                return IPv4Address(found)
    return IPv6Address(value) if address.scope_id else address


def reaches(address: Address) -> tuple[Address, ...]:
    """The address without its zone id, and every IPv4 address embedded in it.

    All of them have to pass a policy. An IPv4 address reaches only itself.
    """
    if address.version == 4:
        return (address,)
    value = int(address)
    inner: list[int] = []
    for shift, prefix, extract in _SPELLINGS + _TUNNELS:
        if value >> shift == prefix:
            inner.extend(extract(value))
    if (value >> 32 & _LOW32) in _ISATAP:
        inner.append(value & _LOW32)
    plain = IPv6Address(value) if address.scope_id else address
    return (plain, *(IPv4Address(found) for found in dict.fromkeys(inner)))


def reduced_network(network: Network) -> Network:
    """The IPv4 network that an IPv6 one spells; itself where it is none."""
    if network.version == 6 and network.prefixlen >= 96:
        first = reduced(network.network_address)
        if first.version == 4:
            return IPv4Network((first, network.prefixlen - 96))
    return network


_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_HEX, _OCTAL, _DECIMAL = (re.compile(p) for p in (r"0x[0-9a-f]+", r"0[0-7]*", r"[1-9][0-9]*"))


def ends_in_number(name: str) -> bool:
    """Whether a lower-case name can only be an IPv4 address (WHATWG URL, "ends in a number")."""
    return _NUMBER.fullmatch(name, name.rfind(".") + 1) is not None


def parse_ipv4(text: str) -> IPv4Address:
    """Every number form that inet_aton(3) takes: one to four parts, decimal, octal or hex.

    `text` is lower case. Raises ValueError with the problem as a phrase. A bare `0x`, which
    inet_aton refuses and browsers read as 0, is refused.
    """
    parts = text.split(".")
    if len(parts) > 4:
        raise ValueError("it ends in a number, but an IPv4 address has no more than four parts")
    numbers = [_number(part) for part in parts]
    *heads, last = numbers
    if any(head > 255 for head in heads) or last >= 256 ** (5 - len(parts)):
        raise ValueError("it ends in a number, but is out of the range of IPv4 addresses")
    value = last
    for position, head in enumerate(heads):
        value |= head << (24 - 8 * position)
    return IPv4Address(value)


def _number(part: str) -> int:
    if _HEX.fullmatch(part):
        return int(part, 16)
    if _OCTAL.fullmatch(part):
        return int(part, 8)
    if _DECIMAL.fullmatch(part):
        return int(part)
    raise ValueError(f"it ends in a number, but {part!r} is no part of an IPv4 address")


def parse_ipv6(text: str) -> IPv6Address:
    """RFC 4291 section 2.2, without brackets. Raises ValueError with the problem as a phrase."""
    if "%" in text:
        raise ValueError("an address with a zone id is meaningful on one machine only")
    try:
        return IPv6Address(text)
    except AddressValueError:
        raise ValueError(
            "it has a colon but is no IPv6 address (a port is not part of the host)") from None


def parse_network(text: str) -> Network:
    """A network as address/prefix-length, or a bare address as a network of one.

    The IPv6 spelling of an IPv4 network comes back as that network. Short and octal forms are
    errors here, though not in traffic: who writes 203.0.113 means a /24, and inet_aton(3) would
    make 203.0.0.113 of it. So are bits after the prefix. Raises ValueError, a phrase.
    """
    base, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdigit() and len(length) <= 3):
        raise ValueError("the part after the slash is not a prefix length in bits")
    if "%" in base:
        raise ValueError("an address with a zone id is meaningful on one machine only")
    try:
        first = ip_address(base)
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("it is not an IPv4 or IPv6 network") from None
    if first != network.network_address:
        raise ValueError(f"it has bits set after its prefix; the network is {network}")
    return reduced_network(network)
