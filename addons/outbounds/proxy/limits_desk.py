"""What `outbounds limits` asks of a running proxy: the state of limits, who is throttled most, what
is closed; and to forget what was counted, which is an operator's act and goes on record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core.charging import source_key
from ..core.destination import BadHost, parse_host
from ..core.limit_state import LimitState, states
from ..core.limits import Limit, Live, Per
from ..core.site import site_of
from .closed_keeper import ClosedKeeper
from .control_socket import Handler, Refused
from .runtime import Runtime
from .throttled import Throttling

logger = logging.getLogger("outbounds")

MINUTES = (5, 60)  # what `top` looks back on
MOST = 100  # rows that a command may ask for

# limits that no file defines
OTHERS = ("crawl-delay", "request-rate", "target-ceiling", "target-pause")

# of whom a request speaks, and the field of the record that takes the name
KINDS = {"account": "user_id", "target": "destination_domain", "source": "source_ip"}


class LimitsDesk:
    """`worker` is the number of this process among those that serve one port, 0 where it is the
    only one. `targets` returns those that are spared, a dataclass each; `waiting_of(account id)`
    how many of an account's requests are held now."""

    def __init__(self, runtime: Runtime, throttling: Throttling, keeper: ClosedKeeper, *,
                 targets: Callable[[], Iterable[object]], waiting_of: Callable[[str], int],
                 worker: int = 0) -> None:
        self._rt = runtime
        self._throttling = throttling
        self._keeper = keeper
        self._targets = targets
        self._waiting_of = waiting_of
        self._worker = worker

    def handlers(self) -> Mapping[str, Handler]:
        return {"limits-show": self._show, "limits-top": self._top, "limits-reset": self._reset,
                "closed-targets": self._closed}

    # --- state ----------------------------------------------------------------------------------

    async def _show(self, request: dict[str, Any]) -> object:
        kind, name = _named(request)
        found: list[LimitState] = []
        for number, (owner, limits) in enumerate(self._owners(kind, name, request)):
            live = self._about(await self._rt.gate.store.live(owner), limits, first=not number)
            each = states(limits, live, owner, time.time())
            found += each if kind == "account" else [replace(row, of=owner) for row in each]
        return {"worker": self._worker, "store": self._store, "limits": found,
                "waiting": self._waiting_of(name) if kind == "account" else 0}

    def _owners(self, kind: str, name: str, request: dict[str, Any]
                ) -> Iterator[tuple[str, tuple[Limit, ...]]]:
        """Under whose names a store keeps what is counted for `name`, and for which limits."""
        policy = self._rt.gate.policy
        if kind == "account":
            plan = policy.plans.get(str(request.get("plan", "")))
            of_plan = [policy.limits[each] for each in plan.limits] if plan is not None else []
            yield name, tuple(each for each in of_plan if each.per.of_account)
            return
        if kind == "source":
            yield source_key(name), self._per(Per.SOURCE)
            return
        try:
            host = parse_host(name)
        except BadHost as error:
            raise Refused(str(error)) from None
        yield host.text, self._per(Per.HOST)
        if sites := self._per(Per.SITE):
            yield site_of(host), sites
        if at := self._per(Per.ADDRESS):
            known = (host.address,) if host.address else self._rt.gate.resolver.peek(host)
            for address in known if isinstance(known, tuple) else ():
                yield str(address), at

    def _per(self, per: Per) -> tuple[Limit, ...]:
        return tuple(each for each in self._rt.gate.policy.limits.values() if each.per is per)

    def _about(self, live: Iterable[Live], limits: tuple[Limit, ...], *,
               first: bool) -> Iterator[Live]:
        """What is of these limits; and once, what is of none that is configured."""
        ids, known = {each.id for each in limits}, self._rt.gate.policy.limits
        for each in live:
            base = each.limit_id.partition("/")[0]
            if base in ids or (first and base not in known):
                yield each

    @property
    def _store(self) -> str:
        return self._rt.settings.service.store.url

    # --- who is throttled -----------------------------------------------------------------------

    async def _top(self, request: dict[str, Any]) -> object:
        gate = self._rt.gate
        return {"worker": self._worker, "store": self._store,
                "throttled": {str(minutes): self._throttling.top(minutes, MOST)
                              for minutes in MINUTES},
                "targets": list(self._targets()), "waiting": gate.pacer.waiting()}

    # --- acts -----------------------------------------------------------------------------------

    async def _reset(self, request: dict[str, Any]) -> object:
        kind, name = _named(request)
        limit_id, by = str(request.get("limit") or ""), str(request["by"])
        gate = self._rt.gate
        limits = {*gate.policy.limits, *OTHERS}
        if limit_id and limit_id not in limits:
            raise Refused(f"there is no limit {limit_id!r}; there are: {', '.join(sorted(limits))}")
        keys = 0
        for owner, _ in self._owners(kind, name, request):
            keys += await gate.store.reset(owner, limit_id)
        what = f"the limit {limit_id}" if limit_id else "all limits"
        logger.warning("%s reset %s of the %s %s: %d counts forgotten.", by, what, kind, name, keys)
        known: dict[str, Any] = {**gate.policy.versions, KINDS[kind]: name}
        self._rt.recorder.both(
            "limits-reset", outcome="success", reason=f"{what} of this {kind}: {keys} counts "
            "forgotten", operator=by, rule_ruleset="limits", rule_id=limit_id, **known)
        return {"worker": self._worker, "forgotten": keys}

    async def _closed(self, request: dict[str, Any]) -> object:
        """What is closed here and now: the command that has just closed something asks."""
        self._keeper.look()
        return {"worker": self._worker, "trouble": self._keeper.trouble,
                "targets": [each.target for each in self._keeper.current.entries]}


def _named(request: dict[str, Any]) -> tuple[str, str]:
    kind, name = request.get("kind"), request.get("name")
    if kind not in KINDS or not isinstance(name, str) or not 0 < len(name) <= 255:
        raise Refused(f"of whom? send a kind ({', '.join(KINDS)}) and a name")
    return str(kind), name
