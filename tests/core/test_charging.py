"""What requests are charged for, under which keys, and what refusals cost."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from driving import (
    ACCOUNT,
    INSPECTED,
    LIMITS,
    NOW,
    PER_ACCOUNT,
    PER_HOST,
    POLICY,
    TUNNELS,
    drive,
    request,
    robots,
    tunnel,
)

from outbounds.core.account import Account, Plan, Unidentified
from outbounds.core.case import Case
from outbounds.core.charging import (
    charges_for,
    dial_charges,
    limit_keys,
    source_key,
)
from outbounds.core.destination import parse_host
from outbounds.core.limits import Charge, Exceeded, Limit, Over, Per, Taken, Unit
from outbounds.core.questions import AddressesOf, NoSuchHost, RobotsOf, Take, TargetCharges, WhoIs
from outbounds.core.request import Source, Way
from outbounds.core.rules import Policy
from outbounds.core.tariff import ROOM, item
from outbounds.core.verdict import Kind, RateLimit
from outbounds.settings.calendar import Calendar, Every

STATE = RateLimit("x", 60, 60.0, 0, 3.0)


def charged(driven: Any) -> dict[str, str]:
    return {charge.limit.id: charge.key for charge in driven.case.charges}


def with_limits(*limits: Limit, weight: int = 1, announce: bool = False) -> Policy:
    return replace(POLICY, limits={each.id: each for each in limits}, plans={
        "default": Plan("default", tuple(each.id for each in limits), weight, announce)})


# --- which limits have a say --------------------------------------------------------------------


def test_a_request_is_charged_for_everything_but_tunnels() -> None:
    assert charged(drive()) == {"per-account": "acct_a", "per-host": "acct_a site.example",
                                "per-target": "site.example"}


@pytest.mark.parametrize("way", [Way.CONNECT, Way.SOCKS])
def test_a_tunnel_is_charged_as_a_request_and_as_a_tunnel(way: Way) -> None:
    assert charged(drive(tunnel(way=way))) == {
        "per-account": "acct_a", "per-host": "acct_a site.example",
        "per-target": "site.example", "tunnels": "acct_a"}


@pytest.mark.parametrize("way", [Way.INSPECTED, Way.CLEAR])
def test_a_request_inside_a_tunnel_takes_no_second_tunnel(way: Way) -> None:
    assert "tunnels" not in charged(drive(request("https://site.example/", way)))


# unit: (plain request, CONNECT, request inside a tunnel)
SAY = {
    Unit.REQUESTS: (True, True, True),
    Unit.HOSTS: (True, True, True),
    Unit.CONCURRENT: (True, False, True),
    Unit.TUNNELS: (False, True, False),
    # the tunnel's octets are counted as they are on the wire, so those inside are not counted again
    Unit.BYTES: (True, True, False),
    Unit.BYTES_UP: (True, True, False),
    Unit.BYTES_DOWN: (True, True, False),
    # at the dial, and with a refusal
    Unit.CONNECTIONS: (False, False, False),
    Unit.REFUSALS: (False, False, False),
}


@pytest.mark.parametrize("unit", Unit)
def test_where_each_unit_is_charged(unit: Unit) -> None:
    policy = with_limits(Limit("x", unit, Per.ACCOUNT, 5, 1.0, 5))
    found = tuple("x" in charged(drive(what, policy)) for what in (
        request(), tunnel(), request("https://site.example/", Way.INSPECTED)))
    assert found == SAY[unit]


def test_new_connections_are_charged_at_the_dial() -> None:
    limit = Limit("x", Unit.CONNECTIONS, Per.ACCOUNT_SITE, 5, 1.0, 5, ports=frozenset({80}))
    case = drive(policy=with_limits(limit, PER_ACCOUNT)).case
    assert dial_charges(case) == (Charge(limit, "acct_a site.example"),)
    assert dial_charges(drive(tunnel(), with_limits(limit)).case) == ()


def test_what_a_plan_comes_to_is_worked_out_again_for_another_policy() -> None:
    """`replace` is how policies are made of others."""
    assert charged(drive(policy=POLICY)) != {}
    none = replace(POLICY, plans={"default": Plan("default", ())})
    assert charged(drive(policy=none)) == {}


@pytest.mark.parametrize(("narrowing", "what", "applies"), [
    ({"methods": frozenset({"POST"})}, request(method="POST"), True),
    ({"methods": frozenset({"POST"})}, request(), False),
    ({"methods": frozenset({"CONNECT"})}, tunnel(), True),
    ({"ports": frozenset({8080})}, request("http://site.example:8080/"), True),
    ({"ports": frozenset({8080})}, request(), False),
    ({"targets": ("site.example",)}, request(), True),
    ({"targets": ("site.example",)}, request("http://a.site.example/"), True),
    ({"targets": ("site.example",)}, request("http://xsite.example/"), False),
    ({"targets": ("other.example", "site.example")}, request(), True),
])
def test_a_limit_is_narrowed_by_method_port_and_target(
        narrowing: dict[str, Any], what: Any, applies: bool) -> None:
    limit = Limit("x", Unit.REQUESTS, Per.ACCOUNT, 5, 1.0, 5, **narrowing)
    assert ("x" in charged(drive(what, with_limits(limit)))) is applies


def test_all_charges_are_asked_for_together_with_whose_turn_it_is() -> None:
    more = Charge(Limit("target-ceiling", Unit.CONCURRENT, Per.HOST, 3, 0.0, 3), "site.example")
    policy = replace(POLICY, plans={"default": Plan("default", tuple(LIMITS), 3, True)})
    driven = drive(tunnel(), policy, {TargetCharges: (more,)})
    assert driven.case.charges[-1] == more
    assert [q for q in driven.asked if isinstance(q, Take)] == [
        Take(driven.case.charges, "acct_a", 3, True, True)]
    assert TargetCharges(parse_host("site.example"), True) in driven.asked


def test_the_plan_says_which_limits() -> None:
    policy = replace(POLICY, plans={"default": Plan("default", ()),
                                    "small": Plan("small", ("per-target",))})
    assert charged(drive(policy=policy)) == {}
    assert charged(drive(policy=policy, answers={WhoIs: replace(ACCOUNT, plan="small")})) == {
        "per-target": "site.example"}


# --- whose state it is --------------------------------------------------------------------------

KEYS = [
    (Per.ACCOUNT, "acct_a", "site.example", "acct_a"),
    (Per.ACCOUNT_HOST, "acct_a", "site.example", "acct_a site.example"),
    (Per.ACCOUNT_SITE, "acct_a", "www.site.co.uk", "acct_a site.co.uk"),
    (Per.HOST, "acct_a", "site.example", "site.example"),
    (Per.ACCOUNT_HOST, "acct_a", "[2001:DB8:0::1]", "acct_a 2001:db8::1"),
    (Per.HOST, "acct_b", "SITE.example.", "site.example"),
    # publicsuffix.org/list: the ICANN section, the private one, a wildcard, an exception to it
    (Per.SITE, "acct_b", "a.b.site.co.uk", "site.co.uk"),
    (Per.SITE, "acct_b", "a.alice.github.io", "alice.github.io"),
    (Per.SITE, "acct_b", "a.b.c.kawasaki.jp", "b.c.kawasaki.jp"),
    (Per.SITE, "acct_b", "www.city.kawasaki.jp", "city.kawasaki.jp"),
    (Per.SITE, "acct_b", "co.uk", "co.uk"),
    (Per.SITE, "acct_b", "printer", "printer"),
    (Per.SITE, "acct_b", "a.b.unlisted", "b.unlisted"),
    (Per.SITE, "acct_b", "93.184.216.34", "93.184.216.34"),
]


@pytest.mark.parametrize(("per", "account", "host", "key"), KEYS)
def test_limit_keys(per: Per, account: str, host: str, key: str) -> None:
    """One target, one key, however it is spelled; one account's keys never another's."""
    case = Case(replace(request(), host=parse_host(host)), POLICY, NOW)
    case.account = Account(account, "x")
    assert limit_keys(per, case) == (key,)


def test_each_address_of_the_target_is_charged() -> None:
    """Any of them may be dialled."""
    limit = Limit("x", Unit.REQUESTS, Per.ADDRESS, 5, 1.0, 5)
    two = (ip_address("93.184.216.34"), ip_address("2606:2800::1"), ip_address("93.184.216.34"))
    found = drive(policy=with_limits(limit), answers={AddressesOf: two}).case.charges
    assert [each.key for each in found] == ["93.184.216.34", "2606:2800::1"]


@pytest.mark.parametrize(("ip", "key"), [
    ("192.0.2.7", "192.0.2.7"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::", "2001:db8:1:2::/64"),
    ("fe80::1%eth0", "fe80::/64"),
    ("", ""),
])
def test_a_source_of_ipv6_is_its_network(ip: str, key: str) -> None:
    assert source_key(ip) == key
    limit = Limit("x", Unit.REQUESTS, Per.SOURCE, 5, 1.0, 5)
    what = request(source=Source(ip, 5000))
    assert charged(drive(what, with_limits(limit))) == {"x": key}


def test_a_host_is_the_member_of_a_limit_on_hosts() -> None:
    limit = Limit("x", Unit.HOSTS, Per.ACCOUNT, 5, 3600.0, 5)
    assert drive(policy=with_limits(limit)).case.charges == (
        Charge(limit, "acct_a", 1, 0, "site.example"),)


@pytest.mark.parametrize(("burst", "need"), [(10 * ROOM, ROOM), (1000, 1000)])
def test_octets_cost_nothing_at_first_but_there_must_be_room(burst: int, need: int) -> None:
    limit = Limit("x", Unit.BYTES_DOWN, Per.ACCOUNT, 10**6, 1.0, burst)
    assert drive(policy=with_limits(limit)).case.charges == (Charge(limit, "acct_a", 0, need),)


def test_a_stranger_has_no_account_to_charge() -> None:
    case = Case(request(), POLICY, NOW)
    assert charges_for([item(PER_ACCOUNT)], case) == []


# --- over the edge ------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "wait", "retry", "detail"), [
    (PER_ACCOUNT, 2.5, 2.5,
     "The limit 'per-account' allows 60 requests per 60 s for each account."),
    (PER_HOST, 0.1, 0.1, "The limit 'per-host' allows 60 requests per 60 s for each account+host."),
    (TUNNELS, None, 1.0, "The limit 'tunnels' allows 3 tunnels at once for each account."),
    (Limit("one", Unit.CONCURRENT, Per.HOST, 1, 0.0, 1), None, 1.0,
     "The limit 'one' allows 1 request at once for each host."),
    (Limit("gib", Unit.BYTES, Per.ACCOUNT, 2**30, 0.0, 2**30,
           calendar=Calendar(Every.MONTH, "UTC")), 86400.0, 86400.0,
     "The limit 'gib' allows 1073741824 bytes per calendar month for each account."),
])
def test_what_an_exceeded_limit_says(limit: Limit, wait: float | None, retry: float,
                                     detail: str) -> None:
    driven = drive(answers={Take: Exceeded(limit, wait, STATE)})
    verdict = driven.case.verdict
    assert driven.outcome == ("limits", limit.id, 429)
    assert (verdict.detail, verdict.retry_after, verdict.rate_limit, verdict.clause) == (
        detail, retry, STATE, limit.clause)
    assert driven.case.taken is None


def test_a_limit_whose_state_cannot_be_had_is_our_fault() -> None:
    driven = drive(answers={Take: Exceeded(PER_ACCOUNT, None, STATE, unavailable=True)})
    assert driven.outcome == ("limits", "per-account", 503)
    assert driven.case.verdict.retry_after == 1.0


def test_what_was_taken_is_kept_for_giving_it_back() -> None:
    taken = Taken(0.5, PER_HOST)
    assert drive(answers={Take: taken}).case.taken is taken


@pytest.mark.parametrize("garbage", [None, True, "plenty", 0])
def test_what_is_no_answer_is_no_permission(garbage: object) -> None:
    assert drive(answers={Take: garbage}).outcome == ("limits", "fault", 503)


def test_the_crawl_delay_is_a_paced_limit_of_one_request_per_delay() -> None:
    case = drive(answers={RobotsOf: robots("User-agent: *\nCrawl-delay: 7\nAllow: /")}).case
    charge, = [each for each in case.charges if each.limit.id == "crawl-delay"]
    limit = charge.limit
    assert (limit.id, limit.per, limit.over, limit.interval, limit.burst, limit.max_wait) == (
        "crawl-delay", Per.ACCOUNT_HOST, Over.PACE, 7.0, 1, POLICY.robots.max_wait)
    assert (charge.key, charge.cost, limit.unit) == ("acct_a site.example", 1, Unit.REQUESTS)
    assert limit.id not in LIMITS


def test_inspection_changes_no_charge() -> None:
    assert charged(drive(tunnel(), answers={WhoIs: INSPECTED})) == charged(drive(tunnel()))


# --- what a refusal costs -----------------------------------------------------------------------

OWN = Limit("refused", Unit.REFUSALS, Per.ACCOUNT, 10, 60.0, 10, clause="S-fair")
SOURCES = Limit("refused-source", Unit.REFUSALS, Per.SOURCE, 10, 60.0, 10)
CEILINGS = with_limits(OWN, SOURCES, PER_ACCOUNT)
REFUSED = {AddressesOf: NoSuchHost("There is no site.example.")}


def counting(over: set[str]) -> Any:
    """Answers a Take: Exceeded if it charges a limit that is over its edge."""
    def answer(question: Take) -> Taken | Exceeded:
        for charge in question.charges:
            if charge.limit.id in over:
                return Exceeded(charge.limit, 4.0, STATE, charge.key)
        return Taken()

    return answer


@pytest.mark.parametrize(("answers", "keys"), [
    (REFUSED, {"refused": "acct_a", "refused-source": "192.0.2.7"}),
    ({WhoIs: Unidentified("Who?")}, {"refused-source": "192.0.2.7"}),
])
def test_a_refusal_is_charged_to_account_and_source(
        answers: dict[type, Any], keys: dict[str, str]) -> None:
    driven = drive(policy=CEILINGS, answers=answers)
    took, = (q for q in driven.asked if isinstance(q, Take))
    assert {each.limit.id: each.key for each in took.charges} == keys
    assert not took.patient
    assert driven.case.charges == ()  # nothing that would be given back


def test_within_the_ceiling_a_refusal_stays_what_it_is() -> None:
    driven = drive(policy=CEILINGS, answers={**REFUSED, Take: counting(set())})
    assert driven.outcome == ("destination", "dns", 502) and not driven.case.hang_up


def test_above_it_becomes_429_and_then_hangs_up() -> None:
    driven = drive(policy=CEILINGS, answers={**REFUSED, Take: counting({"refused"})})
    verdict = driven.case.verdict
    assert driven.outcome == ("limits", "refused", 429) and not driven.case.hang_up
    assert (verdict.retry_after, verdict.rate_limit, verdict.clause) == (4.0, STATE, "S-fair")
    driven = drive(policy=CEILINGS, answers={
        **REFUSED, Take: counting({"refused", "refused/closing"})})
    assert driven.outcome == ("limits", "refused", 429) and driven.case.hang_up


def test_a_limit_that_was_reached_is_a_refusal_too() -> None:
    driven = drive(policy=CEILINGS, answers={Take: counting({"per-account", "refused"})})
    assert driven.outcome == ("limits", "refused", 429)


def test_our_own_fault_is_charged_to_nobody() -> None:
    driven = drive(policy=CEILINGS, answers={AddressesOf: RuntimeError("injected")})
    assert driven.outcome == ("destination", "fault", 503)
    assert Take not in driven.kinds


def test_a_fault_while_counting_refuses_all_the_same() -> None:
    driven = drive(policy=CEILINGS, answers={**REFUSED, Take: RuntimeError("injected")})
    assert driven.outcome == ("destination", "dns", 502)
    assert isinstance(driven.case.fault, RuntimeError)


def test_a_second_look_charges_nothing() -> None:
    driven = drive(policy=CEILINGS, answers=REFUSED, charge=False)
    assert driven.case.verdict.kind is Kind.NO_SUCH_HOST and Take not in driven.kinds
