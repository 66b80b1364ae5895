"""One fetch of a feed: vetted, recorded, bounded, and whole or not at all."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from pathlib import Path

import pytest
from aiohttp import web

from outbounds.lists.feeds import Fetcher, FetchFailed
from outbounds.lists.feeds.fetch import Fetched, Timeouts, Unchanged

from .publisher import Names, Publisher, Recorded

LIST = b"# a list\nmalware.example\n"
ROOM = 10_000


async def failure(fetcher: Fetcher, url: str, to: Path, room: int = ROOM) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await fetcher.fetch(url, to, max_octets=room)
    return caught.value


async def test_a_new_copy_comes_with_what_is_needed_to_ask_again(
        publisher: Publisher, fetcher: Fetcher, recorder: Recorded, tmp_path: Path) -> None:
    publisher.say(LIST, ETag='"1"', Last_Modified="Fri, 20 Nov 2026 10:00:00 GMT")
    to = tmp_path / "list"
    answer = await fetcher.fetch(publisher.url(), to, max_octets=ROOM)
    assert answer == Fetched(hashlib.sha256(LIST).hexdigest(), len(LIST), '"1"',
                             "Fri, 20 Nov 2026 10:00:00 GMT")
    assert to.read_bytes() == LIST
    request, = publisher.arrived
    assert request.headers["User-Agent"] == "Outbounds/1.0 (+https://proxy.example/contact)"
    assert "If-None-Match" not in request.headers
    assert recorder.connections_at_opening == [0], "recorded before anything is connected"
    assert recorder.events == [("opened", publisher.url(), ("127.0.0.1",)),
                               ("closed", "record-1", 200, len(LIST), "complete")]


async def test_304_says_that_nothing_changed(
        publisher: Publisher, fetcher: Fetcher, recorder: Recorded, tmp_path: Path) -> None:
    """RFC 9110 section 13.1.2"""
    publisher.say(LIST, ETag='"1"')
    to = tmp_path / "list"
    answer = await fetcher.fetch(publisher.url(), to, max_octets=ROOM, etag='"1"',
                                 last_modified="Fri, 20 Nov 2026 10:00:00 GMT")
    assert isinstance(answer, Unchanged)
    assert not to.exists()
    assert publisher.arrived[0].headers["If-Modified-Since"] == "Fri, 20 Nov 2026 10:00:00 GMT"
    assert recorder.outcomes == [(304, "unchanged")]


async def test_a_304_that_nobody_asked_for_is_no_answer(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(status=304)
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == \
        "lists.test answered with status 304"


@pytest.mark.parametrize("status", [204, 206, 403, 404, 500])
async def test_another_status_is_no_list(
        status: int, publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(LIST if status != 204 else b"", status=status)
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == \
        f"lists.test answered with status {status}"


async def test_retry_after_is_passed_on(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(status=429, Retry_After="7200")
    assert (await failure(fetcher, publisher.url(), tmp_path / "list")).retry == 7200.0


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_cut_off_list_is_an_error(
        chunked: bool, publisher: Publisher, fetcher: Fetcher, recorder: Recorded,
        tmp_path: Path) -> None:
    """RFC 9112 section 8: a message that is shorter than it says is incomplete."""
    async def cut(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        if chunked:
            reply.enable_chunked_encoding()
        else:
            reply.content_length = 1000
        await reply.prepare(request)
        await reply.write(LIST)
        assert request.transport is not None
        request.transport.close()
        return reply
    publisher.pages["/list"] = cut
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == \
        "it is cut off: the connection ended before the list did"
    assert recorder.outcomes == [(200, "error")]


async def test_the_announced_size_is_enough_to_refuse(
        publisher: Publisher, fetcher: Fetcher, recorder: Recorded, tmp_path: Path) -> None:
    publisher.say(b"x" * 101)
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list", 100)) == \
        "it is larger than max_size: 101 bytes instead of 100; raise max_size if it may be"
    assert recorder.events[-1] == ("closed", "record-1", 200, 0, "error")


async def test_an_endless_list_is_cut_at_the_bound(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(b"x" * 1000)
    publisher.pages["/list"] = endless
    to = tmp_path / "list"
    assert str(await failure(fetcher, publisher.url(), to)) == \
        "it is larger than max_size, 10000 bytes; raise max_size if it may be"
    assert to.stat().st_size <= ROOM


async def test_a_compressed_reply_is_unpacked_to_the_file(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(gzip.compress(LIST[:9]) + gzip.compress(LIST[9:]), Content_Encoding="gzip")
    to = tmp_path / "list"
    answer = await fetcher.fetch(publisher.url(), to, max_octets=ROOM)
    assert isinstance(answer, Fetched)
    assert (answer.octets, to.read_bytes()) == (len(LIST), LIST)


async def test_a_bomb_is_stopped_while_it_unpacks(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")
    to = tmp_path / "list"
    assert str(await failure(fetcher, publisher.url(), to, 100_000)) == \
        "it unpacks to more than max_size, 100000 bytes; raise max_size if it may"
    assert to.stat().st_size <= 100_000


@pytest.mark.parametrize(("body", "coding", "said"), [
    (gzip.compress(LIST, mtime=0)[:-4], "gzip", "it is cut off: its gzip coding ends too early"),
    (b"no gzip at all", "gzip", "its gzip coding is broken: Error -3 while decompressing data: "
                                "incorrect header check"),
    (LIST, "br", "its content coding 'br' was not asked for"),
    (b"\xef\xbb\xbf\n <!DOCTYPE html><p>Log in</p>", "identity",
     "it is an HTML page and not a list; open the URL in a browser to see what it says, and "
     "correct the URL"),
])
async def test_what_is_no_list(body: bytes, coding: str, said: str, publisher: Publisher,
                               fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(body, Content_Encoding=coding)
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == said


async def test_silence_ends_the_fetch(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2.0)
        return web.Response()
    publisher.pages["/list"] = silent
    assert "imeout" in str(await failure(fetcher, publisher.url(), tmp_path / "list"))


async def test_a_trickle_ends_with_the_total(
        publisher: Publisher, names: Names, recorder: Recorded, tmp_path: Path) -> None:
    fetcher = Fetcher(names, recorder, user_agent="x", timeouts=Timeouts(1.0, 0.5, 0.6))

    async def trickle(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(b"x")
            await asyncio.sleep(0.1)
    publisher.pages["/list"] = trickle
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == \
        "it took longer than 0.6 s"


async def test_redirects_are_vetted_and_recorded_one_by_one(
        publisher: Publisher, fetcher: Fetcher, names: Names, recorder: Recorded,
        tmp_path: Path) -> None:
    publisher.say(status=302, Location=publisher.url("/other", "mirror.test"))
    publisher.say(LIST, path="/other")
    await fetcher.fetch(publisher.url(), tmp_path / "list", max_octets=ROOM)
    assert [host for host, _ in names.asked] == ["lists.test", "mirror.test"]
    assert recorder.outcomes == [(302, "redirect"), (200, "complete")]


@pytest.mark.parametrize(("location", "said"), [
    ("http://inside.test/list", "inside.test was not asked: that is not a public destination"),
    ("http://169.254.169.254/latest/meta-data",
     "169.254.169.254 was not asked: that is not a public destination"),
    ("http://[::1]/", "::1 was not asked: that is not a public destination"),
    ("file:///etc/passwd", "lists.test redirects to no http or https address"),
    ("", "lists.test redirects to no http or https address"),
])
async def test_where_a_redirect_may_not_lead(
        location: str, said: str, publisher: Publisher, fetcher: Fetcher,
        tmp_path: Path) -> None:
    publisher.say(status=302, Location=location)
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == said
    assert len(publisher.arrived) == 1


async def test_more_than_five_redirects(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path) -> None:
    publisher.say(status=301, Location="/list")
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == \
        "it redirects more than 5 times"
    assert len(publisher.arrived) == 6


async def test_nothing_is_sent_without_a_record(
        publisher: Publisher, fetcher: Fetcher, recorder: Recorded, tmp_path: Path) -> None:
    recorder.fails = True
    assert str(await failure(fetcher, publisher.url(), tmp_path / "list")) == \
        "lists.test was not asked: the request cannot be recorded (the disk is full)"
    assert publisher.connections == 0


async def test_no_proxy_from_the_environment_is_used(
        publisher: Publisher, fetcher: Fetcher, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    publisher.say(LIST)
    assert isinstance(await fetcher.fetch(publisher.url(), tmp_path / "l", max_octets=ROOM),
                      Fetched)


async def test_credentials_of_the_url_are_sent_and_not_recorded(
        publisher: Publisher, fetcher: Fetcher, recorder: Recorded, tmp_path: Path) -> None:
    publisher.say(LIST)
    await fetcher.fetch(publisher.url().replace("//", "//me:secret@"), tmp_path / "list",
                        max_octets=ROOM)
    assert publisher.arrived[0].headers["Authorization"].startswith("Basic ")
    assert "secret" not in str(recorder.events)
