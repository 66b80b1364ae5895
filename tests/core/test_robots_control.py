"""The robots control: when a site's rules are asked for, whom they bind, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driving import ACCOUNT, INSPECTED, NO_RULES, drive, request, robots, tunnel

from outbounds.core.questions import JudgeRobots, RobotsAnswer, RobotsOf, WhoIs
from outbounds.core.request import Way
from outbounds.core.robots import Match

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


def test_a_refusal_that_names_no_line() -> None:
    """Too costly to judge, or by an engine that does not say where it stands."""
    driven = drive(answers={RobotsOf: PATH, JudgeRobots: (Match(False, 0),)})
    assert driven.outcome == ("robots", "robots:0", 403)
    assert driven.case.verdict.detail.endswith("disallows this path for '' (no line named).")


@pytest.mark.parametrize("answer", [(), [Match(True, 0)], None, (Match(True, 0),) * 2])
def test_an_engine_that_says_too_little_or_too_much_allows_nothing(answer: Any) -> None:
    driven = drive(answers={RobotsOf: PATH, JudgeRobots: answer})
    assert driven.outcome == ("robots", "fault", 503)


def test_an_engine_that_leaves_a_name_out_allows_nothing() -> None:
    driven = drive(request(user_agent="curl"), answers={
        RobotsOf: NO_RULES, JudgeRobots: (Match(True, 0),),
        WhoIs: replace(ACCOUNT, crawler="AdaBot")})
    assert driven.outcome == ("robots", "fault", 503)


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
