"""The control `robots`: what the target's own robots.txt says of a request.

Whose rules bind a request is for the operator to say (`rules.RobotsPolicy`); what they are, and
what they say of one path, are questions like any other. A file may ask for more than its rules:
hours, which are kept by refusing; uses that it does not want, which refuse an account that declared
one of them; and a pace, which is left as limits for the next control to charge.

What refuses is lifted by a dated exception for the rule `robots`, and in the mode `observe` only
written down. The pace holds all the same: a site that lets somebody in says nothing about being
hurried, and an operator who only watches must not do harm by it.
"""

from __future__ import annotations

from . import content_use, robots_readings, site_terms
from .account import Account
from .case import Case
from .controls import Asking, of_kind
from .questions import JudgeRobots, RobotsAnswer, RobotsOf
from .robots import Match, Robots
from .robots_terms import NO_TERMS
from .rules import Identity
from .verdict import Kind, Verdict, refuse


def robots(case: Case) -> Asking:
    request, policy = case.request, case.policy.robots
    account = case.account
    assert account is not None
    mode, entry, tunnel = policy.mode, "", request.way.opens_tunnel
    if policy.modes:
        mode, entry = policy.mode_for(account, request.host, case.now)
    if entry and mode in ("observe", "off"):
        case.robots_exempt = f"mode:{entry}"
    if mode == "off" or (request.method == "OPTIONS" and request.path == "*"):
        return None
    if request.path.startswith("/robots.txt") and request.path[11:12] in ("", "?"):
        return None  # always reachable: RFC 9309 section 2.2.2
    if tunnel and account.inspect:
        return None  # each request inside will be judged by its own path
    owned = case.policy.owned.find(account.id, request.host, case.now)
    if owned is not None:
        case.robots_exempt = f"owner:{owned.host}"
        return None
    answer: RobotsAnswer = yield RobotsOf(request.origin, account, request.source)
    if answer.robots is None and tunnel and request.port not in (80, 443):
        # what will be spoken in the tunnel is not known yet; TLS is only the better guess
        clear = ("http", request.host.text, request.port)
        answer = yield RobotsOf(clear, account, request.source)
    case.robots = answer
    case.robots_scope = "site" if tunnel else "path"
    verdict = None
    if answer.robots is None:
        verdict = refuse("robots", Kind.ROBOTS, answer.detail, rule="robots/unreachable",
                         clause=policy.clause, retry_after=answer.retry_after)
    else:
        path, names = request.path or "/", agents(account, request.user_agent, policy.identity)
        readings = (*robots_readings.others(path), path)
        for reading in readings:
            matches = yield JudgeRobots(answer, request.origin, reading, names, tunnel)
            verdict = _by_the_rules(case, names, of_kind(matches, tuple))
            if verdict is not None:
                break
        verdict = _beside_the_rules(case, answer.robots, names, readings, verdict)
    if verdict is None or case.lift("robots"):
        return None
    if mode == "observe":
        case.observed = verdict.detail
        return None
    return verdict


def _beside_the_rules(case: Case, robots: Robots, names: tuple[str, ...],
                      readings: tuple[str, ...], verdict: Verdict | None) -> Verdict | None:
    """What the file asks for, which is noted whatever the rules say; and `verdict`, which is
    theirs, or what that refuses."""
    policy, account = case.policy.robots, case.account
    assert account is not None
    asked = [terms for name in names if (terms := robots.terms(name)) is not NO_TERMS]
    said: tuple[content_use.Said, ...] = ()
    if case.robots_scope == "path":  # in a tunnel neither the number nor the paths are seen
        if asked:
            case.site_limits = site_terms.paces(asked, policy, case.now)
        said = content_use.preferences(robots, readings, names)
        if said:
            case.preferences = tuple(preference for _, preference in said)
    if verdict is None and asked and site_terms.VISIT_TIME in policy.honour:
        verdict = _by_the_hours(case, site_terms.until_visit_time(asked, case.now))
    if verdict is None and said and account.purposes and "content-signals" in policy.honour:
        verdict = _by_the_use(case, said, account.purposes)
    return verdict


def _by_the_rules(case: Case, names: tuple[str, ...], matches: tuple[Match, ...]
                  ) -> Verdict | None:
    if not matches:
        raise ValueError("the rules were asked about, and nothing was said")
    for name, match in zip(names, matches, strict=False):
        case.robots_agent, case.robots_match = name, match
        if not match.allowed:
            what = "the whole site" if case.robots_scope == "site" else "this path"
            return refuse("robots", Kind.ROBOTS,
                          f"The robots.txt of {case.request.host.text} disallows {what} "
                          f"for {name!r} ({_place(match.line)}).",
                          rule=f"robots:{match.line}", clause=case.policy.robots.clause)
    if len(matches) != len(names):
        raise ValueError("the rules of one who asks were not looked at")
    return None


def _by_the_hours(case: Case, wait: float | None) -> Verdict | None:
    if wait == 0.0:
        return None
    never = "" if wait is not None else " None of them suits all the names of this request."
    return refuse("robots", Kind.LIMIT,
                  f"The robots.txt of {case.request.host.text} asks to be visited at other hours "
                  f"of the day only.{never}", rule=site_terms.VISIT_TIME,
                  clause=case.policy.robots.clause, retry_after=wait)


def _by_the_use(case: Case, said: tuple[content_use.Said, ...], purposes: tuple[str, ...]
                ) -> Verdict | None:
    for name, each in said:
        if not each.allowed and each.purpose in purposes:
            case.robots_agent, case.robots_match = name, Match(False, each.line)
            return refuse("robots", Kind.ROBOTS,
                          f"The robots.txt of {case.request.host.text} does not want this path "
                          f"used for {each.purpose} ({_place(each.line)}), which this account "
                          "declared to do.",
                          rule=f"content-use/{each.purpose}", clause=case.policy.robots.clause)
    return None


def _place(line: int) -> str:
    """0: the file was too costly to judge, or the engine does not say where it is written."""
    return f"line {line}" if line else "no line named"


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
