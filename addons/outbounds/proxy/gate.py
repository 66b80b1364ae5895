"""The driver of `core.policy.decide`: answers its questions from the running proxy's parts.

Each question has two answers: one that is at hand (a cache, a dict) and one that has to be waited
for. The first is tried synchronously, so that a request whose answers are all warm is decided
without giving up the event loop once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ..core.account import Account, Unidentified
from ..core.case import Case
from ..core.limits import Charge
from ..core.policy import decide
from ..core.questions import (
    AddressesOf,
    JudgeRobots,
    RobotsAnswer,
    RobotsOf,
    Take,
    TargetCharges,
    WhoIs,
)
from ..core.request import Credentials, Request
from ..core.robots import Match
from ..core.rules import Policy
from ..core.verdict import ALLOW
from ..resolver import Resolver
from ..robotstxt.cache import RobotsCache
from ..robotstxt.engine import BuiltInEngine, Engine
from ..stores import LimitStore
from .loop_lag import LoopLag
from .metrics import Metrics
from .pacing import Pacer
from .target_health import TargetHealth
from .throttled import Throttling

LOOK_EVERY = 0.005  # seconds


class Identifies(Protocol):
    """What the gate asks of identity; `outbounds explain` has an answer of its own."""

    def identify_now(self, credentials: Credentials | None, source_ip: str
                     ) -> Account | Unidentified | None: ...

    async def identify(self, credentials: Credentials | None, source_ip: str
                       ) -> Account | Unidentified: ...

    def current(self, account: Account) -> Account | None: ...

    def refresh(self) -> None: ...


class Gate:
    def __init__(self, policy: Policy, identifier: Identifies, resolver: Resolver,
                 robots: RobotsCache, store: LimitStore, metrics: Metrics, *,
                 engine: Engine | None = None, shared: bool = False) -> None:
        """`engine` None is our own matcher; `shared`: other processes charge the same store."""
        self.policy = policy
        self.identifier = identifier
        self.resolver = resolver
        self.robots = robots
        self.engine = engine or BuiltInEngine()
        self.store = store
        self.health = TargetHealth(store, lambda: self.policy.adaptive, shared=shared,
                                   count=metrics.count_target, lag=LoopLag())
        self.pacer = Pacer(store, lambda: self.policy.queue, over=self.health.over)
        self.metrics = metrics
        self.throttling = Throttling()
        self.look_at_closed: Callable[[], None] = lambda: None  # brings `policy.closed` up to date
        self._looked = self._looked_at_closed = 0.0
        # (at hand, otherwise): the first returns None when it has to be waited for
        self._answers: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Awaitable[Any]]]] = {
            WhoIs: (self._who_now, self._who),
            AddressesOf: (self._addresses_now, self._addresses),
            RobotsOf: (self._robots_now, self._robots),
            JudgeRobots: (self._match_now, self._match),
            TargetCharges: (self._target_charges, self._never),
            Take: (self.pacer.take_now, self._never),
        }

    async def judge(self, request: Request, bound: Account | None = None, *,
                    charge: bool = True, leaving: asyncio.Future[None] | None = None) -> Case:
        """Decide on a request. `bound` is the account of the tunnel it came through, if any;
        `leaving` is done when its client is gone, who then waits for no turn any more.

        Never raises an Exception for a failing part: that part's control then refuses.
        """
        started = time.perf_counter()
        self._look_at_closed()
        asking = decide(request, self.policy, time.time(), charge=charge)
        try:
            question = next(asking)
            while True:
                try:
                    if bound is not None and isinstance(question, WhoIs):
                        answer: Any = self._bound(bound)
                    else:
                        now, later = self._answers[type(question)]
                        answer = now(question)
                        if answer is None and isinstance(question, Take):
                            answer = await self.pacer.take(question, leaving)
                        elif answer is None:
                            answer = await later(question)
                except Exception as fault:
                    question = asking.throw(fault)
                else:
                    question = asking.send(answer)
        except StopIteration as stop:
            case: Case = stop.value
        verdict = case.verdict
        # the time a request was held is the policy's, and counted by itself
        self.metrics.decision_seconds.observe(time.perf_counter() - started - verdict.wait)
        if verdict.wait:
            self.metrics.paced_seconds.observe(verdict.wait)
        self.metrics.count_verdict(verdict.result.value, verdict.control, verdict.rule)
        if verdict is not ALLOW:
            self.throttling.note(case)
        return case

    def _look_at_closed(self) -> None:
        """Before the policy is handed to the decision: as `_look_for_changes`, for targets."""
        now = time.monotonic()
        if now - self._looked_at_closed >= LOOK_EVERY:
            self.look_at_closed()
            self._looked_at_closed = now

    def _bound(self, account: Account) -> Account | Unidentified:
        """The account as it stands now: it may have been suspended since the tunnel opened."""
        self._look_for_changes()
        current = self.identifier.current(account)
        return current if current is not None else Unidentified("This account no longer exists.")

    def _look_for_changes(self) -> None:
        """So that a suspension holds from the next request on, not from the next poll of `watch`.

        Not for every request of a busy moment: nobody's next request comes within 5 ms of the
        suspension, since the command that made it takes longer to end.
        """
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY:
            self.identifier.refresh()
            self._looked = now

    def _who_now(self, question: WhoIs) -> Account | Unidentified | None:
        self._look_for_changes()
        return self.identifier.identify_now(question.credentials, question.source.ip)

    async def _who(self, question: WhoIs) -> Account | Unidentified:
        return await self.identifier.identify(question.credentials, question.source.ip)

    def _addresses_now(self, question: AddressesOf) -> Any:
        return self.resolver.peek(question.host)

    async def _addresses(self, question: AddressesOf) -> Any:
        return await self.resolver.resolve(question.host, question.account.id)

    def _robots_now(self, question: RobotsOf) -> RobotsAnswer | None:
        return self.robots.peek(question.origin)

    async def _robots(self, question: RobotsOf) -> RobotsAnswer:
        return await self.robots.get(question.origin, question.account.id, question.source.ip)

    def _match_now(self, question: JudgeRobots) -> tuple[Match, ...] | None:
        return self.engine.judge_now(question)

    async def _match(self, question: JudgeRobots) -> tuple[Match, ...]:
        return await self.engine.judge(question)

    def _target_charges(self, question: TargetCharges) -> tuple[Charge, ...]:
        return self.health.charges(question.host, question.tunnel)

    async def _never(self, question: Any) -> Any:
        raise RuntimeError(f"{type(question).__name__} had no answer")
