"""One look-up: the machine's own files, then A and AAAA of the name servers, in parallel.

What is not obvious:

- **A failure says nothing about the name** (`name_servers`).
- **One family may fail.** If the other has addresses they are the answer: an address that was not
  seen is not dialled either, so this never opens what the whole answer would have closed. Zones
  whose servers drop AAAA, or answer it with "no such name" (RFC 4074 section 4), are reached that
  way; the second family is waited for half a second. If the other has none, nothing is known.
- **Too much is a failure.** Every address is vetted at every dial; of `MAX_ADDRESSES` and more
  none is taken, as a selection would be the target's to steer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import dns.rdatatype

from ..settings.service import Dns
from .found import Found, Outcome
from .name_servers import NameServers, Questions
from .order import ordered
from .system_files import HOSTS, RESOLV_CONF, Watched, local_addresses, parse_hosts

MAX_ADDRESSES = 64  # a datagram of EDNS_PAYLOAD octets (`name_servers`) holds some 70
LOCAL_TTL = 5.0  # seconds until the files are looked at again
OTHER_FAMILY = 0.5  # seconds

_FAMILIES = (dns.rdatatype.A, dns.rdatatype.AAAA)


class Lookup:
    """Asks as `settings` say. `hosts` and `resolv_conf` are files of the system."""

    def __init__(self, settings: Dns, *, hosts: Path = HOSTS,
                 resolv_conf: Path = RESOLV_CONF) -> None:
        self._hosts = Watched(hosts, parse_hosts)
        self._servers = NameServers(settings, resolv_conf=resolv_conf)

    async def __call__(self, name: str) -> Found:
        """What `name`, a canonical one, stands for, within the time-out. Failures are findings."""
        local = local_addresses(await self._hosts.value(), name)
        if local:
            return Found(ordered(local), LOCAL_TTL, Outcome.LOCAL)
        return _together(name, await self._families(await self._servers.now(), name))

    async def _families(self, questions: Questions, name: str) -> list[Found]:
        tasks = [asyncio.create_task(_ask(questions, name, family), name=f"dns {family.name}")
                 for family in _FAMILIES]
        try:
            done, other = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if other:
                some = any(task.result().addresses for task in done)
                await asyncio.wait(other, timeout=OTHER_FAMILY if some else None)
            late = Found((), 0.0, Outcome.TIMED_OUT)
            return [task.result() if task.done() else late for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(questions: Questions, name: str, family: dns.rdatatype.RdataType) -> Found:
    reply = await questions.ask(name, family)
    detail = f"{name} has no addresses." if reply.outcome is Outcome.NO_ADDRESS else reply.detail
    return Found(tuple(ipaddress.ip_address(record.address) for record in reply.records), reply.ttl,
                 reply.outcome, detail)


def _together(name: str, families: Sequence[Found]) -> Found:
    """What the two families say together."""
    with_addresses = [found for found in families if found.addresses]
    if not with_addresses:
        # what failed may well have addresses: that the other has none is no word on the name
        return next((found for found in families if not found.outcome.authoritative),
                    Found((), min(found.ttl for found in families), families[0].outcome,
                          families[0].detail))
    addresses = ordered(tuple(address for found in with_addresses for address in found.addresses))
    if len(addresses) > MAX_ADDRESSES:
        return Found((), 0.0, Outcome.FAILED, f"{name} has {len(addresses)} addresses, which is "
                                              f"more than the {MAX_ADDRESSES} that are looked at.")
    known = all(found.addresses or found.outcome.authoritative for found in families)
    return Found(addresses, min(found.ttl for found in with_addresses),
                 Outcome.ANSWERED if known else Outcome.PARTIAL)
