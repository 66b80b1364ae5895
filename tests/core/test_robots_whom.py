"""Whom a site's rules bind: in which mode, by which names, and who is exempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driving import ACCOUNT, HOST, NOW, POLICY, drive, request, robots, tunnel
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.account import Account
from outbounds.core.destination import parse_host
from outbounds.core.owned_sites import OwnedSite, OwnedSites
from outbounds.core.questions import RobotsAnswer, RobotsOf, WhoIs
from outbounds.core.robots_control import agents
from outbounds.core.rules import Identity, Policy, RobotsMode

SITE = robots("User-agent: *\nDisallow: /\n")
AWAY = RobotsAnswer(None, "unreachable", detail="It did not answer.", retry_after=30.0)

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


ADA, BOB = replace(ACCOUNT, plan="default"), Account("acct_b", "bob", "default")


def with_modes(*modes: RobotsMode, mode: str = "enforce") -> Policy:
    return replace(POLICY, robots=replace(POLICY.robots, mode=mode, modes=modes))


def entry(mode: str, name: str = "entry", **fields: Any) -> RobotsMode:
    return RobotsMode(name, mode, **{
        key: frozenset(value) if key != "until" else value for key, value in fields.items()})


LATER = entry("observe", "later")  # fits everybody


@pytest.mark.parametrize(("modes", "found"), [
    ((), ("enforce", "")),
    ((entry("off", accounts=["acct_a"]),), ("off", "entry")),
    ((entry("off", accounts=["acct_b"]),), ("enforce", "")),
    ((entry("off", accounts=["acct_b", "acct_a"]),), ("off", "entry")),
    ((entry("off", plans=["default"]),), ("off", "entry")),
    ((entry("off", plans=["large"]),), ("enforce", "")),
    ((entry("off", hosts=["site.example"]),), ("off", "entry")),
    ((entry("off", hosts=["example"]),), ("off", "entry")),  # with everything below it
    ((entry("off", hosts=["www.site.example"]),), ("enforce", "")),
    ((entry("off", hosts=["ite.example"]),), ("enforce", "")),
    ((entry("off", until=NOW),), ("enforce", "")),
    ((entry("off", until=NOW + 1),), ("off", "entry")),
    # all that is given must fit
    ((entry("off", accounts=["acct_a"], hosts=["other.example"]),), ("enforce", "")),
    ((entry("off", accounts=["acct_a"], plans=["large"]),), ("enforce", "")),
    ((entry("off", accounts=["acct_a"], plans=["default"], hosts=["example"]),), ("off", "entry")),
    # the first that fits, whatever it says
    ((entry("enforce", hosts=["site.example"]), LATER), ("enforce", "entry")),
    ((entry("enforce", hosts=["other.example"]), LATER), ("observe", "later")),
    ((entry("off", until=NOW), LATER), ("observe", "later")),
])
def test_which_mode_holds(modes: tuple[RobotsMode, ...], found: tuple[str, str]) -> None:
    assert with_modes(*modes).robots.mode_for(ADA, HOST, NOW) == found


def test_hosts_of_a_mode_may_be_addresses() -> None:
    policy = with_modes(entry("off", hosts=["192.0.2.7"])).robots
    assert policy.mode_for(ADA, parse_host("192.0.2.7"), NOW)[0] == "off"
    assert policy.mode_for(ADA, parse_host("192.0.2.8"), NOW)[0] == "enforce"


@pytest.mark.parametrize("what", [request(), tunnel()])
def test_an_entry_turns_it_off_for_some(what: Any) -> None:
    """The site is not even asked, and the record says why."""
    policy = with_modes(entry("off", accounts=["acct_b"]))
    driven = drive(what, policy, {RobotsOf: SITE, WhoIs: BOB})
    assert driven.case.verdict.allowed and RobotsOf not in driven.kinds
    assert (driven.case.robots, driven.case.robots_exempt) == (None, "mode:entry")
    driven = drive(what, policy, {RobotsOf: SITE, WhoIs: ADA})
    assert (driven.outcome[1], driven.case.robots_exempt) == ("robots:2", "")


def test_an_entry_observes_some() -> None:
    policy = with_modes(entry("observe", hosts=["site.example"]))
    driven = drive(policy=policy, answers={RobotsOf: SITE})
    assert driven.case.verdict.allowed and "(line 2)" in driven.case.observed
    assert driven.case.robots is SITE and driven.case.robots_exempt == "mode:entry"


def test_an_entry_that_enforces_exempts_from_nothing() -> None:
    policy = with_modes(entry("enforce", accounts=["acct_a"]), mode="observe")
    driven = drive(policy=policy, answers={RobotsOf: SITE})
    assert (driven.outcome[1], driven.case.robots_exempt) == ("robots:2", "")


def test_what_an_account_owns_does_not_bind_it() -> None:
    owned = OwnedSites([OwnedSite("acct_a", "site.example", True, NOW + 1)])
    policy = replace(POLICY, owned=owned)
    driven = drive(policy=policy, answers={RobotsOf: SITE})
    assert driven.case.verdict.allowed and RobotsOf not in driven.kinds
    assert driven.case.robots_exempt == "owner:site.example"
    assert drive(policy=policy, answers={RobotsOf: SITE, WhoIs: BOB}).outcome[1] == "robots:2"
    assert drive(policy=policy, answers={RobotsOf: SITE}, now=NOW + 1).outcome[1] == "robots:2"


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


TOKENS = ["AdaBot", "MJ12bot"]
AGENTS = ["", "curl/8", "AdaBot/2", "Mozilla/5.0 (compatible; MJ12bot/v1.4.8; http://x/)"]


@pytest.mark.parametrize("identity", [*Identity])
@pytest.mark.parametrize("crawler", ["", *TOKENS])
@pytest.mark.parametrize("user_agent", AGENTS)
def test_by_which_names(identity: Identity, crawler: str, user_agent: str) -> None:
    names = agents(replace(ACCOUNT, crawler=crawler), user_agent, identity)
    if not crawler or identity is Identity.USER_AGENT:
        assert names == (user_agent,)
    elif identity is Identity.ACCOUNT or not user_agent:
        assert names == (crawler,)
    else:
        assert names == (crawler, user_agent)


BINDS = robots("User-agent: mj12bot\nDisallow: /mj\n\nUser-agent: curl\nDisallow: /curl\n")


@pytest.mark.parametrize(("identity", "refused"), [
    (Identity.USER_AGENT, {"/curl"}), (Identity.ACCOUNT, {"/mj"}),
    (Identity.STRICTEST, {"/mj", "/curl"})])
def test_whose_rules_bind_is_the_operators_to_say(identity: Identity, refused: set[str]) -> None:
    policy = replace(POLICY, robots=replace(POLICY.robots, identity=identity))
    who = replace(ACCOUNT, crawler="MJ12bot")
    found = {path for path in ("/mj", "/curl", "/else") if not drive(
        request(f"http://site.example{path}", user_agent="curl/8"), policy,
        {RobotsOf: BINDS, WhoIs: who}).case.verdict.allowed}
    assert found == refused


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
