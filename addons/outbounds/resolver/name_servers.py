"""One question to the name servers: those of the settings, or the machine's where there are none.

A failure says nothing about the name: a time-out, SERVFAIL, REFUSED or an answer that cannot be
read is a failure, never "no such name". Names are absolute: search domains would turn a customer's
typing error into a name of ours. CNAMEs are followed, as the answer has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from ..settings.service import Dns
from .found import Outcome
from .system_files import RESOLV_CONF, Watched, parse_resolv_conf
from .transport import Transport

MAX_ATTEMPT = 2.0  # seconds that one server gets for one question
EDNS_PAYLOAD = 1232  # octets that cross any path in one packet: DNS flag day 2020

_TRANSPORT = Transport()


@dataclass(frozen=True, slots=True)
class Reply:
    """`records` are dnspython's, of the kind that was asked for; `ttl` in seconds, as in `Found`.
    `detail` is a sentence for the customer where there was no answer."""

    records: tuple[Any, ...]
    ttl: float
    outcome: Outcome
    detail: str = ""


class NameServers:
    """`resolv_conf` is a file of the system."""

    def __init__(self, settings: Dns, *, resolv_conf: Path = RESOLV_CONF) -> None:
        self._timeout = settings.timeout
        self._servers = tuple(_server(text) for text in settings.servers)
        self._resolv_conf = Watched(resolv_conf, parse_resolv_conf)

    async def addresses(self) -> tuple[tuple[str, int], ...]:
        """(address, port) of those that are to be asked now, in turn."""
        return self._servers or tuple((address, 53) for address in await self._resolv_conf.value())

    async def now(self) -> Questions:
        """Asks them, all questions of one look-up the same ones."""
        return Questions(await self.addresses(), self._timeout)


class Questions:
    """`timeout` seconds for each question, with all attempts."""

    def __init__(self, servers: Sequence[tuple[str, int]], timeout: float) -> None:
        self._timeout = timeout
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers]
        self._resolver.use_edns(0, payload=EDNS_PAYLOAD)
        # so that every server gets its turn, and the first a second one
        self._resolver.timeout = min(MAX_ATTEMPT, timeout / (len(servers) + 1))

    async def ask(self, name: str, kind: dns.rdatatype.RdataType) -> Reply:
        """Failures are replies."""
        whole = dns.name.from_text(name + ".")
        try:
            # dnspython pauses between rounds, for up to 2 s, without a look at what is left
            async with asyncio.timeout(self._timeout):
                answer = await self._resolver.resolve(
                    whole, kind, lifetime=self._timeout, search=False, raise_on_no_answer=False,
                    backend=_TRANSPORT)
        except dns.resolver.NXDOMAIN as error:
            response = error.response(whole)  # type: ignore[no-untyped-call]
            return Reply((), response.resolve_chaining().minimum_ttl, Outcome.NO_SUCH_NAME,
                         f"{name} does not resolve: there is no such name.")
        except (TimeoutError, dns.exception.Timeout):
            return Reply((), 0.0, Outcome.TIMED_OUT,
                         f"Looking up {name} took longer than {self._timeout:g} s.")
        except (dns.exception.DNSException, OSError) as error:
            return Reply((), 0.0, Outcome.FAILED,
                         f"{name} does not resolve: its name servers failed ({_reason(error)}).")
        ttl = answer.chaining_result.minimum_ttl
        if answer.rrset is None:
            return Reply((), ttl, Outcome.NO_ADDRESS)
        return Reply(tuple(answer.rrset), ttl, Outcome.ANSWERED)


def _reason(error: Exception) -> str:
    """The last server's rcode, such as SERVFAIL, where it had one."""
    errors: Sequence[Any] = getattr(error, "kwargs", {}).get("errors", ())
    rcodes = [each[3] for each in errors if isinstance(each[3], str)]
    return rcodes[-1] if rcodes else "no answer that can be used"


def _server(text: str) -> tuple[str, int]:
    """`text` as the settings have it: address:port, IPv6 in brackets."""
    address, _, port = text.rpartition(":")
    return address.removeprefix("[").removesuffix("]"), int(port)
