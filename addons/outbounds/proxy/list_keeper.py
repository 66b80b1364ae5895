"""Keeps the compiled lists in force: opens what was built, and has built what is due.

A configuration comes into force only with all its lists. At start there is no earlier one to stay
with, so a proxy without a list it should have serves, and refuses everything until it is there.

What is expensive is not done here: a generation is built by another process, its digests are
computed in a thread that gives up the interpreter lock, and opening it maps a few files. So a swap
costs requests a few milliseconds at most, and none is dropped: whoever is being judged keeps the
generation they began with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from ..lists.compiled import BadGeneration, Generation, verify
from ..lists.places import Places
from ..lists.status import Status, read_status
from ..settings import ListSource, Settings
from .list_builder import ListBuilder
from .metrics import Metrics

logger = logging.getLogger("outbounds")

EVERY = 0.5      # s between two looks at what is on disk
AGAIN = 30.0     # s between two builds of the same files; for feeds the build itself backs off
SOON = 5.0       # s until a build that somebody else's stood in the way of is tried again
TRY_AGAIN = 75   # exit status of `outbounds lists build`: sysexits.h, EX_TEMPFAIL

_WHEN_STALE = {
    "keep": "Its last good copy stays in force (when_stale: keep).",
    "refuse": "Every request is refused until it is fresh (when_stale: refuse).",
}

type Seen = tuple[tuple[str, int, int, int], ...]


class ListKeeper:
    """`put_in_force` takes settings that are complete; it is called on the event loop. Of several
    workers one `builds`; the others see on disk what came of it."""

    def __init__(self, settings: Settings, put_in_force: Callable[[Settings], None],
                 metrics: Metrics, *, builds: bool = True) -> None:
        self._builds = builds
        self._settings = settings            # in force, without the compiled lists
        self._waiting: Settings | None = None  # from disk, and short of a list
        self._put_in_force = put_in_force
        self._metrics = metrics
        self._places = Places.below(settings.service.data)
        self._builder = ListBuilder(settings.folder)
        self._build: asyncio.Task[None] | None = None
        self._built_at = float("-inf")
        self._built_from: Seen = ()
        self._retry_at = 0.0
        self._generation: Generation | None = None
        self._name = ""      # of the generation that is open
        self._bad = ""       # of one that could not be opened, until it was built again
        self._unusable: tuple[str, ...] = ()
        self._status: Status | None = None
        # opening a generation takes the terms of some settings, and both must come into force
        # together: with those of others, a list that is new would match nothing
        self._turn = asyncio.Lock()
        self._said: dict[str, str] = {}
        # an error in the log before the start is complete makes mitmproxy exit
        self._alarm = logging.WARNING

    # --- asked by the service -------------------------------------------------------------------

    async def complete(self) -> Settings:
        """The settings to start with: with what was built before, if it is good."""
        await self._look_at_generation()
        self._look_at_status()
        return self._completed()

    async def adopt(self, settings: Settings) -> bool:
        """Put new settings in force, or keep them until their lists are there (False).

        Raises what `put_in_force` raises.
        """
        async with self._turn:
            return await self._adopt(settings)

    async def _adopt(self, settings: Settings) -> bool:
        try:
            generation = await self._open(self._name, settings.sources) if self._name else None
        except BadGeneration:
            generation = None  # swept away, because a newer one is there: the next look finds it
        missing = _missing(settings, generation)
        self._metrics.policy_waiting.set(bool(missing))
        if missing:
            self._waiting = settings
            self._start_build()
            logger.warning("The new configuration waits for %s to be built; policy %s stays in "
                           "force until then.", _named(missing),
                           self._settings.policy.version[:12])
            return False
        self._waiting = None
        old = self._settings, self._generation
        self._settings, self._generation = settings, generation
        try:
            self._put_in_force(self._completed())
        except BaseException:
            self._settings, self._generation = old
            raise
        return True

    async def watch(self) -> None:
        """Until cancelled. Nothing that goes wrong here ends it."""
        while True:
            try:
                async with self._turn:
                    await self._look()
            except Exception as fault:
                self._metrics.faults.labels("lists").inc()
                logger.error("Fault while keeping the lists; what is in force stays.",
                             exc_info=fault)
            await asyncio.sleep(EVERY)
            self._alarm = logging.ERROR

    async def stop(self) -> None:
        await self._builder.stop()

    # --- looking --------------------------------------------------------------------------------

    async def _look(self) -> None:
        changed = await self._look_at_generation()
        self._look_at_status()
        unusable = self._unusable
        self._unusable = self._now_unusable()
        if changed or unusable != self._unusable:
            self._put_in_force(self._completed())
        if self._waiting is not None and changed:
            waiting = self._waiting
            if not _missing(waiting, self._generation):
                await self._adopt(waiting)
                logger.info("Policy %s is in force: its lists are there now.",
                            waiting.policy.version[:12])
        if self._is_due():
            self._start_build()

    async def _look_at_generation(self) -> bool:
        """Open the current generation if it is another one. True if it was opened.

        One that is damaged is built again: `_bad` makes that due.
        """
        name = await asyncio.to_thread(self._places.version)
        if not name or name in (self._name, self._bad):
            return False
        try:
            await asyncio.to_thread(verify, self._places.generations / name)
            self._generation = await self._open(name, self._settings.sources)
        except BadGeneration as error:
            self._metrics.list_swaps.labels("failed").inc()
            logger.log(self._alarm, "The compiled lists %s cannot be used; those from before stay "
                       "in force, and they are built again. %s", name[:12], error)
            self._bad = name
            return False
        self._name = name
        self._metrics.list_swaps.labels("done").inc()
        assert self._generation is not None
        logger.info("Lists %s are in force: %s entries of %s.", name[:12],
                    f"{self._generation.size:,}", _named(self._generation.lists))
        return True

    async def _open(self, name: str, sources: Iterable[ListSource]) -> Generation:
        terms = {source.id: source.terms for source in sources}
        return await asyncio.to_thread(Generation.open, self._places.generations / name, terms)

    def _look_at_status(self) -> None:
        before, self._status = self._status, read_status(self._places.status)
        status = self._status
        if status is None:
            return
        if before is not None and before.built_at != status.built_at:
            self._bad = ""  # built since, perhaps by another worker, and perhaps mended
        feeds = {source.id: source.feed for source in self._settings.sources}
        now = time.time()
        for each in status.lists:
            if each.id not in feeds:
                continue
            self._metrics.list_state(each.id, each.entries, now - each.good_at, bool(each.error))
            if each.error != self._said.get(each.id, ""):
                self._said[each.id] = each.error
                if each.error:
                    logger.log(self._alarm, "List %s: %s", each.id, each.error)
                else:
                    logger.info("List %s is good again.", each.id)

    def _now_unusable(self) -> tuple[str, ...]:
        """Lists without which everything is refused: those that were never read, and feeds that
        are too old and may not be."""
        good_at = {each.id: each.good_at for each in self._status.lists} if self._status else {}
        now, missing = time.time(), _missing(self._settings, self._generation)
        stale = []
        for source in self._settings.sources:
            feed = source.feed
            if feed is None or source.id in missing:
                continue
            old = now - good_at.get(source.id, 0.0) > feed.max_age
            self._metrics.list_stale.labels(source.id).set(old)
            self._say_stale(source.id, old, feed.when_stale)
            if old and feed.when_stale == "refuse":
                stale.append(source.id)
        return (*missing, *stale)

    def _say_stale(self, list_id: str, old: bool, when_stale: str) -> None:
        before = self._said.get(f"stale {list_id}", "")
        now = when_stale if old else ""
        if now == before:
            return
        self._said[f"stale {list_id}"] = now
        if not old:
            logger.info("List %s is fresh again.", list_id)
            return
        logger.log(self._alarm, "List %s is older than its max_age. %s", list_id, _WHEN_STALE[now])

    def _completed(self) -> Settings:
        self._unusable = self._now_unusable()
        if self._unusable:
            logger.warning("Every request is refused until %s can be used.",
                           _named(self._unusable))
        return self._settings.with_compiled(self._generation, self._unusable)

    # --- building -------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        sources = (self._waiting or self._settings).sources
        if not self._builds or not sources or time.monotonic() < self._retry_at:
            return False
        if self._files(sources) != self._built_from:
            return True
        if time.monotonic() - self._built_at <= AGAIN:
            return False
        if self._bad:
            return True
        known = {each.id: each for each in self._status.lists} if self._status else {}
        due = [known[source.id].next_check if source.id in known else 0.0
               for source in sources if source.feed is not None]
        return bool(due) and min(due) <= time.time()

    @staticmethod
    def _files(sources: Iterable[ListSource]) -> Seen:
        """What tells that a list was changed on disk; a list without a file has its id only."""
        seen = []
        for source in sources:
            try:
                status = source.file.stat() if source.file is not None else None
            except OSError:
                status = None
            seen.append((source.id, status.st_mtime_ns, status.st_size, status.st_ino)
                        if status is not None else (source.id, 0, 0, 0))
        return tuple(seen)

    def _start_build(self) -> None:
        if not self._builds or (self._build is not None and not self._build.done()):
            return
        self._built_from = self._files((self._waiting or self._settings).sources)
        self._build = asyncio.create_task(self._run_build(), name="build lists")

    async def _run_build(self) -> None:
        started = time.monotonic()
        try:
            status, said = await self._builder.run()
        except OSError as error:
            status, said = -1, str(error)
        self._built_at = time.monotonic()
        self._bad = ""
        self._metrics.list_builds.labels("good" if status == 0 else "bad").inc()
        self._metrics.list_build_seconds.set(self._built_at - started)
        if status == TRY_AGAIN:
            self._built_from, self._retry_at = (), self._built_at + SOON
            logger.warning("The lists were not built, and will be in a moment. %s", said)
        elif status not in (0, 1):  # 1 is a list that is bad, which its status says
            logger.error("Building the lists ended with status %d; what is in force stays. %s",
                         status, said)


def _missing(settings: Settings, generation: Generation | None) -> tuple[str, ...]:
    there = generation.lists if generation is not None else {}
    return tuple(source.id for source in settings.sources if source.id not in there)


def _named(ids: Iterable[str]) -> str:
    names = sorted(ids)
    return f"list {names[0]}" if len(names) == 1 else f"lists {', '.join(names)}"
