"""Which sites accounts own, as `sites.json` says now (`followed_file`), in every worker.

Twenty times a second is soon enough: a proof that is removed exempts nothing a tenth of a second
later. That a proof lapses needs no look at all, since `OwnedSite.until` decides with each request.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.owned_sites import OwnedSites
from ..core.site_claims import SiteClaim, State, in_force
from ..robotstxt.ownership_file import Claims, SitesFileError, read_sites
from .followed_file import FollowedFile

EVERY = 0.05  # seconds

Follow = Callable[[OwnedSites], None]
"""Called with what is in force from now on."""

Changed = Callable[[SiteClaim, State | None, State | None], None]
"""Called with a claim, its state before (None: it is new) and its state now (None: removed)."""

Report = Callable[[Mapping[State, int], bool], None]
"""Called with the number of claims in each state, and whether the file is broken."""

_Key = tuple[str, str, str]


class OwnedKeeper:
    """`lapse` returns the seconds after which a proof ends, as configured now; `wall` Unix time."""

    def __init__(self, path: Path, lapse: Callable[[], float], follow: Follow, *,
                 changed: Changed = lambda claim, old, new: None,
                 report: Report = lambda states, broken: None,
                 wall: Callable[[], float] = time.time) -> None:
        self._lapse = lapse
        self._follow = follow
        self._changed = changed
        self._report = report
        self._wall = wall
        self._file = FollowedFile(path, read_sites, self._take, known=SitesFileError,
                                  stays="The sites that accounts own stay as they are")
        self._known: dict[_Key, tuple[SiteClaim, State]] | None = None  # None before the start
        self._of_lapse = -1.0
        self._next_end = float("inf")
        self._sites = OwnedSites()

    @property
    def trouble(self) -> str:
        """Why what the file says now is not in force, "" if it is."""
        return self._file.trouble

    @property
    def claims(self) -> Claims:
        return tuple(claim for claim, _ in (self._known or {}).values())

    def load(self) -> None:
        """At the start, when there is no last good copy to fall back on: raises SitesFileError."""
        self._file.load()

    async def look(self) -> None:
        """Never raises."""
        if not await self._file.look_aside(self._due):
            self._report(self._states(), True)

    async def watch(self) -> None:
        """`look` again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    def _due(self) -> bool:
        return self._wall() >= self._next_end or self._lapse() != self._of_lapse

    def _take(self, claims: Claims) -> None:
        now, lapse = self._wall(), self._lapse()
        new = {_key(each): (each, each.state(now, lapse)) for each in claims}
        sites = in_force(claims, lapse)
        if sites.entries != self._sites.entries:
            self._follow(sites)
        old, self._known, self._sites = self._known, new, sites
        self._of_lapse = lapse
        self._next_end = min((until for claim, state in new.values() if state.in_force
                              if (until := claim.until(lapse)) is not None), default=float("inf"))
        self._report(self._states(), False)
        if old is not None:  # what was so before the start is no change
            self._tell(old, new)

    def _tell(self, old: Mapping[_Key, tuple[SiteClaim, State]],
              new: Mapping[_Key, tuple[SiteClaim, State]]) -> None:
        for key, (claim, state) in old.items():
            if key not in new:
                self._changed(claim, state, None)
        for key, (claim, state) in new.items():
            before = old[key][1] if key in old else None
            if before is not state:
                self._changed(claim, before, state)

    def _states(self) -> Counter[State]:
        return Counter(state for _, state in (self._known or {}).values())


def _key(claim: SiteClaim) -> _Key:
    return (claim.account, claim.host, claim.token)
