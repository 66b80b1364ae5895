"""A witness's signature under a checkpoint (C2SP tlog-cosignature, Ed25519, "cosignature/v1").

    — NAME BASE64(key id || u64 timestamp || signature)

signed over two lines and the checkpoint's text:

    cosignature/v1
    time 1679315147
    …

It says that at this time, by the witness's clock, this was the largest tree that it had seen of the
log, and that every smaller one that it has seen is how this one began. The key's id has type 4, so
that a log's key, type 1, cannot be passed off as a witness's. A verifier is written as in `note`:
NAME+ID+BASE64(4 || public key).
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .note import BadNote, split, strict_base64

_TYPE = b"\x04"
_ML_DSA = b"\x06"
_STAMPED = struct.Struct(">Q64s")
_MAX_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cosigner:
    """`name` and raw public key (32 octets) of a witness."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_TYPE + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> Cosigner:
        """From its one line. Raises BadNote."""
        name, _, rest = text.strip().partition("+")
        claimed, _, encoded = rest.partition("+")
        try:
            octets = strict_base64(encoded)
        except ValueError:
            octets = b""
        if not name or any(c.isspace() for c in name) or not octets:
            raise BadNote(f"{text.strip()!r} is no verifier key: NAME+ID+BASE64")
        if octets[:1] == _ML_DSA:
            raise BadNote(f"{name}: an ML-DSA key; use the witness's Ed25519 key, whose BASE64 "
                          "begins with B")
        if octets[:1] != _TYPE or len(octets) != 33:
            raise BadNote(f"{name}: not a witness's Ed25519 key (type 4, 32 octets)")
        found = cls(name, octets[1:])
        if found.id.hex() != claimed:
            raise BadNote(f"{name}: the key's id is {found.id.hex()}, not {claimed}; it was "
                          "copied wrongly")
        return found


def open_cosigned(note: str, cosigner: Cosigner) -> tuple[str, int]:
    """The text of `note`, and the Unix s at which `cosigner` signed it; the latest, where it did
    more than once. Who else signed it is not looked at. Raises BadNote."""
    text, signatures = split(note)
    times = [_verified(text, signature, cosigner) for name, key_id, signature in signatures
             if (name, key_id) == (cosigner.name, cosigner.id)]
    if not times:
        names = ", ".join(name for name, _, _ in signatures)
        raise BadNote(f"signed by {names}, and not by {cosigner.name} with the key that is "
                      "trusted")
    return text, max(times)


def _verified(text: str, signature: bytes, cosigner: Cosigner) -> int:
    if len(signature) != _STAMPED.size:
        raise BadNote(f"the cosignature of {cosigner.name} has {len(signature)} octets instead of "
                      f"{_STAMPED.size}")
    at, octets = _STAMPED.unpack(signature)
    if not 0 < at <= _MAX_TIME:
        raise BadNote(f"the cosignature of {cosigner.name} has no time")
    try:
        Ed25519PublicKey.from_public_bytes(cosigner.key).verify(
            octets, f"cosignature/v1\ntime {at}\n{text}".encode())
    except InvalidSignature:
        raise BadNote(f"the cosignature of {cosigner.name} is wrong") from None
    return int(at)
