"""No more than so many requests at once to one site: whoever comes later waits in line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Line:
    __slots__ = ("places", "users")

    def __init__(self, most: int) -> None:
        self.places = asyncio.Semaphore(most)
        self.users = 0


class SitePlaces:
    """`most` at once for each site. Nothing is kept of a site that nobody asks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @asynccontextmanager
    async def place(self, site: str) -> AsyncIterator[None]:
        """A place, after a wait in the order of arrival. The caller bounds the wait."""
        line = self._lines.get(site)
        if line is None:
            line = self._lines[site] = _Line(self._most)
        line.users += 1
        try:
            async with line.places:
                yield
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[site]
