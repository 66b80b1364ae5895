"""Clients and a target made of bare sockets, for what no HTTP library would send or accept."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events

from .harness import PASSWORD, PLAIN_PASSWORD, Proxy


def basic(name: str = "alice") -> bytes:
    """The Proxy-Authorization line of an account of the harness, with its CRLF."""
    password = PASSWORD if name == "alice" else PLAIN_PASSWORD
    return b"Proxy-Authorization: Basic %s\r\n" % base64.b64encode(f"{name}:{password}".encode())


@dataclass
class Reply:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The RFC 9457 body; AssertionError if the reply carries none."""
        assert self.headers.get_content_type() == "application/problem+json", self
        assert self.headers["Proxy-Status"].startswith("outbounds; error="), self
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        return problem


def reply(peer: socket.socket, method: str = "GET") -> Reply:
    """Read one response. Raises http.client.HTTPException or OSError where there is none."""
    response = http.client.HTTPResponse(peer, method=method)
    response.begin()
    body = response.read() if method != "CONNECT" or response.status != 200 else b""
    return Reply(response.status, response.reason, response.headers, body)


def dial(port: int, seconds: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), seconds)


def get(target: str, host: str, name: str | None = "alice", extra: bytes = b"") -> bytes:
    """A GET as octets; `name` None without credentials, as inside a tunnel."""
    return (f"GET {target} HTTP/1.1\r\nHost: {host}\r\n".encode()
            + (basic(name) if name else b"") + extra + b"\r\n")


def ask(proxy: Proxy, url: str, name: str = "alice", *, extra: bytes = b"") -> Reply:
    """One plain request on a connection of its own."""
    with dial(proxy.port) as peer:
        peer.sendall(get(url, url.split("/")[2], name, extra))
        return reply(peer)


def connect(proxy: Proxy, target: str, name: str = "alice") -> tuple[socket.socket, Reply]:
    """CONNECT to host:port; the socket is the tunnel where the reply is 200."""
    peer = dial(proxy.port)
    peer.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode()
                 + basic(name) + b"\r\n")
    return peer, reply(peer, "CONNECT")


def tls(peer: socket.socket, ca: Path, name: str | None, *alpn: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca))
    if name is None:
        context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(peer, server_hostname=name)


def hello(name: str | None) -> bytes:
    """A ClientHello as OpenSSL makes it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(into, out, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


def inspected(proxy: Proxy, name: str, port: int, *alpn: str) -> ssl.SSLSocket:
    """A tunnel of alice's, with TLS that ends at the proxy."""
    peer, answer = connect(proxy, f"{name}:{port}")
    assert answer.status == 200, answer
    return tls(peer, proxy.ca, name, *(alpn or ("http/1.1",)))


def socks(proxy: Proxy, host: str, port: int, name: str = "alice") -> tuple[socket.socket, int]:
    """A SOCKS5 CONNECT by name (RFC 1928, RFC 1929): the socket and the reply code.

    -1 where the proxy closed before it replied, -2 where it did not accept the credentials.
    """
    password = PASSWORD if name == "alice" else PLAIN_PASSWORD
    peer = dial(proxy.socks_port)
    peer.sendall(b"\x05\x01\x02")
    if peer.recv(2) != b"\x05\x02":
        return peer, -1
    peer.sendall(bytes([1, len(name)]) + name.encode()
                 + bytes([len(password)]) + password.encode())
    if peer.recv(2)[1:] != b"\x00":
        return peer, -2
    peer.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode()
                 + port.to_bytes(2, "big"))
    got = b""
    with suppress(ConnectionResetError):
        while len(got) < 10 and (data := peer.recv(10 - len(got))):
            got += data
    return peer, got[1] if len(got) > 1 else -1


def closed(peer: socket.socket, seconds: float = 5.0) -> bool:
    """Whether the peer ends the connection, without sending anything more."""
    peer.settimeout(seconds)
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@dataclass
class TcpOrigin:
    """A target below HTTP. `serve(connection)` talks to each client, in a thread of its own.

    `received` holds what each connection sent, in the order in which they came; `peers` their
    addresses.
    """

    serve: Callable[[TcpOrigin, socket.socket], None]
    host: str = "127.0.0.1"
    port: int = 0
    peers: list[tuple[Any, ...]] = field(default_factory=list)
    received: list[bytearray] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> TcpOrigin:
        self._listener = socket.create_server(
            (self.host, self.port),
            family=socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # closing alone does not end the accept() of the other thread
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        assert not self.errors, self.errors

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, address = self._listener.accept()
                self.peers.append(address)
                self.received.append(bytearray())
                threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer: socket.socket) -> None:
        with peer:
            try:
                self.serve(self, peer)
            except OSError:
                pass  # the client went away
            except BaseException as error:
                self.errors.append(error)

    def read(self, peer: socket.socket, most: int = 65536) -> bytes:
        """The next octets, noted in `received`."""
        data = peer.recv(most)
        self.received[self.peers.index(peer.getpeername())].extend(data)
        return data

    def head(self, peer: socket.socket) -> bytes:
        """Read up to the end of a request head; b"" where the client ended instead."""
        got = b""
        while b"\r\n\r\n" not in got:
            data = self.read(peer)
            if not data:
                return b""
            got += data
        return got


def small_http(origin: TcpOrigin, peer: socket.socket) -> None:
    """Answers every request head with 200 and "ok", keep-alive."""
    while origin.head(peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def swallow(origin: TcpOrigin, peer: socket.socket) -> None:
    """Reads and says nothing."""
    while origin.read(peer):
        pass


class Http2:
    """alice's HTTP/2 in an inspected tunnel, with nothing that would keep her from nonsense."""

    def __init__(self, proxy: Proxy, port: int, host: str = "site.test") -> None:
        self.peer = inspected(proxy, host, port, "h2")
        assert self.peer.selected_alpn_protocol() == "h2"
        self.authority = f"{host}:{port}"
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.connection.initiate_connection()
        self.send()

    def send(self) -> None:
        self.peer.sendall(self.connection.data_to_send())

    def fields(self, path: str, *more: tuple[str, str],
               method: str = "GET") -> list[tuple[str, str]]:
        return [(":method", method), (":scheme", "https"), (":authority", self.authority),
                (":path", path), *more]

    def events(self, seconds: float = 5.0) -> Iterator[h2.events.Event]:
        self.peer.settimeout(seconds)
        with suppress(OSError):
            while data := self.peer.recv(65536):
                yield from self.connection.receive_data(data)
                self.send()
