"""What went wrong with a target, told from the words that mitmproxy really uses for it.

A real mitmproxy, without our guards, is sent to targets that fail in each way; what it puts on the
flow goes through the table. Only failures that take minutes, or another network, are given as text.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http, master, options
from mitmproxy.addons import next_layer, proxyserver, tlsconfig

from outbounds.core.verdict import Kind
from outbounds.proxy.upstream_errors import verdict_for
from wire.origin import authority

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NAMES = {"site.example", "tls.example", "alert.example", "dead.example"}


class Errors:
    """An addon that keeps what mitmproxy says, in the form in which our hooks see it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []
        self.listening = asyncio.Event()

    def running(self) -> None:
        self.listening.set()

    def error(self, flow: http.HTTPFlow) -> None:
        assert flow.error is not None
        self.said.append((flow.error.msg, flow.server_conn.connected))

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        self.said.append((flow.response.text or "", False))


@asynccontextmanager
async def mitmproxy(confdir: Path, **set_options: Any) -> AsyncIterator[tuple[int, Errors]]:
    loop = asyncio.get_running_loop()
    system = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **more: Any) -> Any:
        """As the guarded dial answers: with a few addresses, or in the resolver's words."""
        if host == "dead.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                    for address in ("127.0.0.1", "127.0.0.2")]
        if host in NAMES:
            return await system("127.0.0.1", port, **more)
        if host == "127.0.0.1":
            return await system(host, port, **more)
        raise socket.gaierror(socket.EAI_NONAME, f"{host} does not resolve: Try again.")

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign, assignment]
    running = master.Master(options.Options(), event_loop=loop)
    errors, server = Errors(), proxyserver.Proxyserver()
    running.addons.add(server, errors, next_layer.NextLayer(), tlsconfig.TlsConfig())
    running.options.update(mode=["regular@127.0.0.1:0"], confdir=str(confdir), **set_options)
    task = asyncio.create_task(running.run())
    try:
        await asyncio.wait_for(errors.listening.wait(), 10)
        yield server.listen_addrs()[0][1], errors
    finally:
        running.shutdown()
        await task
        loop.getaddrinfo = system  # type: ignore[method-assign]


async def ask(port: int, head: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    try:
        await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        pass
    writer.close()


@asynccontextmanager
async def target(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def said(confdir: Path, url: str, method: str = "GET", **set_options: Any
               ) -> tuple[str, bool]:
    """What mitmproxy says about one request."""
    async with mitmproxy(confdir, **set_options) as (port, errors):
        await ask(port, f"{method} {url} HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n")
        for _ in range(200):
            if errors.said:
                return errors.said[0]
            await asyncio.sleep(0.01)
    raise AssertionError("mitmproxy reported no error")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check(told: tuple[str, bool], kind: Kind, host: str) -> None:
    verdict = verdict_for(told[0], host, connected=told[1])
    assert verdict.kind is kind, told
    assert (verdict.control, verdict.rule) == ("upstream", kind.slug)
    assert host in verdict.detail
    assert told[0] not in verdict.detail and "127.0.0.1" not in verdict.detail


# --- no connection ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["site.example", "tls.example", "alert.example", "dead.example"])
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_a_closed_port(tmp_path: Path, host: str, method: str) -> None:
    """Whatever the host is called: its name is part of what mitmproxy says."""
    port = closed_port()
    url = f"{host}:{port}" if method == "CONNECT" else f"http://{host}:{port}/"
    check(await said(tmp_path, url, method), Kind.UNREACHABLE, host)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_an_unknown_name(tmp_path: Path, method: str) -> None:
    url = "gone.example:80" if method == "CONNECT" else "http://gone.example/"
    check(await said(tmp_path, url, method), Kind.NO_SUCH_HOST, "gone.example")


# --- no HTTP ------------------------------------------------------------------------------------


def answering(octets: bytes, *, reset: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(octets)
        if reset:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    return serve


@pytest.mark.parametrize("octets", [
    b"", b"HTTP/1.1 200 OK\r\nContent-", b"220 mail.example ESMTP\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"\x00\x01\x02\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
])
async def test_what_is_no_answer_in_http(tmp_path: Path, octets: bytes) -> None:
    async with target(answering(octets)) as port:
        told = await said(tmp_path, f"http://site.example:{port}/")
    check(told, Kind.TARGET_PROTOCOL, "site.example")


async def test_a_reset(tmp_path: Path) -> None:
    async with target(answering(b"", reset=True)) as port:
        told = await said(tmp_path, f"http://site.example:{port}/")
    check(told, Kind.TARGET_PROTOCOL, "site.example")


# --- no TLS -------------------------------------------------------------------------------------


async def test_a_port_that_speaks_no_tls(tmp_path: Path) -> None:
    async with target(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        told = await said(tmp_path, f"https://site.example:{port}/")
    check(told, Kind.TARGET_TLS, "site.example")


async def test_a_handshake_that_breaks_off(tmp_path: Path) -> None:
    async with target(answering(b"")) as port:
        told = await said(tmp_path, f"https://site.example:{port}/")
    check(told, Kind.TARGET_TLS, "site.example")


async def test_a_certificate_of_nobody_known(tmp_path: Path) -> None:
    _, context = authority(tmp_path / "origin", "site.example")
    async with target(answering(b""), context) as port:
        told = await said(tmp_path, f"https://site.example:{port}/")
    check(told, Kind.TARGET_TLS, "site.example")
    assert "certificate" in verdict_for(told[0], "site.example", connected=False).detail


async def test_a_certificate_of_another_name(tmp_path: Path) -> None:
    trusted, context = authority(tmp_path / "origin", "other.example")
    async with target(answering(b""), context) as port:
        told = await said(tmp_path, f"https://site.example:{port}/",
                          ssl_verify_upstream_trusted_ca=str(trusted))
    check(told, Kind.TARGET_TLS, "site.example")
    assert "certificate" in verdict_for(told[0], "site.example", connected=False).detail


async def test_no_common_version_of_tls(tmp_path: Path) -> None:
    trusted, context = authority(tmp_path / "origin", "site.example")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with target(answering(b""), context) as port:
        told = await said(tmp_path, f"https://site.example:{port}/",
                          ssl_verify_upstream_trusted_ca=str(trusted),
                          tls_version_server_min="TLS1_3")
    check(told, Kind.TARGET_TLS, "site.example")


# --- as text ------------------------------------------------------------------------------------


def call_failed(number: int, address: str = "203.0.113.1") -> str:
    """asyncio's words for a connect(2) that failed (base_events._connect_sock)."""
    return str(OSError(number, f"Connect call failed ('{address}', 80)"))


@pytest.mark.parametrize(("message", "kind"), [
    (call_failed(110), Kind.TARGET_TIMEOUT),  # ETIMEDOUT: after two minutes of silence
    (call_failed(111), Kind.UNREACHABLE),  # ECONNREFUSED
    (call_failed(113), Kind.UNREACHABLE),  # EHOSTUNREACH
    (call_failed(101), Kind.UNREACHABLE),  # ENETUNREACH
    (str(OSError(101, os.strerror(101))), Kind.UNREACHABLE),
    (str(OSError(113, os.strerror(113))), Kind.UNREACHABLE),
    (str(OSError(110, os.strerror(110))), Kind.TARGET_TIMEOUT),
    (f"Multiple exceptions: {call_failed(111)}, {call_failed(101, '2001:db8::1')}",
     Kind.UNREACHABLE),
    ("Looking up site.example took longer than 5 s.", Kind.NO_SUCH_HOST),
    ("site.example has no addresses.", Kind.NO_SUCH_HOST),
    ("nobody approved this target: the request was changed after the verdict", Kind.FAULT),
])
def test_as_text(message: str, kind: Kind) -> None:
    for connected in (True, False):
        assert verdict_for(message, "site.example", connected=connected).kind is kind


@pytest.mark.parametrize(("connected", "kind"), [
    (True, Kind.TARGET_PROTOCOL), (False, Kind.UNREACHABLE)])
def test_what_nobody_recognises(connected: bool, kind: Kind) -> None:
    verdict = verdict_for("\x00 <b>secret</b>", "site.example", connected=connected)
    assert (verdict.kind, verdict.detail) == (kind, "The exchange with site.example failed.")


@pytest.mark.parametrize("host", ["alert", "tls", "openssl.org", "refused.example", "t", "1.1.1.1"])
def test_the_hosts_own_name_says_nothing(host: str) -> None:
    message = f"Cannot connect to {host.upper()}:443: {call_failed(111)} If you plan to…"
    assert verdict_for(message, host, connected=False).kind is Kind.UNREACHABLE
