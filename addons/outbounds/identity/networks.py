"""Source networks of an account: what they stand for, and whom they let in."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from outbounds.core.account import Account

from .fields import Network, source_address


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """`identify`: a source network stands for credentials. `restrict`: it confines the account."""

    identify: bool = True
    restrict: bool = True

    def admit(self, networks: tuple[Network, ...], source_ip: str) -> bool:
        """Whether an account with these networks may be used from `source_ip`."""
        if not networks or not self.restrict:
            return True
        address = source_address(source_ip)
        return address is not None and any(address in network for network in networks)


IDENTIFY_AND_RESTRICT = NetworkUse()


def networks_of(account: Account) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(network) for network in account.networks)
