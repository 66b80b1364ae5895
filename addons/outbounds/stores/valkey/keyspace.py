"""The names of keys on the server.

    {outbounds}:r:<limit>\\n<whose>             a rate
    {outbounds}:q:<start>:<limit>\\n<whose>     a quota, of the period that began then
    {outbounds}:h:<limit>\\n<whose>             what is held, a hash
    {outbounds}:m:<visit>                      a host that was asked for (`stores.keys.mark_of`)
    {outbounds}:beats                          who is alive, a sorted set

What stands in braces is what a cluster hashes, and all of it, so that every key of a namespace
lies in one slot (Valkey cluster specification, "Hash tags") and one call may touch them all.
"""

from __future__ import annotations

from ...core.limits import Charge
from ..keys import is_of, mark_of, parts, state_of

RATE, QUOTA, HELD = 0, 1, 2  # function.lua

# Any text may be a key, also one that is no valid Unicode: a header can hold it.
_ERRORS = "surrogatepass"


class Keyspace:
    def __init__(self, namespace: str) -> None:
        self._prefix = f"{{{namespace}}}:"
        self.beats = self._bytes(f"{self._prefix}beats")

    def rate(self, charge: Charge) -> bytes:
        return self._bytes(f"{self._prefix}r:{state_of(charge)}")

    def quota(self, charge: Charge, start: float) -> bytes:
        return self._bytes(f"{self._prefix}q:{start:.0f}:{state_of(charge)}")

    def held(self, state: str) -> bytes:
        return self._bytes(f"{self._prefix}h:{state}")

    def visit(self, charge: Charge) -> bytes:
        return self._bytes(f"{self._prefix}m:{mark_of(charge)}")

    def pattern(self, owner: str) -> bytes:
        """For SCAN: finds what is `owner`'s and a little more; `read` says which."""
        escaped = "".join("\\" + char if char in "\\*?[]^-" else char
                          for char in self._prefix + "\0" + owner)
        prefix, _, owner = escaped.partition("\0")
        return self._bytes(f"{prefix}[rqhm]:*\n{owner}*")

    def read(self, key: bytes, owner: str) -> tuple[int | None, str, str] | None:
        """(kind, limit's id, whose) of a key that is `owner`'s; the kind of a visit is None."""
        letter, _, rest = key.decode("utf-8", _ERRORS).removeprefix(self._prefix).partition(":")
        kind = {"r": RATE, "q": QUOTA, "h": HELD}.get(letter)
        if kind is QUOTA:
            rest = rest.partition(":")[2]
        limit_id, whose, _ = parts(rest)
        return (kind, limit_id, whose) if is_of(whose, owner) else None

    @staticmethod
    def _bytes(text: str) -> bytes:
        return text.encode("utf-8", _ERRORS)
