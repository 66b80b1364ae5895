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
_MANY = 1000  # entries from which on it is no accident that nearly all are the same


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a list stands, with the part that is to be compiled (`status.part`, "" for none), and
    how it stood before, to fall back to. `taken` is the part again if it is that of the newest
    source; `min_percent` as of a feed, 0 where any share will do."""

    status: ListStatus
    before: ListStatus
    taken: str = ""
    min_percent: int = 0

    def objection(self, different: int) -> tuple[str, bool]:
        """Why this part should not be in force after all, "" if nothing is against it, and whether
        that can be accepted. `different` is how many of its entries the compiler has left: what
        the reader counts is lines, and a million times the same is one entry."""
        status, before = self.status, self.before
        if status.part == before.part:
            return "", False
        if status.entries >= _MANY and different * 100 < status.entries:
            return (f"{status.source}: {status.entries:,} entries and only {different:,} different "
                    "ones; the list is broken where it is published or was copied", False)
        shrunk = _shrunk(self.min_percent, different, before)
        return (f"{status.source}: {shrunk}{_how_to_accept(status.id)}" if shrunk else ""), True


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
        return _kept(base, old, _both(unfetched, found.error), store,
                     _from_copy(source, feed, folder, store, name))
    least = 0 if accepted or old.part == found.part else feed.min_percent
    shrunk = _shrunk(least, found.entries, old)
    if shrunk:
        kept = _kept(base, old, _both(
            unfetched, f"{name}: {shrunk}{_how_to_accept(source.id)}"), store)
        return replace(kept, status=replace(kept.status, held_back=True))
    return replace(_taken(replace(base, error=unfetched), old, found, state.good_at),
                   min_percent=least)


def _both(unfetched: str, unusable: str) -> str:
    """A copy that was bad when it came does not become good because the next one did not come."""
    return f"{unfetched}; and of the last one that came: {unusable}" if unfetched else unusable


def _shrunk(min_percent: int, entries: int, old: ListStatus) -> str:
    if min_percent and not entries:
        return "it holds no entry at all"
    if old.part and entries * 100 < old.entries * min_percent:
        return (f"it shrank to {entries:,} entries from {old.entries:,}, which is less than "
                f"min_percent, {min_percent} %")
    return ""


def _how_to_accept(list_id: str) -> str:
    return (f"; look at it with `outbounds lists diff {list_id}` and take it with `outbounds "
            f"lists build --accept {list_id}`")


def _with_report(base: ListStatus, found: Reading, content: str) -> ListStatus:
    return replace(base, format=found.format, lines=found.lines, rejected=found.rejected,
                   unsupported=found.unsupported, reasons=found.reasons, samples=found.samples,
                   sha256=content)


def _taken(base: ListStatus, old: ListStatus, found: Reading, good_at: float) -> Chosen:
    return Chosen(replace(base, part=found.part, entries=found.entries, good_at=good_at), old,
                  found.part)


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
