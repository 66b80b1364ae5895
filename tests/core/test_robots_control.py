"""The robots control: when a site's rules are asked for, whom they bind, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driving import ACCOUNT, INSPECTED, NO_RULES, POLICY, drive, request, robots, tunnel
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.limits import Over, Per
from outbounds.core.questions import RobotsAnswer, RobotsOf, WhoIs
from outbounds.core.request import Way
from outbounds.core.robots_control import agents

PATH = robots("User-agent: *\nDisallow: /page\n")
SITE = robots("User-agent: *\nDisallow: /\n")
HIDDEN = robots("User-agent: *\nDisallow: /\nAllow: /page\n")
AWAY = RobotsAnswer(None, "unreachable", detail="It did not answer.", retry_after=30.0)

OUTCOMES: list[tuple[Any, RobotsAnswer, tuple[str, str, int | None]]] = [
    (request(), NO_RULES, ("", "", None)),
    (request(), PATH, ("robots", "robots:2", 403)),
    (request("http://site.example/other"), PATH, ("", "", None)),
    (request("http://site.example/page?q=1"), PATH, ("robots", "robots:2", 403)),
    (request(), SITE, ("robots", "robots:2", 403)),
    (request(), HIDDEN, ("", "", None)),
    (request(), AWAY, ("robots", "robots/unreachable", 403)),
    (request("https://site.example/page", Way.INSPECTED), PATH, ("robots", "robots:2", 403)),
    (request("http://site.example:8080/page", Way.CLEAR), PATH, ("robots", "robots:2", 403)),
    # a tunnel shows no path: the whole-site disallow only
    (tunnel(), PATH, ("", "", None)),
    (tunnel(), SITE, ("robots", "robots:2", 403)),
    (tunnel(), HIDDEN, ("", "", None)),
    (tunnel(way=Way.SOCKS), SITE, ("robots", "robots:2", 403)),
    (tunnel(), AWAY, ("robots", "robots/unreachable", 403)),
]


@pytest.mark.parametrize(("what", "answer", "outcome"), OUTCOMES)
def test_outcomes(what: Any, answer: RobotsAnswer, outcome: Any) -> None:
    driven = drive(what, answers={RobotsOf: answer})
    assert driven.outcome == outcome
    assert driven.case.robots is answer
    assert driven.case.robots_scope == ("site" if what.way.opens_tunnel else "path")


def test_what_a_refusal_says() -> None:
    verdict = drive(request(user_agent="FooBot/1"), answers={RobotsOf: PATH}).case.verdict
    assert verdict.detail == ("The robots.txt of site.example disallows this path for 'FooBot/1' "
                              "(line 2).")
    assert (verdict.clause, verdict.retry_after) == ("P-robots", None)
    verdict = drive(tunnel(), answers={RobotsOf: SITE}).case.verdict
    assert "disallows the whole site for" in verdict.detail


def test_a_site_that_cannot_be_asked_says_when_to_come_back() -> None:
    verdict = drive(answers={RobotsOf: AWAY}).case.verdict
    assert (verdict.detail, verdict.retry_after) == ("It did not answer.", 30.0)


# --- when nobody asks ---------------------------------------------------------------------------

NOT_ASKED = [
    request("http://site.example/robots.txt"),
    request("http://site.example/robots.txt?x=1"),
    request("https://site.example/robots.txt", Way.INSPECTED),
    replace(request(method="OPTIONS"), path="*"),
]
ASKED = [
    request("http://site.example/robots.txt/x"),
    request("http://site.example/robots.txtx"),
    request("http://site.example/ROBOTS.TXT"),
    request("http://site.example/x/robots.txt"),
    request("http://site.example/x?/robots.txt"),
    replace(request(), path="*"),
    request(method="OPTIONS"),
]


@pytest.mark.parametrize("what", NOT_ASKED)
def test_robots_txt_itself_is_always_reachable(what: Any) -> None:
    driven = drive(what, answers={RobotsOf: SITE})
    assert driven.case.verdict.allowed and RobotsOf not in driven.kinds


@pytest.mark.parametrize("what", ASKED)
def test_nothing_else_is(what: Any) -> None:
    assert drive(what, answers={RobotsOf: SITE}).outcome == ("robots", "robots:2", 403)


def test_a_tunnel_that_will_be_inspected_is_judged_request_by_request() -> None:
    driven = drive(tunnel(), answers={RobotsOf: SITE, WhoIs: INSPECTED})
    assert driven.case.verdict.allowed and RobotsOf not in driven.kinds
    driven = drive(request("https://site.example/page", Way.INSPECTED),
                   answers={RobotsOf: SITE, WhoIs: INSPECTED})
    assert driven.outcome == ("robots", "robots:2", 403)


# --- modes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [request(), tunnel()])
@pytest.mark.parametrize("answer", [SITE, AWAY])
def test_observe_only_writes_down(what: Any, answer: RobotsAnswer) -> None:
    policy = replace(POLICY, robots=replace(POLICY.robots, mode="observe"))
    driven = drive(what, policy, {RobotsOf: answer})
    assert driven.case.verdict.allowed
    assert driven.case.observed == drive(what, answers={RobotsOf: answer}).case.verdict.detail
    assert drive(what, policy).case.observed == ""


def test_off_does_not_ask() -> None:
    policy = replace(POLICY, robots=replace(POLICY.robots, mode="off"))
    driven = drive(policy=policy, answers={RobotsOf: SITE})
    assert driven.case.verdict.allowed and RobotsOf not in driven.kinds


@pytest.mark.parametrize("mode", ["Off", "", "observed", "none"])
def test_a_mode_that_nobody_knows_enforces(mode: str) -> None:
    policy = replace(POLICY, robots=replace(POLICY.robots, mode=mode))
    assert drive(policy=policy, answers={RobotsOf: SITE}).outcome[2] == 403


# --- origins ------------------------------------------------------------------------------------


def origins(what: Any, answers: dict[tuple[str, str, int], RobotsAnswer]) -> tuple[Any, list[Any]]:
    driven = drive(what, answers={RobotsOf: lambda question: answers[question.origin]})
    return driven, [q.origin for q in driven.asked if isinstance(q, RobotsOf)]


ODD = ("https", "site.example", 8443)
CLEAR = ("http", "site.example", 8443)


def test_rules_are_those_of_scheme_host_and_port() -> None:
    for url, way, origin in (
            ("http://site.example/page", Way.PLAIN, ("http", "site.example", 80)),
            ("http://site.example:8080/page", Way.PLAIN, ("http", "site.example", 8080)),
            ("https://SITE.example./page", Way.INSPECTED, ("https", "site.example", 443))):
        assert origins(request(url, way), {origin: NO_RULES})[1] == [origin]


def test_a_tunnel_to_an_odd_port_is_asked_over_http_when_https_has_no_answer() -> None:
    """What will be spoken in it is not known yet; TLS is the better guess, not the only one."""
    driven, asked = origins(tunnel(port=8443), {ODD: AWAY, CLEAR: SITE})
    assert asked == [ODD, CLEAR] and driven.outcome == ("robots", "robots:2", 403)
    driven, asked = origins(tunnel(port=8443), {ODD: AWAY, CLEAR: NO_RULES})
    assert asked == [ODD, CLEAR] and driven.case.verdict.allowed
    driven, asked = origins(tunnel(port=8443), {ODD: AWAY, CLEAR: AWAY})
    assert asked == [ODD, CLEAR] and driven.outcome == ("robots", "robots/unreachable", 403)


def test_an_answer_over_https_is_not_asked_for_again() -> None:
    for answer in (SITE, NO_RULES):
        assert origins(tunnel(port=8443), {ODD: answer})[1] == [ODD]


def test_the_usual_ports_say_what_is_spoken() -> None:
    for port, scheme in ((443, "https"), (80, "http")):
        origin = (scheme, "site.example", port)
        driven, asked = origins(tunnel(port=port), {origin: AWAY})
        assert asked == [origin] and driven.outcome == ("robots", "robots/unreachable", 403)


def test_a_plain_request_is_never_asked_for_over_another_scheme() -> None:
    origin = ("http", "site.example", 8080)
    assert origins(request("http://site.example:8080/page"), {origin: AWAY})[1] == [origin]


# --- whom the rules bind ------------------------------------------------------------------------


@pytest.mark.parametrize(("crawler", "user_agent", "names"), [
    ("", "", ("",)),
    ("", "FooBot/1", ("FooBot/1",)),
    ("AdaBot", "", ("AdaBot",)),
    ("AdaBot", "curl/8", ("AdaBot", "curl/8")),
    ("AdaBot", "Mozilla/5.0 (compatible; AdaBot/2)",
     ("AdaBot", "Mozilla/5.0 (compatible; AdaBot/2)")),
    ("AdaBot", "Googlebot AdaBot", ("AdaBot", "Googlebot AdaBot")),
    ("Ada", "AdamsBot", ("Ada", "AdamsBot")),
])
def test_agents(crawler: str, user_agent: str, names: tuple[str, ...]) -> None:
    assert agents(replace(ACCOUNT, crawler=crawler), user_agent) == names


NAMED = robots("User-agent: AdaBot\nDisallow: /page\n\nUser-agent: Googlebot\nDisallow: /g\n\n"
               "User-agent: *\nDisallow: /none\n")


@pytest.mark.parametrize(("crawler", "user_agent", "path", "rule"), [
    ("", "curl/8", "/page", ""),
    ("", "curl/8", "/none", "robots:8"),
    ("", "AdaBot/2", "/page", "robots:2"),
    ("AdaBot", "", "/page", "robots:2"),
    # neither changing the User-Agent nor declaring a token gets round the other
    ("AdaBot", "curl/8", "/page", "robots:2"),
    ("AdaBot", "curl/8", "/none", "robots:8"),
    ("AdaBot", "Googlebot", "/g", "robots:5"),
    ("AdaBot", "Googlebot AdaBot", "/page", "robots:2"),
    ("AdaBot", "NotAdaBotButLonger", "/page", "robots:2"),
    ("AdaBot", "AdaBot", "/none", ""),
    ("AdaBot", "curl/8", "/g", ""),
])
def test_both_names_must_be_allowed(crawler: str, user_agent: str, path: str, rule: str) -> None:
    driven = drive(request(f"http://site.example{path}", user_agent=user_agent),
                   answers={RobotsOf: NAMED, WhoIs: replace(ACCOUNT, crawler=crawler)})
    assert driven.outcome[1] == rule


WORDS = st.lists(st.sampled_from(["AdaBot", "Googlebot/2.1", "curl/8", "Mozilla/5.0", "(x;"]),
                 max_size=4).map(" ".join)


@given(WORDS)
def test_no_user_agent_frees_an_account_of_its_declared_token(user_agent: str) -> None:
    driven = drive(request(user_agent=user_agent),
                   answers={RobotsOf: NAMED, WhoIs: replace(ACCOUNT, crawler="AdaBot")})
    assert driven.outcome == ("robots", "robots:2", 403)


# --- crawl-delay --------------------------------------------------------------------------------

DELAYS = robots("User-agent: AdaBot\nCrawl-delay: 5\nAllow: /\n\n"
                "User-agent: curl\nCrawl-delay: 8\nAllow: /\n\n"
                "User-agent: slow\nCrawl-delay: 900\nAllow: /\n")


@pytest.mark.parametrize(("crawler", "user_agent", "delay"), [
    ("", "curl/8", 8.0),
    ("AdaBot", "", 5.0),
    ("AdaBot", "curl/8", 8.0),  # the longer of the two
    ("AdaBot", "wget", 5.0),
    ("", "slow", 60.0),  # capped by max_delay
    ("", "wget", 0.0),
])
def test_the_crawl_delay_is_charged(crawler: str, user_agent: str, delay: float) -> None:
    driven = drive(request(user_agent=user_agent),
                   answers={RobotsOf: DELAYS, WhoIs: replace(ACCOUNT, crawler=crawler)})
    found = [charge for charge in driven.case.charges if charge.limit.id == "crawl-delay"]
    assert [(charge.limit.interval, charge.limit.per, charge.limit.over) for charge in found] == (
        [(delay, Per.ACCOUNT_HOST, Over.PACE)] if delay else [])


def test_a_tunnel_pays_no_crawl_delay() -> None:
    """How many requests flow inside is not seen; one tunnel is not one request."""
    driven = drive(tunnel(user_agent="curl/8"), answers={RobotsOf: DELAYS})
    assert "crawl-delay" not in [charge.limit.id for charge in driven.case.charges]


def test_observing_still_keeps_to_the_delay() -> None:
    policy = replace(POLICY, robots=replace(POLICY.robots, mode="observe"))
    found, = drive(request(user_agent="curl"), policy, {RobotsOf: DELAYS}).case.site_limits
    assert (found.id, found.interval) == ("crawl-delay", 8.0)
