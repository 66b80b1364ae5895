"""What an unknown name's password is checked against, so that it costs what a known one does.

Where accounts have hashes of several schemes, the dummy of a name is drawn from a sample of them
by a keyed digest of the name, so unknown names are as slow, in the same proportions, as real ones,
and the same name always as slow. What remains: an observer who sees a name's timing class change,
after a restart or as the mix of schemes moves, knows that it does not exist. With one scheme for
all accounts there is nothing to see.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from . import passwords
from .directory import Directory

_SAMPLE = 100  # hashes of each directory that are looked at


class Dummies:
    def __init__(self, directories: Sequence[Directory]) -> None:
        self._directories = directories
        self._key = secrets.token_bytes(32)
        self._generation = -1
        self._hashes: list[str] = []

    def of(self, name: str, generation: int) -> str:
        """A hash that no password matches. Drawn anew when `generation`, the accounts', moves."""
        if generation != self._generation:
            sample = [h for d in self._directories for h in d.sample_hashes(_SAMPLE)]
            # sorted by scheme and cost, so that one account more moves few names to another class
            usable = sorted(passwords.dummy_like(h) for h in sample if passwords.is_usable(h))
            self._hashes = usable or [passwords.default_dummy()]
            self._generation = generation
        digest = hashlib.blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return self._hashes[int.from_bytes(digest) * len(self._hashes) >> 64]
