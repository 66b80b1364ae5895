"""A real origin server: plain HTTP, HTTPS with a certificate of a test authority, HTTP/2.

It runs in a thread with an event loop of its own and writes down every request it received, which
is how a test shows what did *not* reach a target.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: int = 0


@dataclass
class Origin:
    """`handler` answers requests; `robots` is the robots.txt, None for 404, unless
    `robots_handler` answers for it. `host` is the address that it listens on."""

    port: int
    robots: str | None = None
    tls: ssl.SSLContext | None = None
    handler: Handler | None = None
    robots_handler: Handler | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    host: str = "127.0.0.1"

    def start(self) -> Origin:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(5), "the origin did not start"
        return self

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        self._loop.run_until_complete(self._runner.setup())
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls,
                           reuse_address=True)
        self._loop.run_until_complete(site.start())
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path_qs, list(request.headers.items()))
        self.seen.append(seen)
        if request.path == "/robots.txt":
            if self.robots_handler is not None:
                return await self.robots_handler(request)
            if self.robots is None:
                return web.Response(status=404, text="no robots here")
            return web.Response(text=self.robots)
        if self.handler is not None:
            return await self.handler(request)
        async for chunk in request.content.iter_chunked(65536):
            seen.body += len(chunk)
        return web.Response(text=f"hello from {request.path}\n")

    def paths(self) -> list[str]:
        """Paths asked for, without the proxy's own look at robots.txt."""
        return [s.path for s in self.seen if s.path != "/robots.txt"]

    def __enter__(self) -> Origin:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def authority(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """A test certificate authority, and a server context with a certificate for `names`."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Origins of the tests")])
    now = datetime.datetime.now(datetime.UTC)

    def build(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name)
                .public_key(public).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=2)))

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = (build(ca_name, ca_key.public_key())
          .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
          .add_extension(usage, critical=True)
          .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
          .sign(ca_key, hashes.SHA256()))

    def general(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    leaf = (build(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key.public_key())
            .add_extension(x509.SubjectAlternativeName([general(n) for n in names]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                ca_key.public_key()), False)
            .sign(ca_key, hashes.SHA256()))
    folder.mkdir(parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    return folder / "ca.pem", context
