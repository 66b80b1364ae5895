"""Each control by itself: what it refuses, in which words, and what it asks for."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from driving import (
    ACCOUNT,
    HOST,
    PER_TARGET,
    POLICY,
    PUBLIC,
    denylist,
    drive,
    request,
    tunnel,
)

from outbounds.core.account import Standing, Unidentified
from outbounds.core.destination import AddressGrant, AddressRules, parse_host
from outbounds.core.limits import Charge
from outbounds.core.questions import AddressesOf, NoSuchHost, RobotsOf, WhoIs
from outbounds.core.request import Credentials, Name, Source, Way
from outbounds.core.verdict import Kind

# --- identity -----------------------------------------------------------------------------------


def test_identity_asks_with_what_the_client_sent() -> None:
    what = request(credentials=None, source=Source("198.51.100.9", 1234, "conn"))
    assert drive(what).asked[0] == WhoIs(None, Source("198.51.100.9", 1234, "conn"), Way.PLAIN)


@pytest.mark.parametrize("retry", [None, 12.5])
def test_nobody_known_is_407(retry: float | None) -> None:
    verdict = drive(answers={WhoIs: Unidentified("Who?", retry)}).case.verdict
    assert (verdict.control, verdict.kind, verdict.rule, verdict.detail, verdict.retry_after) == (
        "identity", Kind.UNAUTHENTICATED, "credentials", "Who?", retry)


def test_no_repr_of_credentials_shows_the_password() -> None:
    assert "sesame" not in repr(request(credentials=Credentials("ada", "sesame")))


# --- standing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", Standing)
def test_standing(standing: Standing) -> None:
    """Good and warned accounts are served; nobody else."""
    account = replace(ACCOUNT, standing=standing, reason="unpaid")
    driven = drive(answers={WhoIs: account})
    if standing in (Standing.GOOD, Standing.WARNED):
        assert driven.outcome == ("", "", None)
        return
    verdict = driven.case.verdict
    assert driven.outcome == ("standing", standing.value, 403)
    assert verdict.detail == f"This account is {standing.value}. Reason: unpaid"
    assert (verdict.clause, verdict.retry_after) == ("S-suspend", None)
    assert driven.case.account is account  # the record must name it


def test_a_suspension_without_a_reason_says_no_reason() -> None:
    account = replace(ACCOUNT, standing=Standing.SUSPENDED)
    assert drive(answers={WhoIs: account}).case.verdict.detail == "This account is suspended."


# --- protocol -----------------------------------------------------------------------------------

PROTOCOL: list[tuple[Any, tuple[str, str, int | None], str]] = [
    (request(), ("", "", None), ""),
    (request("http://site.example:8080/"), ("", "", None), ""),
    (request(method="TRACE"), ("protocol", "method", 403), "P-method"),
    (request(method="get"), ("protocol", "method", 403), "P-method"),  # RFC 9110 section 9.1
    (request("http://site.example:25/"), ("protocol", "port/25", 403), "P-spam"),
    (request("http://site.example:8443/"), ("protocol", "port/8443", 403), "P-port"),
    (tunnel(), ("", "", None), ""),
    (tunnel(port=8443), ("", "", None), ""),  # tunnels have ports of their own
    (tunnel(port=8080), ("protocol", "port/8080", 403), "P-port"),
    (tunnel(port=25), ("protocol", "port/25", 403), "P-spam"),
    (tunnel(port=8080, way=Way.SOCKS), ("protocol", "port/8080", 403), "P-port"),
    # a request inside a tunnel is held to the ports of requests, and to the methods
    (request("https://site.example/", Way.INSPECTED), ("", "", None), ""),
    (request("https://site.example/", Way.INSPECTED, "TRACE"),
     ("protocol", "method", 403), "P-method"),
]


@pytest.mark.parametrize(("what", "outcome", "clause"), PROTOCOL)
def test_methods_and_ports(what: Any, outcome: Any, clause: str) -> None:
    driven = drive(what)
    assert (driven.outcome, driven.case.verdict.clause) == (outcome, clause)


def test_a_connect_needs_no_permission_of_its_method() -> None:
    assert "CONNECT" not in POLICY.protocol.methods
    assert drive(tunnel()).case.verdict.allowed


@pytest.mark.parametrize("refused", [True, False])
def test_route_fields(refused: bool) -> None:
    policy = replace(POLICY, protocol=replace(POLICY.protocol, refuse_route_fields=refused))
    driven = drive(request(route_fields=("via", "forwarded")), policy)
    assert driven.outcome == (("protocol", "forged-headers", 403) if refused else ("", "", None))
    if refused:
        assert driven.case.verdict.detail == "The field via claims a route; only proxies may."
        assert driven.case.verdict.clause == "P-forge"
    assert drive(request(), policy).case.verdict.allowed


# --- names --------------------------------------------------------------------------------------

ADDRESS = str(PUBLIC[0])


def named(*names: tuple[str, str, int | None], url: str = "https://site.example/",
          way: Way = Way.INSPECTED) -> Any:
    return request(url, way, names=tuple(
        Name(where, parse_host(host), port) for where, host, port in names))


AGREE = [
    named(),
    named(("Host", "site.example", None)),
    named(("Host", "site.example", 443), ("SNI", "SITE.example.", None)),
    named(("Host", ADDRESS, None), url=f"https://{ADDRESS}/"),
    # dialled by number, named by name: agreement if the name has that address
    named(("SNI", "site.example", None), url=f"https://{ADDRESS}/"),
    named(("SNI", "site.example", None), ("Host", "site.example", 443), url=f"https://{ADDRESS}/"),
]
DISAGREE = [
    (named(("Host", "other.example", None)),
     "Host names other.example, but the request is for site.example:443."),
    (named(("Host", "www.site.example", None)),
     "Host names www.site.example, but the request is for site.example:443."),
    (named(("Host", "site.example", 8443)),
     "Host names site.example:8443, but the request is for site.example:443."),
    (named((":authority", "site.example", None), ("SNI", "other.example", None)),
     "SNI names other.example, but the request is for site.example:443."),
    (named(("Host", ADDRESS, None)),
     f"Host names {ADDRESS}, but the request is for site.example:443."),
    (named(("Host", "198.51.100.1", None), url=f"https://{ADDRESS}/"),
     f"Host names 198.51.100.1, but the request is for {ADDRESS}:443."),
    # the first name was believed; a second one that has the same address is another site
    (named(("SNI", "site.example", None), ("Host", "other.example", None),
           url=f"https://{ADDRESS}/"),
     f"Host names other.example, but the request is for {ADDRESS}:443."),
    (named(("Host", "2001:db8::1", None)),
     "Host names [2001:db8::1], but the request is for site.example:443."),
]


@pytest.mark.parametrize("what", AGREE)
def test_names_that_agree(what: Any) -> None:
    assert drive(what).case.verdict.allowed


@pytest.mark.parametrize(("what", "detail"), DISAGREE)
def test_names_that_disagree_are_421(what: Any, detail: str) -> None:
    driven = drive(what)
    assert driven.outcome == ("protocol", "names-agree", 421)
    assert (driven.case.verdict.detail, driven.case.verdict.clause) == (detail, "P-forge")


@pytest.mark.parametrize("answer", [NoSuchHost("gone"), (ip_address("198.51.100.1"),)])
def test_dialling_by_number_under_a_name_that_lies_elsewhere_is_421(answer: Any) -> None:
    what = named(("SNI", "site.example", None), url=f"https://{ADDRESS}/")
    driven = drive(what, answers={AddressesOf: answer})
    assert driven.outcome == ("protocol", "names-agree", 421)


def test_a_request_dialled_by_number_is_judged_by_the_name_inside() -> None:
    """Else a client that resolves names itself would get round every list and robots.txt."""
    what = named(("SNI", "site.example", None), url=f"https://{ADDRESS}/")
    listed = replace(POLICY, denylist=denylist(("host", "site.example")))
    assert drive(what, listed).outcome == ("destination", "blocked:1", 403)
    driven = drive(what)
    assert driven.case.request.host == HOST
    assert [q.origin for q in driven.asked if isinstance(q, RobotsOf)] == [
        ("https", "site.example", 443)]
    assert Charge(PER_TARGET, "site.example") in driven.case.charges


# --- destination --------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_is_502_in_the_resolvers_words() -> None:
    driven = drive(answers={AddressesOf: NoSuchHost("site.example does not resolve.")})
    assert driven.outcome == ("destination", "dns", 502)
    assert driven.case.verdict.detail == "site.example does not resolve."


def test_an_address_is_not_resolved() -> None:
    driven = drive(request(f"http://{ADDRESS}/"))
    assert AddressesOf not in driven.kinds
    assert driven.case.addresses == PUBLIC


ADDRESSES = [
    # (answers of the resolver, rule)
    (["93.184.216.34", "10.0.0.1"], "special-purpose"),  # every address, not only the first
    (["10.0.0.1", "93.184.216.34"], "special-purpose"),
    (["127.0.0.1"], "special-purpose"),
    (["::1"], "special-purpose"),
    (["169.254.169.254"], "cloud-metadata"),
    (["192.88.99.1"], "special-purpose"),
    (["93.184.216.35"], "own-address"),
    (["2606:4700::1", "93.184.216.34"], ""),
]


@pytest.mark.parametrize(("addresses", "rule"), ADDRESSES)
def test_addresses_that_nobody_may_reach(addresses: list[str], rule: str) -> None:
    rules = AddressRules(own=frozenset({ip_address("93.184.216.35")}), clause_own="P-own",
                         clause_special="P-special")
    driven = drive(policy=replace(POLICY, addresses=rules),
                   answers={AddressesOf: tuple(map(ip_address, addresses))})
    if not rule:
        assert driven.case.verdict.allowed
        return
    assert driven.outcome == ("destination", rule, 403)
    assert driven.case.verdict.kind is Kind.ADDRESS
    assert driven.case.verdict.detail.startswith("site.example is at ")


def test_a_granted_network_is_open_at_its_ports_only() -> None:
    rules = AddressRules(grants=(AddressGrant(ip_network("10.0.0.0/8"), frozenset({80})),))
    policy = replace(POLICY, addresses=rules)
    answers = {AddressesOf: (ip_address("10.0.0.1"),)}
    assert drive(policy=policy, answers=answers).case.verdict.allowed
    assert drive(request("http://site.example:8080/"), policy, answers).outcome == (
        "destination", "special-purpose", 403)


def test_a_listed_address_behind_a_name() -> None:
    policy = replace(POLICY, denylist=denylist(("network", "93.184.216.0/24")))
    driven = drive(policy=policy)
    assert driven.outcome == ("destination", "blocked:1", 403)
    assert AddressesOf in driven.kinds


@pytest.mark.parametrize(("legal", "kind", "status"), [
    ("", Kind.DENIED, 403), ("https://proxy.example.net/legal", Kind.LEGAL, 451)])
def test_a_legal_demand_is_451_and_says_whose(legal: str, kind: Kind, status: int) -> None:
    policy = replace(POLICY, denylist=denylist(("host", "site.example"), legal=legal))
    driven = drive(policy=policy)
    verdict = driven.case.verdict
    assert (driven.outcome, verdict.kind, verdict.blocked_by, verdict.clause) == (
        ("destination", "blocked:1", status), kind, legal, "P-content")
    assert verdict.detail == "site.example is on the list 'blocked'."
