"""The log's keys: made and replaced by the collector, read by nobody else.

    log/key-ID.pem   a private key (Ed25519, PKCS #8), mode 0600; ID as in its verifier
    log/keys         the verifiers and when each was in force, one signed statement after the other

Each statement says, in a signed note:

    outbounds log key
    ORIGIN
    VERIFIER            name+id+base64, as C2SP signed-note writes it
    from 2026-11-21T00:00:00Z
    until 2028-11-21T00:00:00Z

The first is signed by the key itself and every later one by the key before it, too: whoever keeps
the first verifier (or any later one) where this machine cannot reach it can follow the rest. A
checkpoint outside its key's time is not believed, and that time is over once the next key's has
begun. A key that was replaced is removed: what leaks later cannot sign the past.

Whoever can read the private key can sign another history. What helps against that is a witness.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..directory import replace_file
from .moment import read_moment, written
from .note import BadNote, Signer, Verifier, open_note, sign, split

VALID = 2 * 366 * 86_400.0   # s that a key is in force
RENEW = 30 * 86_400.0        # s before its end at which the collector makes the next
_TITLE = "outbounds log key"


class KeyUnusable(Exception):
    """The log's keys cannot be used. The message names the file and the fix."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """A verifier, and the Unix seconds from which and until which what it signs is believed."""

    verifier: Verifier
    begin: float
    end: float

    def in_force(self, at: float) -> bool:
        return self.begin <= at < self.end


def read_keys(path: Path, trusted: Sequence[Verifier] = ()) -> list[LogKey]:
    """Every key that the file `path` vouches for, oldest first. With `trusted`, only those that
    these lead to. Raises KeyUnusable, OSError."""
    try:
        return parse_keys(path.read_text("utf-8"), trusted)
    except (BadNote, UnicodeDecodeError, ValueError) as error:
        raise KeyUnusable(f"{path}: {error}") from None


def parse_keys(text: str, trusted: Sequence[Verifier] = ()) -> list[LogKey]:
    """Raises BadNote, ValueError."""
    found: list[LogKey] = []
    for note in _notes(text):
        stated, _ = split(note)
        lines = stated.splitlines()
        if len(lines) != 5 or lines[0] != _TITLE:
            raise BadNote("a statement about a key has five lines")
        verifier = Verifier.parse(lines[2])
        if verifier.name != lines[1] or (found and found[0].verifier.name != lines[1]):
            raise BadNote("a key of another log")
        if verifier in {each.verifier for each in found}:
            raise BadNote(f"the key {verifier.id.hex()} is named twice")
        before = [found[-1].verifier] if found else []
        open_note(note, [verifier])
        if before:
            open_note(note, before)
        found.append(LogKey(verifier, read_moment(lines[3].removeprefix("from ")),
                            read_moment(lines[4].removeprefix("until "))))
    if trusted:
        known = [at for at, each in enumerate(found) if each.verifier in trusted]
        if not known:
            raise BadNote("none of these keys is the one that is trusted")
        found = found[known[0]:]
    # moments are whole seconds: what the old key signed in the one of its replacement stays good
    return [LogKey(each.verifier, each.begin, min(each.end, after.begin + 1) if after else each.end)
            for each, after in zip_longest(found, found[1:])]


def _notes(text: str) -> list[str]:
    """The notes of a file: each begins with the title."""
    parts = text.split(_TITLE + "\n")
    if parts[0] or len(parts) < 2:
        raise BadNote("no statement about a key")
    return [_TITLE + "\n" + part for part in parts[1:]]


class KeyRing:
    """The signing key of the log under `folder`, made if there is none. `name` is for a new log:
    its origin is that and a part that no other log has. Raises KeyUnusable, OSError."""

    def __init__(self, folder: Path, name: str, now: float, valid: float = VALID) -> None:
        self._folder, self._valid = folder, valid
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / "keys").exists():
            self._refuse_second_log()
            self.origin = f"{name}/{secrets.token_hex(4)}"
            self._make(now, None)
        self.keys = read_keys(folder / "keys")
        self.origin = self.keys[0].verifier.name
        self.signer = self._load(self.keys[-1].verifier)
        for path in set(folder.glob("key-*.pem")) - {self._private(self.signer.verifier)}:
            path.unlink()  # a crash came before its removal, or before its statement
        self.renew(now)

    def renew(self, now: float) -> bool:
        """Replace the key if its time is nearly over; whether it was. Raises OSError."""
        if self.keys[-1].end - now > min(RENEW, self._valid / 10):
            return False
        self.replace(now)
        return True

    def replace(self, now: float) -> None:
        """A new key is in force from now on, vouched for by the old one, whose private part is
        removed. Raises OSError."""
        old = self.signer
        self._make(now, old)
        self.keys = read_keys(self._folder / "keys")
        self.signer = self._load(self.keys[-1].verifier)
        self._private(old.verifier).unlink(missing_ok=True)

    def _make(self, now: float, before: Signer | None) -> None:
        signer = Signer(self.origin, Ed25519PrivateKey.generate())
        replace_file(self._private(signer.verifier), signer.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        statement = sign("\n".join((
            _TITLE, self.origin, str(signer.verifier), f"from {written(now)}",
            f"until {written(now + self._valid)}", "")), [signer, *([before] if before else [])])
        path = self._folder / "keys"
        old = path.read_text("utf-8") if before else ""
        # the private key is there first: without its statement it has signed nothing yet
        replace_file(path, (old + statement).encode())

    def _private(self, verifier: Verifier) -> Path:
        return self._folder / f"key-{verifier.id.hex()}.pem"

    def _load(self, verifier: Verifier) -> Signer:
        path = self._private(verifier)
        try:
            if path.stat().st_mode & 0o077:
                os.chmod(path, 0o600)
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise KeyUnusable(f"{path}: {error}; the log cannot go on without its key: bring it "
                              "back from a backup, or give the log another directory") from None
        if (not isinstance(key, Ed25519PrivateKey)
                or Signer(verifier.name, key).verifier != verifier):
            raise KeyUnusable(f"{path}: not the key that {self._folder / 'keys'} names; bring both "
                              "back from one backup")
        return Signer(verifier.name, key)

    def _refuse_second_log(self) -> None:
        left = [*self._folder.glob("checkpoint")]
        if left:
            raise KeyUnusable(f"{self._folder / 'keys'} is gone, and the log was signed already "
                              f"({left[0]}); bring it back from a backup, or give the log another "
                              "directory")
