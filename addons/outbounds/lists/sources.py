"""From where a list is configured to come, to what its status will say of it.

Three things may be had of a list: its newest source, the last one that was good, and nothing. A
newest source that cannot be read, or that has shrunk suspiciously, does not replace a good one:
half a list lets through what the other half denies, and what is published on the day the
publisher's disk was full is no reason to open the way to malware.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..settings import Feed, ListSource
from .feeds import Source
from .feeds.refresh import due_at
from .feeds.state import FeedFolder, shown_url
from .part_store import Count, PartStore, Reading
from .places import digest
from .status import ListStatus

MAX_FILE = 1 << 30
"""Octets that a list from a file may unpack to; a feed's max_size says it for that."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a list stands, with the part that is to be compiled (`status.part`, "" for none), and
    the one before it, to fall back to should the engine refuse the first."""

    status: ListStatus
    before: ListStatus


def choose_file(source: ListSource, folder: Path, store: PartStore, old: ListStatus, *,
                again: bool, progress: Count) -> Chosen:
    """`folder` is that of the configuration. Raises OSError only for our own files."""
    assert source.file is not None
    path = folder / source.file
    base = replace(old, source=str(path), checked_at=time.time(), next_check=0.0,
                   error="", held_back=False)
    try:
        changed, content = path.stat().st_mtime, digest(path)
    except OSError as error:
        return _kept(base, old, f"{path}: it cannot be read: {error.strerror}", store)
    found = store.read(path, content, str(path), source.format, MAX_FILE,
                       again=again, progress=progress)
    base = _with_report(base, found, content)
    if found.error:
        return _kept(base, old, found.error, store)
    return _taken(base, old, found, changed)


def choose_feed(source: ListSource, feed: Feed, fetched: Source, folder: FeedFolder,
                store: PartStore, old: ListStatus, *, accepted: bool, again: bool,
                progress: Count) -> Chosen:
    """`accepted`: a copy that has shrunk is taken all the same. Raises OSError."""
    state, name = fetched.state, shown_url(feed.url)
    base = replace(old, source=name, checked_at=state.checked_at, sha256=state.sha256,
                   next_check=due_at(feed, state), error="", held_back=False)
    unfetched = f"{name}: {state.error}" if state.error else ""
    if fetched.path is None:
        return _kept(base, old, unfetched or f"{name}: it was never fetched", store,
                     _from_copy(source, feed, folder, store, name))
    found = store.read(fetched.path, state.sha256, name, source.format, int(feed.max_size),
                       again=again, progress=progress)
    base = _with_report(base, found, state.sha256)
    if found.error:
        return _kept(base, old, found.error, store,
                     _from_copy(source, feed, folder, store, name))
    shrunk = "" if accepted else _shrunk(feed, found, old)
    if shrunk:
        kept = _kept(base, old, f"{name}: {shrunk}; look at it with `outbounds lists diff "
                     f"{source.id}` and take it with `outbounds lists build --accept "
                     f"{source.id}`", store)
        return replace(kept, status=replace(kept.status, held_back=True))
    folder.accept(fetched.path)
    return _taken(replace(base, error=unfetched), old, found, state.good_at)


def _shrunk(feed: Feed, found: Reading, old: ListStatus) -> str:
    if feed.min_percent and not found.entries:
        return "it holds no entry at all"
    if old.part and old.part != found.part and \
            found.entries * 100 < old.entries * feed.min_percent:
        return (f"it shrank to {found.entries} entries from {old.entries}, which is less than "
                f"min_percent, {feed.min_percent} %, and is held back")
    return ""


def _with_report(base: ListStatus, found: Reading, content: str) -> ListStatus:
    return replace(base, format=found.format, lines=found.lines, rejected=found.rejected,
                   unsupported=found.unsupported, reasons=found.reasons, samples=found.samples,
                   sha256=content)


def _taken(base: ListStatus, old: ListStatus, found: Reading, good_at: float) -> Chosen:
    return Chosen(replace(base, part=found.part, entries=found.entries, good_at=good_at), old)


def _kept(base: ListStatus, old: ListStatus, error: str, store: PartStore,
          copy: Reading | None = None) -> Chosen:
    """What was in force stays, `error` says why. `copy` is what the last good copy holds."""
    if copy is not None and copy.part:
        base = replace(base, part=copy.part, entries=copy.entries)
    elif not store.has(old.part):
        base = replace(base, part="", entries=0, good_at=0.0)
    return Chosen(replace(base, error=error), old)


def _from_copy(source: ListSource, feed: Feed, folder: FeedFolder, store: PartStore,
               name: str) -> Reading | None:
    """The part of the last good copy, as today's reader reads it."""
    content = digest(folder.copy)
    return store.read(folder.copy, content, name, source.format, int(feed.max_size)) \
        if content else None
