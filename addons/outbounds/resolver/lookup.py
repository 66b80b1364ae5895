"""One look-up: the machine's own files, then A and AAAA of the name servers, in parallel.

What is not obvious:

- **A failure says nothing about the name.** A time-out, SERVFAIL, REFUSED or an answer that cannot
  be read is a failure, never "no such name".
- **One family may fail.** If the other has addresses they are the answer: an address that was not
  seen is not dialled either, so this never opens what the whole answer would have closed. Zones
  whose servers drop AAAA, or answer it with "no such name" (RFC 4074 section 4), are reached that
  way; the second family is waited for half a second. If the other has none, nothing is known.
- **Too much is a failure.** Every address is vetted at every dial; of `MAX_ADDRESSES` and more
  none is taken, as a selection would be the target's to steer.
- Names are absolute: search domains would turn a customer's typing error into a name of ours.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from ..settings.service import Dns
from .found import Found, Outcome
from .order import ordered
from .system_files import (
    HOSTS,
    RESOLV_CONF,
    Watched,
    local_addresses,
    parse_hosts,
    parse_resolv_conf,
)
from .transport import Transport

MAX_ADDRESSES = 64  # a datagram of the size below holds some 70
LOCAL_TTL = 5.0  # seconds until the files are looked at again
OTHER_FAMILY = 0.5  # seconds
MAX_ATTEMPT = 2.0  # seconds that one server gets for one question
EDNS_PAYLOAD = 1232  # octets that cross any path in one packet: DNS flag day 2020

_FAMILIES = (dns.rdatatype.A, dns.rdatatype.AAAA)
_TRANSPORT = Transport()


class Lookup:
    """Asks as `settings` say. `hosts` and `resolv_conf` are files of the system."""

    def __init__(self, settings: Dns, *, hosts: Path = HOSTS,
                 resolv_conf: Path = RESOLV_CONF) -> None:
        self._timeout = settings.timeout
        self._servers = tuple(_server(text) for text in settings.servers)
        self._hosts = Watched(hosts, parse_hosts)
        self._resolv_conf = Watched(resolv_conf, parse_resolv_conf)

    async def __call__(self, name: str) -> Found:
        """What `name`, a canonical one, stands for, within the time-out. Failures are findings."""
        local = local_addresses(await self._hosts.value(), name)
        if local:
            return Found(ordered(local), LOCAL_TTL, Outcome.LOCAL)
        servers = self._servers or tuple((address, 53)
                                         for address in await self._resolv_conf.value())
        asking = dns.asyncresolver.Resolver(configure=False)
        asking.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers]
        asking.use_edns(0, payload=EDNS_PAYLOAD)
        # so that every server gets its turn, and the first a second one
        asking.timeout = min(MAX_ATTEMPT, self._timeout / (len(servers) + 1))
        return _together(name, await self._families(asking, name))

    async def _families(self, asking: dns.asyncresolver.Resolver, name: str) -> list[Found]:
        tasks = [asyncio.create_task(self._ask(asking, name, family), name=f"dns {family.name}")
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

    async def _ask(self, asking: dns.asyncresolver.Resolver, name: str,
                   family: dns.rdatatype.RdataType) -> Found:
        whole = dns.name.from_text(name + ".")
        try:
            # dnspython pauses between rounds, for up to 2 s, without a look at what is left
            async with asyncio.timeout(self._timeout):
                answer = await asking.resolve(whole, family, lifetime=self._timeout, search=False,
                                              raise_on_no_answer=False, backend=_TRANSPORT)
        except dns.resolver.NXDOMAIN as error:
            response = error.response(whole)  # type: ignore[no-untyped-call]
            return Found((), response.resolve_chaining().minimum_ttl, Outcome.NO_SUCH_NAME,
                         f"{name} does not resolve: there is no such name.")
        except (TimeoutError, dns.exception.Timeout):
            return Found((), 0.0, Outcome.TIMED_OUT,
                         f"Looking up {name} took longer than {self._timeout:g} s.")
        except (dns.exception.DNSException, OSError) as error:
            return Found((), 0.0, Outcome.FAILED,
                         f"{name} does not resolve: its name servers failed ({_reason(error)}).")
        ttl = answer.chaining_result.minimum_ttl
        if answer.rrset is None:
            return Found((), ttl, Outcome.NO_ADDRESS, f"{name} has no addresses.")
        return Found(tuple(ipaddress.ip_address(record.address) for record in answer.rrset), ttl,
                     Outcome.ANSWERED)


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


def _reason(error: Exception) -> str:
    """The last server's rcode, such as SERVFAIL, where it had one."""
    errors: Sequence[Any] = getattr(error, "kwargs", {}).get("errors", ())
    rcodes = [each[3] for each in errors if isinstance(each[3], str)]
    return rcodes[-1] if rcodes else "no answer that can be used"


def _server(text: str) -> tuple[str, int]:
    """`text` as the settings have it: address:port, IPv6 in brackets."""
    address, _, port = text.rpartition(":")
    return address.removeprefix("[").removesuffix("]"), int(port)
