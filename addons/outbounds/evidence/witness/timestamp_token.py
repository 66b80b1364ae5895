"""RFC 3161 time stamp tokens: asked for, and verified."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimeStampRequest,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)


class BadToken(Exception):
    """A token does not show what it should. The message says why."""


def request(content: bytes) -> TimeStampRequest:
    """For a stamp over the SHA-256 of `content`, with a nonce, and with the authority's certificate
    in the reply, without which the token could not be verified later."""
    return (TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256)
            .nonce(nonce=True).cert_request(cert_request=True).build())


def token_time(reply: bytes, content: bytes, roots: Sequence[bytes],
               asked: TimeStampRequest | None = None) -> int:
    """When (Unix s) the authority saw `content`: `reply` (DER) holds a token over its SHA-256 that
    leads to one of the `roots` (PEM; they may hold intermediate certificates, too), and answers
    `asked`, if that is given. The certificates are judged as of that time, and whether one was
    revoked is not asked. Raises BadToken."""
    try:
        response = decode_timestamp_response(reply)
    except ValueError as error:
        raise BadToken(f"no RFC 3161 reply: {error}") from None
    if response.status != PKIStatus.GRANTED:
        said = "; ".join(response.status_string) or "without a reason"
        raise BadToken(f"the authority refused (status {response.status}): {said}")
    builder = VerifierBuilder(nonce=asked.nonce if asked else None)
    for each in _certificates(roots):
        builder = (builder.add_root_certificate(each) if each.issuer == each.subject
                   else builder.add_intermediate_certificate(each))
    try:
        builder.build().verify(response, sha256(content).digest())
        return int(response.tst_info.gen_time.timestamp())
    except (VerificationError, ValueError) as error:
        raise BadToken(f"the time stamp does not hold: {error}") from None


def _certificates(roots: Sequence[bytes]) -> list[Certificate]:
    try:
        found = [each for pem in roots for each in load_pem_x509_certificates(pem)]
    except ValueError as error:
        raise BadToken(f"the root certificate cannot be read: {error}; it must be PEM") from None
    if not any(each.issuer == each.subject for each in found):
        raise BadToken("none of the certificates that are trusted is a root; the authority's "
                       "root certificate is needed")
    return list(dict.fromkeys(found))
