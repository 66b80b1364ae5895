"""`ValkeyStore`: the contract of `stores`, by the server while it answers, and without it else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from ...core.limits import Away, Charge, Exceeded, Live, Taken, Unit
from ...core.verdict import RateLimit
from ...settings.service import Store
from .. import Charges
from ..keys import is_of, state_of
from .address import address_of
from .calls import DEBIT, GIVE, RAISE, ROWS, TOUCH, Call, Holdings, Language, Post, Take
from .edges import Edges
from .function import Function, shipped
from .keyspace import Keyspace
from .local_share import LocalShare, shared
from .lookup import Lookup
from .session import Session

_TAKEN = Taken()
OWED = 100_000   # quotas charged here while the server is away, to be told to it
RETRY = 1.0      # s after which an unavailable limit may be asked for again
RENEWALS = 60    # heartbeats in which all that is held is renewed; HASH_LIFE is six times that


class ValkeyStore:
    """`instance` says in the server's data whose share is whose; it need not be unique.

    `on_away` is called with True when the breaker opens, False when it closes; `count` with the
    way of each decision: "server", "late" (no answer in time, so decided here), "away" (the
    breaker is open) or "fault" (the server could not run it, so decided here).
    To be made inside the running event loop; call `start` before the first decision.
    """

    def __init__(self, settings: Store, instance: str, *,
                 on_away: Callable[[bool], None] = lambda away: None,
                 count: Callable[[str], None] = lambda outcome: None,
                 function: Function | None = None) -> None:
        self._ahead = 0.0  # s by which the server's clock is ahead of this machine's
        self._count = count
        self._local = LocalShare(settings.max_keys, self._wall)
        self._edges = Edges()
        self._owed: dict[str, tuple[Charge, int]] = {}
        self._pauses: dict[str, tuple[Charge, float]] = {}  # asked for while it was away
        self._unrenewed: list[tuple[str, int]] = []
        self._language = Language(Keyspace(settings.namespace), function or shipped(), self._wall)
        self._session = Session(
            address_of(settings.url, settings.password_file), self._language, instance,
            settings.timeout, register=self._register, renew=self._renew,
            clock=self._server_time, on_away=on_away)
        self._lookup = Lookup(self._session, self._language.keys)
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Returns, at most `session.JOINING` later, when the server has been tried. Idempotent."""
        await self._session.start()

    @property
    def away(self) -> bool:
        return not self._session.up

    def __len__(self) -> int:
        """What is held here, and what was counted here while the server was away."""
        return len(self._local)

    # --- deciding -------------------------------------------------------------------------------

    def take_now(self, charges: Charges, report: bool = False) -> Taken | Exceeded | None:
        if not charges:
            return _TAKEN
        if self._session.up:
            return None
        self._count("away")
        return self._take_here(charges, report)

    async def take(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
        at_once = self.take_now(charges, report)
        if at_once is not None:
            return at_once
        call = Take(self._language, charges, report, self._local.hold, self._late)
        self._session.traffic.submit(call)
        try:
            outcome = await call.outcome
        except asyncio.CancelledError:
            # its client has gone: an answer may be there already, or come to `_late`
            if not call.outcome.cancelled() and not call.outcome.exception() \
                    and isinstance(call.outcome.result(), Taken):
                self.give_back(charges)
            raise
        if outcome is not None:
            self._count("server")
            return outcome
        self._count("away" if self.away else "fault" if call.fault else "late")
        here = self._take_here(charges, report)
        call.decided = isinstance(here, Taken)
        return here

    def _late(self, call: Take) -> None:
        """The server has charged what was decided without it. What is held was counted here, and
        told to it, by that decision; rates and quotas stay, if it let the request through."""
        for charge in call.charges:
            if charge.limit.unit.held or not call.decided:
                self._post(GIVE, charge, charge.cost)

    def _take_here(self, charges: Charges, report: bool) -> Taken | Exceeded:
        """Each limit by its `away`."""
        local: list[Charge] = []
        unenforced: list[Charge] = []
        for charge in charges:
            away = charge.limit.away
            if away is Away.CLOSED:
                return _unavailable(charge)
            (local if away is Away.LOCAL else unenforced).append(charge)
        among = self._session.traffic.instances
        outcome = self._local.take_now(tuple(shared(each, among) for each in local), report)
        if isinstance(outcome, Exceeded):
            # it is the limit that is told of, not our share of it
            whole = next(each.limit for each in local
                         if (each.limit.id, each.key) == (outcome.limit.id, outcome.key))
            return replace(outcome, limit=whole)
        self._local.hold(tuple(unenforced))
        for charge in charges:
            if charge.limit.unit.held:
                self._post(DEBIT, charge, charge.cost)
            self._owe(charge)
        return outcome

    # --- without waiting ------------------------------------------------------------------------

    def debit(self, charges: Charges) -> Exceeded | None:
        session, now = self._session, self._loop.time()
        if session.up:
            found = [over for charge in charges if (over := self._edges.of(charge, now))]
            for charge in charges:
                self._post(DEBIT, charge, charge.cost)
            self._local.hold(charges)
            return max(found, key=lambda each: each.retry_after or 0.0, default=None)
        for charge in charges:
            if charge.limit.away is Away.CLOSED:
                return _unavailable(charge)
        here = tuple(shared(charge, session.traffic.instances) for charge in charges
                     if charge.limit.away is Away.LOCAL)
        for charge in charges:
            self._owe(charge)
        return self._local.debit(here)

    def release(self, charges: Charges) -> None:
        held = self._local.held_of(charges)
        self._local.release(held)
        for charge in held:
            self._post(GIVE, charge, charge.cost)

    def give_back(self, charges: Charges) -> None:
        self.release(charges)
        rest = tuple(each for each in charges if not each.limit.unit.held)
        if self._session.up:
            for charge in rest:
                if charge.limit.unit is not Unit.HOSTS:  # to ask for it again is free
                    self._post(GIVE, charge, charge.cost)
            return
        among = self._session.traffic.instances
        self._local.give_back(tuple(shared(each, among) for each in rest))
        for charge in rest:
            self._owe(charge, -1)

    def hold_off(self, charge: Charge, seconds: float) -> None:
        # here too: a target in distress is left alone, whether the server is there or not
        self._local.hold_off(charge, seconds)
        if self._session.joined:
            self._post(RAISE, charge, seconds * 1e6)
        elif len(self._pauses) < OWED:
            self._pauses[state_of(charge)] = charge, self._loop.time() + seconds

    def _post(self, op: int, charge: Charge, amount: float) -> None:
        if not self._session.joined or not amount:
            return
        traffic = self._session.traffic
        post = traffic.queued_post()
        if post is None:
            post = Post(self._language, self._said)
            traffic.submit(post)
        post.add(op, charge, amount)

    def _said(self, charge: Charge, wait: int, left: int, reset: int) -> None:
        outcome = None
        if wait:
            limit = charge.limit
            late = wait / 1e6
            if limit.calendar is None:
                late += charge.need * limit.interval
            outcome = Exceeded(limit, late, self._language.state(limit, left, reset), charge.key)
        self._edges.note(charge, self._loop.time(), outcome)

    # --- for the operator -----------------------------------------------------------------------

    # Both raise ConnectionError if the server goes away meanwhile.

    async def live(self, owner: str, most: int = 1000) -> tuple[Live, ...]:
        if self.away:
            return await self._local.live(owner, most)
        return await self._lookup.live(owner, most, self._wall)

    async def reset(self, owner: str, limit_id: str = "") -> int:
        here = await self._local.reset(owner, limit_id)
        for state, (charge, _) in tuple(self._owed.items()):
            if is_of(charge.key, owner) and limit_id in ("", charge.limit.id):
                del self._owed[state]
        forgotten = here if self.away else await self._lookup.reset(owner, limit_id)
        self._edges.forget(owner, limit_id)  # last: answers may have come meanwhile
        return forgotten

    async def aclose(self) -> None:
        await self._session.aclose()

    # --- what the session asks for --------------------------------------------------------------

    def _wall(self) -> float:
        return time.time() + self._ahead

    def _server_time(self, now: int) -> None:
        self._ahead = now / 1e6 - time.time()

    def _owe(self, charge: Charge, sign: int = 1) -> None:
        """Remember what a quota was charged here. Rates are not told: they would all have to be
        paid from the moment at which the server is back."""
        if charge.limit.calendar is None or self._session.up or charge.limit.unit is Unit.HOSTS:
            return
        if self._session.joined:  # what was owed is told already, and this comes after it
            self._post(DEBIT if sign > 0 else GIVE, charge, charge.cost)
            return
        state = state_of(charge)
        _, owed = self._owed.get(state, (charge, 0))
        if state in self._owed or len(self._owed) < OWED:
            self._owed[state] = charge, max(0, owed + sign * charge.cost)

    def _register(self) -> list[Call]:
        calls: list[Call] = _in_rows(self._language, DEBIT, list(self._local.held.items()))
        now = self._loop.time()
        rows = [(DEBIT, charge, float(owed)) for charge, owed in self._owed.values()]
        rows += [(RAISE, charge, (until - now) * 1e6)
                 for charge, until in self._pauses.values() if until > now]
        self._owed.clear()
        self._pauses.clear()
        for at in range(0, len(rows), ROWS):
            post = Post(self._language, self._said)
            for row in rows[at:at + ROWS]:
                post.add(*row)
            calls.append(post)
        return calls

    def _renew(self) -> list[Call]:
        self._local.take_now(())  # it sweeps when it is asked, and nobody else asks it now
        if not self._unrenewed:
            self._unrenewed = list(self._local.held.items())
        size = 1 + len(self._local.held) // RENEWALS
        some, self._unrenewed = self._unrenewed[:size], self._unrenewed[size:]
        return _in_rows(self._language, TOUCH, some)


def _in_rows(language: Language, op: int, held: list[tuple[str, int]]) -> list[Call]:
    return [Holdings(language, op, held[at:at + ROWS]) for at in range(0, len(held), ROWS)]


def _unavailable(charge: Charge) -> Exceeded:
    limit = charge.limit
    unit = ("concurrent-requests" if limit.unit.held else
            "content-bytes" if limit.unit.octets else "request")
    state = RateLimit(limit.id, limit.count, limit.window, 0, RETRY, unit)
    return Exceeded(limit, RETRY, state, charge.key, unavailable=True)
