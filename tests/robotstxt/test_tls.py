"""robots.txt over TLS: the certificate must be for the name, though an address is dialled."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from outbounds.robotstxt import Egress, Fetcher, Unreachable

from .conftest import AGENT
from .site import Recorded, Resolver


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for foo.test and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "foo.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("foo.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "foo.test.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                          serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest_asyncio.fixture
async def port(certificate: Path) -> AsyncIterator[int]:
    async def robots(request: web.Request) -> web.Response:
        return web.Response(text="user-agent: *\ndisallow: /\n")

    app = web.Application()
    app.router.add_get("/robots.txt", robots)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize(("host", "trusted", "reached"), [
    ("foo.test", True, True), ("foo.test", False, False), ("bar.test", True, False),
])
async def test_the_certificate_binds_the_name(
    port: int, certificate: Path, host: str, trusted: bool, reached: bool
) -> None:
    context = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    recorder = Recorded()
    fetcher = Fetcher(Resolver(), recorder, user_agent=AGENT, egress=Egress(context), deadline=2.0)
    if reached:
        assert (await fetcher.fetch(("https", host, port), "acme", "c")).status == 200
    else:
        with pytest.raises(Unreachable):
            await fetcher.fetch(("https", host, port), "acme", "c")
    assert recorder.outcomes == [(200, "complete") if reached else (0, "error")]
