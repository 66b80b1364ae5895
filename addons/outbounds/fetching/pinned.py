"""One hop of a fetch: to one of the addresses that were vetted for it, and nowhere else."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that say where to go next (RFC 9110 section 15.4)."""


class Pinned(AbstractResolver):
    """Answers with the addresses that were vetted for this hop, and asks nobody."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0, flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def check_literal(host: str, addresses: Sequence[str]) -> None:
    """Raise ValueError where `host` is an address, and not one of the vetted `addresses`.

    aiohttp dials an address as it stands and does not ask its resolver about it, so what stands
    there has to be what was vetted.
    """
    if ":" in host or host.replace(".", "").isdigit():
        vetted = {ipaddress.ip_address(address) for address in addresses}
        if ipaddress.ip_address(host) not in vetted:
            raise ValueError(f"{host} is not the address that was vetted for it")


def redirect_target(url: URL, location: str) -> URL:
    """Where a redirect from `url` leads, without fragment and credentials. Raises ValueError if
    that is no http or https address."""
    try:
        target = url.join(URL(location)).with_fragment(None)
    except ValueError:
        target = URL()
    if not location or target.scheme not in ("http", "https") or not target.raw_host:
        raise ValueError(f"{url.host} redirects to no http or https address")
    return target.with_user(None)
