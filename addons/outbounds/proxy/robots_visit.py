"""What a fetch of a robots.txt counts for at its target: as much as a customer's request would.

Only limits that protect targets are charged, which hold for every plan: a customer is not to pay
for a file that is fetched for all. What the protection of targets in distress asks is asked of the
fetch, too, and how the target answers it is told: the robots.txt of a host is often the first
thing that a host in distress fails to serve.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain

from yarl import URL

from ..core.account import Account
from ..core.case import Case
from ..core.charging import charges_for
from ..core.destination import Address, Host, parse_host
from ..core.limits import Charge, Exceeded, Per, Unit
from ..core.questions import Take
from ..core.request import Request, Source, Way
from ..core.rules import Policy
from ..core.tariff import Item
from ..robotstxt import NotAsked
from ..robotstxt.freshness import RETRY_LONGEST, RETRY_UNASKED
from .gate import Gate

_OF_TARGETS = frozenset({Per.HOST, Per.SITE, Per.ADDRESS})
_UNITS = frozenset({Unit.REQUESTS, Unit.CONNECTIONS, Unit.CONCURRENT})


async def admit(gate: Gate, account: Account, url: URL, client: str, addresses: Sequence[str]
                ) -> TargetVisit:
    """Take what one request to `url` at these `addresses` costs its target, after a wait where the
    limits are paced; the caller bounds the wait. Raises NotAsked where a limit is reached."""
    policy = gate.policy
    host = parse_host(url.raw_host or "")
    request = Request(Way.PLAIN, "GET", url.scheme, host, url.port or 0, url.raw_path_qs,
                      Source(client, 0), "")
    case = Case(request, policy, time.time(), account=account,
                addresses=tuple(_address(each) for each in addresses))
    charges = (*charges_for(_items(policy, account), case), *gate.health.charges(host, False))
    question = Take(charges, account.id, policy.plans[account.plan].weight)
    outcome = gate.pacer.take_now(question)
    if outcome is None:
        outcome = await gate.pacer.take(question)
    if isinstance(outcome, Exceeded):
        raise NotAsked(
            f"{host.text} was not asked for its robots.txt: the limit {outcome.limit.id!r} of this "
            "target is reached.", min(outcome.retry_after or RETRY_UNASKED, RETRY_LONGEST))
    return TargetVisit(gate, host, charges)


class TargetVisit:
    """A request under way: what it holds, until it is over."""

    def __init__(self, gate: Gate, host: Host, charges: tuple[Charge, ...]) -> None:
        self._gate = gate
        self._host = host
        self._charges = charges
        self._began = gate.health.started(host)

    def unsent(self) -> None:
        self._gate.pacer.give_back(self._charges)
        self._gate.health.finished(self._host, self._began)

    def finished(self, *, status: int, retry_after: str | None, latency: float | None,
                 failed: bool) -> None:
        self._gate.pacer.release(self._charges)
        self._gate.health.finished(self._host, self._began, status=status,
                                   retry_after=retry_after, latency=latency, failed=failed)


def _items(policy: Policy, account: Account) -> Iterator[Item]:
    tariff = policy.tariff_of(account)
    return (each for each in chain(tariff.at_verdict[Way.PLAIN], tariff.at_dial)
            if each.per in _OF_TARGETS and each.limit.unit in _UNITS)


def _address(text: str) -> Address:
    address = parse_host(text).address
    assert address is not None
    return address
