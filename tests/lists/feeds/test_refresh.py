"""When a feed is asked for again, and what an answer means for the copy that is there."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import pytest

from outbounds.lists.feeds import FeedState, Fetcher, not_due, refresh
from outbounds.lists.feeds.refresh import NOT_ASKED, due_at
from outbounds.lists.feeds.retry import after_failure, retry_after
from outbounds.lists.feeds.state import FeedFolder, shown_url
from outbounds.settings import Feed

from .publisher import Publisher

LIST = "malware.example\n"


@pytest.fixture
def feed(publisher: Publisher) -> Feed:
    return Feed.model_construct(url=publisher.url(), refresh=3600.0, max_size=10_000,
                                max_age=86400.0, when_stale="keep", min_percent=50, sha256=None)


def overdue(folder: FeedFolder, feed: Feed) -> None:
    state = folder.read(feed.url)
    folder.write(replace(state, checked_at=0.0, next_check=0.0))


async def test_the_first_time_it_is_fetched_and_then_when_it_is_due(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.say(LIST, ETag='"1"')
    assert not_due(feed, folder) is None
    first = await refresh(feed, folder, fetcher)
    assert first.path == folder.candidate
    assert first.path.read_text() == LIST
    assert not_due(feed, folder) == first
    assert due_at(feed, first.state) == pytest.approx(time.time() + 3600, abs=60)


async def test_304_makes_the_copy_good_again(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.say(LIST, ETag='"1"')
    first = await refresh(feed, folder, fetcher)
    folder.accept(folder.candidate)
    overdue(folder, feed)
    assert not_due(feed, folder) is None
    second = await refresh(feed, folder, fetcher)
    assert publisher.arrived[1].headers["If-None-Match"] == '"1"'
    assert second.path == folder.copy
    assert second.state.good_at > first.state.good_at
    assert second.state.fetched_at == first.state.fetched_at


async def test_a_failure_leaves_the_copy_and_says_why(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.say(LIST)
    good = await refresh(feed, folder, fetcher)
    publisher.say(status=503)
    overdue(folder, feed)
    failed = await refresh(feed, folder, fetcher)
    assert failed.path == good.path
    assert failed.state.error == "lists.test answered with status 503"
    assert failed.state.good_at == good.state.good_at
    assert 40 < due_at(feed, failed.state) - time.time() < 80
    assert not_due(feed, folder) == failed
    assert not folder.download.exists()


async def test_a_spoiled_copy_is_not_believed_and_fetched_whole(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.say(LIST, ETag='"1"')
    await refresh(feed, folder, fetcher)
    folder.candidate.write_text("nothing.example\n")
    assert not_due(feed, folder) is None
    again = await refresh(feed, folder, fetcher)
    assert "If-None-Match" not in publisher.arrived[1].headers
    assert again.path is not None
    assert again.path.read_text() == LIST


async def test_another_url_is_another_feed(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.say(LIST, ETag='"1"')
    await refresh(feed, folder, fetcher)
    publisher.say("other.example\n", path="/other", ETag='"1"')
    moved = feed.model_copy(update={"url": publisher.url("/other")})
    assert not_due(moved, folder) is None
    other = await refresh(moved, folder, fetcher)
    assert other.path is not None
    assert other.path.read_text() == "other.example\n"


async def test_a_checksum_must_fit(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.say(LIST)
    fitting = hashlib.sha256(LIST.encode()).hexdigest()
    wrong = await refresh(feed.model_copy(update={"sha256": "0" * 64}), folder, fetcher)
    assert wrong.path is None
    assert wrong.state.error == (
        f"its SHA-256 is {fitting} and not what sha256 says; if the publisher meant to change "
        "it, change sha256")
    right = await refresh(feed.model_copy(update={"sha256": fitting}), folder, fetcher)
    assert right.path == folder.candidate


async def test_without_a_fetcher_nothing_is_asked_and_nothing_forgotten(
        feed: Feed, folder: FeedFolder, fetcher: Fetcher, publisher: Publisher) -> None:
    none = await refresh(feed, folder, None)
    assert (none.path, none.state.error) == (None, NOT_ASKED)
    publisher.say(LIST)
    good = await refresh(feed, folder, fetcher)
    overdue(folder, feed)
    kept = await refresh(feed, folder, None)
    assert (kept.path, kept.state.error) == (good.path, NOT_ASKED)
    assert folder.read(feed.url).error == "", "it is nothing that the feed has done"


def test_a_shorter_interval_counts_at_once_and_a_wrong_clock_does_no_harm(feed: Feed) -> None:
    now = time.time()
    state = FeedState(feed.url, checked_at=now, next_check=now + 604800)
    assert due_at(feed, state) == pytest.approx(now + 3600, abs=5)
    future = FeedState(feed.url, checked_at=now + 1e9, next_check=now + 1e9)
    assert due_at(feed, future) <= time.time() + 3600


def test_waits_after_failures_grow_up_to_the_interval() -> None:
    for failures, middle in ((1, 60), (2, 120), (5, 960), (7, 3600), (1000, 3600)):
        waits = [after_failure(failures, 3600.0) for _ in range(200)]
        assert 0.75 * middle <= min(waits) < max(waits) <= 1.25 * middle
    assert after_failure(1, 3600.0, asked=7200.0) == 7200.0


@pytest.mark.parametrize(("field", "seconds"), [
    ("120", 120.0), (" 5 ", 5.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("999999999999", 86400.0),
    ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0)])
def test_retry_after(field: str, seconds: float) -> None:
    """RFC 9110 section 10.2.3: seconds or a date."""
    assert retry_after(field) == seconds


def test_no_credentials_are_shown() -> None:
    assert shown_url("https://me:secret@lists.test:8443/a?b=c") == "https://lists.test:8443/a?b=c"
