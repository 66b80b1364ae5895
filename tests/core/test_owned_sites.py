"""Whose sites are whose, and how a claim comes to be a proof and ends to be one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.destination import BadHost, parse_host
from outbounds.core.owned_sites import NONE, OwnedSite, OwnedSites
from outbounds.core.site_claims import (
    FIRST_PAUSE,
    Proof,
    SiteClaim,
    State,
    in_force,
    parse_site,
)

NOW = 1_800_000_000.0
CHECK, LAPSE = 86_400.0, 3 * 86_400.0

SITES = OwnedSites([
    OwnedSite("acme", "example.com", True, NOW + 10),
    OwnedSite("acme", "shop.example.net", False, NOW + 10),
    OwnedSite("acme", "past.example", True, NOW),
    OwnedSite("acme", "192.0.2.7", False, NOW + 10),
    OwnedSite("acme", "amazonaws.com", True, NOW + 10),
    OwnedSite("acme", "past.org", False, NOW),
    OwnedSite("acme", "b.a.nested.com", False, NOW + 10),
    OwnedSite("acme", "nested.com", True, NOW + 20),
    OwnedSite("zeta", "other.example", True, NOW + 10),
    OwnedSite("zeta", "example.com", False, NOW + 10),
])


@pytest.mark.parametrize(("account", "host", "owned"), [
    ("acme", "example.com", "example.com"),
    ("acme", "EXAMPLE.com.", "example.com"),
    ("acme", "a.b.example.com", "example.com"),
    ("acme", "notexample.com", None),
    ("acme", "com", None),
    ("acme", "example.com.evil.org", None),
    ("acme", "shop.example.net", "shop.example.net"),  # a file: this host alone
    ("acme", "a.shop.example.net", None),
    ("acme", "example.net", None),
    ("acme", "past.example", None),
    ("acme", "www.past.example", None),
    ("acme", "192.0.2.7", "192.0.2.7"),
    ("acme", "192.0.2.8", None),
    ("acme", "amazonaws.com", "amazonaws.com"),
    ("acme", "console.amazonaws.com", "amazonaws.com"),
    ("acme", "bucket.s3.amazonaws.com", None),  # below a public suffix: somebody else's
    ("acme", "s3.amazonaws.com", None),
    ("acme", "b.a.nested.com", "b.a.nested.com"),
    ("acme", "a.nested.com", "nested.com"),
    ("acme", "other.example", None),  # what one account has proved says nothing for another
    ("zeta", "other.example", "other.example"),
    ("zeta", "example.com", "example.com"),
    ("zeta", "www.example.com", None),
    ("nobody", "example.com", None),
])
def test_what_is_whose(account: str, host: str, owned: str | None) -> None:
    found = SITES.find(account, parse_host(host), NOW)
    assert (found.host if found else None) == owned
    assert NONE.find(account, parse_host(host), NOW) is None


def test_a_proof_ends_at_its_moment() -> None:
    host = parse_host("www.example.com")
    assert SITES.find("acme", host, NOW + 9.999) is not None
    assert SITES.find("acme", host, NOW + 10) is None


# --- what can be claimed ------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "host"), [
    ("Example.COM.", "example.com"), ("a.b.example.com", "a.b.example.com"),
    ("faß.example", "xn--fa-hia.example"), ("alice.github.io", "alice.github.io"),
    ("site.test", "site.test")])
def test_what_a_txt_record_can_prove(text: str, host: str) -> None:
    assert parse_site(text, Proof.DNS).text == host


LONG = ".".join(["a" * 60] * 4)  # 243 octets: one too many for the label before it


@pytest.mark.parametrize(("text", "said"), [
    ("192.0.2.7", "an address has no TXT record"),
    ("0xc0000207", "an address has no TXT record"),
    ("[2001:db8::1]", "an address has no TXT record"),
    ("com", "belongs to many"), ("co.uk", "belongs to many"), ("github.io", "belongs to many"),
    ("s3.amazonaws.com", "belongs to many"), ("localhost", "belongs to many"),
    (LONG, "longer than a name may be"),
    ("a b", "it contains a space"), ("", "it is empty"),
])
def test_what_a_txt_record_cannot_prove(text: str, said: str) -> None:
    with pytest.raises(BadHost, match=said):
        parse_site(text, Proof.DNS)


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8::1", "github.io", "localhost", LONG])
def test_a_file_can_prove_any_host(text: str) -> None:
    assert parse_site(text, Proof.FILE) == parse_host(text)


def test_the_longest_name_with_room_for_the_label() -> None:
    assert len(parse_site(LONG[1:], Proof.DNS).text) == 242
    assert len(SiteClaim("a", LONG[1:], Proof.DNS, "t", NOW).txt_name) == 253


# --- how a claim stands -------------------------------------------------------------------------

CLAIM = SiteClaim("acme", "example.com", Proof.DNS, "t" * 32, NOW - 100)
PROVED = replace(CLAIM, since=NOW - 50, found=NOW, looked=NOW)


@pytest.mark.parametrize(("claim", "now", "state"), [
    (CLAIM, NOW, State.PENDING),
    (replace(CLAIM, looked=NOW, failures=9, failure="x"), NOW + 10 * LAPSE, State.PENDING),
    (PROVED, NOW, State.PROVED),
    (PROVED, NOW + LAPSE - 1, State.PROVED),  # nobody looked, and it holds as long as it holds
    (PROVED, NOW + LAPSE, State.LAPSED),
    (replace(PROVED, failures=1), NOW, State.FAILING),
    (replace(PROVED, failures=1), NOW + LAPSE - 1, State.FAILING),
    (replace(PROVED, failures=1), NOW + LAPSE, State.LAPSED),
])
def test_how_a_claim_stands(claim: SiteClaim, now: float, state: State) -> None:
    assert claim.state(now, LAPSE) is state
    decided = in_force([claim], LAPSE).find("acme", parse_host("example.com"), now)
    assert (decided is not None) == state.in_force


@pytest.mark.parametrize(("looked", "failures", "after"), [
    (None, 0, 0.0), (0.0, 0, CHECK), (0.0, 1, FIRST_PAUSE), (0.0, 2, 2 * FIRST_PAUSE),
    (0.0, 5, 16 * FIRST_PAUSE), (0.0, 20, CHECK), (0.0, 10**9, CHECK),
    (1.0, 0, 0.0),  # looked in the future: the clock was set back
])
def test_when_to_look_again(looked: float | None, failures: int, after: float) -> None:
    claim = replace(CLAIM, looked=None if looked is None else NOW + looked, failures=failures)
    assert claim.next_look(NOW, CHECK) == NOW + after


def test_what_a_look_changes() -> None:
    missed = CLAIM.after_look("not there", NOW, LAPSE)
    assert missed == replace(CLAIM, looked=NOW, failures=1, failure="not there")
    found = missed.after_look("", NOW + 5, LAPSE)
    assert found == replace(CLAIM, since=NOW + 5, found=NOW + 5, looked=NOW + 5)
    again = found.after_look("", NOW + 10, LAPSE)
    assert again == replace(found, found=NOW + 10, looked=NOW + 10)
    gone = again.after_look("gone", NOW + 20, LAPSE).after_look("gone", NOW + 30, LAPSE)
    assert (gone.since, gone.found, gone.failures) == (NOW + 5, NOW + 10, 2)
    # found before it lapsed: the same proof; after that, a new one
    assert gone.after_look("", NOW + 40, LAPSE).since == NOW + 5
    late = NOW + 10 + LAPSE
    assert gone.after_look("", late, LAPSE).since == late


def test_a_clock_that_ran_ahead_lends_no_time() -> None:
    ahead = replace(PROVED, found=NOW + 1e8, looked=NOW + 1e8)
    assert ahead.next_look(NOW, CHECK) == NOW
    assert ahead.after_look("gone", NOW, LAPSE).until(LAPSE) == NOW + LAPSE


@given(st.lists(st.tuples(st.floats(0.0, 2 * CHECK), st.booleans()), max_size=30))
def test_in_force_is_what_was_found_not_too_long_ago(looks: list[tuple[float, bool]]) -> None:
    claim, now, last = CLAIM, NOW, None
    for pause, found in looks:
        now += pause
        claim = claim.after_look("" if found else "no", now, LAPSE)
        last = now if found else last
        wanted = last is not None and now - last < LAPSE
        assert claim.state(now, LAPSE).in_force == wanted
        assert now < claim.next_look(now, CHECK) <= now + CHECK
        if wanted:
            assert claim.since is not None and claim.since <= now
