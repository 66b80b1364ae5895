"""What an operator asks of a server: the state that belongs to one owner, and to forget it.

SCAN goes through all keys of the database in steps that the server barely notices. It is bounded
by time: a database that others fill, too, could otherwise keep a command for minutes.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

from ...core.limits import Live
from .keyspace import HELD, QUOTA, RATE, Keyspace
from .session import Session

STEP = 1000     # keys that one SCAN looks at
SECONDS = 30.0  # after which a search ends with what it has found
_RATE = struct.Struct("<dd")  # function.lua


class Lookup:
    def __init__(self, session: Session, keys: Keyspace) -> None:
        self._session, self._keys = session, keys

    async def live(self, owner: str, most: int, wall: Callable[[], float]) -> tuple[Live, ...]:
        """Raises LinkLost, hiredis.ReplyError."""
        found: dict[bytes, Live] = {}  # SCAN may name a key twice
        async for key, kind, limit_id, whose in self._of(owner):
            if kind is None or key in found:
                continue
            if kind == HELD:
                if used := await self._held(key):
                    found[key] = Live(limit_id, whose, used=used)
            elif (value := await self._session.ask("GET", key)) is not None:
                if kind == QUOTA:
                    found[key] = Live(limit_id, whose, used=int(value))
                elif kind == RATE:
                    ahead, last = _RATE.unpack(value)
                    left = (ahead + last) / 1e6 - wall()
                    if left > 0:
                        found[key] = Live(limit_id, whose, ahead=left)
            if len(found) >= most:
                break
        return tuple(found.values())

    async def reset(self, owner: str, limit_id: str) -> int:
        """Raises LinkLost, hiredis.ReplyError."""
        forgotten = 0
        async for key, kind, of, _ in self._of(owner):
            if kind != HELD and limit_id in ("", of):
                gone = await self._session.ask("UNLINK", key)
                forgotten += gone if kind is not None else 0
        return forgotten

    async def _held(self, key: bytes) -> int:
        """By those who are alive."""
        shares = await self._session.ask("HGETALL", key)
        names, counts = shares[::2], shares[1::2]
        if not names:
            return 0
        beats = await self._session.ask("ZMSCORE", self._keys.beats, *names)
        return sum(int(count) for count, beat in zip(counts, beats, strict=True) if beat)

    async def _of(self, owner: str) -> AsyncIterator[tuple[bytes, int | None, str, str]]:
        loop = asyncio.get_running_loop()
        pattern, cursor, until = self._keys.pattern(owner), b"0", loop.time() + SECONDS
        while True:
            cursor, keys = await self._session.ask(
                "SCAN", cursor, "MATCH", pattern, "COUNT", STEP)
            for key in keys:
                read = self._keys.read(key, owner)
                if read is not None:
                    yield key, *read
            if cursor == b"0" or loop.time() > until:
                return
