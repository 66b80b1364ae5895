"""Targets that are closed: what a closure covers, for how long, and what lifts it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from driving import ACCOUNT, NOW, POLICY, PUBLIC, denylist, drive, grant, request, tunnel

from outbounds.core.case import Case
from outbounds.core.closed_targets import NOTHING, Closed, ClosedTargets, is_target, parse_target
from outbounds.core.controls import closed_meanwhile
from outbounds.core.destination import BadHost, parse_host
from outbounds.core.questions import AddressesOf, RobotsOf, Take
from outbounds.core.verdict import Kind


def closed(*targets: str, **fields: Any) -> ClosedTargets:
    return ClosedTargets(Closed(each, "complaint 4711", NOW - 10, **fields) for each in targets)


def closing(*targets: str, **fields: Any) -> Any:
    return replace(POLICY, closed=closed(*targets, **fields))


MATCHES = [
    ("example.com", "example.com", "example.com"),
    ("example.com", "www.example.com", "example.com"),
    ("example.com", "a.b.example.com", "example.com"),
    ("example.com", "notexample.com", ""),
    ("www.example.com", "example.com", ""),
    ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
    ("192.0.2.7", "3221225991", "192.0.2.7"),  # the same address in another spelling
    ("192.0.2.7", "[::ffff:192.0.2.7]", "192.0.2.7"),
    ("192.0.2.7", "[64:ff9b::c000:207]", "192.0.2.7"),  # NAT64: RFC 6052
    ("192.0.2.7", "192.0.2.8", ""),
    ("2001:db8::7", "[2001:db8:0::7]", "2001:db8::7"),
]


@pytest.mark.parametrize(("target", "host", "found"), MATCHES)
def test_a_closure_covers_the_host_and_everything_below_it(
        target: str, host: str, found: str) -> None:
    match = closed(target).match(parse_host(host), NOW)
    assert (match.target if match else "") == found


def test_the_narrowest_is_named() -> None:
    both = closed("example.com", "www.example.com")
    found = both.match(parse_host("a.www.example.com"), NOW)
    assert found is not None and found.rule == "closed:www.example.com"


def test_of_two_for_one_target_the_later_counts() -> None:
    first, later = (Closed("example.com", reason, NOW) for reason in ("one", "two"))
    found = ClosedTargets((first, later)).match(parse_host("example.com"), NOW)
    assert found is later


@pytest.mark.parametrize(("until", "now", "holds"), [
    (None, NOW + 1e9, True), (NOW + 5, NOW + 4.999, True), (NOW + 5, NOW + 5, False)])
def test_it_holds_until_its_end(until: float | None, now: float, holds: bool) -> None:
    found = closed("example.com", until=until).match(parse_host("example.com"), now)
    assert (found is not None) is holds


def test_nothing_is_closed_to_begin_with() -> None:
    assert POLICY.closed is NOTHING
    assert NOTHING.match(parse_host("example.com"), NOW) is None


@pytest.mark.parametrize(("text", "canonical"), [
    ("Example.COM.", "example.com"), ("bücher.example", "xn--bcher-kva.example"),
    ("[2001:DB8::1]", "2001:db8::1"), ("192.0.2.7", "192.0.2.7")])
def test_a_target_has_one_form(text: str, canonical: str) -> None:
    assert parse_target(text) == canonical
    assert is_target(canonical) and is_target(text) is (text == canonical)


@pytest.mark.parametrize("text", ["com", "localhost", "", "http://example.com/", "*.example.com"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(BadHost):
        parse_target(text)
    assert not is_target(text)


# --- the control --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [request(), request("http://site.example:8080/"), tunnel()])
def test_a_closed_target_is_refused_before_anything_is_asked(what: Any) -> None:
    driven = drive(what, closing("site.example"))
    assert driven.outcome == ("destination", "closed:site.example", 403)
    assert not {AddressesOf, RobotsOf} & set(driven.kinds)
    verdict = driven.case.verdict
    assert (verdict.clause, verdict.retry_after) == ("P-retaliate", None)
    assert "4711" not in verdict.detail


def test_it_stands_above_the_lists() -> None:
    policy = replace(closing("site.example"), denylist=denylist(("domain", "site.example")),
                     unusable_lists=("feed",))
    assert drive(request(), policy).outcome[1] == "closed:site.example"


def test_a_closed_address_closes_the_names_that_are_at_it() -> None:
    policy = closing(str(PUBLIC[0]))
    assert drive(request(), policy).outcome == ("destination", f"closed:{PUBLIC[0]}", 403)
    assert drive(request(f"http://{PUBLIC[0]}/"), policy).outcome[1] == f"closed:{PUBLIC[0]}"
    two = {AddressesOf: (*PUBLIC, ip_address("93.184.216.35"))}
    assert drive(request(), policy, two).outcome[1] == f"closed:{PUBLIC[0]}"
    dropping = drive(request(), replace(policy, drop_bad_addresses=True), two)
    assert dropping.case.verdict.allowed and dropping.case.addresses == two[AddressesOf][1:]


LIFTS = ("closed:site.example", True), ("closed", False), ("closed:example", False), (
    "site.example", False)


@pytest.mark.parametrize(("rule", "lifts"), LIFTS)
def test_only_an_exception_that_names_it_lifts_it(rule: str, lifts: bool) -> None:
    driven = drive(request(), replace(closing("site.example"), grants=(grant(rule),)))
    assert driven.case.verdict.allowed is lifts
    assert driven.case.lifted == (("exception",) if lifts else ())


def test_an_exception_for_one_of_two_closures_is_not_enough() -> None:
    policy = replace(closing("www.site.example", "site.example"),
                     grants=(grant("closed:www.site.example"),))
    assert drive(request("http://www.site.example/"), policy).outcome[1] == "closed:site.example"


def test_another_accounts_exception_lifts_nothing() -> None:
    policy = replace(closing("site.example"),
                     grants=(grant("closed:site.example", accounts=("acct_b",)),))
    assert drive(request(), policy).outcome[1] == "closed:site.example"


def test_a_closed_target_costs_no_charge() -> None:
    assert Take not in drive(request(), closing("site.example")).kinds


# --- closed while the request was being decided -------------------------------------------------


def test_what_was_closed_after_the_decision_is_refused() -> None:
    case = Case(request(), POLICY, NOW, ACCOUNT, addresses=PUBLIC)
    assert closed_meanwhile(case, POLICY, NOW) is None
    for target in ("site.example", str(PUBLIC[0])):
        verdict = closed_meanwhile(case, closing(target), NOW)
        assert verdict is not None and verdict.kind is Kind.DENIED
        assert verdict.rule == f"closed:{target}"
    assert closed_meanwhile(case, closing("other.example"), NOW) is None
    lifted = replace(closing("site.example"), grants=(grant("closed:site.example"),))
    assert closed_meanwhile(case, lifted, NOW) is None
