"""The addresses of this machine, as its interfaces have them now."""

from __future__ import annotations

import ipaddress

import ifaddr

from ..core.destination import Address


def own_addresses() -> frozenset[Address]:
    """Every address of every interface, loopback included, without zone ids.

    What was added since is found at the dial all the same (`dial.is_own`); this set lets the
    decision say so earlier, and in a reply instead of a failed connection.
    """
    found: set[Address] = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            found.add(ipaddress.ip_address(text.partition("%")[0]))
    return frozenset(found)
