"""JA4 of a client's ClientHello: what program it is, by how its TLS library introduces itself.

Written from FoxIO's technical description of JA4 (TLS client; BSD 3-clause):

    t13d1516h2_8daaf6152771_e5627efa2ab1
    |||| | |    |            sorted extensions, signature algorithms as sent: SHA-256, 12 digits
    |||| | |    sorted cipher suites: SHA-256, 12 digits
    |||| | the first and last character of the first ALPN value, "00" without one
    |||| how many cipher suites, how many extensions: two digits each, at most 99
    |||d: there is a server name; i: there is none
    |the highest version offered
    t: over TCP

GREASE (RFC 8701) is left out everywhere, since its values are random. Extensions are sorted because
browsers shuffle them; the server name and ALPN count, but are not hashed, since they say where a
client goes and not what it is. It identifies programs, not people, and any program can be made to
look like another: a hint beside the account, never instead of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from mitmproxy.tls import ClientHello

_SERVER_NAME = 0x0000
_SIGNATURE_ALGORITHMS = 0x000D
_ALPN = 0x0010
_SUPPORTED_VERSIONS = 0x002B
_NO_HASH = "0" * 12
_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


def fingerprint(hello: ClientHello) -> str:
    """JA4 of `hello`; "" where it cannot be made, which is no reason to refuse anyone."""
    try:
        version = hello._client_hello.version
        return ja4(version.major << 8 | version.minor, hello.cipher_suites, hello.extensions)
    except Exception:  # whatever the parser stumbles over; the record is what it would be without
        return ""


def ja4(version: int, ciphers: Iterable[int], extensions: list[tuple[int, bytes]]) -> str:
    """JA4 from the version field of a ClientHello, its cipher suites and its extensions (type and
    body, in the order they were sent)."""
    suites = sorted(f"{each:04x}" for each in ciphers if not _is_grease(each))
    kinds = [kind for kind, _ in extensions if not _is_grease(kind)]
    bodies = dict(reversed(extensions))  # of several of a kind the first
    offered = [each for each in _pairs(bodies.get(_SUPPORTED_VERSIONS, b"")[1:])
               if not _is_grease(each)]
    algorithms = [f"{each:04x}" for each in _pairs(bodies.get(_SIGNATURE_ALGORITHMS, b"")[2:])
                  if not _is_grease(each)]
    hashed = ",".join(sorted(f"{kind:04x}" for kind in kinds
                             if kind not in (_SERVER_NAME, _ALPN)))
    if algorithms:
        hashed += "_" + ",".join(algorithms)
    return (f"t{_VERSIONS.get(max(offered, default=version), '00')}"
            f"{'d' if _SERVER_NAME in bodies else 'i'}{min(len(suites), 99):02d}"
            f"{min(len(kinds), 99):02d}{_alpn(bodies.get(_ALPN, b''))}"
            f"_{_hash(','.join(suites))}_{_hash(hashed)}")


def _is_grease(value: int) -> bool:
    """RFC 8701 section 2: 0x0A0A, 0x1A1A, … 0xFAFA."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _pairs(octets: bytes) -> list[int]:
    return [octets[at] << 8 | octets[at + 1] for at in range(0, len(octets) - 1, 2)]


def _alpn(body: bytes) -> str:
    """The characters for the first protocol of an ALPN extension (RFC 7301 section 3.1)."""
    first = body[3:3 + body[2]] if len(body) > 2 else b""
    if not first:
        return "00"
    text = first.decode("latin-1")
    if all(character.isascii() and character.isalnum() for character in (text[0], text[-1])):
        return text[0] + text[-1]
    digits = first.hex()
    return digits[0] + digits[-1]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else _NO_HASH
