"""Asking again only whether something changed: RFC 9110 section 13, RFC 9111 section 4.3."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from aiohttp import web

from outbounds.core.questions import RobotsAnswer
from outbounds.robotstxt import Fetcher, RobotsCache
from outbounds.robotstxt.freshness import validators

from .site import Clock, Recorded, Site, Wall

RULES = "user-agent: *\ndisallow: /x\n"
DIGEST = hashlib.sha256(RULES.encode()).hexdigest()
HOUR, DAY = 3600.0, 86_400.0
ETAG, DATE = '"v1"', "Sat, 01 Aug 2026 10:00:00 GMT"


async def ask(cache: RobotsCache, site: Site, host: str = "foo.test") -> RobotsAnswer:
    return await cache.get(site.origin(host), "acme", "192.0.2.1")


async def refresh(cache: RobotsCache, site: Site, host: str = "foo.test") -> RobotsAnswer:
    return await cache.refresh(site.origin(host), "acme", "192.0.2.1")


def conditions(site: Site) -> tuple[str | None, str | None]:
    """Of the last request."""
    fields = site.arrived[-1].headers
    return fields.get("If-None-Match"), fields.get("If-Modified-Since")


@pytest.mark.parametrize(("fields", "sent"), [
    ({}, (None, None)), ({"ETag": ETAG}, (ETAG, None)),
    ({"ETag": "W/" + ETAG}, ("W/" + ETAG, None)), ({"Last_Modified": DATE}, (None, DATE)),
    ({"ETag": ETAG, "Last_Modified": DATE}, (ETAG, DATE)),
    # nothing that is no validator is sent back
    ({"ETag": "v1"}, (None, None)), ({"ETag": '"' + "v" * 300 + '"'}, (None, None)),
    ({"ETag": '"a", "b"'}, (None, None)), ({"Last_Modified": "x" * 99}, (None, None)),
])
async def test_what_the_site_gave_is_sent_back(
    site: Site, cache: RobotsCache, fields: dict[str, str], sent: tuple[str | None, str | None]
) -> None:
    site.say(RULES, **fields)
    await ask(cache, site)
    assert conditions(site) == (None, None)
    await refresh(cache, site)
    assert conditions(site) == sent


@pytest.mark.parametrize("field", ['"a\r\nX: y"', '"ü"', '"a b"', "W/", "*", '"\0"'])
def test_no_validator(field: str) -> None:
    assert validators(field, "a\r\nb: c") == ("", "")


async def test_unchanged_renews_the_copy(
    site: Site, cache: RobotsCache, clock: Clock, wall: Wall, recorder: Recorded,
    outcomes: list[str],
) -> None:
    site.say(RULES, ETag=ETAG, Cache_Control="max-age=600")
    first = await ask(cache, site)
    site.say("", 304)
    clock.now += 900
    wall.now += 900
    answer = await refresh(cache, site)
    assert (answer.state, answer.digest, answer.body) == ("fresh", DIGEST, RULES.encode())
    assert answer.fetched == first.fetched + 900
    assert cache.peek(site.origin()) is answer
    assert outcomes == ["fresh", "unchanged"]
    assert recorder.outcomes == [(200, "complete"), (304, "complete")]
    assert recorder.read == [(DIGEST, "fresh")] * 2, "the record names what was confirmed"
    clock.now += 599
    assert cache.peek(site.origin()) is not None, "what was not said again still holds"
    clock.now += 1
    assert cache.peek(site.origin()) is None


async def test_unchanged_may_say_for_how_long(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    site.say(RULES, ETag=ETAG, Cache_Control="max-age=600")
    await ask(cache, site)
    site.say("", 304, Cache_Control="max-age=7200")
    await refresh(cache, site)
    clock.now += 7199
    assert cache.peek(site.origin()) is not None


async def test_unchanged_unasked_is_no_answer(site: Site, cache: RobotsCache) -> None:
    site.say("", 304)
    assert (await ask(cache, site)).state == "unreachable"
    site.say(RULES)  # no validators
    await refresh(cache, site)
    site.say("", 304)
    answer = await refresh(cache, site)
    assert (answer.state, answer.digest) == ("stale", DIGEST)


async def test_changed_replaces_the_copy(site: Site, cache: RobotsCache) -> None:
    site.say(RULES, ETag=ETAG)
    await ask(cache, site)
    site.say("user-agent: *\n", ETag='"v2"')
    assert (await refresh(cache, site)).body == b"user-agent: *\n"
    site.say("", 304)
    assert (await refresh(cache, site)).body == b"user-agent: *\n"
    assert conditions(site) == ('"v2"', None)


async def test_after_a_failure_the_copy_can_still_be_confirmed(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    site.say(RULES, ETag=ETAG)
    await ask(cache, site)
    site.say("", 503)
    assert (await refresh(cache, site)).state == "stale"
    site.say("", 304)
    answer = await refresh(cache, site)
    assert (answer.state, answer.detail, answer.retry_after) == ("fresh", "", None)


async def test_validators_are_for_the_url_that_gave_them(site: Site, cache: RobotsCache) -> None:
    """Another hop would be told about a copy that is not its own, and could confirm it."""
    site.say("", 302, Location=f"http://bar.test:{site.port}/r", ETag='"redirect"')
    site.say(RULES, host="bar.test", path="/r", ETag=ETAG)
    await ask(cache, site)
    await refresh(cache, site)
    assert [(request.host.partition(":")[0], request.headers.get("If-None-Match"))
            for request in site.arrived] == \
        [("foo.test", None), ("bar.test", None), ("foo.test", None), ("bar.test", ETAG)]
    site.say("", 304)
    assert (await refresh(cache, site)).state == "stale", "the redirecting host said 304 unasked"
    site.say("", 302, Location=f"http://baz.test:{site.port}/r")
    site.say("", 304, host="baz.test", path="/r")
    assert (await refresh(cache, site)).state == "stale"
    assert conditions(site) == (None, None)


async def test_origins_share_no_validators(site: Site, cache: RobotsCache) -> None:
    site.say(RULES, ETag=ETAG)
    site.say(RULES, host="bar.test")
    await ask(cache, site)
    await ask(cache, site, "bar.test")
    assert conditions(site) == (None, None)


# --- the copy answers while it is refreshed -----------------------------------------------------


async def hanging(site: Site) -> asyncio.Event:
    gate = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text="user-agent: *\n")

    site.on(handler)
    return gate


async def until_asked(site: Site, times: int) -> None:
    for _ in range(400):
        if len(site.arrived) >= times:
            return
        await asyncio.sleep(0.005)
    pytest.fail("the site was not asked within 2 s")


async def test_a_stale_copy_answers_while_one_flight_refreshes_it(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    site.say(RULES)
    fresh = await ask(cache, site)
    gate = await hanging(site)
    clock.now += DAY - 1
    answers = [await asyncio.wait_for(ask(cache, site), 1) for _ in range(20)]
    assert {(answer.state, answer.digest, answer.retry_after) for answer in answers} == \
        {("stale", DIGEST, None)}
    assert answers[0].fetched == fresh.fetched
    assert "is being refreshed" in answers[0].detail
    await until_asked(site, 2)
    joined = asyncio.create_task(refresh(cache, site))
    gate.set()
    assert (await joined).body == b"user-agent: *\n"
    assert len(site.arrived) == 2
    assert (await ask(cache, site)).state == "fresh"


async def test_a_copy_of_yesterday_does_not(site: Site, cache: RobotsCache, clock: Clock) -> None:
    """RFC 9309 section 2.4: no longer than 24 hours, unless the file is unreachable."""
    site.say(RULES)
    await ask(cache, site)
    gate = await hanging(site)
    clock.now += DAY
    asking = asyncio.create_task(ask(cache, site))
    await until_asked(site, 2)
    assert not asking.done()
    gate.set()
    assert (await asking).state == "fresh"


async def test_that_there_was_no_file_answers_no_longer(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    site.say("", 404)
    await ask(cache, site)
    site.say(RULES)
    clock.now += HOUR
    assert (await ask(cache, site)).state == "fresh"


async def test_a_failing_refresh_is_not_tried_by_every_request(
    site: Site, cache: RobotsCache, clock: Clock
) -> None:
    site.say(RULES)
    await ask(cache, site)
    site.say("", 503, Retry_After="100")
    clock.now += HOUR
    await refresh(cache, site)
    for _ in range(5):
        answer = await ask(cache, site)
        assert answer.state == "stale"
        assert "503" in answer.detail
    assert len(site.arrived) == 2


async def test_too_many_flights_leave_the_copy(
    site: Site, fetcher: Fetcher, clock: Clock
) -> None:
    cache = RobotsCache(fetcher, clock=clock, flights=1)
    site.say(RULES, host="copied.test")
    await ask(cache, site, "copied.test")
    gate = await hanging(site)
    asking = asyncio.create_task(ask(cache, site))
    await until_asked(site, 2)
    clock.now += HOUR
    answer = await ask(cache, site, "copied.test")
    assert (answer.state, answer.digest) == ("stale", DIGEST)
    assert "waits to be refreshed" in answer.detail
    gate.set()
    await asking
    await cache.aclose()
