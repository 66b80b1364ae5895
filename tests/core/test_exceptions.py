"""Dated exceptions: deny wins over allow, but for one that names the rule, is narrow and in force.

Each refusal that can be lifted is lifted here by the exception that names it, and by nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from driving import ACCOUNT, NOW, POLICY, denylist, drive, entries, grant, request, robots, tunnel

from outbounds.core.denylist import Denylist
from outbounds.core.destination import AddressRules
from outbounds.core.questions import AddressesOf, RobotsOf, WhoIs
from outbounds.core.rules import NEVER_LIFTED
from outbounds.settings.fields import LIFTABLE

LISTED = replace(POLICY, denylist=Denylist.build([
    entries(("domain", "site.example"), ("host", "www.site.example"), ("port", "8080"),
            ("network", "93.184.216.0/24")),
    entries(("host", "www.site.example"), list_id="legal", legal="https://a.example/")]))
REFUSING = replace(POLICY, protocol=replace(POLICY.protocol, refuse_route_fields=True))
OWN = replace(POLICY, addresses=AddressRules(
    own=frozenset({ip_address("93.184.216.34")}), own_ports=frozenset({8080})))
CLOSED = {RobotsOf: robots("User-agent: *\nDisallow: /")}
PRIVATE = {AddressesOf: (ip_address("10.0.0.1"),)}
METADATA = {AddressesOf: (ip_address("169.254.169.254"),)}

# (request, policy, answers, the rule of the refusal, what lifts it)
LIFTS: list[tuple[Any, Any, Any, str, tuple[str, ...]]] = [
    (request(method="TRACE"), POLICY, {}, "method", ("method",)),
    (request("http://site.example:25/"), POLICY, {}, "port/25", ("port", "port/25")),
    (tunnel(port=25), POLICY, {}, "port/25", ("port", "port/25")),
    (request(route_fields=("via",)), REFUSING, {}, "forged-headers", ("forged-headers",)),
    (request(), POLICY, CLOSED, "robots:2", ("robots",)),
    (tunnel(), POLICY, CLOSED, "robots:2", ("robots",)),
    (request(), POLICY, PRIVATE, "special-purpose", ("special-purpose",)),
    (request(), OWN, {}, "own-address", ("own-address",)),
    (request(), replace(POLICY, denylist=denylist(("domain", "site.example"))), {}, "blocked:1",
     ("blocked", "blocked:1")),
    (request(), replace(POLICY, denylist=denylist(("network", "93.184.216.0/24"))), {},
     "blocked:1", ("blocked", "blocked:1")),
]
RULES = sorted({rule for *_, rules in LIFTS for rule in rules} | NEVER_LIFTED | {"blocked:2"})


@pytest.mark.parametrize(("what", "policy", "answers", "rule", "lifts"), LIFTS)
def test_an_exception_lifts_the_rule_that_it_names_and_no_other(
        what: Any, policy: Any, answers: Any, rule: str, lifts: tuple[str, ...]) -> None:
    assert drive(what, policy, answers).outcome[1] == rule
    for name in RULES:
        driven = drive(what, replace(policy, grants=(grant(name),)), answers)
        if name in lifts:
            assert driven.case.verdict.allowed, name
            assert driven.case.lifted == ("exception",)
        else:
            assert driven.outcome[1] == rule, name
            assert driven.case.lifted == ()


@pytest.mark.parametrize(("what", "policy", "answers", "rule"), [
    (request("http://site.example:8080/"), OWN, {}, "own-listener"),
    (request(), POLICY, METADATA, "cloud-metadata"),
])
def test_some_rules_are_never_lifted(what: Any, policy: Any, answers: Any, rule: str) -> None:
    assert drive(what, policy, answers).outcome[1] == rule
    everything = tuple(grant(name) for name in [*RULES, rule])
    assert drive(what, replace(policy, grants=everything), answers).outcome[1] == rule


def test_what_is_never_lifted_cannot_be_written_as_an_exception() -> None:
    assert not LIFTABLE & NEVER_LIFTED


def lifted(*, now: float = NOW, account: str = "acct_a", **fields: Any) -> bool:
    policy = replace(POLICY, grants=(grant("port/25", **fields),))
    return drive(request("http://site.example:25/"), policy,
                 {WhoIs: replace(ACCOUNT, id=account)}, now=now).case.verdict.allowed


@pytest.mark.parametrize(("now", "in_force"), [
    (NOW - 86400, True), (NOW + 0.999, True), (NOW + 1, False), (NOW + 86400, False)])
def test_an_exception_ends_at_its_moment(now: float, in_force: bool) -> None:
    assert lifted(now=now, until=NOW + 1) is in_force


@pytest.mark.parametrize(("accounts", "account", "in_force"), [
    ((), "acct_a", True),
    (("acct_a",), "acct_a", True),
    (("acct_b", "acct_a"), "acct_a", True),
    (("acct_b",), "acct_a", False),
    (("acct_",), "acct_a", False),
    (("ada",), "acct_a", False),  # ids, not names: a name can be given to somebody else
])
def test_an_exception_is_for_its_accounts(accounts: tuple[str, ...], account: str,
                                          in_force: bool) -> None:
    assert lifted(accounts=accounts, account=account) is in_force


@pytest.mark.parametrize(("granted", "host", "in_force"), [
    ("", "site.example", True),
    ("site.example", "site.example", True),
    ("site.example", "www.site.example", True),
    ("site.example", "SITE.example.", True),
    ("www.site.example", "site.example", False),
    ("site.example", "xsite.example", False),
    ("site.example", "site.example.org", False),
    ("93.184.216.34", "93.184.216.34", True),
    ("93.184.216.35", "93.184.216.34", False),
])
def test_an_exception_is_for_its_host(granted: str, host: str, in_force: bool) -> None:
    policy = replace(POLICY, grants=(grant("port/25", host=granted),))
    assert drive(request(f"http://{host}:25/"), policy).case.verdict.allowed is in_force


def test_account_and_host_must_both_fit() -> None:
    policy = replace(POLICY, grants=(grant("port/25", accounts=("acct_a",), host="site.example"),))

    def allowed(account: str, host: str) -> bool:
        return drive(request(f"http://{host}:25/"), policy,
                     {WhoIs: replace(ACCOUNT, id=account)}).case.verdict.allowed

    assert allowed("acct_a", "site.example")
    assert not allowed("acct_b", "site.example")
    assert not allowed("acct_a", "other.example")


# --- several hits, several exceptions -----------------------------------------------------------


@pytest.mark.parametrize(("grants", "outcome"), [
    ((), ("destination", "blocked:2", 403)),
    (("blocked:2",), ("destination", "legal:1", 451)),
    (("blocked:2", "legal:1"), ("destination", "blocked:1", 403)),
    (("blocked:1", "blocked:2", "legal:1"), ("destination", "blocked:4", 403)),
    (("blocked:1", "blocked:2", "blocked:4"), ("destination", "legal:1", 451)),
    (("blocked",), ("destination", "legal:1", 451)),
    (("legal",), ("destination", "blocked:2", 403)),
    (("blocked", "legal"), ("", "", None)),
    (("blocked:1", "blocked:2", "blocked:4", "legal:1"), ("", "", None)),
])
def test_every_hit_has_to_be_lifted(grants: tuple[str, ...], outcome: Any) -> None:
    """One exception does not open what another entry, or another list, denies."""
    policy = replace(LISTED, grants=tuple(grant(rule) for rule in grants))
    assert drive(request("http://www.site.example/"), policy).outcome == outcome


def test_a_port_on_a_list_needs_its_own_exception() -> None:
    policy = replace(LISTED, grants=(grant("blocked:1"), grant("blocked:4")))
    assert drive(request("http://site.example:8080/"), policy).outcome[1] == "blocked:3"
    policy = replace(LISTED, grants=tuple(grant(f"blocked:{n}") for n in (1, 3, 4)))
    assert drive(request("http://site.example:8080/"), policy).case.verdict.allowed


def test_every_exception_that_was_used_is_named() -> None:
    policy = replace(POLICY, denylist=denylist(("domain", "site.example")), grants=(
        grant("port/25", name="mail"), grant("blocked:1", name="shop"),
        grant("method", name="unused")))
    driven = drive(request("http://site.example:25/"), policy)
    assert driven.case.verdict.allowed and driven.case.lifted == ("mail", "shop")


def test_an_exception_lifts_its_rule_and_nothing_that_comes_later() -> None:
    policy = replace(POLICY, grants=(grant("robots"),),
                     denylist=denylist(("domain", "site.example")))
    assert drive(policy=policy, answers=CLOSED).outcome == ("destination", "blocked:1", 403)
