"""What is answered, and for how long: RFC 9309 sections 2.3.1 and 2.4."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from outbounds.core import robots_parse
from outbounds.core.questions import RobotsAnswer
from outbounds.core.robots import Robots
from outbounds.robotstxt import Entry, Fetcher, RobotsCache, Snapshots

from .site import Clock, Recorded, Site

RULES = "user-agent: *\ndisallow: /x\n"
HOUR = 3600.0


async def ask(cache: RobotsCache, site: Site, host: str = "foo.test") -> RobotsAnswer:
    return await cache.get(site.origin(host), "acme", "192.0.2.1:5")


def allows(answer: RobotsAnswer, path: str) -> bool:
    assert answer.robots is not None
    return answer.robots.allowed(path, "FooBot").allowed


async def test_fresh(site: Site, cache: RobotsCache) -> None:
    site.say(RULES)
    assert cache.peek(site.origin()) is None
    answer = await ask(cache, site)
    assert (answer.state, answer.retry_after) == ("fresh", None)
    assert answer.digest == hashlib.sha256(RULES.encode()).hexdigest()
    assert (answer.body, answer.fetched) == (RULES.encode(), 1_790_000_000)
    assert not allows(answer, "/x")
    assert allows(answer, "/y")
    assert cache.peek(site.origin()) is answer
    assert await ask(cache, site) is answer
    assert len(site.arrived) == 1


async def test_absent_allows_all(site: Site, cache: RobotsCache) -> None:
    site.say(RULES, 404)
    answer = await ask(cache, site)
    assert (answer.state, answer.digest) == ("absent", "")
    assert allows(answer, "/x")
    assert cache.peek(site.origin()) is answer


@pytest.mark.parametrize(("fields", "lasts"), [
    ({}, HOUR), ({"Cache_Control": "max-age=600"}, 600), ({"Cache_Control": "no-store"}, 60),
    ({"Cache_Control": "max-age=31536000"}, 24 * HOUR),
])
@pytest.mark.parametrize("status", [200, 404])
async def test_lasts(
    site: Site, cache: RobotsCache, clock: Clock, status: int, fields: dict[str, str], lasts: float
) -> None:
    site.say(RULES, status, **fields)
    await ask(cache, site)
    clock.now += lasts - 1
    assert cache.peek(site.origin()) is not None
    clock.now += 1
    assert cache.peek(site.origin()) is None
    await cache.refresh(site.origin(), "acme", "c")
    assert len(site.arrived) == 2


async def test_origins_are_apart(site: Site, cache: RobotsCache) -> None:
    """Section 2.3: scheme, host and port; a redirect's target does not take the rules over."""
    site.say("", 302, Location=f"http://bar.test:{site.port}/robots.txt")
    site.say(RULES, host="bar.test")
    assert not allows(await ask(cache, site), "/x")
    assert cache.peek(site.origin("bar.test")) is None
    assert cache.peek(("https", "foo.test", site.port)) is None
    assert cache.peek(("http", "foo.test", 80)) is None


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_unreachable_refuses_for_a_while(
    site: Site, cache: RobotsCache, clock: Clock, status: int
) -> None:
    site.say(RULES, status)
    answer = await ask(cache, site)
    assert (answer.robots, answer.state, answer.retry_after) == (None, "unreachable", 30)
    assert f"status {status}" in answer.detail
    site.say(RULES)
    clock.now += 20
    again = await ask(cache, site)
    assert (again.state, again.retry_after) == ("unreachable", 10)
    assert len(site.arrived) == 1
    clock.now += 10
    assert (await ask(cache, site)).state == "fresh"


async def test_the_last_good_copy_stands_in(site: Site, cache: RobotsCache, clock: Clock) -> None:
    site.say(RULES)
    fresh = await ask(cache, site)
    site.say("user-agent: *\nallow: /\n", 503, Retry_After="100")
    clock.now += 24 * HOUR
    answer = await ask(cache, site)
    assert (answer.state, answer.retry_after) == ("stale", 100)
    assert answer.digest == fresh.digest
    assert "503" in answer.detail
    assert not allows(answer, "/x")
    clock.now += 99
    peeked = cache.peek(site.origin())
    assert peeked is not None
    assert (peeked.state, peeked.retry_after) == ("stale", 1)
    clock.now += 28 * 24 * HOUR
    assert (await ask(cache, site)).state == "stale", "section 2.4: beyond 24 h if unreachable"
    clock.now += 24 * HOUR
    assert (await ask(cache, site)).state == "unreachable", "30 days are the end of it"


async def test_a_copy_is_replaced_by_what_the_site_says_next(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    site.say(RULES)
    await ask(cache, site)
    site.say("", 404)
    assert (await cache.refresh(site.origin(), "acme", "c")).state == "absent"
    site.say("", 500)
    clock.now += HOUR
    assert (await ask(cache, site)).state == "unreachable", "that there was no file is no copy"


@pytest.mark.parametrize(("body", "media_type"), [
    ("<!DOCTYPE html><title>Log in</title>", "text/html"),
    ("<!DOCTYPE html><title>Log in</title>", "text/plain"),
    ("\ufeff \n<html>user-agent: *\nallow: /", "text/plain"),
    ("Not found", "text/html; charset=utf-8"), ("", "text/html"),
    ('{"error": "user-agent: *"}', "application/json"),
])
async def test_a_page_is_not_allow_all(
    site: Site, cache: RobotsCache, body: str, media_type: str
) -> None:
    site.say(body, Content_Type=media_type)
    answer = await ask(cache, site)
    assert (answer.robots, answer.state) == (None, "unreachable")
    assert "sends a page" in answer.detail


@pytest.mark.parametrize(("body", "media_type"), [
    (RULES, "text/html"), (RULES, "application/octet-stream"), (RULES, "text/plain;charset=x"),
])
async def test_rules_under_another_name_are_rules(
    site: Site, cache: RobotsCache, body: str, media_type: str
) -> None:
    site.say(body, Content_Type=media_type)
    answer = await ask(cache, site)
    assert answer.state == "fresh"
    assert not allows(answer, "/x")


@pytest.mark.parametrize("body", ["", "# nothing\n", "sitemap: https://foo.test/s.xml\n"])
async def test_a_text_without_rules_allows_all(
    site: Site, cache: RobotsCache, body: str
) -> None:
    site.say(body)
    answer = await ask(cache, site)
    assert answer.state == "fresh"
    assert allows(answer, "/x")


async def test_a_huge_file_is_cut_to_whole_lines(site: Site, cache: RobotsCache) -> None:
    body = (RULES + "#" * 99 + "\n") * 6000
    site.say(body)
    answer = await ask(cache, site)
    kept = body.encode()[: 500 * 1024]
    kept = kept[: kept.rfind(b"\n") + 1]
    assert answer.digest == hashlib.sha256(kept).hexdigest()
    assert not allows(answer, "/x")


@pytest.mark.parametrize(("size", "on_loop"), [(1_000, True), (200_000, False)])
async def test_a_large_file_does_not_stall_the_loop(
    site: Site, cache: RobotsCache, monkeypatch: pytest.MonkeyPatch, size: int, on_loop: bool
) -> None:
    threads = []

    def parse(body: bytes, *pause: Callable[[], object]) -> Robots:
        threads.append(threading.current_thread())
        return Robots(robots_parse.parse(body, *pause))

    monkeypatch.setattr(Robots, "parse", parse)
    site.say(RULES + "#" * size + "\n")
    assert (await ask(cache, site)).state == "fresh"
    assert (threads == [threading.current_thread()]) is on_loop


async def test_a_recorder_that_fails_refuses(
    site: Site, cache: RobotsCache, recorder: Recorded
) -> None:
    site.say(RULES)
    recorder.fails = True
    answer = await ask(cache, site)
    assert (answer.robots, answer.state) == (None, "unreachable")
    assert site.arrived == []


async def test_a_fault_in_the_fetcher_refuses(
    site: Site, cache: RobotsCache, recorder: Recorded, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    site.say(RULES)

    def closed(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(recorder, "closed", closed)
    answer = await ask(cache, site)
    assert (answer.robots, answer.state) == (None, "unreachable")
    assert "a fault" in caplog.text


# --- for the operator ---------------------------------------------------------------------------


async def test_an_entry_says_where_it_is_from(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    assert await cache.entry(site.origin()) is None
    site.say("", 302, Location=f"http://bar.test:{site.port}/r")
    site.say(RULES, host="bar.test", path="/r", Cache_Control="max-age=600")
    answer = await ask(cache, site)
    clock.now += 700
    assert await cache.entry(site.origin()) == Entry(
        answer, -100.0, f"http://bar.test:{site.port}/r", 200, len(RULES))
    assert list(cache.origins()) == [site.origin()]


@pytest.mark.parametrize(("status", "kept"), [(404, 404), (500, 0)])
async def test_an_entry_without_a_file(
    site: Site, cache: RobotsCache, status: int, kept: int
) -> None:
    site.say(RULES, status)
    answer = await ask(cache, site)
    entry = await cache.entry(site.origin())
    assert entry is not None
    assert (entry.answer, entry.url, entry.status, entry.size) == (answer, "", kept, 0)


async def test_refresh_asks_now(site: Site, cache: RobotsCache, outcomes: list[str]) -> None:
    site.say(RULES)
    await ask(cache, site)
    site.say("", 404)
    assert (await cache.refresh(site.origin(), "acme", "c")).state == "absent"
    site.say("", 500)
    assert (await cache.refresh(site.origin(), "acme", "c")).state == "unreachable"
    assert len(site.arrived) == 3
    assert outcomes == ["fresh", "absent", "unreachable"]


# --- evidence -----------------------------------------------------------------------------------


async def test_nothing_decides_before_it_is_kept(
    site: Site, fetcher: Fetcher, tmp_path: Path
) -> None:
    snapshots = Snapshots(tmp_path / "robots", 86_400.0)
    cache = RobotsCache(fetcher, snapshots=snapshots)
    site.say(RULES)
    answer = await ask(cache, site)
    assert snapshots.read(answer.digest) == answer.body == RULES.encode()


async def test_what_cannot_be_kept_decides_nothing(
    site: Site, fetcher: Fetcher, clock: Clock, tmp_path: Path
) -> None:
    folder = tmp_path / "robots"
    folder.write_text("in the way")
    outcomes: list[str] = []
    cache = RobotsCache(fetcher, clock=clock, count=outcomes.append,
                        snapshots=Snapshots(folder, 86_400.0))
    site.say(RULES)
    answer = await ask(cache, site)
    assert (answer.robots, answer.state, answer.retry_after) == (None, "unreachable", 1.0)
    assert "cannot be kept as evidence" in answer.detail
    folder.unlink()
    clock.now += 1
    assert (await ask(cache, site)).state == "fresh"
    assert outcomes == ["refused", "fresh"]


async def test_the_record_names_what_was_read(
    site: Site, cache: RobotsCache, recorder: Recorded
) -> None:
    said = [(RULES, 200, {}), ("", 404, {}), ("", 500, {}),
            ("<html>", 200, {"Content_Type": "text/html"})]
    for body, status, fields in said:
        site.say(body, status, **fields)
        await cache.refresh(site.origin(), "acme", "c")
    digest = hashlib.sha256(RULES.encode()).hexdigest()
    assert recorder.read == \
        [(digest, "fresh"), ("", "absent"), ("", "unreachable"), ("", "unreachable")]
