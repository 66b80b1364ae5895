"""Looking for the proofs of ownership when they are due. One worker of several looks; what it finds
is written into `sites.json`, where the others see it.

A few claims are looked for at a time, and what was found of them is written down at once: a file
of many claims is read by every worker each time that it changes. Where it cannot be written nothing
counts as found, and nothing is asked for a while: the sites are not to suffer for a full disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from ..core.site_claims import SiteClaim
from ..evidence.privacy import printable
from ..robotstxt.ownership_file import SitesFileError, write_looks
from .owned_keeper import OwnedKeeper

logger = logging.getLogger("outbounds")

EVERY = 0.5  # seconds between two thoughts of what is due
AT_ONCE = 8  # claims
PAUSE = 60.0  # seconds after what was found could not be written down
MAX_FAILURE = 400  # octets of a sentence

Look = Callable[[SiteClaim], Awaitable[str]]
"""Looks for a claim's proof: "" if it is there, a sentence otherwise. Never raises."""


class OwnershipChecks:
    """`check` and `lapse` return the intervals, in seconds, as configured now; `fault` is told of
    what should not happen; `wall` is Unix time."""

    def __init__(self, path: Path, keeper: OwnedKeeper, look: Look, *, check: Callable[[], float],
                 lapse: Callable[[], float], fault: Callable[[str, Exception], None],
                 wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._keeper = keeper
        self._look = look
        self._check = check
        self._lapse = lapse
        self._fault = fault
        self._wall = wall
        self._asked: set[tuple[str, str]] = set()

    def ask(self, account_id: str, host: str) -> bool:
        """Look for this claim next, due or not. Whether there is one."""
        known = (account_id, host) in map(_of, self._keeper.claims)
        if known:
            self._asked.add((account_id, host))
        return known

    async def watch(self) -> None:
        """Look for what is due, again and again, until cancelled."""
        while True:
            try:
                busy = await self.round()
            except SitesFileError as error:
                logger.error("What was found of the sites that accounts own is lost: %s", error)
                await asyncio.sleep(PAUSE)
            except Exception as fault:
                self._fault("ownership", fault)
                await asyncio.sleep(PAUSE)
            else:
                if not busy:
                    await asyncio.sleep(EVERY)

    async def round(self) -> bool:
        """Look for what is due, or for the first of it. Whether anything was. Raises
        SitesFileError."""
        claims = self._due()
        if not claims:
            return False
        # of when it began: who has published something since must not take this look's word for it
        now, lapse = self._wall(), self._lapse()
        failures = await asyncio.gather(*map(self._look, claims))
        looked = [claim.after_look(printable(failure, MAX_FAILURE)[0], now, lapse)
                  for claim, failure in zip(claims, failures, strict=True)]
        # in a thread: a command may hold the lock
        await asyncio.to_thread(write_looks, self._path, looked)
        await self._keeper.look()
        return True

    def _due(self) -> list[SiteClaim]:
        """What was asked for, then what has been due for longest."""
        now, check, asked = self._wall(), self._check(), self._asked
        due = sorted(
            (_of(each) not in asked, each.next_look(now, check), number)
            for number, each in enumerate(self._keeper.claims))
        chosen = [self._keeper.claims[number] for unasked, when, number in due
                  if not unasked or when <= now][:AT_ONCE]
        self._asked = asked.difference(map(_of, chosen))
        return chosen


def _of(claim: SiteClaim) -> tuple[str, str]:
    return (claim.account, claim.host)
