"""So many octets and no more, by figures that hold for hostile files, too."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.questions import RobotsAnswer
from outbounds.core.robots import Robots
from outbounds.core.robots_parse import SIZE_LIMIT
from outbounds.robotstxt import Fetcher, Known, RobotsCache
from outbounds.robotstxt.remembered import Entry, File, Remembered

from .site import Clock, Site

RULES = "user-agent: *\ndisallow: /x\n"


def origin(number: int) -> tuple[str, str, int]:
    return ("http", f"h{number}.test", 80)


def body(number: int, lines: int = 20) -> bytes:
    return b"user-agent: *\n" + b"".join(b"disallow: /%d/%d\n" % (number, n) for n in range(lines))


def remember(remembered: Remembered, number: int, content: int, lines: int = 20,
             hold: bool = True) -> None:
    octets = body(content, lines)
    digest = hashlib.sha256(octets).hexdigest()
    file = remembered.known(digest) or File(digest, octets)
    entry = Entry("fresh", 1.0, file=file, known=Known("http://x.test/robots.txt"))
    remembered.put(origin(number), entry)
    if hold:
        robots = file.robots or Robots.parse(octets)
        remembered.hold(origin(number), entry, RobotsAnswer(robots, "fresh", body=octets))


STEPS = st.lists(st.tuples(st.sampled_from(["put", "hold", "forget", "use"]),
                           st.integers(0, 6), st.integers(0, 4), st.sampled_from([1, 20, 120])),
                 max_size=60)


@given(STEPS, st.sampled_from([3_000, 40_000, 120_000]))
def test_the_sums_add_up(steps: list[tuple[str, int, int, int]], most: int) -> None:
    """Whatever is done: within bounds, and counted as what is there costs."""
    remembered = Remembered(most)
    for what, number, content, lines in steps:
        entry = remembered.get(origin(number))
        if what in ("put", "hold"):
            remember(remembered, number, content, lines, what == "hold")
        elif what == "forget":
            remembered.forget(origin(number))
        elif entry is not None:
            remembered.used(origin(number), entry)
        entries = [found for each in remembered if (found := remembered.get(each))]
        files = {entry.file.digest: entry.file for entry in entries if entry.file}
        assert remembered.octets == sum(entry.octets for entry in entries) \
            + sum(400 + len(file.packed) for file in files.values())
        assert remembered.octets_parsed == \
            sum(file.cost for file in files.values() if file.robots is not None)
        assert remembered.octets + remembered.octets_parsed <= most
        for file in files.values():
            held = [entry for entry in entries if entry.file is file and entry.answer]
            assert (file.robots is not None) == bool(held)
            assert sum(entry.file is file for entry in entries) == file.entries
    for each in list(remembered):
        remembered.forget(each)
    assert (remembered.octets, remembered.octets_parsed) == (0, 0)


def test_one_content_is_kept_and_parsed_once() -> None:
    remembered = Remembered(1 << 20)
    remember(remembered, 0, content=7)
    before = remembered.octets_parsed
    remember(remembered, 1, content=7)
    first, second = remembered.get(origin(0)), remembered.get(origin(1))
    assert first is not None
    assert second is not None
    assert first.file is second.file
    assert remembered.octets_parsed == before


def test_what_was_used_longest_ago_goes_first() -> None:
    remembered = Remembered(20 * 2_000)
    for number in range(10):
        remember(remembered, number, number, lines=1, hold=False)
    first = remembered.get(origin(0))
    assert first is not None
    remembered.used(origin(0), first)
    for number in range(10, 24):
        remember(remembered, number, number, lines=1, hold=False)
    kept = set(remembered)
    assert origin(0) in kept
    assert origin(1) not in kept
    assert origin(23) in kept


def hostile(line: str) -> bytes:
    lines = (line.replace("N", str(n)) for n in range(SIZE_LIMIT // len(line)))
    return ("user-agent: *\n" + "\n".join(lines)).encode()[:SIZE_LIMIT - 100]


LINES = [
    "allow:/", "disallow:/N", "disallow:/*a*b*N", "disallow: /" + "*ab" * 40, "allow:/%ffN",
    "user-agent:aN", "user-agent:aN\ndisallow:/N", "crawl-delay:N", "sitemap: N",
    "disallow: /" + "é" * 60, "disallow: /?*N&*b", "allow:/$\ndisallow:/N$",
    "disallow: /shop/section-N/item", "#",
]


@pytest.mark.parametrize("line", LINES)
def test_no_file_costs_more_than_is_counted(line: str) -> None:
    octets = hostile(line)
    Robots.parse(octets).allowed("/x", "warm")
    gc.collect()
    tracemalloc.start()
    try:
        file = File("", octets)
        robots = Robots.parse(octets)
        for agent in ("FooBot", "a1", "a2"):
            robots.allowed("/x", agent)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken <= file.cost + len(file.packed) + 400


# --- through the cache --------------------------------------------------------------------------


async def filled(site: Site, cache: RobotsCache, hosts: int, rules: int = 1) -> None:
    for n in range(hosts):
        site.say(body(n, rules), host=f"h{n}.test")
        assert (await cache.get(site.origin(f"h{n}.test"), "acme", "c")).state == "fresh"


async def test_memory_is_bounded(site: Site, fetcher: Fetcher, clock: Clock) -> None:
    cache = RobotsCache(fetcher, clock=clock, octets=30_000)
    await filled(site, cache, 30)
    assert 5 <= len(cache) < 30
    assert cache.octets <= 30_000
    assert cache.peek(site.origin("h29.test")) is not None
    assert cache.peek(site.origin("h0.test")) is None


async def test_what_is_parsed_no_more_is_parsed_again(
    site: Site, fetcher: Fetcher, clock: Clock
) -> None:
    cache = RobotsCache(fetcher, clock=clock, octets=300_000)
    await filled(site, cache, 20, rules=40)
    for n in range(20):
        answer = cache.peek(site.origin(f"h{n}.test"))
        assert answer is not None
        assert answer.body == body(n, 40)
        assert answer.robots is not None
        assert not answer.robots.allowed(f"/{n}/3", "FooBot").allowed
        assert cache.peek(site.origin(f"h{n}.test")) is answer, "while it is in use"
    assert len(site.arrived) == 20
    assert cache.octets <= 300_000


async def test_a_large_file_is_parsed_again_in_a_thread_and_once(
    site: Site, fetcher: Fetcher, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = RobotsCache(fetcher, clock=clock, octets=4_000_000)
    large = RULES + "#" * 100_000 + "\n" + "disallow: /y\n" * 2000
    for host in ("a.test", "b.test"):
        site.say(large + f"#{host}\n", host=host)
        await cache.get(site.origin(host), "acme", "c")
    assert cache.peek(site.origin("a.test")) is None, "only one of them fits, parsed"
    threads, parse = [], Robots.parse

    def counted(octets: bytes, *more: object) -> Robots:
        threads.append(threading.current_thread())
        return parse(octets, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Robots, "parse", counted)
    answers = await asyncio.gather(
        *(cache.get(site.origin("a.test"), "acme", "c") for _ in range(20)))
    assert {answer.state for answer in answers} == {"fresh"}
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
    assert cache.peek(site.origin("a.test")) is not None
    assert len(site.arrived) == 2


async def test_a_file_larger_than_the_cache_is_answered_all_the_same(
    site: Site, fetcher: Fetcher, clock: Clock
) -> None:
    cache = RobotsCache(fetcher, clock=clock, octets=1_500)
    site.say(RULES * 100)
    answer = await cache.get(site.origin(), "acme", "c")
    assert answer.state == "fresh"
    assert answer.robots is not None
    assert not answer.robots.allowed("/x", "FooBot").allowed
    assert len(cache) == 0
