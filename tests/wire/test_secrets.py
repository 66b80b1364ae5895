"""A secret of its own is put into every place where a client or a target can put text. None of them
may be found afterwards, in any spelling: not in the data, not in the log, not on the metrics page,
and not in a reply that the proxy made.

What is written down on purpose is not among them: host names, the path but for what looks like a
token, names of query parameters, the User-Agent but for what looks like a credential.
"""

from __future__ import annotations

import base64
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import h2.config
import h2.connection
import pytest
from aiohttp import web
from ruamel.yaml import YAML

from .harness import wait_until
from .sockets import basic, connect, dial, get, reply, tls
from .stage import Stage, staged

# a control that stumbles over what it reads, as parsers do: they quote it
FAULT = """
from outbounds.core import policy as _policy
import outbounds.proxy.gate as _gate

_judge = _gate.Gate.judge

async def judge(self, request, *args, **options):
    if request.path.startswith("/fault"):
        agent = request.user_agent
        try:
            raise ValueError(f"cannot parse {agent!r}: Authorization: Basic {agent}")
        except ValueError as error:
            raise RuntimeError(f"b'{agent}' and http://u:{agent}@site.test/?{agent}") from error
    return await _judge(self, request, *args, **options)

_gate.Gate.judge = judge
"""


@dataclass
class Secrets:
    """Each is a word that occurs nowhere else; `kept` is what was handed out."""

    kept: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        return self.kept.setdefault(place, f"xq{len(self.kept):02}{place.lower()}zj")

    def spellings(self) -> Iterator[tuple[str, bytes]]:
        for place, secret in self.kept.items():
            text = secret.encode()
            yield place, text
            yield place, text.hex().encode()
            yield place, "".join(f"%{octet:02x}" for octet in text).encode()
            for shift in range(3):  # wherever it begins in what is encoded
                encoded = base64.b64encode(b"." * shift + text)
                yield place, encoded[4 if shift else 0:-4].lower()


@pytest.fixture(scope="module")
def secret() -> Secrets:
    return Secrets()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, secret: Secrets) -> Iterator[Stage]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("upgrade"):
            talk = web.WebSocketResponse(protocols=[secret("subprotocol")])
            await talk.prepare(request)
            async for message in talk:
                await talk.send_str(secret("wsreply") + str(message.data))
            return talk
        response = web.StreamResponse(reason=secret("phrase"), headers={
            "Set-Cookie": f"a={secret('setcookie')}", "X-Secret": secret("replyfield"),
            "X-Robots-Tag": f"noindex, token={secret('robotstag')}",
            "Content-Usage": f"search=y, session={secret('contentusage')}",
            "Location": f"/elsewhere?{secret('location')}",
            "WWW-Authenticate": f'Basic realm="{secret("realm")}"'})
        await response.prepare(request)
        await response.write(secret("replybody").encode())
        return response

    folder = tmp_path_factory.mktemp("secrets")
    with staged(folder, socks=True, patch=FAULT) as running:
        running.plain.handler = running.tls.handler = answer
        yield running


def fields(secret: Secrets, way: str) -> bytes:
    """In every field that is known to hold one, and in some that are not."""
    made = {
        "Authorization": f"Bearer {secret(f'{way}bearer')}",
        "Cookie": f"s={secret(f'{way}cookie')}",
        "Referer": f"http://x.test/{secret(f'{way}refpath')}?{secret(f'{way}refquery')}",
        "X-Api-Key": secret(f"{way}apikey"), secret(f"{way}fieldname"): "1",
        "User-Agent": f"Bot/1 (+http://u:{secret(f'{way}uauser')}@bot.test/?k="
                      f"{secret(f'{way}uaquery')}) token={secret(f'{way}uatoken')}",
        "traceparent": f"00-{secret(f'{way}trace')}-1-01", "tracestate": secret(f"{way}state"),
        "baggage": f"k={secret(f'{way}baggage')}", "Origin": f"http://{secret(f'{way}origin')}",
        "X-Forwarded-For": secret(f"{way}forwarded"), "Via": secret(f"{way}via"),
        "From": f"{secret(f'{way}from')}@example.net", "TE": secret(f"{way}te"),
        "If-None-Match": f'"{secret(f"{way}etag")}"',
    }
    return "".join(f"{name}: {value}\r\n" for name, value in made.items()).encode()


def target(secret: Secrets, way: str) -> str:
    token = base64.urlsafe_b64encode(f"A9{secret(f'{way}token')}A9z9".encode()).decode()
    return (f"/u/a:{secret(f'{way}userinfo')}@h/{token}/eyJhbGciOiJIUzI1NiJ9."
            f"{secret(f'{way}jwt')}.x?k={secret(f'{way}query')}&{secret(f'{way}bare')}"
            f"#{secret(f'{way}fragment')}")


def exchange(port: int, octets: bytes, *, seconds: float = 1.5) -> bytes:
    """Send; what comes back until it ends, or for a while."""
    got = b""
    with dial(port, seconds) as peer, suppress(OSError):
        peer.sendall(octets)
        while data := peer.recv(65536):
            got += data
            if b"\r\n\r\n" in got and b"Transfer-Encoding: chunked" not in got:
                length = re.search(rb"(?i)content-length: (\d+)", got)
                if length and len(got.partition(b"\r\n\r\n")[2]) >= int(length[1]):
                    break
            if got.endswith(b"0\r\n\r\n"):
                break
    return got


def refused(stage: Stage, secret: Secrets) -> list[bytes]:
    """Replies that the proxy makes itself, so that nothing of the request may be in them."""
    where = stage.at()
    port = stage.proxy.port
    more, path = fields(secret, "refused"), target(secret, "refused")
    known = basic()

    def credentials(text: str) -> bytes:
        return f"Proxy-Authorization: {text}\r\n".encode()

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    def head(first: str, *rest: bytes, host: str = where) -> bytes:
        return f"{first}\r\nHost: {host}\r\n".encode() + b"".join(rest) + b"\r\n"

    get_it = f"GET http://{where}{path} HTTP/1.1"
    return [exchange(port, each) for each in [
        *(head(get_it, credentials(each), more) for each in (
            f"Basic {encoded('alice:' + secret('password'))}",
            f"Basic {encoded(secret('username') + ':x')}",
            f"Basic {secret('notbase64')}!", f"Bearer {secret('proxybearer')}",
            f"Digest username=\"alice\", response=\"{secret('digest')}\"",
            f"Negotiate {secret('negotiate')}", secret("scheme"))),
        head(get_it, known, credentials(f"Basic {secret('second')}"), more),
        head(get_it, more),                                              # none at all
        head(f"GET http://u:{secret('authority')}@{where}/ HTTP/1.1", known, more),
        head(f"{secret('method')} http://{where}/ HTTP/1.1", known, more),
        head(f"{secret('upper').upper()} http://{where}/ HTTP/1.1", known, more),
        head(f"GET http://{where}/ HTTP/{secret('version')}", known, more),
        head(f"GET {secret('origin-form')} HTTP/1.1", known, more),
        head(f"GET http://{where}/ {secret('fourth')} HTTP/1.1", known, more),
        head(get_it, known, more, host=f"u:{secret('hostuser')}@{where}"),
        head(get_it, known, more, f"Host: {where}/{secret('twohosts')}\r\n".encode()),
        head(get_it, known, more, f"{secret('nocolon')}\r\n".encode()),
        head(get_it, known, more, f"X: {secret('nul')}\0\r\n".encode()),
        head(get_it, known, more, f"Content-Length: {secret('length')}\r\n".encode()),
        head(get_it, known, more, f"Transfer-Encoding: {secret('coding')}\r\n".encode()),
        head(f"CONNECT u:{secret('connectuser')}@{where} HTTP/1.1", known, more),
        head(f"CONNECT site.test:{secret('connectport')} HTTP/1.1", known, more),
        head(f"CONNECT /{secret('connectpath')} HTTP/1.1", known, more),
        head(f"CONNECT {where} HTTP/1.1", credentials(f"Basic {secret('connectbasic')}"), more),
        head(f"GET http://{where}/fault HTTP/1.1", known,
             f"User-Agent: {secret('fault')}\r\n".encode()),
        head(f"GET http://site.test:1{path} HTTP/1.1", known, more),     # a port that is refused
        f"{secret('garbage')}\r\n\r\n".encode(),
        b"\x16\x03\x01" + secret("nottls").encode() + b"\r\n\r\n",
    ]]


def through(stage: Stage, secret: Secrets) -> None:
    """What is let through, by each way."""
    where = stage.at()
    port = stage.proxy.port
    body = secret("body").encode()
    chunk = secret("chunk").encode()
    trailer = f"{secret('trailername')}: {secret('trailer')}\r\n".encode()
    post = f"POST http://{where}{target(secret, 'plain')} HTTP/1.1\r\nHost: {where}\r\n".encode()
    exchange(port, post + basic() + fields(secret, "plain")
             + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    exchange(port, post + basic() + b"Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"
             + f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n0\r\n" + trailer + b"\r\n")
    with dial(port) as peer:  # broken off
        peer.sendall(post + basic() + f"Cookie: {secret('halfcookie')}".encode())
    with dial(port) as peer, suppress(OSError, HTTPException):
        peer.sendall(get(f"http://{where}/ws?{secret('wsquery')}", where, extra=(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: "
            f"{secret('subprotocol')}\r\n").encode()))
        assert peer.recv(65536).startswith(b"HTTP/1.1 101")
        word = secret("wsmessage").encode()
        peer.sendall(bytes([0x81, 0x80 | len(word), 0, 0, 0, 0]) + word)
        peer.recv(65536)
    for name, kind in (("alice", "inspected"), ("bob", "tunnel")):
        peer, answer = connect(stage.proxy, stage.at(kind="tls"), name)
        assert answer.status == 200
        ca = stage.proxy.ca if name == "alice" else stage.ca
        with tls(peer, ca, "site.test", "http/1.1") as inner, suppress(OSError, HTTPException):
            inner.sendall(get(target(secret, kind), stage.at(kind="tls"), None,
                              fields(secret, kind) + f"Proxy-Authorization: Basic "
                              f"{secret(f'{kind}inner')}\r\n".encode()))
            reply(inner)
            inner.sendall(f"{secret(f'{kind}garbage')}\r\n\r\n".encode())
            reply(inner)


def http2(stage: Stage, secret: Secrets) -> None:
    """Pseudo-header fields, and those that no client should send."""
    usual = {":method": "GET", ":scheme": "https", ":authority": stage.at(kind="h2"), ":path": "/"}
    for change in ({":path": target(secret, "h2")}, {":path": secret("h2path")},
                   {":scheme": secret("h2scheme")[:12]}, {":method": secret("h2method")},
                   {":authority": f"u:{secret('h2user')}@site.test"},
                   {":protocol": secret("h2protocol")}, {":" + secret("h2pseudo"): "1"}):
        peer, answer = connect(stage.proxy, stage.at(kind="h2"))
        assert answer.status == 200
        with tls(peer, stage.proxy.ca, "site.test", "h2") as inner, suppress(OSError):
            client = h2.connection.H2Connection(h2.config.H2Configuration(
                client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
                normalize_outbound_headers=False))
            client.initiate_connection()
            fields = [*(usual | change).items(), ("cookie", secret("h2cookie")),
                      ("authorization", f"Basic {secret('h2basic')}")]
            client.send_headers(1, fields, end_stream=True)
            inner.sendall(client.data_to_send())
            inner.settimeout(1.0)
            seen = b""
            while b"hello" not in seen and (data := inner.recv(65536)):
                seen += data
                if len(seen) > 200:
                    break


def socks5(stage: Stage, secret: Secrets) -> None:
    for name, password in ((b"alice", secret("sockspassword").encode()),
                           (secret("socksname").encode(), b"x")):
        with dial(stage.proxy.socks_port) as peer, suppress(OSError):
            peer.sendall(b"\x05\x01\x02")
            peer.recv(2)
            peer.sendall(bytes([1, len(name)]) + name + bytes([len(password)]) + password)
            peer.recv(2)
    with dial(stage.proxy.socks_port) as peer, suppress(OSError):
        peer.sendall(f"{secret('socksgarbage')}\r\n".encode())
        peer.settimeout(1.0)
        peer.recv(100)


def page(stage: Stage) -> bytes:
    port = YAML().load((stage.proxy.config / "outbounds.yaml").read_text())["metrics"]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as metrics:
        return bytes(metrics.read())


def test_none_is_found_afterwards(stage: Stage, secret: Secrets) -> None:
    replies = refused(stage, secret)
    assert all(each == b"" or each.startswith(b"HTTP/1.1 ") for each in replies)
    statuses = [int(each[9:12]) for each in replies if each]
    assert len(statuses) >= 20 and set(statuses) <= {400, 403, 405, 407, 421, 501, 503, 505}
    through(stage, secret)
    http2(stage, secret)
    socks5(stage, secret)
    wait_until(lambda: all(end for _, end in stage.proxy.pairs()))
    # all of it was seen: by the target, or by the record of its refusal
    seen = repr([(each.path, each.headers) for each in stage.plain.seen + stage.tls.seen])
    for place in ("plainbearer", "plainquery", "inspectedcookie", "tunnelbearer", "tunnelquery"):
        assert secret(place) in seen, place
    assert len(stage.proxy.pairs()) >= 35 and len(secret.kept) > 130

    haystack: dict[str, bytes] = {"metrics": page(stage)}
    haystack |= {f"reply {at}": each for at, each in enumerate(replies)}
    _stop(stage)
    for path in Path(stage.proxy.config).rglob("*"):
        if path.is_file():
            haystack[str(path)] = path.read_bytes()
    haystack["log"] = stage.proxy.log_path.read_bytes()
    assert b"Fault in" in haystack["log"]
    found = _found(haystack, secret)
    assert not found, "\n".join(map(str, found))


def _stop(stage: Stage) -> None:
    stage.proxy.stop()


def _found(haystack: dict[str, bytes], secret: Secrets) -> list[tuple[str, str, str]]:
    lower = {where: content.lower() for where, content in haystack.items()}
    return [(place, where, content[max(0, at - 60):at + 40].decode("latin-1"))
            for place, needle in secret.spellings() if len(needle) >= 8
            for where, content in lower.items() if (at := content.find(needle)) >= 0]


@pytest.mark.parametrize("around", ["{}", "ab{}", '"{}"'])
def test_the_search_finds_what_is_there(around: str) -> None:
    """This test can fail: a secret in any of the spellings is found."""
    secret = Secrets()
    text = secret("longenough").encode()
    for spelled in (text.decode(), text.decode().upper(), text.hex(), text.hex().upper(),
                    "".join(f"%{octet:02X}" for octet in text)):
        assert _found({"file": around.format(spelled).encode()}, secret), spelled
    for before in range(6):
        encoded = base64.b64encode(b"." * before + text + b":more").decode()
        assert _found({"file": around.format(encoded).encode()}, secret), before
    assert not _found({"file": around.format("anything else").encode()}, secret)
