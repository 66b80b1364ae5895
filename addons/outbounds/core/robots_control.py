"""The control `robots`: what the target's own robots.txt says of a request.

Whose rules bind a request is for the operator to say (`rules.RobotsPolicy`); what they are, and
what they say of one path, are questions like any other. Where the rules let a request through they
may still ask for more: what that comes to as limits is left for the next control to charge.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .account import Account
from .case import Case
from .controls import Asking, of_kind
from .limits import Limit, Over, Per, Unit
from .questions import JudgeRobots, Question, RobotsAnswer, RobotsOf
from .rules import Identity
from .verdict import Kind, Verdict, refuse


def robots(case: Case) -> Asking:
    request, policy = case.request, case.policy.robots
    account = case.account
    assert account is not None
    mode, entry = policy.mode_for(account, request.host, case.now)
    if entry:
        case.robots_exempt = f"mode:{entry}"
    if mode == "off" or (request.method == "OPTIONS" and request.path == "*"):
        return None
    if request.path.partition("?")[0] == "/robots.txt":
        return None  # always reachable: RFC 9309 section 2.2.2
    if request.way.opens_tunnel and account.inspect:
        return None  # each request inside will be judged by its own path
    owned = case.policy.owned.find(account.id, request.host, case.now)
    if owned is not None:
        case.robots_exempt = f"owner:{owned.host}"
        return None
    answer: RobotsAnswer = yield RobotsOf(request.origin, account, request.source)
    if answer.robots is None and request.way.opens_tunnel and request.port not in (80, 443):
        # what will be spoken in the tunnel is not known yet; TLS is only the better guess
        clear = ("http", request.host.text, request.port)
        answer = yield RobotsOf(clear, account, request.source)
    case.robots = answer
    case.robots_scope = "site" if request.way.opens_tunnel else "path"
    verdict = yield from _judge(case, answer)
    if verdict is None or case.lift("robots"):
        return None
    if mode == "observe":
        case.observed = verdict.detail
        return None
    return verdict


def _judge(case: Case, answer: RobotsAnswer) -> Generator[Question, Any, Verdict | None]:
    request, policy = case.request, case.policy.robots
    assert case.account is not None
    if answer.robots is None:
        return refuse("robots", Kind.ROBOTS, answer.detail, rule="robots/unreachable",
                      clause=policy.clause, retry_after=answer.retry_after)
    whole_site = request.way.opens_tunnel
    names = agents(case.account, request.user_agent, policy.identity)
    matches = of_kind((yield JudgeRobots(
        answer, request.origin, request.path or "/", names, whole_site)), tuple)
    if not matches:
        raise ValueError("the rules were asked about, and nothing was said")
    for agent, match in zip(names, matches, strict=False):
        case.robots_agent, case.robots_match = agent, match
        if not match.allowed:
            # line 0 and refused: the rules are more work than any honest file asks for
            where = f"line {match.line}" if match.line else "too costly to judge"
            what = "the whole site" if whole_site else "this path"
            return refuse("robots", Kind.ROBOTS,
                          f"The robots.txt of {request.host.text} disallows {what} "
                          f"for {agent!r} ({where}).",
                          rule=f"robots:{match.line}", clause=policy.clause)
    if len(matches) != len(names):
        raise ValueError("the rules of one who asks were not looked at")
    if not whole_site:
        delay = max(answer.robots.terms(agent).crawl_delay or 0.0 for agent in names)
        if delay:
            case.site_limits = (Limit(
                "crawl-delay", Unit.REQUESTS, Per.ACCOUNT_HOST, 1, min(delay, policy.max_delay), 1,
                Over.PACE, policy.max_wait, policy.clause),)
    return None


def agents(account: Account, user_agent: str,
           identity: Identity = Identity.STRICTEST) -> tuple[str, ...]:
    """The names whose rules must all allow the request: what it says it is, and what it declared.

    Both where the operator wants the strictest, so that neither changing the User-Agent nor
    declaring a token gets round the other. An account that declared nothing is what it says.
    """
    if not account.crawler or identity is Identity.USER_AGENT:
        return (user_agent,)
    if identity is Identity.ACCOUNT:
        return (account.crawler,)
    # even where the User-Agent has the token in it: of several words a robots.txt may well name
    # another one ("Googlebot ExampleBot")
    return (account.crawler, user_agent) if user_agent else (account.crawler,)
