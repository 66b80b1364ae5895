"""The dial: the last gate, with nothing between the check and the connection.

mitmproxy dials with `asyncio.open_connection(host, port)`, and asyncio asks the loop's
`getaddrinfo` for the addresses to try. Checking a name earlier and letting asyncio resolve it
again is the DNS-rebinding hole; rewriting `server.address` to a checked address breaks upstream
keep-alive. So the loop's `getaddrinfo` is replaced by one that resolves through our cache, vets
every answer under the permission of the dial under way, and returns only what it vetted. The
permission travels in a context variable that the `server_connect` hook sets: hook and dial run in
one task.

asyncio does not ask `getaddrinfo` about IP literals; `permit` vets those itself. So that a task
which never passed `permit` cannot dial one, the loop's `create_connection` asks for it, too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.account import Account
from ..core.closed_targets import Closed
from ..core.destination import Address, BadHost, Host, parse_host, reduced
from ..core.hit import Hit, Hits, denials
from ..core.questions import NoSuchHost
from ..core.rules import NEVER_LIFTED, Policy
from ..resolver import Resolver

ADDRESSES = 3  # of one name that may each take all the time they have


class DialRefused(OSError):
    """The address, or the dial itself, is not permitted. `rule` names why."""

    def __init__(self, detail: str, rule: str, clause: str = "") -> None:
        super().__init__(detail)
        self.rule = rule
        self.clause = clause


@dataclass(frozen=True, slots=True)
class Permission:
    """One approved dial: this host, this port, for this account, under this policy."""

    host: Host
    port: int
    account: Account
    policy: Policy
    now: float
    client: str = ""  # the client connection that is told, if the dial is refused

    def denials(self, hits: Hits) -> list[Hit]:
        """The hits that deny this dial and that no dated exception lifts."""
        return [hit for hit in denials(hits, self.account.id, self.account.plan, self.now)
                if not self.lifts(hit.rule, hit.list_id)]

    def refuse_closed(self) -> None:
        """Raises `DialRefused` if the host is closed."""
        self._refuse(self.policy.closed.find(self.host, self.now, self.lifts))

    def refuse_closed_address(self, address: Address) -> None:
        self._refuse(self.policy.closed.find_at(address, self.now, self.lifts))

    def _refuse(self, found: Closed | None) -> None:
        if found is not None:
            raise DialRefused(f"{self.host.text} has been closed by the operator of this proxy",
                              found.rule, found.clause)

    def lifts(self, *rules: str) -> bool:
        """Whether a dated exception lifts one of `rules` for this dial."""
        return any(grant.lifts(rule, self.account.id, self.host, self.now)
                   for rule in rules for grant in self.policy.grants)


_permission: ContextVar[Permission | None] = ContextVar("outbounds_dial", default=None)


def is_own(address: Address) -> bool:
    """Whether the kernel would deliver to this machine itself.

    Connecting a UDP socket sends nothing, it only picks the route; towards an address of its own
    the kernel picks that very address as the source. So addresses that were added after start,
    or that no list names, are found too.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
            return bool(probe.getsockname()[0] == str(address))
        except OSError:
            return False  # no route: it cannot be dialled either


def vet(permission: Permission, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """The addresses that may be dialled: all of them, or those that are left where the policy
    drops the others. Raises `DialRefused` for an address that may not be dialled; where bad ones
    are dropped, only if none is left."""
    good, refused = [], None
    for address in addresses:
        try:
            _vet_one(permission, address)
        except DialRefused as error:
            if not permission.policy.drop_bad_addresses:
                raise
            refused = refused or error
        else:
            good.append(address)
    if refused is not None and not good:
        raise refused
    return tuple(good)


def _vet_one(permission: Permission, address: Address) -> None:
    rules, port, lifts = permission.policy.addresses, permission.port, permission.lifts
    permission.refuse_closed_address(address)
    reason = rules.refuses(address, port)
    if reason is not None and (reason.rule in NEVER_LIFTED or not lifts(reason.rule)):
        raise DialRefused(f"{address}: {reason.detail}", reason.rule, reason.clause)
    for hit in permission.denials(permission.policy.denylist.match_address(address, port)):
        raise DialRefused(f"{address} is on the list {hit.list_id!r}", hit.rule, hit.clause)
    if is_own(reduced(address)) and (
            port in rules.own_ports
            or not (rules.granted(address, port) or lifts("own-address"))):
        raise DialRefused(f"{address} is an address of the proxy itself", "own-address",
                          rules.clause_own)


def permit(permission: Permission) -> None:
    """Let the dial that follows in this task go to `permission.host`. Raises `DialRefused`."""
    permission.refuse_closed()
    if permission.host.address is not None:
        vet(permission, (permission.host.address,))
    _permission.set(permission)


def permission_for(host: Any, port: Any) -> Permission:
    """The permission under which this task may dial `host`. Raises `DialRefused`."""
    permission = _permission.get()
    if permission is None:
        raise DialRefused(f"nobody approved a connection to {host}", "unapproved-dial")
    try:
        name = parse_host(host if isinstance(host, str) else host.decode("ascii"))
    except (BadHost, UnicodeError) as error:
        raise DialRefused(str(error), "bad-host") from error
    if name != permission.host or int(port) != permission.port:
        raise DialRefused(f"nobody approved a connection to {name.text}, but to "
                          f"{permission.host.text}", "unapproved-dial")
    return permission


AddrInfo = list[tuple[Any, ...]]


class VettedGetaddrinfo:
    """Stands in for `loop.getaddrinfo`. Without a permission it refuses, but for listening."""

    connect_timeout: ClassVar[float] = 10.0  # seconds, for one address

    def __init__(self, loop: asyncio.AbstractEventLoop, resolver: Resolver,
                 on_refusal: Callable[[Permission, DialRefused], None]) -> None:
        self._system = loop.getaddrinfo
        self._resolver = resolver
        self._on_refusal = on_refusal

    async def __call__(self, host: Any, port: Any, *, family: int = 0, type: int = 0,
                       proto: int = 0, flags: int = 0) -> AddrInfo:
        if flags & socket.AI_PASSIVE:  # a listener's own address
            return list(await self._system(host, port, family=family, type=type, proto=proto,
                                           flags=flags))
        permission = permission_for(host, port)
        found = await self._resolver.resolve(permission.host, permission.account.id)
        if isinstance(found, NoSuchHost):
            raise socket.gaierror(socket.EAI_NONAME, found.detail)
        try:
            vetted = vet(permission, found)
        except DialRefused as refused:
            self._on_refusal(permission, refused)
            raise
        return [self._info(address, int(port), type, proto) for address in vetted
                if not family or family == self._family(address)]

    @staticmethod
    def _family(address: Address) -> socket.AddressFamily:
        return socket.AF_INET6 if address.version == 6 else socket.AF_INET

    def _info(self, address: Address, port: int, type: int, proto: int) -> tuple[Any, ...]:
        sockaddr = (str(address), port, 0, 0) if address.version == 6 else (str(address), port)
        return (self._family(address), type or socket.SOCK_STREAM, proto or socket.IPPROTO_TCP,
                "", sockaddr)

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.getaddrinfo = self  # type: ignore[method-assign]
        connect = loop.create_connection

        async def create_connection(factory: Any, host: Any = None, port: Any = None,
                                    **options: Any) -> Any:
            if host is not None:  # with `sock` it is connected already
                permission_for(host, port)
            # names have as many addresses as their owners like
            async with _in_time(ADDRESSES * self.connect_timeout):
                return await connect(factory, host, port, **options)

        connect_one = loop.sock_connect

        async def sock_connect(sock: Any, address: Any) -> None:
            # for each: left to the kernel, an address that does not answer takes two minutes, and
            # the next one, which might, does not get its turn
            async with _in_time(self.connect_timeout):
                await connect_one(sock, address)

        loop.create_connection = create_connection  # type: ignore[assignment, method-assign]
        loop.sock_connect = sock_connect  # type: ignore[method-assign]


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError, which is an OSError, in words that `upstream_errors` knows."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TimeoutError("connecting timed out") from None
