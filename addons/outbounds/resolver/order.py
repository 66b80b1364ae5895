"""Which address of a name to try first.

mitmproxy dials one address after the other and waits for each. IPv6 first on a machine that has no
way out over IPv6, or only to its own site, would cost every connection a failure; so the plain
case of RFC 6724 is decided here: a family without a route comes last (section 6, rule 1, avoid
unusable destinations), unique local addresses do not speak to the rest of the world (rule 5 with
the table of section 2.1), and otherwise IPv6 comes before IPv4 (rule 6). Within a family the order
of the answer stays: servers rotate it to spread the load.
"""

from __future__ import annotations

import ipaddress
import socket

from ..core.destination import Address

_UNIQUE_LOCAL = ipaddress.IPv6Network("fc00::/7")  # RFC 4193


def ordered(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """All of `addresses`, without repetition, in the order of trying them."""
    six = [address for address in addresses if isinstance(address, ipaddress.IPv6Address)]
    six_first = 0 < len(six) < len(addresses) and _usable(six[0])
    return tuple(sorted(dict.fromkeys(addresses),
                        key=lambda address: (address.version == 6) is not six_first))


def _usable(address: ipaddress.IPv6Address) -> bool:
    """Whether the kernel has a route to `address`, from a source that suits it.

    Connecting a UDP socket sends nothing; it only picks the route.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            source = ipaddress.IPv6Address(probe.getsockname()[0].partition("%")[0])
    except OSError:
        return False
    return (source in _UNIQUE_LOCAL) <= (address in _UNIQUE_LOCAL)
