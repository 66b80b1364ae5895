"""What must hold for every file, URL and User-Agent. Each raises AssertionError where it does not;
any other exception is a finding as well."""

from __future__ import annotations

import gzip
import math
import random
import re
import time
import zlib
from collections.abc import Callable

import brotli
import zstandard

from outbounds.core.robots import Match, Robots
from outbounds.core.robots_parse import SIZE_LIMIT, whole_lines
from outbounds.core.robots_spelling import origin_form, size_at_most, spell
from outbounds.core.robots_terms import KEPT, PURPOSES
from outbounds.robotstxt.body import ENOUGH, Body, UnreadableBody
from outbounds.robotstxt.engine import AT_ONCE

from .inputs import Case

TOO_LONG = 0.5  # seconds of processor time for one file and path; both are far from the largest
AT_ONCE_AT_MOST = 0.02  # and where the estimate says that it is cheap


def reads(case: Case) -> None:
    """Nothing raises or takes long, and all that is said is well-formed."""
    started = time.thread_time()
    robots = Robots.parse(case.body)
    lines = case.body.count(b"\n") + case.body.count(b"\r") + 1
    for match in (robots.allowed(case.url, case.agent), robots.whole_site(case.agent)):
        assert isinstance(match, Match) and 0 <= match.line <= lines, match
    terms = robots.terms(case.agent)
    delay = terms.crawl_delay
    assert delay is None or (math.isfinite(delay) and delay >= 0), delay
    assert len(terms.request_rates) <= KEPT and len(terms.visit_times) <= KEPT
    assert all(rate.count > 0 and rate.seconds > 0 for rate in terms.request_rates), terms
    assert all(0 <= each.start < 1440 and 0 <= each.end < 1440 for each in terms.visit_times), terms
    said = robots.preferences(case.url, case.agent)
    assert len({each.purpose for each in said}) == len(said), said
    assert all(each.purpose in PURPOSES and 0 <= each.line <= lines for each in said), said
    assert robots.token(case.agent) == robots.token(robots.token(case.agent))
    took = time.thread_time() - started
    assert took < TOO_LONG, f"{took:.3f} s"


def estimates(case: Case) -> None:
    """What is done on the event loop takes no longer than the estimate admits."""
    took = []
    for _ in range(3):  # the shortest: the garbage of others is not collected every time
        robots = Robots.parse(case.body)
        if robots.cost(case.url, (case.agent,)) > AT_ONCE:
            return
        started = time.thread_time()
        robots.allowed(case.url, case.agent)
        took.append(time.thread_time() - started)
    assert min(took) < AT_ONCE_AT_MOST, f"{min(took):.3f} s"


def spelling(case: Case) -> None:
    """One spelling is final, and whatever is spelt otherwise has the same verdict."""
    target = origin_form(case.url)
    assert target.startswith("/") and target.isascii(), target
    assert spell(target) == origin_form(target) == target, target
    assert len(target) <= size_at_most(case.url)
    place = random.Random(case.place)
    other = re.sub(r"(?<!%)(?<!%.)[A-Za-z0-9._~-]", lambda unit: place.choice(
        (unit[0], f"%{ord(unit[0]):02X}", f"%{ord(unit[0]):02x}")), case.url)
    robots = Robots.parse(case.body)
    assert robots.allowed(other, case.agent) == robots.allowed(case.url, case.agent), other
    assert robots.preferences(other, case.agent) == robots.preferences(case.url, case.agent), other


def line_ends(case: Case) -> None:
    """LF, CRLF and CR are the same, and an empty line or a comment changes only the numbers."""
    if case.body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    lines = re.split(rb"\r\n|\r|\n", case.body)
    plain = Robots.parse(b"\n".join(lines))
    verdict = plain.allowed(case.url, case.agent)
    for end in (b"\r\n", b"\r"):
        assert Robots.parse(end.join(lines)).allowed(case.url, case.agent) == verdict, end
    place = 1 + case.place % len(lines)
    for idle in (b"", b"# x: y", b" \t"):
        more = Robots.parse(b"\n".join([*lines[:place], idle, *lines[place:]]))
        found = more.allowed(case.url, case.agent)
        assert found.allowed is verdict.allowed, idle
        assert found.line == verdict.line + (verdict.line > place), idle
        assert more.terms(case.agent) == plain.terms(case.agent), idle


def more_rules(case: Case) -> None:
    """Another allow refuses nothing, and another disallow allows nothing."""
    if case.body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    before = Robots.parse(case.body)
    token = before.token(case.agent)
    was, was_site = before.allowed(case.url, case.agent), before.whole_site(case.agent)
    pattern = case.pattern.encode("latin-1").replace(b"#", b"").replace(b"\x00", b"")
    for key, allows in ((b"allow", True), (b"disallow", False)):
        after = Robots.parse(case.body + b"\nuser-agent: %s\n%s: %s\n" % (
            token.encode(), key, pattern))
        now, now_site = after.allowed(case.url, case.agent), after.whole_site(case.agent)
        for one, other in ((was, now), (was_site, now_site)):
            if one.allowed is allows and (other.line or other.allowed):
                assert other.allowed is allows, (key, one, other)


def cutting(case: Case) -> None:
    """What is behind the limit changes nothing, and no line is cut in two."""
    filler = b"#" * (SIZE_LIMIT - case.place % (len(case.body) + 2)) + b"\n"
    for body in (filler + case.body, filler + case.body + b"\nuser-agent: *\ndisallow: /\n"):
        kept = whole_lines(body)
        assert len(kept) <= SIZE_LIMIT and body.startswith(kept)
        assert kept == body or not kept or kept[-1:] in b"\r\n" or body[len(kept):][:1] in b"\r\n"
        assert Robots.parse(body).allowed(case.url, case.agent) \
            == Robots.parse(kept).allowed(case.url, case.agent)


def decoding(case: Case) -> None:
    """A body comes out as it went in, however it was cut; a broken one is refused, and nothing
    comes to more than is read."""
    source = random.Random(case.place)
    for coding, encode in ENCODINGS.items():
        sent = encode(case.body)
        assert _decoded(coding, sent, source) == case.body[:ENOUGH], coding
        if sent:
            at = source.randrange(len(sent))
            broken = sent[:at] + source.randbytes(2) + sent[at + source.randrange(4):]
            try:
                assert len(_decoded(coding, broken, source)) <= ENOUGH, coding
            except UnreadableBody:
                continue


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gzip": lambda body: gzip.compress(body, 1, mtime=0), "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": zstandard.ZstdCompressor().compress,
}


def _decoded(coding: str, octets: bytes, source: random.Random) -> bytes:
    body = Body(coding)
    while octets and not body.full:
        size = source.choice((1, 7, 4096)) if len(octets) < 10_000 else 4096
        body.feed(octets[:size])
        octets = octets[size:]
    return body.finish()


INVARIANTS: dict[str, Callable[[Case], None]] = {
    each.__name__: each
    for each in (reads, estimates, spelling, line_ends, more_rules, cutting, decoding)
}
SELDOM = {"cutting": 20}
"""One case in so many, for what takes much longer than the others."""
