"""The controls: each asks what it needs to know and returns a refusal, or None to pass.

A control is a generator that yields questions (`core.questions`) and is sent the answers. It may
write what it found into the case; it decides nothing that another control has to undo.
`core.policy` puts them in order.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from .account import Account, Unidentified
from .case import Case
from .closed_targets import Closed
from .destination import Address, Host
from .hit import Hit, Hits, denials
from .questions import AddressesOf, NoSuchHost, Question, WhoIs
from .request import METHODS, Name
from .rules import NEVER_LIFTED, Policy
from .verdict import Kind, Verdict, refuse

UNUSABLE_RETRY = 10.0  # s: a list is fetched and compiled in about this time


Asking = Generator[Question, Any, Verdict | None]


def identity(case: Case) -> Asking:
    request = case.request
    who: Account | Unidentified = yield WhoIs(request.credentials, request.source, request.way)
    if isinstance(who, Unidentified):
        return refuse(
            "identity", Kind.UNAUTHENTICATED, who.detail, rule="credentials",
            clause=case.policy.identity_clause, retry_after=who.retry_after,
        )
    case.account = of_kind(who, Account)
    return None


def standing(case: Case) -> Asking:
    yield from ()
    assert case.account is not None
    if case.account.standing.may_use:
        return None
    detail = f"This account is {case.account.standing.value}."
    if case.account.reason:
        detail += f" Reason: {case.account.reason}"
    return refuse("standing", Kind.SUSPENDED, detail, rule=case.account.standing.value,
                  clause=case.policy.suspended_clause)


def protocol(case: Case) -> Asking:
    request, rules = case.request, case.policy.protocol
    tunnel = request.way.opens_tunnel
    if not tunnel and request.method not in rules.methods and not case.lift("method"):
        named = request.method if request.method in METHODS else "of this request"
        return refuse("protocol", Kind.PROTOCOL, f"The method {named} is not offered.",
                      rule="method", clause=rules.method_clause)
    ports = rules.tunnel_ports if tunnel else rules.ports
    if request.port not in ports and not case.lift("port") \
            and not case.lift(f"port/{request.port}"):
        return refuse("protocol", Kind.PROTOCOL, f"Port {request.port} is not open to customers.",
                      rule=f"port/{request.port}",
                      clause=rules.port_clauses.get(request.port, rules.port_clause))
    if rules.refuse_route_fields and request.route_fields and not case.lift("forged-headers"):
        return refuse("protocol", Kind.PROTOCOL,
                      f"The field {request.route_fields[0]} claims a route; only proxies may.",
                      rule="forged-headers", clause=rules.forge_clause)
    for name in request.names:
        if not (yield from _agrees(name, case)):
            port = "" if name.port is None else f":{name.port}"
            return refuse(
                "protocol", Kind.MISDIRECTED,
                f"{name.where} names {name.host.uri}{port}, but the request is for "
                f"{request.host.uri}:{request.port}.",
                rule="names-agree", clause=rules.forge_clause)
    return None


def _agrees(name: Name, case: Case) -> Generator[Question, Any, bool]:
    """Whether another naming of the target means the same as the one that will be dialled.

    A client that resolves names itself (SOCKS5 without remote DNS) asks for an address and names
    the site only inside. That is agreement if the name has that address; from there on the request
    is judged by the name, so that dialling by number gets round no list and no robots.txt.
    """
    request, account = case.request, case.account
    assert account is not None
    if name.port is not None and name.port != request.port:
        return False
    if name.host == request.host:
        return True
    if request.host.address is None or name.host.address is not None:
        return False
    found: tuple[Address, ...] | NoSuchHost = yield AddressesOf(name.host, account)
    if isinstance(found, NoSuchHost) or request.host.address not in found:
        return False
    case.request = replace(request, host=name.host)
    return True


def destination(case: Case) -> Asking:
    request, policy = case.request, case.policy
    assert case.account is not None
    closed = _closed(policy.closed.find(request.host, case.now, case.lift), request.host)
    if closed is not None:
        return closed
    if policy.unusable_lists:
        return refuse("destination", Kind.FAULT,
                      "The proxy's lists of denied destinations are not complete; requests are "
                      "refused until they are.", rule="list-unusable:" + policy.unusable_lists[0],
                      retry_after=UNUSABLE_RETRY)
    on_a_list = _denial(
        policy.denylist.match(request.host, request.port, request.scheme, request.path), case)
    if on_a_list is not None:
        return on_a_list
    host = request.host
    if host.address is not None:
        found: tuple[Address, ...] = (host.address,)
    else:
        answer: tuple[Address, ...] | NoSuchHost = yield AddressesOf(host, case.account)
        if isinstance(answer, NoSuchHost):
            return refuse("destination", Kind.NO_SUCH_HOST, answer.detail, rule="dns")
        found = answer
        if not found:
            raise ValueError(f"{host.text} was said to resolve, but to no address")
    # every address, not only the first: if that one is dead, the next will be dialled
    refusals = [(address, _refusal_at(address, case)) for address in found]
    case.addresses = tuple(address for address, verdict in refusals if verdict is None)
    for _, verdict in refusals:
        if verdict is not None and not (case.addresses and policy.drop_bad_addresses):
            case.addresses = found
            return verdict
    return None


def _refusal_at(address: Address, case: Case) -> Verdict | None:
    """Why `address` may not be dialled for the request, or None."""
    request, policy = case.request, case.policy
    closed = _closed(policy.closed.find_at(address, case.now, case.lift), request.host)
    if closed is not None:
        return closed
    reason = policy.addresses.refuses(address, request.port)
    if reason is not None and (reason.rule in NEVER_LIFTED or not case.lift(reason.rule)):
        host = request.host
        where = host.text if host.address is not None else f"{host.text} is at {address}"
        return refuse("destination", Kind.ADDRESS, f"{where}: {reason.detail}",
                      rule=reason.rule, clause=reason.clause)
    return _denial(policy.denylist.match_address(address, request.port), case)


def closed_meanwhile(case: Case, policy: Policy, now: float) -> Verdict | None:
    """A refusal if the target was closed after the case was decided, by what is in force `now`."""
    if policy is case.policy:
        return None
    case, host = replace(case, policy=policy, now=now), case.request.host
    found = [policy.closed.find(host, now, case.lift),
             *(policy.closed.find_at(each, now, case.lift) for each in case.addresses)]
    return next((verdict for each in found if (verdict := _closed(each, host))), None)


def _closed(found: Closed | None, host: Host) -> Verdict | None:
    return None if found is None else closed_verdict(found, host)


def closed_verdict(found: Closed, host: Host) -> Verdict:
    # why it was closed is the operators' own: it may name a complainant
    return refuse("destination", Kind.DENIED,
                  f"{host.text} has been closed by the operator of this proxy.",
                  rule=found.rule, clause=found.clause)


def _denial(hits: Hits, case: Case) -> Verdict | None:
    if not hits:
        return None
    account = case.account
    assert account is not None
    for hit in denials(hits, account.id, account.plan, case.now):
        if not _lifted(hit, case):
            return _denied(hit, case)
    return None


def _lifted(hit: Hit, case: Case) -> bool:
    """By an exception for the line that hit, or for the whole list."""
    return case.lift(hit.rule) or case.lift(hit.list_id)


def _denied(hit: Hit, case: Case) -> Verdict:
    kind = Kind.LEGAL if hit.blocked_by else Kind.DENIED
    case.labels = hit.labels
    return refuse("destination", kind,
                  f"{case.request.host.text} is on the list {hit.list_id!r}.",
                  rule=hit.rule, clause=hit.clause, blocked_by=hit.blocked_by)


def of_kind[T](answer: T, kind: type[T]) -> T:
    """The answer. Raises TypeError where it is none: that nothing was refused is no permission."""
    if not isinstance(answer, kind):
        raise TypeError(f"an answer of type {type(answer).__name__}, not {kind.__name__}")
    return answer
