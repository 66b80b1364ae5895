"""A robots.txt for people: every line has its meaning or its trouble, and none that the parser
would not give it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.robots import Robots
from outbounds.core.robots_reading import MOST, competing, read, read_lines

FILE = b"""\
# who it is for
Disallow: /early

User-agent: *      # everybody
Disalow: /private
Allow: /private/open
Disallow: /%7euser*x**y$
Disallow:
Crawl-delay: 2
Crawl-delay: soon
Content-Signal: ai-train=no
Sitemap: /sitemap.xml

User-agent: FooBot/1
user-agent BarBot
Disallow /
Nonsense is this
Foo: bar
"""


@pytest.mark.parametrize(("line", "meaning", "trouble"), [
    ("User-agent: x", "user-agent", ""),
    ("useragent: x", "user-agent", ""),
    ("User-agent: (", "user-agent", "names no product token"),
    ("Disallow: /", "disallow", ""),
    ("dissallow: /", "disallow", ""),
    ("Disallow /", "disallow", ""),
    ("Disallow:", "disallow", ""),
    ("Allow:", "allow", "allows nothing: it has no path"),
    ("Disallow: private", "disallow", "matches no path: these begin with a slash"),
    ("Disallow: *private", "disallow", ""),
    ("Crawl-delay: 1.5", "crawl-delay", ""),
    ("crawldelay: 1", "crawl-delay", ""),
    ("Crawl-delay: nan", "crawl-delay", "its value is none of a crawl-delay"),
    ("Request-rate: 1/5", "request-rate", ""),
    ("Request-rate: 5", "request-rate", "its value is none of a request-rate"),
    ("Visit-time: 0600-0845", "visit-time", ""),
    ("Visit-time: 6-8", "visit-time", "its value is none of a visit-time"),
    ("Content-Signal: search=yes", "content-signal", ""),
    ("Content-Signal: all=yes", "content-signal", "its value is none of a content-signal"),
    ("Content-Usage: /a train-ai=n", "content-usage", ""),
    ("Sitemap: https://x.example/", "sitemap", ""),
    ("Clean-param: x /", "clean-param", ""),
    ("Nonsense", "", "no record: there is no colon"),
    ("Foo: bar", "", "no record that is known: 'foo'"),
])
def test_what_a_line_means(line: str, meaning: str, trouble: str) -> None:
    found = read_lines(b"User-agent: *\n" + line.encode())[-1]
    assert (found.number, found.text, found.meaning, found.trouble) == (2, line, meaning, trouble)


def test_a_rule_above_every_name_binds_nobody() -> None:
    """RFC 9309 section 2.2.2."""
    first, *_ = read_lines(FILE)
    assert (first.number, first.trouble) == (
        2, "binds nobody: no user-agent line is above it")


def test_who_is_bound_by_what() -> None:
    reading = read(FILE)
    assert [bound.tokens for bound in reading.bound] == [("*",), ("foobot", "barbot")]
    anyone, bots = reading.bound
    assert [(rule.line, rule.allow, rule.pattern, rule.length) for rule in anyone.rules] == [
        (5, False, "/private", 8), (6, True, "/private/open", 13),
        (7, False, "/~user*x*y$", 12)]
    assert anyone.terms.crawl_delay == 2.0 and anyone.other == (11,)
    assert [(rule.line, rule.pattern) for rule in bots.rules] == [(16, "/")]
    assert not reading.cut


def test_the_longest_match_comes_first() -> None:
    """RFC 9309 section 2.2.2; at equal length the allow."""
    body = b"User-agent: *\nDisallow: /a\nDisallow: /a/b\nAllow: /*/b\nAllow: /x\nDisallow: /*b$\n"
    assert [rule.line for rule in competing(body, "*", "/a/b")] == [4, 3, 6, 2]
    assert competing(body, "*", "/y") == [] and competing(body, "bot", "/a/b") == []


def test_what_twenty_thousand_names_share_is_listed_once() -> None:
    names = b"".join(b"User-agent: bot%d\n" % n for n in range(15_000))
    rules = b"".join(b"Disallow: /%d\n" % n for n in range(12_000))
    reading = read(names + rules)
    assert [(len(bound.tokens), len(bound.rules)) for bound in reading.bound] == [(15_000, MOST)]
    assert reading.cut


LINES = st.lists(st.sampled_from([
    "User-agent: *", "User-agent: bot", "Disallow: /", "Disallow: /a", "Allow: /a*b", "Allow: /a",
    "Disallow: /*a$", "Disallow:", "Crawl-delay: 1", "Disallow: /a%2a", "x", "Allow: /b?x"]))
PATHS = st.text("ab/*?x", max_size=6).map(lambda tail: "/" + tail)


@given(LINES, PATHS, st.sampled_from(["bot", "other"]))
def test_the_first_of_the_competing_is_the_line_that_decides(
        lines: list[str], path: str, agent: str) -> None:
    body = "\n".join(lines).encode()
    robots = Robots.parse(body)
    match = robots.allowed(path, agent)
    found = competing(body, robots.token(agent), path)
    assert (found[0].line, found[0].allow) == (match.line, match.allowed) if found else (
        (match.line, match.allowed) == (0, True))


@given(st.binary(max_size=300))
def test_any_octets_are_read(body: bytes) -> None:
    numbers = [line.number for line in read_lines(body)]
    assert numbers == sorted(set(numbers))
    listed = {rule.line for bound in read(body).bound for rule in bound.rules}
    assert listed <= {line.number for line in read_lines(body)
                      if line.meaning in ("allow", "disallow")}
