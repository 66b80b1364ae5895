"""Sites that accounts own, put together for one worker: what is in force, the looks for proofs,
what is put on record and in the log, and the questions of `outbounds sites`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.destination import parse_host
from ..core.owned_sites import OwnedSites
from ..core.site_claims import SiteClaim, State
from ..robotstxt import Egress
from ..robotstxt.ownership_file import SitesFileError, sites_path
from .control_socket import Handler, Refused
from .owned_keeper import OwnedKeeper
from .ownership_checks import OwnershipChecks
from .ownership_proofs import OwnershipProofs
from .prerequisites import StartError
from .runtime import Runtime

logger = logging.getLogger("outbounds")

# (before, now): the action on record and what the log says; None before is a new claim, None now
# one that was removed
_ACTS: Mapping[State | None, tuple[str, str]] = {
    State.PENDING: ("site-claim", "is claimed"),
    State.PROVED: ("site-proof", "is proved"),
    State.LAPSED: ("site-lapse", "is no longer proved"),
    None: ("site-removal", "is claimed no more"),
}


class Ownership:
    """`worker` counts from 1 among those that serve one port, 0 where it is the only one; the
    first of them looks for the proofs and puts on record what all follow."""

    def __init__(self, runtime: Runtime, worker: int, egress: Egress) -> None:
        self._rt = runtime
        self._worker = worker
        self._first = worker <= 1
        path = sites_path(runtime.settings.service.data)
        self._keeper = OwnedKeeper(path, self._lapse, self._follow, changed=self._changed,
                                   report=runtime.metrics.owned_sites)
        self._checks = OwnershipChecks(
            path, self._keeper, OwnershipProofs(runtime, egress), check=self._check,
            lapse=self._lapse, fault=runtime.fault)
        self._tasks: list[asyncio.Task[None]] = []

    def handlers(self) -> Mapping[str, Handler]:
        return {"owned-site": self._known, "sites-check": self._ask}

    def load(self) -> None:
        """Raises StartError. Before the first request can be let through: nobody is to be refused
        what they have proved, and no broken file to be noticed later."""
        try:
            self._keeper.load()
        except SitesFileError as error:
            raise StartError(str(error)) from error

    def start(self) -> None:
        watches = [("watch owned sites", self._keeper.watch())]
        if self._first:
            watches.append(("look for proofs of ownership", self._checks.watch()))
        self._tasks = [asyncio.create_task(watch, name=name) for name, watch in watches]

    def close(self) -> None:
        """Idempotent."""
        for task in self._tasks:
            task.cancel()

    def _check(self) -> float:
        return self._rt.settings.robots.ownership.check

    def _lapse(self) -> float:
        return self._rt.settings.robots.ownership.lapse

    # --- what follows ---------------------------------------------------------------------------

    def _follow(self, sites: OwnedSites) -> None:
        gate = self._rt.gate
        gate.policy = replace(gate.policy, owned=sites)

    def _changed(self, claim: SiteClaim, old: State | None, new: State | None) -> None:
        if not self._first or (old is State.FAILING and new is State.PROVED):
            return
        if new is State.FAILING:
            logger.warning("The proof that %s owns %s was not found: %s", claim.account,
                           claim.host, claim.failure)
            return
        action, what = _ACTS[new]
        logger.info("%s %s, by %s, for %s.", claim.host, what, claim.proof, claim.account)
        known: dict[str, Any] = dict(self._rt.gate.policy.versions)
        try:
            self._rt.recorder.both(
                action, outcome="success", reason=f"by {claim.proof}. {claim.failure}".strip(),
                user_id=claim.account, operator=claim.by, destination_domain=claim.host,
                rule_ruleset="robots", **known)
        except Exception as fault:  # it is in force, and the next one must be
            self._rt.fault("ownership", fault)

    # --- what commands ask ----------------------------------------------------------------------

    async def _known(self, request: dict[str, Any]) -> object:
        """What is in force here and now: the command that has just changed something asks."""
        account, host = _named(request)
        await self._keeper.look()
        return {"worker": self._worker, "trouble": self._keeper.trouble,
                "claimed": any((each.account, each.host) == (account, host)
                               for each in self._keeper.claims)}

    async def _ask(self, request: dict[str, Any]) -> object:
        """Look for a proof now; what comes of it is in the file, soon."""
        account, host = _named(request)
        await self._keeper.look()
        return {"worker": self._worker, "looks": self._first and self._checks.ask(account, host)}


def _named(request: dict[str, Any]) -> tuple[str, str]:
    account, host = request.get("account"), request.get("host")
    if not isinstance(account, str) or not isinstance(host, str):
        raise Refused("of which claim? send an account (its id) and a host")
    try:
        return account, parse_host(host).text
    except ValueError as error:
        raise Refused(str(error)) from None
