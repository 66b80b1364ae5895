"""What a robots.txt asks beside its rules: Crawl-delay, Request-rate, Visit-time."""

from __future__ import annotations

import pytest

from outbounds.core.robots import Robots
from outbounds.core.robots_terms import (
    KEPT,
    NO_TERMS,
    Hours,
    RequestRate,
    Terms,
    crawl_delay,
    request_rate,
    visit_time,
)

NIGHT = Hours(22 * 60, 6 * 60)


def terms(*lines: str) -> Terms:
    return Robots.parse("\n".join(("user-agent: *", *lines)).encode()).terms("x")


DELAYS = [
    ("10", 10.0), ("0", 0.0), ("1.5", 1.5), (".5", 0.5), ("2.", 2.0),
    ("nan", None), ("inf", None), ("-1", None), ("1e3", None), ("+1", None), ("1_0", None),
    ("0x10", None), ("", None), (".", None), ("10s", None), ("1 0", None), ("٣", None),
    ("9" * 400, None),
]
RATES = [
    ("1/5", RequestRate(1, 5.0)), ("1/5s", RequestRate(1, 5.0)), ("30/1m", RequestRate(30, 60.0)),
    ("1/1h", RequestRate(1, 3600.0)), ("1/1H", RequestRate(1, 3600.0)),
    ("1/10s 0600-0845", RequestRate(1, 10.0, Hours(360, 525))),
    ("1/10s \t 0600-0845", RequestRate(1, 10.0, Hours(360, 525))),
    ("100/24h 2200-0600", RequestRate(100, 86_400.0, NIGHT)),
    ("0/5", None), ("1/0", None), ("1", None), ("1/", None), ("/5", None), ("-1/5", None),
    ("1/5d", None), ("1/5.0", None), ("1 / 5", None), ("1/5 0600", None), ("1/5 0600-2500", None),
    ("1/5 x", None), ("nan/1", None), ("1/inf", None), ("٣/1", None), ("1/5s0600-0845", None),
    ("9999999/1", None), ("", None),
]
VISITS = [
    ("0600-0845", Hours(360, 525)), ("2200-0600", NIGHT), ("0600 - 0845", Hours(360, 525)),
    ("0000-2400", Hours(0, 0)), ("1800-2400", Hours(1080, 0)), ("0000-2359", Hours(0, 1439)),
    ("2400-0600", None), ("0660-0700", None), ("0600-0860", None), ("0600-2401", None),
    ("0600-2500", None), ("600-845", None), ("06:00-08:45", None), ("0600", None), ("", None),
    ("0600-0845-0900", None), ("-600-0845", None), ("٠٦٠٠-٠٨٤٥", None),
]


@pytest.mark.parametrize(("text", "seconds"), DELAYS)
def test_crawl_delay(text: str, seconds: float | None) -> None:
    found = crawl_delay(text)
    assert (found and found.crawl_delay) == seconds


@pytest.mark.parametrize(("text", "rate"), RATES)
def test_request_rate(text: str, rate: RequestRate | None) -> None:
    found = request_rate(text)
    assert (found and found.request_rates) == (rate and (rate,))


@pytest.mark.parametrize(("text", "hours"), VISITS)
def test_visit_time(text: str, hours: Hours | None) -> None:
    found = visit_time(text)
    assert (found and found.visit_times) == (hours and (hours,))


WAITS = [  # hours, minute of the day, minutes to wait
    (Hours(360, 525), 0, 360), (Hours(360, 525), 360, 0), (Hours(360, 525), 524, 0),
    (Hours(360, 525), 525, 1440 - 525 + 360), (NIGHT, 1320, 0), (NIGHT, 0, 0), (NIGHT, 359, 0),
    (NIGHT, 360, 960), (Hours(0, 0), 777, 0), (Hours(1080, 0), 1439, 0), (Hours(1080, 0), 0, 1080),
]


@pytest.mark.parametrize(("hours", "minute", "wait"), WAITS)
def test_the_wait_until_the_hours_begin(hours: Hours, minute: int, wait: int) -> None:
    assert hours.wait(1_700_006_400.0 + 60.0 * minute) == 60.0 * wait


def test_all_are_read_and_parted_by_nothing() -> None:
    """Section 2.2.4: to the RFC they are no rules, and so part no group from its rules."""
    robots = Robots.parse(b"User-agent: FooBot\nCrawl-Delay : 3 # seconds\nREQUEST-RATE: 1/5\n"
                          b"visit-time: 0600-0845\nUser-agent: *\nDisallow: /x\n")
    found = robots.terms("FooBot/1.0")
    assert found.crawl_delay == 3.0
    assert found.request_rates == (RequestRate(1, 5.0),)
    assert found.visit_times == (Hours(360, 525),)
    assert robots.terms("other") is NO_TERMS
    assert not robots.allowed("/x", "FooBot").allowed


def test_they_bind_the_names_above_them() -> None:
    robots = Robots.parse(b"crawl-delay: 99\nuser-agent: slurp\ncrawl-delay: 10\nuser-agent: *\n"
                          b"disallow: /x\nuser-agent: slurp\ncrawl-delay: 7\nuser-agent: foo\n")
    assert robots.terms("slurp").crawl_delay == 10.0
    assert robots.terms("other") is NO_TERMS
    assert robots.terms("foo") is NO_TERMS
    assert not robots.allowed("/x", "slurp").allowed


def test_groups_of_one_name_are_merged() -> None:
    robots = Robots.parse(b"user-agent: a\ncrawl-delay: 3\nrequest-rate: 1/5\nvisit-time: 0100-0200"
                          b"\ndisallow: /x\nuser-agent: a\ncrawl-delay: 10\nrequest-rate: 1/9\n"
                          b"visit-time: 0300-0400\n")
    found = robots.terms("a")
    assert found.crawl_delay == 10.0, "the longest that was asked for"
    assert set(found.request_rates) == {RequestRate(1, 5.0), RequestRate(1, 9.0)}
    assert set(found.visit_times) == {Hours(60, 120), Hours(180, 240)}


@pytest.mark.parametrize("order", [("3", "10"), ("10", "3")])
def test_of_two_crawl_delays_the_longer_counts(order: tuple[str, str]) -> None:
    assert terms(*(f"crawl-delay: {text}" for text in order)).crawl_delay == 10.0


def test_who_is_named_is_not_bound_by_what_everyone_is_asked() -> None:
    robots = Robots.parse(b"user-agent: *\ncrawl-delay: 9\n\nuser-agent: a\ndisallow: /x\n"
                          b"user-agent: b\n")
    assert robots.terms("a") is robots.terms("b") is NO_TERMS
    assert robots.terms("c").crawl_delay == 9.0


def test_of_many_rates_the_slowest_are_kept() -> None:
    found = Robots.parse(b"user-agent: *\n" + b"".join(
        b"request-rate: 1/%d\n" % n for n in range(1, 2_000))).terms("x")
    assert {rate.seconds for rate in found.request_rates} == set(range(2_000 - KEPT, 2_000))


def test_of_many_hours_some_are_kept_and_no_more_opened() -> None:
    found = Robots.parse(b"user-agent: *\n" + b"".join(
        b"visit-time: %02d00-%02d30\n" % (n, n) for n in range(24))).terms("x")
    assert len(found.visit_times) == KEPT


def test_a_hostile_file_of_terms_costs_its_lines() -> None:
    """Every name is bound by what is below it: names times lines, if each had its own."""
    robots = Robots.parse(b"".join(
        b"user-agent: n%d\nrequest-rate: 1/%d\nvisit-time: %02d00-%02d30\n"
        % (n, n + 1, n % 24, n % 24) for n in range(6_000)))
    found = robots.terms("n0")
    assert len(found.request_rates) == len(found.visit_times) == KEPT
    assert {rate.seconds for rate in found.request_rates} == set(range(6_001 - KEPT, 6_001))
