"""What follows when targets are closed or opened: the policy, what is open to them, the records."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..core.closed_targets import Closed, ClosedTargets
from ..core.controls import closed_verdict
from ..core.destination import parse_host
from ..core.rules import Policy
from ..evidence.identifier import timestamp
from .clients import ClientConnection, Exchange
from .runtime import Runtime
from .settlement import noted

logger = logging.getLogger("outbounds")


class TargetClosing:
    """A `closed_keeper.Follow`. Of several workers one `records` the acts; all carry them out."""

    def __init__(self, runtime: Runtime, *, records: bool = True) -> None:
        self._rt = runtime
        self._records = records

    def __call__(self, targets: ClosedTargets, closed: Sequence[Closed],
                 opened: Sequence[Closed]) -> None:
        gate = self._rt.gate
        gate.policy = replace(gate.policy, closed=targets)  # first: nothing new begins from here
        ended = self._sever(gate.policy) if closed else {}
        for each in closed:
            logger.warning("%s was closed by %s (connections ended: %d): %s", each.target,
                           each.by or "somebody", ended.get(each.target, 0), each.reason)
            self._record("target-close", each, each.reason)
        for each in opened:
            logger.warning("%s is open again.", each.target)
            over = "" if each.holds(time.time()) else "its time is over; "
            self._record("target-open", each, f"{over}it was closed: {each.reason}")

    # --- what is open ---------------------------------------------------------------------------

    def _sever(self, policy: Policy) -> dict[str, int]:
        """End every connection that has something open to a closed target; how many for each."""
        ended: dict[str, int] = {}
        now = time.time()
        for client in self._rt.clients:
            found = self._closed_on(client, policy, now)
            if found is not None:
                ended[found.target] = ended.get(found.target, 0) + 1
                reason = f"the operator closed {found.target}"
                if client.tunnel is not None:
                    client.tunnel.ended = reason
                self._rt.sever(client, reason)
        return ended

    def _closed_on(self, client: ClientConnection, policy: Policy, now: float) -> Closed | None:
        """The closed target that something on this connection goes to; noted for its record."""
        first = None
        for open_, dialled in _open_on(client):
            found = self._closes(open_, dialled, policy, now)
            if found is None:
                continue
            first = first or found
            says = noted(closed_verdict(found, open_.host), policy.versions)
            if client.tunnel is not None and client.tunnel.exchange is open_:
                client.tunnel.noted = says
            else:
                open_.noted |= says
        return first

    def _closes(self, exchange: Exchange, dialled: str, policy: Policy,
                now: float) -> Closed | None:
        lifts = partial(_lifts, policy, exchange, now)
        found = policy.closed.find(exchange.host, now, lifts)
        if found is not None:
            return found
        # whatever is known of where the name leads, and for a tunnel where it did lead
        known = self._rt.gate.resolver.peek(exchange.host)
        addresses = list(known) if isinstance(known, tuple) else []
        if dialled and (address := parse_host(dialled).address):
            addresses.append(address)
        return next((each for address in addresses
                     if (each := policy.closed.find_at(address, now, lifts))), None)

    # --- the record -----------------------------------------------------------------------------

    def _record(self, action: str, what: Closed, reason: str) -> None:
        if not self._records:
            return
        try:
            self._post(action, what, reason)
        except Exception as fault:  # closed it is, and the next one must be
            self._rt.fault("target-closing", fault)

    def _post(self, action: str, what: Closed, reason: str) -> None:
        address = parse_host(what.target).address
        since = timestamp(int(what.since * 1e9))
        known: dict[str, Any] = dict(self._rt.gate.policy.versions)
        known["destination_ip" if address else "destination_domain"] = what.target
        self._rt.recorder.both(
            action, outcome="success", reason=f"{reason} (closed since {since})",
            operator=what.by, rule_id=what.rule, rule_ruleset="destination",
            rule_reference=what.clause, **known)


def _open_on(client: ClientConnection) -> Iterator[tuple[Exchange, str]]:
    """What is open, with the address that was dialled where it is known."""
    if client.tunnel is not None:
        yield client.tunnel.exchange, client.tunnel.peer[0]
    for exchange in client.exchanges.values():
        yield exchange, ""


def _lifts(policy: Policy, exchange: Exchange, now: float, rule: str) -> bool:
    return any(grant.lifts(rule, exchange.account.id, exchange.host, now)
               for grant in policy.grants)
