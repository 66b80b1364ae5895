"""What a robots.txt asks beside its rules: pace, hours and uses, as the control keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driving import ACCOUNT, NOW, POLICY, drive, grant, request, robots, tunnel
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.limits import Over, Per
from outbounds.core.questions import RobotsAnswer, RobotsOf, WhoIs
from outbounds.core.request import Way
from outbounds.core.robots import Match, Robots
from outbounds.core.robots_terms import NO_TERMS, Hours, Preference, RequestRate, Terms
from outbounds.core.rules import Policy

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


# --- what a file asks beside its rules ----------------------------------------------------------


class Asking(Robots):
    """A file that says to each name what the test wants it to."""

    asks: dict[str, Terms]
    says: dict[str, tuple[Preference, ...]]

    def terms(self, agent: str) -> Terms:
        return self.asks.get(agent, NO_TERMS)

    def preferences(self, url: str, agent: str) -> tuple[Preference, ...]:
        return self.says.get(agent, ())


def asking(text: str = "", asks: dict[str, Terms] | None = None,
           says: dict[str, tuple[Preference, ...]] | None = None) -> RobotsAnswer:
    found = Asking.parse(text.encode())
    found.asks, found.says = asks or {}, says or {}
    return RobotsAnswer(found, "fresh", "digest")


def changed(**fields: Any) -> Policy:
    return replace(POLICY, robots=replace(POLICY.robots, **fields))


HOUR = 3600.0
MINUTE_NOW = int(NOW % 86_400 // 60)
CLOSED = Terms(visit_times=(Hours((MINUTE_NOW + 60) % 1440, (MINUTE_NOW + 120) % 1440),))
OPEN = Terms(visit_times=(Hours(MINUTE_NOW, (MINUTE_NOW + 60) % 1440),))
UNTIL = 60.0 * (MINUTE_NOW + 60) - NOW % 86_400


def test_paces_are_charged_for_each_account_and_host() -> None:
    answer = asking(asks={"": Terms(2.0, (RequestRate(10, 60.0),))})
    driven = drive(answers={RobotsOf: answer})
    found = {charge.limit.id: charge for charge in driven.case.charges}
    for name, interval in (("crawl-delay", 2.0), ("request-rate", 6.0)):
        charge = found[name]
        assert (charge.key, charge.limit.interval) == ("acct_a site.example", interval)
        assert (charge.limit.over, charge.limit.clause) == (Over.PACE, "P-robots")


@pytest.mark.parametrize("what", [tunnel(), tunnel(way=Way.SOCKS)])
def test_a_tunnel_pays_no_pace(what: Any) -> None:
    answer = asking(asks={"": Terms(2.0, (RequestRate(10, 60.0),))})
    assert drive(what, answers={RobotsOf: answer}).case.site_limits == ()


@pytest.mark.parametrize("what", [
    request(), tunnel(), tunnel(way=Way.SOCKS), request("http://site.example/x", Way.CLEAR),
    request("https://site.example/x", Way.INSPECTED)])
def test_outside_its_hours_a_site_is_closed(what: Any) -> None:
    driven = drive(what, answers={RobotsOf: asking(asks={"": CLOSED})})
    assert driven.outcome == ("robots", "visit-time", 429)
    verdict = driven.case.verdict
    assert (verdict.retry_after, verdict.clause) == (UNTIL, "P-robots")
    assert verdict.detail == ("The robots.txt of site.example asks to be visited at other hours of "
                              "the day only.")
    later = drive(what, answers={RobotsOf: asking(asks={"": CLOSED})}, now=NOW + UNTIL)
    assert later.case.verdict.allowed
    sooner = drive(what, answers={RobotsOf: asking(asks={"": CLOSED})}, now=NOW + UNTIL - 1)
    assert sooner.case.verdict.retry_after == 1.0
    assert drive(what, answers={RobotsOf: asking(asks={"": OPEN})}).case.verdict.allowed


def test_robots_txt_has_no_hours() -> None:
    answer = asking(asks={"": CLOSED})
    assert drive(request("http://site.example/robots.txt"),
                 answers={RobotsOf: answer}).case.verdict.allowed


def test_the_hours_of_all_names_hold() -> None:
    who = replace(ACCOUNT, crawler="AdaBot")
    for asks, retry in (({"AdaBot": CLOSED}, UNTIL), ({"curl": CLOSED, "AdaBot": OPEN}, None)):
        driven = drive(request(user_agent="curl"),
                       answers={RobotsOf: asking(asks=asks), WhoIs: who})
        assert driven.outcome == ("robots", "visit-time", 429)
        assert driven.case.verdict.retry_after == retry
    assert driven.case.verdict.detail.endswith("None of them suits all the names of this request.")


def test_a_path_that_is_disallowed_is_so_at_all_hours() -> None:
    answer = asking("User-agent: *\nDisallow: /page", asks={"": CLOSED})
    assert drive(answers={RobotsOf: answer}).outcome == ("robots", "robots:2", 403)


NO_TRAINING = (Preference("search", True, 2), Preference("ai-train", False, 3))
TRAINER = replace(ACCOUNT, purposes=("search", "ai-train"))


def test_an_unwanted_use_refuses_who_declared_it() -> None:
    answer = asking(says={"": NO_TRAINING})
    driven = drive(answers={RobotsOf: answer, WhoIs: TRAINER})
    assert driven.outcome == ("robots", "content-use/ai-train", 403)
    verdict = driven.case.verdict
    assert verdict.detail == (
        "The robots.txt of site.example does not want this path used for ai-train (line 3), which "
        "this account declared to do.")
    assert (verdict.clause, verdict.retry_after) == ("P-robots", None)
    assert driven.case.robots_match == Match(False, 3)
    assert driven.case.preferences == NO_TRAINING


@pytest.mark.parametrize("purposes", [(), ("search",), ("ai-input",), ("search", "ai-input")])
def test_other_uses_are_only_written_down(purposes: tuple[str, ...]) -> None:
    who = replace(ACCOUNT, purposes=purposes)
    driven = drive(answers={RobotsOf: asking(says={"": NO_TRAINING}), WhoIs: who})
    assert driven.case.verdict.allowed and driven.case.preferences == NO_TRAINING


@pytest.mark.parametrize("what", [tunnel(), tunnel(way=Way.SOCKS)])
def test_a_tunnel_shows_no_path_to_have_preferences_for(what: Any) -> None:
    driven = drive(what, answers={RobotsOf: asking(says={"": NO_TRAINING}), WhoIs: TRAINER})
    assert driven.case.verdict.allowed and driven.case.preferences == ()


def preference(purpose: str, allowed: bool, line: int = 1) -> Preference:
    return Preference(purpose, allowed, line)


@pytest.mark.parametrize(("says", "merged"), [
    ({"AdaBot": (preference("search", True),)}, (preference("search", True),)),
    ({"curl": (preference("search", False),)}, (preference("search", False),)),
    ({"AdaBot": (preference("search", True, 1),), "curl": (preference("search", False, 2),)},
     (preference("search", False, 2),)),
    ({"AdaBot": (preference("search", False, 1),), "curl": (preference("search", True, 2),)},
     (preference("search", False, 1),)),
    ({"AdaBot": (preference("ai-train", False),), "curl": (preference("search", True),)},
     (preference("search", True), preference("ai-train", False))),
])
def test_what_several_names_are_told_is_no_where_any_is(
        says: dict[str, tuple[Preference, ...]], merged: tuple[Preference, ...]) -> None:
    driven = drive(request(user_agent="curl"), answers={
        RobotsOf: asking(says=says), WhoIs: replace(ACCOUNT, crawler="AdaBot")})
    assert driven.case.preferences == merged


def test_the_record_names_whose_preference_it_was() -> None:
    answer = asking(says={"AdaBot": NO_TRAINING, "curl": (preference("ai-train", True),)})
    case = drive(request(user_agent="curl"), answers={
        RobotsOf: answer, WhoIs: replace(TRAINER, crawler="AdaBot")}).case
    assert (case.robots_agent, case.robots_match) == ("AdaBot", Match(False, 3))


def test_a_path_that_servers_read_in_two_ways_has_the_preferences_of_both() -> None:
    answer = robots("User-agent: *\nContent-Usage: / train-ai=y\n"
                    "Content-Usage: /blog/ train-ai=n\n")
    for path, rule in (("/blog/x", "content-use/ai-train"), ("/", ""),
                       ("/public%2F..%2fblog/x", "content-use/ai-train")):
        driven = drive(request(f"http://site.example{path}"),
                       answers={RobotsOf: answer, WhoIs: TRAINER})
        assert driven.outcome[1] == rule, path


def test_a_preference_without_a_line() -> None:
    answer = asking(says={"": (preference("ai-train", False, 0),)})
    verdict = drive(answers={RobotsOf: answer, WhoIs: TRAINER}).case.verdict
    assert "for ai-train (no line named), which" in verdict.detail


ASKS: list[tuple[str, Any]] = [
    ("robots:2", "User-agent: *\nDisallow: /page"), ("visit-time", CLOSED),
    ("content-use/ai-train", NO_TRAINING)]


def asked(what: Any) -> RobotsAnswer:
    pace = Terms(2.0)
    if isinstance(what, str):
        return asking(what, asks={"": pace})
    if isinstance(what, Terms):
        return asking(asks={"": replace(what, crawl_delay=2.0)})
    return asking(asks={"": pace}, says={"": what})


@pytest.mark.parametrize(("rule", "what"), ASKS, ids=[rule for rule, _ in ASKS])
class TestWhatIsAsked:
    """Rules, hours and uses are enforced, watched and lifted alike; the pace holds all the same."""

    def drive(self, what: Any, policy: Policy = POLICY) -> Any:
        return drive(policy=policy, answers={RobotsOf: asked(what), WhoIs: TRAINER})

    def test_it_refuses(self, rule: str, what: Any) -> None:
        driven = self.drive(what)
        assert driven.outcome[:2] == ("robots", rule) and driven.case.charges == ()

    def test_observe_lets_it_through_and_writes_it_down(self, rule: str, what: Any) -> None:
        driven = self.drive(what, changed(mode="observe"))
        assert driven.case.verdict.allowed
        assert driven.case.observed == self.drive(what).case.verdict.detail
        assert [each.id for each in driven.case.site_limits] == ["crawl-delay"]

    def test_an_exception_lifts_it(self, rule: str, what: Any) -> None:
        policy = replace(POLICY, grants=(grant("robots", host="site.example"),))
        driven = self.drive(what, policy)
        assert driven.case.verdict.allowed
        assert (driven.case.lifted, driven.case.observed) == (("exception",), "")
        assert [each.id for each in driven.case.site_limits] == ["crawl-delay"]
        ended = replace(POLICY, grants=(grant("robots", host="site.example", until=NOW),))
        assert self.drive(what, ended).outcome[1] == rule

    def test_only_what_is_honoured_refuses(self, rule: str, what: Any) -> None:
        driven = self.drive(what, changed(honour=frozenset()))
        assert driven.outcome[1] == (rule if rule == "robots:2" else "")
        assert driven.case.site_limits == ()
        assert bool(driven.case.preferences) == (rule == "content-use/ai-train")

    def test_an_exception_that_was_not_needed_is_not_used(self, rule: str, what: Any) -> None:
        policy = replace(POLICY, grants=(grant("robots", host="site.example"),))
        assert drive(policy=policy).case.lifted == ()


@given(st.binary(max_size=300) | st.lists(st.sampled_from([
    b"User-agent: *", b"User-agent: AdaBot", b"Crawl-delay: 0.1", b"Crawl-delay: 1e9",
    b"Request-rate: 1/5", b"Request-rate: 0/0", b"Request-rate: 999999/1s 2300-0100",
    b"Visit-time: 0100-0200", b"Visit-time: 2500-0000", b"Content-Signal: ai-train=no",
    b"Content-Signal: /x search=yes, ai-train=no", b"Content-Usage: train-ai=n", b"Disallow: /p",
    b"Allow: /"]), max_size=12).map(b"\n".join))
def test_no_file_brings_about_a_fault(body: bytes) -> None:
    answer = RobotsAnswer(Robots.parse(body), "fresh", "digest")
    for what in (request(user_agent="curl"), tunnel(user_agent="AdaBot/1")):
        driven = drive(what, answers={RobotsOf: answer, WhoIs: replace(TRAINER, crawler="AdaBot")})
        assert driven.case.fault is None
