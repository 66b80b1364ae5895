"""Which hits deny: effects, scopes, labels; and that a list's own exceptions lift nothing else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.driving import ACCOUNT, NOW, PUBLIC, drive, request
from core.driving import POLICY as BASE
from outbounds.core.denylist import Denylist, Layers
from outbounds.core.destination import parse_host
from outbounds.core.hit import Hit, Matcher, Terms, denials
from outbounds.core.list_entry import Effect, Entry, Kind, Scope, parse_value, weight
from outbounds.core.questions import AddressesOf

DENY, ALLOW, ALWAYS = Effect.DENY, Effect.ALLOW, Effect.ALLOW_ALWAYS


def entry(kind: str, value: str, effect: Effect = DENY, line: int = 1, **more: object) -> Entry:
    return Entry(Kind(kind), parse_value(Kind(kind), value), line, effect)._replace(**more)


def denied(url_host: str, *entries: Entry, path: str = "/", terms: Terms | None = None,
           plan: str = "default", account: str = "acct_a", now: float = 100.0) -> list[int]:
    """The lines that deny, the narrowest first."""
    numbered = [each._replace(line=line) for line, each in enumerate(entries, 1)]
    deny = Denylist.build([(terms or Terms("t"), numbered)])
    hits = deny.match(parse_host(url_host), 80, "http", path)
    return [hit.line for hit in denials(hits, account, plan, now)]


EFFECTS = [
    # (entries, host, path, lines that deny)
    ([("domain", "x.example", DENY)], "a.x.example", "/", [1]),
    # an allow entry lifts what is not narrower than itself
    ([("domain", "x.example", DENY), ("host", "ok.x.example", ALLOW)], "ok.x.example", "/", []),
    ([("domain", "x.example", DENY), ("host", "ok.x.example", ALLOW)], "no.x.example", "/", [1]),
    ([("domain", "x.example", DENY), ("domain", "x.example", ALLOW)], "x.example", "/", []),
    ([("host", "a.x.example", DENY), ("domain", "x.example", ALLOW)], "a.x.example", "/", [1]),
    ([("below", "x.example", ALLOW), ("domain", "x.example", DENY)], "a.x.example", "/", [2]),
    ([("domain", "x.example", ALLOW), ("below", "x.example", DENY)], "a.x.example", "/", []),
    ([("url", "x.example/bad", DENY), ("host", "x.example", ALLOW)], "x.example", "/bad", [1]),
    ([("url", "x.example/a", DENY), ("url", "x.example/a/ok", ALLOW)], "x.example", "/a/ok/1", []),
    ([("port", "80", DENY), ("host", "x.example", ALLOW)], "x.example", "/", []),
    # one that always allows (AdBlock's @@) lifts narrower ones too
    ([("host", "a.x.example", DENY), ("domain", "x.example", ALWAYS)], "a.x.example", "/", []),
    ([("url", "x.example/bad", DENY), ("domain", "x.example", ALWAYS)], "x.example", "/bad", []),
    # the narrowest denial comes first
    ([("domain", "x.example", DENY), ("host", "a.x.example", DENY), ("url", "a.x.example/p", DENY)],
     "a.x.example", "/p", [3, 2, 1]),
]


@pytest.mark.parametrize(("lines", "host", "path", "expected"), EFFECTS)
def test_effects(lines: list[tuple[str, str, Effect]], host: str, path: str,
                 expected: list[int]) -> None:
    assert denied(host, *(entry(*line) for line in lines), path=path) == expected


def test_an_allow_entry_lifts_nothing_of_another_list() -> None:
    deny = Denylist.build([
        (Terms("a"), [entry("domain", "x.example")]),
        (Terms("b"), [entry("domain", "x.example", ALWAYS), entry("host", "x.example", line=2)])])
    hits = deny.match(parse_host("x.example"), 80, "http", "/")
    assert [hit.rule for hit in denials(hits, "acct_a", "default", 0.0)] == ["a:1"]


SCOPES = [
    # (scope, plan, account, now, in force)
    (Scope(), "default", "acct_a", 100.0, True),
    (Scope(plans=frozenset({"trial"})), "default", "acct_a", 100.0, False),
    (Scope(plans=frozenset({"trial"})), "trial", "acct_a", 100.0, True),
    (Scope(accounts=frozenset({"acct_a"})), "default", "acct_a", 100.0, True),
    (Scope(accounts=frozenset({"acct_b"})), "default", "acct_a", 100.0, False),
    (Scope(frozenset({"trial"}), frozenset({"acct_a"})), "default", "acct_a", 100.0, True),
    (Scope(since=100.0), "default", "acct_a", 100.0, True),
    (Scope(since=100.1), "default", "acct_a", 100.0, False),
    (Scope(until=100.0), "default", "acct_a", 100.0, False),
    (Scope(until=100.1), "default", "acct_a", 100.0, True),
    (Scope(plans=frozenset({"default"}), until=99.0), "default", "acct_a", 100.0, False),
]


@pytest.mark.parametrize(("scope", "plan", "account", "now", "expected"), SCOPES)
@pytest.mark.parametrize("of", ["entry", "list"])
def test_scopes(of: str, scope: Scope, plan: str, account: str, now: float,
                expected: bool) -> None:
    found = denied("x.example", entry("domain", "x.example",
                                      scope=scope if of == "entry" else Scope()),
                   terms=Terms("t", scope=scope if of == "list" else Scope()),
                   plan=plan, account=account, now=now)
    assert bool(found) == expected


def test_an_allow_entry_out_of_its_scope_lifts_nothing() -> None:
    lines = [entry("domain", "x.example"),
             entry("host", "x.example", ALLOW, scope=Scope(accounts=frozenset({"acct_b"})))]
    assert denied("x.example", *lines) == [1]
    assert denied("x.example", *lines, account="acct_b") == []


@pytest.mark.parametrize(("only", "labels", "expected"), [
    (frozenset(), (), True), (frozenset({"adult"}), (), False),
    (frozenset({"adult"}), ("adult",), True), (frozenset({"adult"}), ("games", "adult"), True),
    (frozenset({"adult"}), ("games",), False),
])
def test_only_keeps_the_entries_with_one_of_its_labels(
        only: frozenset[str], labels: tuple[str, ...], expected: bool) -> None:
    found = denied("x.example", entry("domain", "x.example", labels=labels),
                   terms=Terms("t", only=only))
    assert bool(found) == expected


def test_layers_hold_what_each_of_them_holds() -> None:
    first = Denylist.build([(Terms("a"), [entry("domain", "x.example")])])
    second = Denylist.build([(Terms("b"), [entry("network", "192.0.2.0/24")])])
    both = Layers(first, second)
    assert isinstance(both, Matcher) and isinstance(first, Matcher)
    assert both.size == 2
    assert both.version not in (first.version, second.version, Layers(second, first).version)
    assert [hit.rule for hit in both.match(parse_host("x.example"), 80, "", "")] == ["a:1"]
    assert [hit.rule for hit in both.match_address(ip_address("192.0.2.9"), 80)] == ["b:1"]


def test_a_refusal_carries_the_labels_of_what_denied() -> None:
    deny = Denylist.build([(Terms("t", labels=("feed",)),
                            [entry("domain", "site.example", labels=("phishing",))])])
    case = drive(request(), replace(BASE, denylist=deny)).case
    assert case.verdict.rule == "t:1" and case.labels == ("feed", "phishing")


def test_the_plan_of_the_account_decides_on_scopes_in_traffic() -> None:
    deny = Denylist.build([(Terms("t", scope=Scope(plans=frozenset({ACCOUNT.plan}))),
                            [entry("domain", "site.example")])])
    policy = replace(BASE, denylist=deny)
    assert drive(request(), policy).case.verdict.rule == "t:1"
    other = replace(BASE, denylist=Denylist.build([
        (Terms("t", scope=Scope(plans=frozenset({"other"}))), [entry("domain", "site.example")])]))
    assert drive(request(), other).case.verdict.allowed


MIXED = (PUBLIC[0], ip_address("10.0.0.1"))


@pytest.mark.parametrize(("drop", "answer", "allowed", "left"), [
    (False, MIXED, False, MIXED),
    (True, MIXED, True, PUBLIC[:1]),
    (True, MIXED[1:], False, MIXED[1:]),
    (True, PUBLIC[:1], True, PUBLIC[:1]),
])
def test_bad_addresses_refuse_or_are_dropped(drop: bool, answer: tuple[object, ...], allowed: bool,
                                             left: tuple[object, ...]) -> None:
    policy = replace(BASE, drop_bad_addresses=drop)
    case = drive(request(), policy, {AddressesOf: answer}).case
    assert (case.verdict.allowed, case.addresses) == (allowed, left)
    assert allowed or case.verdict.rule == "special-purpose"


NAMES = st.sampled_from(["x.example", "a.x.example", "b.a.x.example"])
ENTRIES = st.lists(st.builds(
    lambda kind, name, effect: entry(kind, name, effect),
    st.sampled_from(["domain", "host", "below"]), NAMES, st.sampled_from(list(Effect))), max_size=6)


@given(NAMES, ENTRIES)
def test_without_the_allow_entries_at_least_as_much_is_denied(
        host: str, entries: list[Entry]) -> None:
    only_denials = [each for each in entries if each.effect is DENY]
    assert bool(denied(host, *entries)) <= bool(denied(host, *only_denials))


@given(NAMES, ENTRIES)
def test_a_denial_stands_unless_something_at_least_as_narrow_allows(
        host: str, entries: list[Entry]) -> None:
    hits = [Hit(Terms("t"), 1, each.effect, weight(each.kind, each.value)) for each in entries]
    found = denials(hits, "a", "p", NOW)
    if any(hit.effect is ALWAYS for hit in hits):
        assert not found
    else:
        bar = max((hit.weight for hit in hits if hit.effect is ALLOW), default=-1)
        assert {hit.weight for hit in found} == {
            hit.weight for hit in hits if hit.effect is DENY and hit.weight > bar}


def test_without_a_list_nobody_gets_through() -> None:
    policy = replace(BASE, unusable_lists=("malware", "phishing"))
    driven = drive(request(), policy)
    assert driven.outcome == ("destination", "list-unusable:malware", 503)
    assert driven.case.verdict.retry_after
    assert AddressesOf not in driven.kinds  # nothing is resolved either
