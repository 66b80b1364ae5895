"""The decision: one visible list of controls, asked in order, each answer final.

`decide` is a generator. What it cannot know by itself (who holds these credentials, what a name
resolves to, what the site's robots.txt says, whether a limit has room) it yields as a question and
is sent the answer; so this module reads no clock, opens no socket, and the same code decides in
traffic, in `outbounds explain` and in a table test. A driver that fails to answer throws the
exception in; it is caught here, where the control that asked is known, and refuses.

The order, and why each stands where it does:

1. identity     Every later control, and the record, is about an account.
2. standing     A suspended account learns that, not what the later controls think of its request.
3. protocol     Costs nothing, and what follows may rely on a host, port and method that make sense.
4. destination  Lists before look-ups: a denied name is not even resolved. Then every address.
5. robots       May cost a fetch from the target, so only for a target that may be reached at all;
                yields the crawl-delay that the next step applies.
6. limits       Last, because they charge: a request refused above costs its account nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .account import Account, Plan, Unidentified
from .denylist import Denylist, Hit
from .destination import Address, AddressRules, Host
from .limits import Charge, Exceeded, Limit, Over, Per, Taken, Unit
from .request import Credentials, Name, Request, Source, Way
from .robots import Match, Robots
from .verdict import ALLOW, Kind, Result, Verdict, refuse

# --- what a policy is ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which methods and ports may be used, and the clause each refusal cites."""

    methods: frozenset[str]
    ports: frozenset[int]
    tunnel_ports: frozenset[int]
    port_clauses: Mapping[int, str] = field(default_factory=dict)
    method_clause: str = ""
    port_clause: str = ""
    forge_clause: str = ""


@dataclass(frozen=True, slots=True)
class RobotsPolicy:
    """`enforce` refuses, `observe` only records, `off` does not ask.

    `product_token` is what an account without a token of its own is taken for when its
    User-Agent names none; `max_delay` seconds caps a crawl-delay; `max_wait` is how long one may
    hold a request before it is refused with 429 instead.
    """

    mode: str = "enforce"
    clause: str = ""
    max_delay: float = 60.0
    max_wait: float = 10.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A dated exception: lifts one rule, for some accounts and some targets, until a moment.

    `until` is a Unix time. Empty `accounts` means all; an empty `host` means every target of the
    rule. Deny wins over allow everywhere else.
    """

    rule: str
    until: float
    accounts: frozenset[str] = frozenset()
    host: str = ""
    id: str = ""

    def lifts(self, rule: str, account: str, host: Host, now: float) -> bool:
        return (
            self.rule == rule
            and now < self.until
            and (not self.accounts or account in self.accounts)
            and (not self.host or host.text == self.host or host.text.endswith("." + self.host))
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides, immutable; `version` is the hash that each record carries."""

    version: str
    plans: Mapping[str, Plan]
    limits: Mapping[str, Limit]
    protocol: Protocol
    denylist: Denylist
    addresses: AddressRules
    robots: RobotsPolicy
    grants: tuple[Grant, ...] = ()
    suspended_clause: str = ""

    def limits_of(self, account: Account) -> tuple[Limit, ...]:
        """The limits of the account's plan. A plan that is gone is an error, not "no limits"."""
        return tuple(self.limits[i] for i in self.plans[account.plan].limits)


# --- the questions a decision may ask -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WhoIs:
    """Answer: `Account` or `Unidentified`."""

    credentials: Credentials | None
    source: Source
    way: Way


@dataclass(frozen=True, slots=True)
class AddressesOf:
    """Answer: every address the name resolves to (tuple of `Address`), or `NoSuchHost`."""

    host: Host
    account: Account


@dataclass(frozen=True, slots=True)
class NoSuchHost:
    detail: str


@dataclass(frozen=True, slots=True)
class RobotsOf:
    """Answer: `RobotsAnswer`."""

    origin: tuple[str, str, int]
    account: Account
    source: Source


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """A site's rules. `robots` is None where none can be had and the request must be refused.

    `state`: "fresh", "stale" (the last good copy, its refresh failed), "absent" (4xx: no rules,
    RFC 9309 section 2.3.1.3) or "unreachable" (section 2.3.1.4). `digest` is the hex SHA-256 of
    the body; `retry_after` seconds until the next attempt to fetch.
    """

    robots: Robots | None
    state: str
    digest: str = ""
    detail: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """Answer: `Taken` or `Exceeded`. All charges together or none."""

    charges: tuple[Charge, ...]


Question = WhoIs | AddressesOf | RobotsOf | Take
Asking = Generator[Question, Any, Verdict | None]


@dataclass(slots=True)
class Case:
    """A decision under way, and afterwards: what was found, for the record and for `explain`."""

    request: Request
    policy: Policy
    now: float
    account: Account | None = None
    addresses: tuple[Address, ...] = ()
    robots: RobotsAnswer | None = None
    robots_match: Match | None = None
    robots_scope: str = ""  # "path": the rule for this very path; "site": the whole-site rule only
    crawl_delay: float = 0.0
    charges: tuple[Charge, ...] = ()
    taken: Taken | None = None
    lifted: tuple[str, ...] = ()  # ids of the exceptions that were used
    observed: str = ""  # what `observe` would have refused
    trail: list[tuple[str, Verdict | None]] = field(default_factory=list)
    verdict: Verdict = ALLOW
    fault: BaseException | None = None

    def lift(self, rule: str) -> bool:
        """Whether a dated exception lifts `rule` here; remembers which, for the record."""
        for grant in self.policy.grants:
            account = self.account.id if self.account else ""
            if grant.lifts(rule, account, self.request.host, self.now):
                self.lifted += (grant.id,)
                return True
        return False


# --- the controls, in order ---------------------------------------------------------------------


def identity(case: Case) -> Asking:
    request = case.request
    who: Account | Unidentified = yield WhoIs(request.credentials, request.source, request.way)
    if isinstance(who, Unidentified):
        return refuse(
            "identity", Kind.UNAUTHENTICATED, who.detail, rule="credentials",
            retry_after=who.retry_after,
        )
    case.account = who
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
        return refuse("protocol", Kind.PROTOCOL, f"The method {request.method} is not offered.",
                      rule="method", clause=rules.method_clause)
    ports = rules.tunnel_ports if tunnel else rules.ports
    if request.port not in ports and not case.lift("port") \
            and not case.lift(f"port/{request.port}"):
        return refuse("protocol", Kind.PROTOCOL, f"Port {request.port} is not open to customers.",
                      rule=f"port/{request.port}",
                      clause=rules.port_clauses.get(request.port, rules.port_clause))
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
    for hit in policy.denylist.match(request.host, request.port, request.scheme, request.path):
        if not case.lift(hit.rule):
            return _denied(hit, case)
    host = request.host
    if host.address is not None:
        case.addresses = (host.address,)
    else:
        found: tuple[Address, ...] | NoSuchHost = yield AddressesOf(host, case.account)
        if isinstance(found, NoSuchHost):
            return refuse("destination", Kind.NO_SUCH_HOST, found.detail, rule="dns")
        case.addresses = found
    # every address, not only the first: if that one is dead, the next will be dialled
    for address in case.addresses:
        reason = policy.addresses.refuses(address, request.port)
        if reason is not None and not case.lift(reason.rule):
            return refuse("destination", Kind.ADDRESS,
                          f"{host.text} is at {address}: {reason.detail}",
                          rule=reason.rule, clause=reason.clause)
        for hit in policy.denylist.match_address(address, request.port):
            if not case.lift(hit.rule):
                return _denied(hit, case)
    return None


def _denied(hit: Hit, case: Case) -> Verdict:
    kind = Kind.LEGAL if hit.blocked_by else Kind.DENIED
    return refuse("destination", kind,
                  f"{case.request.host.text} is on the list {hit.list_id!r}.",
                  rule=hit.rule, clause=hit.clause, blocked_by=hit.blocked_by)


def robots(case: Case) -> Asking:
    request, policy = case.request, case.policy.robots
    assert case.account is not None
    if policy.mode == "off" or request.method == "OPTIONS" and request.path == "*":
        return None
    if request.path.partition("?")[0] == "/robots.txt":
        return None  # always reachable: RFC 9309 section 2.2.2
    if request.way.opens_tunnel and case.account.inspect:
        return None  # each request inside will be judged by its own path
    answer: RobotsAnswer = yield RobotsOf(request.origin, case.account, request.source)
    case.robots = answer
    case.robots_scope = "site" if request.way.opens_tunnel else "path"
    verdict = _judge_robots(case, answer)
    if verdict is None or case.lift("robots"):
        return None
    if policy.mode == "observe":
        case.observed = verdict.detail
        return None
    return verdict


def _judge_robots(case: Case, answer: RobotsAnswer) -> Verdict | None:
    request, policy = case.request, case.policy.robots
    assert case.account is not None
    if answer.robots is None:
        return refuse("robots", Kind.ROBOTS, answer.detail, rule="robots/unreachable",
                      clause=policy.clause, retry_after=answer.retry_after)
    for agent in agents(case.account, request.user_agent):
        if request.way.opens_tunnel:
            match = answer.robots.whole_site(agent)
        else:
            match = answer.robots.allowed(request.path or "/", agent)
            delay = answer.robots.crawl_delay(agent)
            if delay:
                case.crawl_delay = min(max(delay, case.crawl_delay), policy.max_delay)
        case.robots_match = match
        if not match.allowed:
            where = f"line {match.line}" if match.line else "its rules"
            what = "the whole site" if request.way.opens_tunnel else "this path"
            return refuse("robots", Kind.ROBOTS,
                          f"The robots.txt of {request.host.text} disallows {what} "
                          f"for {agent!r} ({where}).",
                          rule=f"robots:{match.line}", clause=policy.clause)
    return None


def agents(account: Account, user_agent: str) -> tuple[str, ...]:
    """The names whose rules must all allow the request: what it says it is, and what it declared.

    Both, so that neither changing the User-Agent nor declaring a token gets round the other.
    """
    if account.crawler and account.crawler.lower() not in user_agent.lower():
        return (account.crawler, user_agent) if user_agent else (account.crawler,)
    return (user_agent,)


def limits(case: Case) -> Asking:
    account, request, policy = case.account, case.request, case.policy
    assert account is not None
    charges = [
        Charge(limit, limit_key(limit.per, account, request.host))
        for limit in policy.limits_of(account)
        if limit.unit is not Unit.TUNNELS or request.way.opens_tunnel
    ]
    if case.crawl_delay > 0:
        charges.append(crawl_delay_charge(case))
    case.charges = tuple(charges)
    outcome: Taken | Exceeded = yield Take(case.charges)
    if isinstance(outcome, Exceeded):
        limit = outcome.limit
        if limit.unit is Unit.TUNNELS:
            detail = f"{limit.count} tunnels are open at once, which is this account's limit."
        else:
            detail = (f"The limit {limit.id!r} allows {limit.count} requests per "
                      f"{limit.window:g} s for each {limit.per.value}.")
        return refuse("limits", Kind.LIMIT, detail, rule=limit.id, clause=limit.clause,
                      retry_after=outcome.retry_after, rate_limit=outcome.state)
    case.taken = outcome
    return None


def limit_key(per: Per, account: Account, host: Host) -> str:
    if per is Per.ACCOUNT:
        return account.id
    if per is Per.ACCOUNT_HOST:
        return f"{account.id} {host.text}"
    return host.text


def crawl_delay_charge(case: Case) -> Charge:
    """The site's crawl-delay, as a paced limit of one request per delay for account and host."""
    assert case.account is not None
    policy = case.policy.robots
    limit = Limit("crawl-delay", Unit.REQUESTS, Per.ACCOUNT_HOST, 1, case.crawl_delay, 1,
                  Over.PACE, policy.max_wait, policy.clause)
    return Charge(limit, limit_key(Per.ACCOUNT_HOST, case.account, case.request.host))


CONTROLS: tuple[tuple[str, Callable[[Case], Asking]], ...] = (
    ("identity", identity),
    ("standing", standing),
    ("protocol", protocol),
    ("destination", destination),
    ("robots", robots),
    ("limits", limits),
)


def decide(
    request: Request, policy: Policy, now: float, *, charge: bool = True
) -> Generator[Question, Any, Case]:
    """Judge one request. Yields questions, returns the `Case` with its verdict.

    `now` is Unix time in seconds; it decides which dated exceptions are in force. `charge` False
    leaves out the limits: for a second look at a request that was charged already. Never raises
    an Exception of its own: a fault inside a control is a refusal with status 503.
    """
    case = Case(request, policy, now)
    for name, control in CONTROLS if charge else CONTROLS[:-1]:
        try:
            verdict = yield from control(case)
        except Exception as fault:  # fails closed: whatever went wrong, the request stops here
            case.fault = fault
            verdict = refuse(name, Kind.FAULT, "The proxy could not decide on this request.",
                             rule="fault", retry_after=1.0)
        case.trail.append((name, verdict))
        if verdict is not None:
            case.verdict = verdict
            return case
    taken = case.taken
    if taken is not None and taken.wait > 0:
        limit = taken.paced_by
        case.verdict = Verdict(Result.PACE, "limits", rule=limit.id if limit else "",
                               clause=limit.clause if limit else "", wait=taken.wait)
    return case
