"""The control `limits`: what a request is charged, and what a refusal costs.

Everything that one request is charged for is taken in one step or not at all. What a customer is
refused for, whatever the reason, counts against a ceiling of its own (unit `refusals`), so that
hammering a closed door is limited too: first its requests are answered with 429, and then the
connection is closed. It counts for the account and the source, never for the target.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from typing import Any

from .case import Case
from .controls import Asking, of_kind
from .limits import Charge, Exceeded, Limit, Per, Taken, Unit
from .questions import Question, Take, TargetCharges
from .site import site_of
from .tariff import Item, item
from .verdict import Kind, Verdict, refuse


def limits(case: Case) -> Asking:
    account, request, policy = case.account, case.request, case.policy
    assert account is not None
    plan = policy.plans[account.plan]
    charges = charges_for(policy.tariff_of(account).at_verdict[request.way], case)
    charges += [Charge(limit, f"{account.id} {request.host.text}") for limit in case.site_limits]
    spared = of_kind((yield TargetCharges(request.host, request.way.opens_tunnel)), tuple)
    charges += [of_kind(charge, Charge) for charge in spared]
    case.charges = tuple(charges)
    outcome: Taken | Exceeded = yield Take(case.charges, account.id, plan.weight, plan.announce)
    if isinstance(outcome, Exceeded):
        return exceeded(outcome)
    case.taken = of_kind(outcome, Taken)
    return None


def dial_charges(case: Case) -> tuple[Charge, ...]:
    """What a new connection to the target of a request that was let through costs."""
    assert case.account is not None
    return tuple(charges_for(case.policy.tariff_of(case.account).at_dial, case))


def charges_for(items: Iterable[Item], case: Case) -> list[Charge]:
    """What a request costs: under each limit usually one charge; one for each address of the target
    where addresses are counted; none where the limit is per account and the account unknown."""
    request = case.request
    keys: dict[Per, tuple[str, ...]] = {}
    charges = []
    for limit, per, narrowed, cost, need, visits in items:
        if narrowed and not limit.applies_to(request.method, request.port, request.host.text):
            continue
        if per not in keys:
            keys[per] = limit_keys(per, case)
        for key in keys[per]:
            charges.append(Charge(limit, key, cost, need, request.host.text if visits else ""))
    return charges


def limit_keys(per: Per, case: Case) -> tuple[str, ...]:
    """Whose state a limit is charged to: the owner first, so that it can be found by it."""
    host, account = case.request.host, case.account
    if per is Per.HOST:
        return (host.text,)
    if per.of_account:
        if account is None:
            return ()
        if per is Per.ACCOUNT:
            return (account.id,)
        over = host.text if per is Per.ACCOUNT_HOST else site_of(host)
        return (f"{account.id} {over}",)
    if per is Per.ADDRESS:
        return tuple(dict.fromkeys(map(str, case.addresses)))
    if per is Per.SOURCE:
        return (source_key(case.request.source.ip),)
    return (site_of(host),)


def source_key(ip: str) -> str:
    """The client's address; of IPv6 the /64, all of which is usually one customer's (RFC 6177)."""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


def exceeded(outcome: Exceeded) -> Verdict:
    """The refusal of a request that is over a limit."""
    limit, retry_after = outcome.limit, outcome.retry_after
    if outcome.unavailable:
        return refuse("limits", Kind.FAULT, f"The state of the limit {limit.id!r} cannot be had at "
                      "the moment.", rule=limit.id, clause=limit.clause, retry_after=1.0)
    if limit.unit.held:
        retry_after = 1.0  # when one will end nobody knows; the least that can be said
    return refuse("limits", Kind.LIMIT, _says(limit), rule=limit.id, clause=limit.clause,
                  retry_after=retry_after, rate_limit=outcome.state)


def _says(limit: Limit) -> str:
    one, more = _NOUNS[limit.unit]
    what = f"{limit.count} {one if limit.count == 1 else more}"
    if limit.unit.held:
        return f"The limit {limit.id!r} allows {what} at once for each {limit.per.value}."
    every = f"calendar {limit.calendar.every}" if limit.calendar else f"{limit.window:g} s"
    return f"The limit {limit.id!r} allows {what} per {every} for each {limit.per.value}."


_NOUNS = {
    Unit.REQUESTS: ("request", "requests"), Unit.CONNECTIONS: ("connection", "connections"),
    Unit.HOSTS: ("host", "different hosts"), Unit.REFUSALS: ("refusal", "refusals"),
    Unit.BYTES: ("byte", "bytes"), Unit.BYTES_UP: ("byte up", "bytes up"),
    Unit.BYTES_DOWN: ("byte down", "bytes down"), Unit.CONCURRENT: ("request", "requests"),
    Unit.TUNNELS: ("tunnel", "tunnels"),
}


def refused(case: Case, verdict: Verdict) -> Generator[Question, Any, Verdict]:
    """What becomes of a refusal: itself, or a 429 because there were too many of them.

    The first `burst` of them, and then so many per window, get their own answer. As many again get
    the 429. Beyond that the connection is closed, too (`case.hang_up`).
    """
    ceilings = [item(each) for each in case.policy.limits.values() if each.unit is Unit.REFUSALS
                and (each.per is Per.SOURCE or _is_in_plan(each, case))]
    charges = tuple(charges_for(ceilings, case))
    if not charges or not any(each.key for each in charges):
        return verdict
    outcome = yield Take(charges, patient=False)
    if not isinstance(outcome, Exceeded):
        return verdict
    again = tuple(each._replace(limit=replace(each.limit, id=each.limit.id + "/closing"))
                  for each in charges)
    case.hang_up = isinstance((yield Take(again, patient=False)), Exceeded)
    limit = outcome.limit
    return refuse("limits", Kind.LIMIT, f"Too many refused requests. {verdict.detail}",
                  rule=limit.id, clause=limit.clause, retry_after=outcome.retry_after,
                  rate_limit=outcome.state)


def _is_in_plan(limit: Limit, case: Case) -> bool:
    account = case.account
    plan = case.policy.plans.get(account.plan) if account is not None else None
    return plan is not None and limit.id in plan.limits
