"""One feed, brought up to date when it is due. Whatever fails, the copy that is there stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...settings import Feed
from .fetch import Fetched, Fetcher, FetchFailed
from .retry import LONGEST_ASKED, after_failure
from .state import FeedFolder, FeedState

NOT_ASKED = ("it is due and was not fetched, because no evidence collector answers and nothing is "
             "sent without a record; start the proxy, or the external collector, and build again")


@dataclass(frozen=True, slots=True)
class Source:
    """The newest download of a feed (`path` None: there is none), and how it came."""

    path: Path | None
    state: FeedState


def not_due(feed: Feed, folder: FeedFolder) -> Source | None:
    """The source as it is, if the publisher need not be asked now; else None."""
    state = folder.read(feed.url)
    held = folder.newest(state)
    if (held or state.failures) and time.time() < due_at(feed, state):
        return Source(held, state)
    return None


async def refresh(
    feed: Feed, folder: FeedFolder, fetcher: Fetcher | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Source:
    """Ask the publisher. `fetcher` None: nobody may be asked.

    Never raises for a feed that cannot be had: `Source.state.error` says why. Raises OSError when
    the folder cannot be written.
    """
    state = folder.read(feed.url)
    held = folder.newest(state)
    if fetcher is None:
        return Source(held, replace(state, error=NOT_ASKED))
    state = await _asked(feed, folder, fetcher, state, held, progress)
    return Source(folder.newest(state), state)


def due_at(feed: Feed, state: FeedState) -> float:
    """Unix time of the next attempt. A shorter `refresh` counts at once, and a clock that was
    wrong when the state was written does not put a feed off for years."""
    longest = max(feed.refresh, LONGEST_ASKED) if state.failures else feed.refresh
    return min(state.next_check, state.checked_at + longest, time.time() + longest)


async def _asked(feed: Feed, folder: FeedFolder, fetcher: Fetcher, state: FeedState,
                 held: Path | None, progress: Callable[[int, int], None]) -> FeedState:
    folder.write(state)  # makes the folder, and finds out now whether it can be written
    folder.download.unlink(missing_ok=True)  # what a killed build had of it
    try:
        answer = await fetcher.fetch(
            feed.url, folder.download, max_octets=int(feed.max_size), progress=progress,
            # without the copy that they are about, 304 would be of no use
            etag=state.etag if held else "", last_modified=state.last_modified if held else "")
        if isinstance(answer, Fetched) and feed.sha256 not in (None, answer.sha256):
            raise FetchFailed(f"its SHA-256 is {answer.sha256} and not what sha256 says; if the "
                              "publisher meant to change it, change sha256")
    except FetchFailed as error:
        folder.download.unlink(missing_ok=True)
        failures, now = state.failures + 1, time.time()
        state = replace(state, failures=failures, error=str(error), checked_at=now,
                        next_check=now + after_failure(failures, feed.refresh, error.retry))
    else:
        now = time.time()
        state = replace(state, failures=0, error="", checked_at=now, good_at=now,
                        next_check=now + feed.refresh)
        if isinstance(answer, Fetched):
            folder.keep_download()
            state = replace(state, sha256=answer.sha256, etag=answer.etag,
                            last_modified=answer.last_modified, fetched_at=now)
    folder.write(state)
    return state
