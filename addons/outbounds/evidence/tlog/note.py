"""Signed notes: text, an empty line, and a line for each signature (C2SP signed-note).

    — NAME BASE64(key id || signature)

A key's id is the first four octets of SHA-256(NAME || "\\n" || type || public key); type 1 is
Ed25519 (RFC 8032), of which the whole text is signed. A verifier is written as one line,
`NAME+ID+BASE64(type || public key)`, with the id in hex, which is how others configure one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519 = b"\x01"
_MARK = "— "
MAX_SIZE = 1_000_000  # octets of a note that is read
MAX_SIGNATURES = 100


class BadNote(ValueError):
    """No note, or not signed by whom it should be. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """`name` and raw public key (32 octets) of who signs."""

    name: str
    key: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise BadNote(f"{self.name!r}: a key's name has no spaces and no '+'")
        if len(self.key) != 32:
            raise BadNote(f"{self.name}: an Ed25519 key has 32 octets, this one {len(self.key)}")

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """From its one line. Raises BadNote."""
        name, _, rest = text.strip().partition("+")
        claimed, _, encoded = rest.partition("+")
        try:
            key = strict_base64(encoded)
        except ValueError:
            raise BadNote(f"{text.strip()!r} is no verifier key: NAME+ID+BASE64") from None
        if key[:1] != _ED25519:
            raise BadNote(f"{name}: not an Ed25519 key")
        found = cls(name, key[1:])
        if found.id.hex() != claimed:
            raise BadNote(f"{name}: the key's id is {found.id.hex()}, not {claimed}; it was "
                          "copied wrongly")
        return found


@dataclass(frozen=True, slots=True)
class Signer:
    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key().public_bytes(
            Encoding.Raw, PublicFormat.Raw))


def strict_base64(text: str) -> bytes:
    """The octets of `text`, in the one way that they are written: with the bits that padding leaves
    over not 0 (RFC 4648 section 3.5), a bit could be flipped unseen. Raises ValueError."""
    octets = base64.b64decode(text, validate=True)
    if base64.b64encode(octets).decode() != text:
        raise ValueError("not as base64 is written")
    return octets


def sign(text: str, signers: Sequence[Signer]) -> str:
    """The note of `text`, which ends in a newline. Raises ValueError for a text that cannot be."""
    if not text.endswith("\n") or any(ord(c) < 0x20 and c != "\n" for c in text):
        raise ValueError("a note's text ends in a newline and has no control characters")
    lines = []
    for signer in signers:
        signature = base64.b64encode(signer.verifier.id + signer.key.sign(text.encode()))
        lines.append(f"{_MARK}{signer.name} {signature.decode()}\n")
    return text + "\n" + "".join(lines)


def split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text, and (name, key id, signature) of each signature. Raises BadNote."""
    if len(note.encode("utf-8", "surrogatepass")) > MAX_SIZE:
        raise BadNote(f"larger than {MAX_SIZE} octets")
    if any((ord(c) < 0x20 and c != "\n") or 0xD800 <= ord(c) <= 0xDFFF for c in note):
        raise BadNote("it has control characters, or is no text")
    text, gap, rest = note.rpartition("\n\n")
    if not gap or not rest.endswith("\n"):
        raise BadNote("there is no empty line before its signatures, or no newline at its end")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadNote(f"more than {MAX_SIGNATURES} signatures")
    found = []
    for line in lines:
        name, space, encoded = line.removeprefix(_MARK).partition(" ")
        try:
            octets = strict_base64(encoded)
        except ValueError:
            octets = b""
        if not line.startswith(_MARK) or not space or not name or len(octets) < 5:
            raise BadNote(f"{line[:80]!r} is no signature line")
        found.append((name, octets[:4], octets[4:]))
    return text + "\n", found


def open_note(note: str, verifiers: Sequence[Verifier]) -> tuple[str, list[Verifier]]:
    """The text of `note` and who of `verifiers` signed it, at least one. A signature of a known key
    that is wrong spoils the note; those of unknown keys are left aside. Raises BadNote."""
    text, signatures = split(note)
    known = {(each.name, each.id): each for each in verifiers}
    good: list[Verifier] = []
    for name, key_id, signature in signatures:
        verifier = known.get((name, key_id))
        if verifier is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.key).verify(signature, text.encode())
        except InvalidSignature:
            raise BadNote(f"the signature of {name} is wrong") from None
        if verifier not in good:
            good.append(verifier)
    if not good:
        names = ", ".join(name for name, _, _ in signatures)
        raise BadNote(f"signed by {names or 'nobody'}, and by none of the keys that are trusted")
    return text, good
