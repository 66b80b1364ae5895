"""Who is connected: client connections, the account each belongs to, and what is open on them.

A suspension must close an account's live tunnels and downloads within a second, so both can be
found by account; and whatever a connection still has open when it goes away is closed in the
record, too.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.account import Account
from ..core.destination import Host
from ..core.limits import Charge
from ..core.request import Credentials, Way
from ..core.verdict import RateLimit, Verdict
from ..evidence.record import Record
from .capture import Capture
from .http_guard import ByteCount
from .metering import Meter


@dataclass(slots=True)
class Exchange:
    """One request or tunnel that was let through, from its opening record to its closing one.

    `started` is on the monotonic clock, in seconds; `dialled` is (host, port) as mitmproxy dials
    it; `charges` are what to give back at the end.
    """

    record: Record
    account: Account
    host: Host
    port: int
    started: float
    dialled: tuple[str, int]
    charges: tuple[Charge, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0
    objection: str = ""  # why the target's answer is not passed on
    ending: Verdict | None = None  # why we ended it, if we did
    closest: RateLimit | None = None  # what the answer is to say of the account's limits
    began: float = 0.0  # as the target's health has it
    latency: float | None = None  # seconds to the head of the answer
    meter: Meter | None = None  # None: no limit counts its octets
    captured: Capture | None = None  # None: no case orders it
    noted: dict[str, Any] = field(default_factory=dict)  # attributes of its closing `Record`
    connected: bool = False  # its connection to the target is on record


@dataclass(slots=True)
class Tunnel:
    """A CONNECT or SOCKS5 tunnel; the client connection is its own as long as it lives."""

    exchange: Exchange
    way: Way
    inspect: bool
    count: ByteCount
    egress: tuple[str, int] = ("", 0)
    peer: tuple[str, int] = ("", 0)
    ja4: str = ""  # of the ClientHello that came through it
    ended: str = ""  # why we ended it, "" if we did not
    noted: dict[str, Any] = field(default_factory=dict)  # attributes of its closing `Record`


@dataclass(frozen=True, slots=True)
class Approval:
    """What a dial is made for: the account, and `charges`, what a new connection costs it: asked
    for at the dial, since most requests find a connection that is open."""

    account: Account
    charges: Callable[[], tuple[Charge, ...]]


@dataclass(slots=True)
class ClientConnection:
    """`approved` is what may be dialled on behalf of this connection, by (host, port).

    `dial_verdict` is why the last dial was refused, until its request is answered.
    """

    id: str
    tunnel: Tunnel | None = None
    socks_credentials: Credentials | None = None
    exchanges: dict[str, Exchange] = field(default_factory=dict)  # by flow id
    approved: dict[tuple[str, int], Approval] = field(default_factory=dict)
    severed: str = ""  # why we ended the connection, "" if we did not
    dial_verdict: Verdict | None = None
    bound: set[str] = field(default_factory=set)  # accounts seen on this connection
    gone: bool = False  # disconnected; what still refers to it must not let anything through
    _leaving: asyncio.Future[None] | None = None

    def leaving(self) -> asyncio.Future[None]:
        """Done as soon as the client is gone: who waits for its turn need not wait any more."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_future()
            if self.gone:
                self._leaving.set_result(None)
        return self._leaving

    def left(self) -> None:
        self.gone = True
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(None)

    def finish(self, flow_id: str) -> Exchange | None:
        """Take out an exchange that is over, and with it the approval of its dial."""
        exchange = self.exchanges.pop(flow_id, None)
        if exchange is not None and self.tunnel is None and not any(
                other.dialled == exchange.dialled for other in self.exchanges.values()):
            self.approved.pop(exchange.dialled, None)
        return exchange

    def open_for(self, account: str) -> bool:
        """Whether a tunnel or a request of this account is under way here."""
        if self.tunnel is not None and self.tunnel.exchange.account.id == account:
            return True
        return any(exchange.account.id == account for exchange in self.exchanges.values())

    def account_is_now(self, account: Account) -> None:
        """Take over a changed account for what is open: plan and inspection of later requests."""
        if self.tunnel is not None and self.tunnel.exchange.account.id == account.id:
            self.tunnel.exchange.account = account


class Clients:
    def __init__(self) -> None:
        self._by_id: dict[str, ClientConnection] = {}
        self._by_account: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(list(self._by_id.values()))

    def add(self, client_id: str) -> ClientConnection:
        client = self._by_id[client_id] = ClientConnection(client_id)
        return client

    def get(self, client_id: str) -> ClientConnection:
        """The connection's state. One that is gone, or was never announced, may do nothing."""
        return self._by_id.get(client_id) or ClientConnection(client_id, gone=True)

    def remove(self, client_id: str) -> ClientConnection | None:
        client = self._by_id.pop(client_id, None)
        if client is not None:
            client.left()
        for account in client.bound if client else ():
            connections = self._by_account[account]
            connections.discard(client_id)
            if not connections:
                del self._by_account[account]
        return client

    def bind(self, client: ClientConnection, account: str) -> None:
        if account not in client.bound:
            client.bound.add(account)
            self._by_account[account].add(client.id)

    def live_accounts(self) -> tuple[str, ...]:
        """Ids of the accounts seen on the connections that are open."""
        return tuple(self._by_account)

    def of_account(self, account: str) -> tuple[ClientConnection, ...]:
        """The connections on which this account has something open."""
        clients = (self._by_id[i] for i in self._by_account.get(account, ()))
        return tuple(client for client in clients if client.open_for(account))
