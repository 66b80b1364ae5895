"""Addresses that are no public destination: IANA's registries, as a table.

The rows are those of the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, updated
by RFC 8190), with their names, the RFC, and their column "Globally Reachable". Two readings are
ours and stricter than the letter: "N/A" (6to4, Teredo, whose reachability is that of the embedded
address) and the empty cells of terminated entries count as not reachable. Added below the
registries' own rows: multicast, and IPv6 space that IANA has not opened for unicast, so that a
block which is assigned tomorrow is refused until somebody has looked at it.

The longest prefix decides, as in the registries ("unless allowed by a more specific allocation").
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from .address import Address, Network


@dataclass(frozen=True, slots=True)
class Block:
    """One registered block. `source` is the RFC, or the registry, that says so."""

    network: Network
    name: str
    source: str
    globally_reachable: bool


_ROWS: tuple[tuple[str, str, str, bool], ...] = (
    # IANA IPv4 Special-Purpose Address Registry
    ("0.0.0.0/8", "This network", "RFC 791 section 3.2", False),
    ("0.0.0.0/32", "This host on this network", "RFC 1122 section 3.2.1.3", False),
    ("10.0.0.0/8", "Private-Use", "RFC 1918", False),
    ("100.64.0.0/10", "Shared Address Space", "RFC 6598", False),
    ("127.0.0.0/8", "Loopback", "RFC 1122 section 3.2.1.3", False),
    ("169.254.0.0/16", "Link Local", "RFC 3927", False),
    ("172.16.0.0/12", "Private-Use", "RFC 1918", False),
    ("192.0.0.0/24", "IETF Protocol Assignments", "RFC 6890 section 2.1", False),
    ("192.0.0.0/29", "IPv4 Service Continuity Prefix", "RFC 7335", False),
    ("192.0.0.8/32", "IPv4 dummy address", "RFC 7600", False),
    ("192.0.0.9/32", "Port Control Protocol Anycast", "RFC 7723", True),
    ("192.0.0.10/32", "Traversal Using Relays around NAT Anycast", "RFC 8155", True),
    ("192.0.0.170/32", "NAT64/DNS64 Discovery", "RFC 8880, RFC 7050 section 2.2", False),
    ("192.0.0.171/32", "NAT64/DNS64 Discovery", "RFC 8880, RFC 7050 section 2.2", False),
    ("192.0.2.0/24", "Documentation (TEST-NET-1)", "RFC 5737", False),
    ("192.31.196.0/24", "AS112-v4", "RFC 7535", True),
    ("192.52.193.0/24", "AMT", "RFC 7450", True),
    ("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "RFC 7526", False),
    ("192.88.99.2/32", "6a44-relay anycast address", "RFC 6751", False),
    ("192.168.0.0/16", "Private-Use", "RFC 1918", False),
    ("192.175.48.0/24", "Direct Delegation AS112 Service", "RFC 7534", True),
    ("198.18.0.0/15", "Benchmarking", "RFC 2544", False),
    ("198.51.100.0/24", "Documentation (TEST-NET-2)", "RFC 5737", False),
    ("203.0.113.0/24", "Documentation (TEST-NET-3)", "RFC 5737", False),
    ("240.0.0.0/4", "Reserved", "RFC 1112 section 4", False),
    ("255.255.255.255/32", "Limited Broadcast", "RFC 8190, RFC 919 section 7", False),
    # IANA IPv4 Multicast Address Space Registry
    ("224.0.0.0/4", "Multicast", "RFC 5771", False),
    # IANA IPv6 Special-Purpose Address Registry
    ("::1/128", "Loopback Address", "RFC 4291 section 2.5.3", False),
    ("::/128", "Unspecified Address", "RFC 4291 section 2.5.2", False),
    ("::ffff:0:0/96", "IPv4-mapped Address", "RFC 4291 section 2.5.5.2", False),
    ("64:ff9b::/96", "IPv4-IPv6 Translation", "RFC 6052", True),
    ("64:ff9b:1::/48", "IPv4-IPv6 Translation, local use", "RFC 8215", False),
    ("100::/64", "Discard-Only Address Block", "RFC 6666", False),
    ("100:0:0:1::/64", "Dummy IPv6 Prefix", "RFC 9780", False),
    ("2001::/23", "IETF Protocol Assignments", "RFC 2928", False),
    ("2001::/32", "TEREDO", "RFC 4380", False),
    ("2001:1::1/128", "Port Control Protocol Anycast", "RFC 7723", True),
    ("2001:1::2/128", "Traversal Using Relays around NAT Anycast", "RFC 8155", True),
    ("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", "RFC 9665", True),
    ("2001:2::/48", "Benchmarking", "RFC 5180", False),
    ("2001:3::/32", "AMT", "RFC 7450", True),
    ("2001:4:112::/48", "AS112-v6", "RFC 7535", True),
    ("2001:10::/28", "Deprecated (previously ORCHID)", "RFC 4843", False),
    ("2001:20::/28", "ORCHIDv2", "RFC 7343", True),
    ("2001:30::/28", "Drone Remote ID Protocol Entity Tags", "RFC 9374", True),
    ("2001:db8::/32", "Documentation", "RFC 3849", False),
    ("2002::/16", "6to4", "RFC 3056", False),
    ("2620:4f:8000::/48", "Direct Delegation AS112 Service", "RFC 7534", True),
    ("3fff::/20", "Documentation", "RFC 9637", False),
    ("5f00::/16", "Segment Routing (SRv6) SIDs", "RFC 9602", False),
    ("fc00::/7", "Unique-Local", "RFC 4193", False),
    ("fe80::/10", "Link-Local Unicast", "RFC 4291 section 2.5.6", False),
    # IANA IPv6 Address Space Registry: all that is not 2000::/3
    ("fec0::/10", "Site-Local (deprecated)", "RFC 3879", False),
    ("ff00::/8", "Multicast", "RFC 4291 section 2.7", False),
    ("::/3", "Reserved by IETF", "RFC 4291 section 2.4", False),
    ("4000::/2", "Reserved by IETF", "RFC 4291 section 2.4", False),
    ("8000::/1", "Reserved by IETF", "RFC 4291 section 2.4", False),
)

BLOCKS: tuple[Block, ...] = tuple(
    sorted((Block(ip_network(network), name, source, reachable)
            for network, name, source, reachable in _ROWS),
           key=lambda block: -block.network.prefixlen))
"""Every row, the longest prefixes first."""

METADATA: dict[Address, str] = {ip_address(address): cloud for address, cloud in (
    # These hand out credentials of the machine to whoever can ask. Most lie inside blocks above
    # and are listed so that a grant of the block does not open them; one is a public address.
    ("169.254.169.254", "AWS, Azure, Google Cloud, DigitalOcean, OpenStack and others"),
    ("fd00:ec2::254", "AWS"),
    ("169.254.170.2", "AWS container credentials"),
    ("169.254.170.23", "AWS pod identity"),
    ("fd00:ec2::23", "AWS pod identity"),
    ("fd20:ce::254", "Google Cloud"),
    ("fe80::a9fe:a9fe", "OpenStack"),
    ("168.63.129.16", "Azure platform"),
    ("100.100.100.200", "Alibaba Cloud"),
    ("192.0.0.192", "Oracle Cloud"),
    ("169.254.42.42", "Scaleway"),
    ("fd00:42::42", "Scaleway"),
    ("169.254.0.23", "Tencent Cloud"),
    ("fd00:a9fe:a9fe::1", "Akamai Linode"),
)}
"""Instance metadata services, each by its exact address."""


def special_purpose(address: Address) -> Block | None:
    """The block that makes `address` no public destination; None if it is globally reachable."""
    for block in BLOCKS:
        if block.network.version == address.version and address in block.network:
            return None if block.globally_reachable else block
    return None
