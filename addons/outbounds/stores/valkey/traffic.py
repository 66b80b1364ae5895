"""Calls on their way: one write for each tick of the loop, sent again where they were not run, and
given up when their time is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import StoreFull
from .calls import STALE, UNKNOWN, Call, Post, Take
from .joining import OF_NO_USE, fault_of, is_missing
from .link import Link, LinkLost, packed

logger = logging.getLogger(__name__)

MISSES = 3  # waits in vain, one after the other, after which the server is called away
TRIES = 3   # how often a call that was not run is sent


class Traffic:
    """`timeout` seconds bounds a decision. `clock` is told the server's time in µs with each
    answer, `give_up` why the server is of no use, and `forgotten` is called when it has lost the
    function or our name, once nothing is under way any more; `go_on` ends the pause then.
    `instances`: how many processes share, as the server last said."""

    def __init__(self, timeout: float, clock: Callable[[int], None],
                 give_up: Callable[[str], None], forgotten: Callable[[], None]) -> None:
        self._timeout, self._clock = timeout, clock
        self._give_up, self._forgotten = give_up, forgotten
        self.name = b""
        self.instances = 1
        self.faults = 0
        self._link: Link | None = None
        self._queue: list[Call] = []
        self._due: list[Take] = []   # those whose time began to run in this tick
        self._held_back = False
        self._flushing = False
        self._misses = 0
        self._loop = asyncio.get_running_loop()

    def use(self, link: Link) -> None:
        self._link, self._misses, self._held_back = link, 0, False

    def submit(self, call: Call) -> None:
        """Send with whatever else this tick brings."""
        if isinstance(call, Take):
            if not self._due:
                self._loop.call_later(self._timeout, self._out_of_time, self._due)
            self._due.append(call)
        self._queue.append(call)
        self._soon()

    def send(self, calls: list[Call]) -> None:
        """Now, and before what is queued."""
        if calls and self._link is not None:
            self._link.send(
                b"".join([packed(each.command(self.name)) for each in calls]),
                [partial(self._reply, each) for each in calls])

    def queued_post(self) -> Post | None:
        """The last call in the queue, where it is one that can still be added to."""
        last = self._queue[-1] if self._queue else None
        return last if isinstance(last, Post) and not last.tries and not last.full else None

    def without_held(self) -> None:
        """What is held is told anew: no change that waits here is news after that."""
        for call in self._queue:
            if isinstance(call, Post):
                call.without_held()

    def hold_back(self) -> None:
        """Send nothing more until `go_on`; calls `forgotten` once all answers are there."""
        self._held_back = True
        self._check()

    def go_on(self) -> None:
        self._held_back = False
        self.flush()

    def drop(self) -> None:
        """The connection is over: everything that waits for it goes on without."""
        self._link, self._held_back = None, False
        queue, self._queue = self._queue, []
        for call in queue:
            call.failed(None)

    def _soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is queued, without waiting for the end of this tick."""
        self._flushing = False
        self._due = []
        if not self._held_back and self._link is not None:
            queue, self._queue = self._queue, []
            self.send(queue)

    def _reply(self, call: Call, reply: Any) -> None:
        if isinstance(reply, LinkLost):
            call.failed(None)
            return
        if type(reply) is list:
            self._clock(reply[0])
            if reply[1] == UNKNOWN or reply[1] == STALE:
                self._not_run(call, reply[1] == UNKNOWN)
            else:
                if type(call) is Take:
                    self.instances = reply[2]
                    if not call.outcome.done():
                        self._misses = 0
                call.answered(reply)
        elif is_missing(reply):
            self._not_run(call, True)
        else:
            self._error(call, reply)
        if self._held_back:
            self._check()

    def _check(self) -> None:
        if self._link is not None and not self._link.waiting:
            self._forgotten()

    def _not_run(self, call: Call, forgotten: bool) -> None:
        """Nothing was charged; it is sent again, if need be under a new name."""
        self._held_back = self._held_back or forgotten
        call.tries += 1
        if call.tries > TRIES:
            call.failed(None)
            return
        self._queue.append(call)
        self._soon()

    def _error(self, call: Call, error: Exception) -> None:
        code = str(error).partition(" ")[0]
        if code == "OOM":
            call.failed(StoreFull("The limits' server is full and takes no new keys; raise its "
                                  "maxmemory"))
            return
        call.failed(error)
        if code in OF_NO_USE:
            self._give_up(fault_of(error))
            return
        # of this call's own making, or of a key that somebody else wrote: others are served
        self.faults += 1
        if self.faults == 1:
            logger.error("The limits' server could not decide on a request, which then went by "
                         "when_away; that is said once only: %s", fault_of(error))

    def _out_of_time(self, due: list[Take]) -> None:
        late = [each for each in due if not each.outcome.done()]
        for each in late:
            each.failed(None)
        if late:
            self._misses += 1
            if self._misses >= MISSES and self._link is not None:
                self._give_up(f"it gave no answer within {self._timeout * 1e3:g} ms, "
                              f"{MISSES} times")
