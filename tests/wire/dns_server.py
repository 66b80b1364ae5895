"""A name server for tests, on loopback over UDP and TCP, in a thread of the test process.

It answers from `names`, and says NXDOMAIN to what is not there. What a name's answers are worth
testing for goes into `scripts`: a function that is given the query and makes the messages to send.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

ZONE = "test."


@dataclass
class Query:
    """What was asked: `name` without the last dot, `kind` A or AAAA, and the how many-eth time
    (from 0) this name was asked for this kind."""

    message: Any
    name: str
    kind: str
    turn: int
    tcp: bool = False
    wire: bytes = field(default=b"", repr=False)

    def answer(self, addresses: Iterable[str] = (), ttl: int = 0, *,
               cnames: Sequence[tuple[str, int]] = (), negative_ttl: int = 0,
               rcode: str = "NOERROR") -> dns.message.Message:
        """A reply: the addresses of this kind at the end of `cnames`, (target, ttl) in turn.

        One record set an address: dnspython shuffles those of one set when it writes them.
        """
        reply = dns.message.make_response(self.message, recursion_available=True)
        reply.set_rcode(dns.rcode.from_text(rcode))
        owner = f"{self.name}."
        for target, life in cnames:
            reply.answer.append(dns.rrset.from_text(owner, life, "IN", "CNAME", f"{target}."))
            owner = f"{target}."
        version = 6 if self.kind == "AAAA" else 4
        here = [text for text in addresses if ip_address(text).version == version]
        for text in here:
            reply.answer.append(dns.rrset.from_text(owner, ttl, "IN", self.kind, text))
        if not here and rcode in ("NOERROR", "NXDOMAIN"):
            reply.authority.append(dns.rrset.from_text(
                ZONE, negative_ttl, "IN", "SOA", f"ns.{ZONE} admin.{ZONE} 1 1 1 1 {negative_ttl}"))
        return reply


Sent = dns.message.Message | bytes
Script = Callable[[Query], Iterable[Sent | float]]
"""Makes what is sent back: messages, octets as they are, and seconds to wait in between."""


def turns(*answers: Sequence[str], ttl: int = 0) -> Script:
    """One look-up after the other: these addresses in turn; the last ones stay."""
    def script(query: Query) -> Iterable[Sent]:
        return [query.answer(answers[min(query.turn, len(answers) - 1)], ttl)]
    return script


def late(seconds: float, addresses: Sequence[str]) -> Script:
    def script(query: Query) -> Iterable[Sent | float]:
        return [seconds, query.answer(addresses)]
    return script


def texts(*records: str, cnames: Sequence[tuple[str, int]] = ()) -> Script:
    """These TXT records, each as a zone file has it, at the end of `cnames`."""
    def script(query: Query) -> Iterable[Sent]:
        reply = query.answer(cnames=cnames)
        reply.authority.clear()
        owner = f"{cnames[-1][0] if cnames else query.name}."
        for record in records:
            reply.answer.append(dns.rrset.from_text(owner, 60, "IN", "TXT", record))
        return [reply]
    return script


def silent(query: Query) -> Iterable[Sent]:
    return []


class DnsServer:
    """`names` and `scripts` may be changed while it runs; `queries` are those that came."""

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None, ttl: int = 60) -> None:
        self.names = dict(names or {})
        self.scripts: dict[str, Script] = {}
        self.ttl = ttl
        self.queries: list[Query] = []
        self.port = 0
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self, name: str, kind: str = "A") -> int:
        """How many times it was asked, over UDP."""
        return sum((query.name, query.kind, query.tcp) == (name, kind, False)
                   for query in list(self.queries))

    def __enter__(self) -> DnsServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Again after `stop`, on the same port. Nothing where it runs already."""
        if self._thread is not None:
            return
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True,
                                        name="dns server")
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)
            self._thread = None

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        while True:
            server = await asyncio.start_server(self._stream, "127.0.0.1", self.port)
            port = server.sockets[0].getsockname()[1]
            try:
                datagrams, _ = await self._loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=("127.0.0.1", port))
            except OSError:  # free for TCP and taken for UDP
                server.close()
            else:
                break
        self.port = port
        self._ready.set()
        await self._stopping.wait()
        datagrams.close()
        server.close()
        for task in self._tasks:
            task.cancel()

    def spawn(self, wire: bytes, send: Callable[[bytes], None]) -> None:
        task = self._loop.create_task(self._reply(wire, False, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(wire: bytes) -> None:
            writer.write(len(wire).to_bytes(2) + wire)

        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2))
                await self._reply(await reader.readexactly(size), True, send)
        writer.close()

    async def _reply(self, wire: bytes, tcp: bool, send: Callable[[bytes], None]) -> None:
        message = dns.message.from_wire(wire)
        question = message.question[0]
        name, kind = question.name.to_text(True).lower(), dns.rdatatype.to_text(question.rdtype)
        query = Query(message, name, kind, self.asked(name, kind), tcp, wire)
        self.queries.append(query)
        for part in self._script(name)(query):
            if isinstance(part, float):
                await asyncio.sleep(part)
            elif isinstance(part, bytes):
                send(part)
            else:
                octets = part.to_wire(max_size=65535)
                # what a client says it takes, as servers do
                if not tcp and len(octets) > max(512, message.payload):
                    short = dns.message.make_response(message)
                    short.flags |= dns.flags.TC
                    octets = short.to_wire()
                send(octets)

    def _script(self, name: str) -> Script:
        if name in self.scripts:
            return self.scripts[name]
        if name in self.names:
            return lambda query: [query.answer(self.names[name], self.ttl, negative_ttl=60)]
        return lambda query: [query.answer(rcode="NXDOMAIN", negative_ttl=60)]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.spawn(data, lambda wire: self._transport.sendto(wire, addr))
