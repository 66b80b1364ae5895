"""The sockets that dnspython asks through.

Its own asyncio sockets would not do. Its streams go through the loop's `create_connection`, which
in the proxy is open to vetted destinations only, and a name server is none. Its datagrams arrive
at a socket that is not connected, so that anybody's packets are queued, without bound, and that a
server which is down is noticed only by its silence. These are connected: the kernel drops what
comes from elsewhere, and says at once that nobody listens. The kernel picks the port at random.

Two bounds hold against a server, or somebody posing as it, that sends too much: a message has at
most `MAX_MESSAGE` octets, and of the datagrams to one question at most `MAX_DATAGRAMS` are looked
at, each a guess at the id of the question that whoever forges answers has to make.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from typing import Any

import dns.asyncbackend
import dns.exception
import dns.inet

MAX_MESSAGE = 4096  # octets; reading one of 64 KiB would hold the event loop for 70 ms
MAX_DATAGRAMS = 16


async def _within[T](seconds: float | None, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise dns.exception.Timeout(timeout=seconds) from None  # type: ignore[no-untyped-call]


# ruff: noqa: ASYNC109 - that `timeout` is an argument is dnspython's interface
class _Datagrams(dns.asyncbackend.DatagramSocket):  # type: ignore[name-defined, misc]
    def __init__(self, connected: socket.socket, peer: Any) -> None:
        super().__init__(connected.family, socket.SOCK_DGRAM)
        self._socket, self._peer = connected, peer
        self._left = MAX_DATAGRAMS

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        await _within(timeout, asyncio.get_running_loop().sock_sendall(self._socket, what))
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        if not self._left:
            raise OSError("too many datagrams that answer nothing")
        self._left -= 1
        loop = asyncio.get_running_loop()
        return await _within(timeout, loop.sock_recv(self._socket, MAX_MESSAGE)), self._peer

    async def close(self) -> None:
        self._socket.close()


class _Stream(dns.asyncbackend.StreamSocket):  # type: ignore[name-defined, misc]
    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected.family, socket.SOCK_STREAM)
        self._socket = connected

    async def sendall(self, what: bytes, timeout: float | None) -> None:
        await _within(timeout, asyncio.get_running_loop().sock_sendall(self._socket, what))

    async def recv(self, size: int, timeout: float | None) -> bytes:
        """`size` is first that of the length in front of a message, then what it says."""
        if size > MAX_MESSAGE:
            raise OSError(f"a message of more than {MAX_MESSAGE} octets")
        loop = asyncio.get_running_loop()
        return await _within(timeout, loop.sock_recv(self._socket, size))

    async def close(self) -> None:
        self._socket.close()


class Transport(dns.asyncbackend.Backend):  # type: ignore[name-defined, misc]
    """dnspython's way to sockets; addresses only, names are never looked up."""

    def name(self) -> str:
        return "asyncio"

    def datagram_connection_required(self) -> bool:
        return True

    async def make_socket(self, af: int, socktype: int, proto: int = 0, source: Any = None,
                          destination: Any = None, timeout: float | None = None,
                          ssl_context: Any = None, server_hostname: Any = None,
                          ) -> _Datagrams | _Stream:
        """A socket that is connected to `destination`. Raises OSError, dns.exception.Timeout."""
        peer = dns.inet.low_level_address_tuple(destination, af)
        made = socket.socket(af, socktype, proto)
        try:
            made.setblocking(False)
            if socktype == socket.SOCK_DGRAM:
                made.connect(peer)
                return _Datagrams(made, peer)
            await _within(timeout, asyncio.get_running_loop().sock_connect(made, peer))
            return _Stream(made)
        except BaseException:
            made.close()
            raise

    async def sleep(self, interval: float) -> None:
        await asyncio.sleep(interval)

    async def wait_for(self, awaitable: Awaitable[Any], timeout: float | None) -> Any:
        return await _within(timeout, awaitable)
