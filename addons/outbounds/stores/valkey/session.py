"""Our membership on the server, and the breaker: away or not, and the way back.

Two things are told apart. `joined`: the server knows our name and all that we hold; what changes
from then on is posted to it. `up`: it has also proved to be quick enough to decide.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import hiredis

from .address import Address
from .calls import TAKEN, Call, Language, pack
from .joining import beat, connect, fault_of, warn_of_eviction
from .link import Link, LinkLost, packed
from .traffic import Traffic

logger = logging.getLogger(__name__)

PROBES = 3        # answers in time, one after the other, that close the breaker
PATIENCE = 0.5    # s that a call may be without an answer, when nobody waits for one
JOINING = 2.0     # s for one attempt to come to the server
BEAT = 10.0       # s between heartbeats; LEASE of function.lua is three of them
FIRST, LAST = 0.05, 1.0  # s between attempts


class Session:
    """`name` begins each name that is taken on the server. `register` gives what is held, in
    calls, when one is; `renew` what is to be kept from expiring, at each heartbeat. `clock` is
    told the server's time in µs; `on_away` when the breaker opens (True) and closes. `timeout`
    seconds bounds a decision."""

    def __init__(self, address: Address, language: Language, name: str, timeout: float, *,
                 register: Callable[[], list[Call]], renew: Callable[[], list[Call]],
                 clock: Callable[[int], None], on_away: Callable[[bool], None]) -> None:
        self._address, self._language, self._timeout = address, language, timeout
        self._prefix = name
        self._register, self._renew, self._clock, self._on_away = register, renew, clock, on_away
        self.traffic = Traffic(timeout, clock, self._end, self._forgotten)
        self.up = self.joined = False
        self._link: Link | None = None
        self._away_since: float | None = None
        self._lost = asyncio.Event()
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rejoining: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Returns when the first attempt has succeeded or failed; others follow by themselves."""
        if self._task is None:
            self._task = self._loop.create_task(self._stay())
        await self._first.wait()

    async def ask(self, *command: bytes | str | int) -> Any:
        """A command of an operator's. Raises LinkLost, hiredis.ReplyError."""
        if self._link is None or not self.up:
            raise LinkLost("it is away")
        self.traffic.flush()  # what was posted before comes before
        return await self._link.ask(*command)

    async def aclose(self) -> None:
        """Sends what is queued and waits for the answers, no longer than PATIENCE; then leaves.
        If it cannot, what is held comes free once the name has had no heartbeat for a while."""
        link, task, self._task = self._link, self._task, None
        if link is not None and self.joined:
            self.traffic.flush()
            try:
                async with asyncio.timeout(PATIENCE):
                    await link.ask("ZREM", self._language.keys.beats, self.traffic.name)
            except (OSError, TimeoutError, hiredis.ReplyError) as fault:
                logger.info("The limits' server was left without a word: %s", fault)
        for each in (task, self._rejoining):
            if each is not None:
                each.cancel()
                await asyncio.wait((each,))
        self.up = self.joined = False
        self._link = None
        self.traffic.drop()
        if link is not None:
            link.end("closed")

    # --- membership -----------------------------------------------------------------------------

    async def _join(self, link: Link) -> None:
        traffic = self.traffic
        former, name = traffic.name, f"{self._prefix}.{secrets.token_hex(6)}".encode()
        traffic.name = name  # before it is known there: an attempt that is cut off may have told it
        reply = await beat(link, self._language.function, self._language.keys.beats, name, former)
        self._clock(reply[0])
        self.traffic.instances = max(1, reply[1])
        # from here to the last line nothing else runs: what is held is told as it is now, and
        # every change from now on is posted after it
        traffic.without_held()
        self.joined = True
        traffic.send(self._register())

    def _forgotten(self) -> None:
        if self._rejoining is None and self._link is not None:
            self._rejoining = self._loop.create_task(self._rejoin(self._link))

    async def _rejoin(self, link: Link) -> None:
        """The server lost our name, or the function; all that was under way has come back."""
        try:
            async with asyncio.timeout(JOINING):
                await self._join(link)
        except (OSError, TimeoutError, hiredis.ReplyError) as fault:
            link.end(str(fault) or "it gave no answer")
        else:
            self.traffic.go_on()
        finally:
            self._rejoining = None

    async def _prove(self, link: Link) -> None:
        """Raises LinkLost unless the function that decides answers in time."""
        function, keys = self._language.function, self._language.keys
        for _ in range(PROBES):
            probe = asyncio.ensure_future(link.ask(
                b"FCALL", function.take, b"1", keys.beats, self.traffic.name, pack((False, ()))))
            await asyncio.wait((probe,), timeout=self._timeout)
            if not probe.done():
                probe.cancel()
                raise LinkLost(f"it gives no answer within {self._timeout * 1e3:g} ms")
            try:
                reply = probe.result()
            except hiredis.ReplyError as error:
                raise LinkLost(fault_of(error)) from None
            if reply[1] != TAKEN:
                raise LinkLost("it forgot us at once")

    # --- the breaker ----------------------------------------------------------------------------

    async def _stay(self) -> None:
        pauses, told = _pauses(), False
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(JOINING):
                    link = self._link = await connect(self._address, self._on_lost)
                    self.traffic.use(link)
                    if not told:
                        await warn_of_eviction(link)
                        told = True
                    await self._join(link)
                    await self._prove(link)
            except TimeoutError:
                self._end(f"it gave no answer within {JOINING:g} s")
            except (OSError, ValueError, hiredis.ReplyError) as fault:
                self._end(str(fault) or type(fault).__name__)
            else:
                if not self._lost.is_set():
                    pauses = _pauses()
                    self._is_up()
                    self._first.set()
                    await self._keep(link)
            self._first.set()
            await asyncio.sleep(next(pauses))

    async def _keep(self, link: Link) -> None:
        """Until the connection is lost: watch it, and keep our name alive."""
        next_beat = self._loop.time() + BEAT
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(PATIENCE / 2):
                    await self._lost.wait()
                return
            except TimeoutError:
                now = self._loop.time()
            if now - link.oldest > PATIENCE:
                self._end(f"it gave no answer within {PATIENCE:g} s")
            elif now >= next_beat and self._rejoining is None:
                next_beat = now + BEAT
                keys, function = self._language.keys, self._language.function
                link.send(packed((
                    b"FCALL", function.beat, b"1", keys.beats, self.traffic.name, b"")),
                    [self._beaten])
                self.traffic.send(self._renew())

    def _beaten(self, reply: Any) -> None:
        if isinstance(reply, LinkLost):
            return
        if type(reply) is list:
            self._clock(reply[0])
            self.traffic.instances = max(1, reply[1])
            if reply[2]:
                return
        self.traffic.hold_back()  # it had forgotten us, and what we held

    def _is_up(self) -> None:
        since, self._away_since = self._away_since, None
        self.up = True
        if since is not None:
            logger.warning("The limits' server at %s is back after %.1f s.", self._address,
                           self._loop.time() - since)
        self._on_away(False)

    def _on_lost(self, link: Link, why: str) -> None:
        if link is self._link:
            self._end(why)

    def _end(self, why: str) -> None:
        """The connection is over, if there was one; a new one is tried after a pause."""
        link, self._link = self._link, None
        self.up = self.joined = False
        if self._rejoining is not None:
            self._rejoining.cancel()
        if self._away_since is None:
            self._away_since = self._loop.time()
            logger.warning("The limits' server at %s is away: %s. Until it is back, each limit "
                           "holds as its when_away says.", self._address, why)
            self._on_away(True)
        if link is not None:
            link.end(why)
        self.traffic.drop()
        self._lost.set()


def _pauses() -> Iterator[float]:
    pause = FIRST
    while True:
        # not all processes at the same moment
        yield pause * random.uniform(0.75, 1.25)
        pause = min(LAST, 2 * pause)
