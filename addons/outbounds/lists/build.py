"""The build: every compiled list from its source into one new generation.

A process of its own, because it takes a minute of a core and a gigabyte for ten million names. It
may be killed at any line: what is in force is named by `current` and changes by one rename, after
all that it names is on disk. In this order:

1. the lock, and what a killed build left is swept away;
2. feeds that are due are fetched, all at once;
3. each source is read into a part, unless it is the same as before;
4. the parts are compiled into a generation. A list that the engine refuses, or of which nearly
   all entries turn out to be the same, steps back to the part it had before, and the others go on;
5. `current` names the new generation;
6. `status.json` says how each list stands. A build that is killed before is one that never was;
   the next one finds its parts and its generation and is done at once;
7. parts, copies and generations that nobody names any more are deleted. The generation before
   stays for ten minutes, because another worker may be opening it at this moment.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from ..settings import Feed, ListSource, Settings
from .build_lock import build_lock
from .compiled import CompileError, Generation, compile_lists
from .feeds import Fetcher, Source, not_due, refresh
from .feeds.state import FeedFolder
from .part_store import PartStore
from .places import Places, replace_file
from .sources import Chosen, choose_feed, choose_file
from .status import ListStatus, Status, read_status, write_status

Access = Callable[[], AbstractAsyncContextManager[Fetcher | None]]
"""Opens the way to the feeds; None if nothing may be fetched now."""
Progress = Callable[[str, int, int], None]
"""(what is being done, done, of how many; 0 if that is not known)"""

KEPT_FOR = 600.0  # s that a generation stays after another took its place
_FETCHES = 4      # at a time
_VERSION = re.compile(r"[0-9a-f]{64}")


def build(settings: Settings, access: Access, progress: Progress = lambda *_: None, *,
          force: bool = False, accept: Collection[str] = ()) -> Status:
    """Build every list of `settings.sources`, and say how each one stands.

    `force`: ask every feed and read every source again, due and changed or not. `accept`: ids of
    feeds of which a copy that has shrunk is taken. Raises BuildRunning, and OSError if the folders
    cannot be written: then nothing has changed.
    """
    started = time.monotonic()
    places = Places.below(settings.service.data)
    places.make()
    with build_lock(places.lock):
        before = read_status(places.status) or Status()
        store = PartStore(places.parts)
        _sweep(places, store, before)
        fetched = asyncio.run(_fetch(settings.sources, places, access, progress, force))
        chosen = {source.id: _choose(
            source, settings.folder, places, store,
            before.of(source.id) or ListStatus(source.id, source.format), fetched, progress,
            accepted=source.id in accept, again=force) for source in settings.sources}
        version, statuses = _compile(places, store, chosen, progress)
        statuses = _with_idle_labels(places, version, settings.sources, statuses)
        _put_in_force(places, version)
        _keep_copies(places, fetched, statuses, chosen)
        status = Status(version, time.time(), time.monotonic() - started, statuses)
        write_status(places.status, status)
        _sweep(places, store, status)
    return status


async def _fetch(sources: Collection[ListSource], places: Places, access: Access,
                 progress: Progress, force: bool) -> dict[str, Source]:
    found: dict[str, Source] = {}
    due: dict[str, Feed] = {}
    for source in sources:
        if source.feed is not None:
            held = None if force else not_due(source.feed, FeedFolder(places.feed(source.id)))
            if held is None:
                due[source.id] = source.feed
            else:
                found[source.id] = held
    if not due:
        return found
    room = asyncio.Semaphore(_FETCHES)
    async with access() as fetcher:

        async def one(list_id: str, feed: Feed) -> None:
            async with room:
                found[list_id] = await refresh(
                    feed, FeedFolder(places.feed(list_id)), fetcher,
                    lambda done, total: progress(f"fetching {list_id}", done, total))

        await asyncio.gather(*(one(list_id, feed) for list_id, feed in due.items()))
    return found


def _choose(source: ListSource, folder: Path, places: Places, store: PartStore, old: ListStatus,
            fetched: dict[str, Source], progress: Progress, *, accepted: bool,
            again: bool) -> Chosen:
    def count(entries: int) -> None:
        progress(f"reading {source.id}", entries, max(old.entries, entries))

    if source.feed is None:
        return choose_file(source, folder, store, old, again=again, progress=count)
    return choose_feed(source, source.feed, fetched[source.id],
                       FeedFolder(places.feed(source.id)), store, old,
                       accepted=accepted, again=again, progress=count)


def _compile(places: Places, store: PartStore, chosen: dict[str, Chosen],
             progress: Progress) -> tuple[str, tuple[ListStatus, ...]]:
    """The version of the generation, and how the lists stand now. Each round takes a part away
    from the list that was refused, so there is an end to it."""
    statuses = {list_id: each.status for list_id, each in chosen.items()}
    while True:
        parts = {list_id: store.path(status.part) for list_id, status in statuses.items()
                 if status.part}
        if not parts:
            return places.version(), tuple(statuses.values())
        try:
            folder = compile_lists(parts, places.generations, progress)
        except CompileError as error:
            if error.list_id not in parts:
                raise
            statuses[error.list_id] = _stepped_back(
                statuses[error.list_id], chosen[error.list_id].before, store, str(error))
            continue
        different = Generation.open(folder, {}).lists
        objections = {list_id: chosen[list_id].objection(different[list_id]) for list_id in parts
                      if statuses[list_id] is chosen[list_id].status}
        for list_id, (why, acceptable) in objections.items():
            if why:
                statuses[list_id] = replace(
                    _stepped_back(statuses[list_id], chosen[list_id].before, store, why),
                    held_back=acceptable)
        if not any(why for why, _ in objections.values()):
            return folder.name, tuple(
                replace(status, entries=different.get(list_id, 0))
                for list_id, status in statuses.items())


def _with_idle_labels(places: Places, version: str, sources: Iterable[ListSource],
                      statuses: tuple[ListStatus, ...]) -> tuple[ListStatus, ...]:
    """The statuses, with an error where `only` names a label that no entry carries: a category
    that somebody believes to be denied."""
    if not version:
        return statuses
    carried = Generation.open(places.generations / version, {}).labels
    found = {each.id: each for each in statuses}
    for source in sources:
        there = carried.get(source.id, frozenset()) | set(source.terms.labels)
        idle = source.terms.only - there
        if idle and source.id in carried and not found[source.id].error:
            names = ", ".join(sorted(there)[:10]) or "none"
            found[source.id] = replace(found[source.id], error=(
                f"{found[source.id].source}: no entry carries the label {', '.join(sorted(idle))} "
                f"that `only` names, so nothing is denied for it; its labels are {names}"))
    return tuple(found.values())


def _stepped_back(status: ListStatus, before: ListStatus, store: PartStore,
                  error: str) -> ListStatus:
    if status.part == before.part or not store.has(before.part):
        return replace(status, part="", entries=0, good_at=0.0, error=error)
    return replace(status, part=before.part, entries=before.entries, good_at=before.good_at,
                   error=error)


def _keep_copies(places: Places, fetched: Mapping[str, Source], statuses: Iterable[ListStatus],
                 chosen: Mapping[str, Chosen]) -> None:
    """The newest copy of a feed becomes the one to fall back to, now that it is in force."""
    for status in statuses:
        source = fetched.get(status.id)
        if source is not None and source.path is not None and \
                status.part == chosen[status.id].taken:
            FeedFolder(places.feed(status.id)).accept(source.path)


def _put_in_force(places: Places, version: str) -> None:
    old = places.generation()
    if not version or (old is not None and old.name == version):
        return
    if old is not None and old.is_dir():
        os.utime(old)  # its time as a former one begins now
    replace_file(places.current, version.encode("ascii") + b"\n")


def _sweep(places: Places, store: PartStore, status: Status) -> None:
    store.sweep(each.part for each in status.lists if each.part)
    current = places.version()
    for folder in places.generations.iterdir():
        former = _VERSION.fullmatch(folder.name) is not None
        if folder.name == current or (
                former and time.time() - folder.stat().st_mtime < KEPT_FOR):
            continue
        shutil.rmtree(folder, ignore_errors=True)
    named = {each.id for each in status.lists}
    for folder in places.feeds.iterdir():
        if status.built_at and folder.name not in named:
            shutil.rmtree(folder, ignore_errors=True)
