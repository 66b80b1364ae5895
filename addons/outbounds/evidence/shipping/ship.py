"""The keeper's task: what was sealed is sent to the store, and what is there long enough leaves
this machine.

The order is that of what leans on what: tiles, then segments oldest first, then the keys and the
checkpoints, which vouch for the others. Within a segment the seal goes last. What a pass that
is killed leaves behind, at each step:

    within an object          nothing (or parts of a large one, which the bucket's own lifecycle
                              rule for incomplete uploads removes)
    between two               objects that the next pass finds, compares and does not send again
    after the seal            a segment that is there, and that is looked at once more
    after the seal here       the same, until shipped.json says so
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import msgspec

from ...settings.evidence import Evidence
from ..archive.layout import Segment, all_segments
from ..archive.seal import Seal, encoded, load_seal, save_seal
from ..archive.tiling import load_tiled
from ..keeper.task import KeeperFault, Keeping
from ..tlog.tiles import tile_path
from ..tlog.tree import TILE_HEIGHT
from .credentials import BadCredentials
from .manifest import SEGMENTS, Item, hashes_lock, manifest, of_file, of_octets
from .removing import leave, superseded
from .sending import NotSealed, send
from .shipped import Shipped, load_shipped, save_shipped
from .store import Store, StoreFault

BUDGET = 600.0  # s after which no further segment is begun: the other tasks wait
CHECKPOINT_EVERY = 3600.0  # s after which a checkpoint is sent though no segment was
_AT_ONCE = 8  # tiles on their way


type Step = Callable[[int, int, str], None]
"""Called with how many segments were sent, of how many, and the stem of the next."""


def run(keeping: Keeping, budget: float = BUDGET, step: Step = lambda *_: None) -> None:
    """As `keeper.task.Task`. In `status`: `shipped` segments are in the store and `backlog` are
    not, `octets` were sent by this pass, `removed` segments have left this machine by it."""
    settings = keeping.settings
    if settings is None or settings.store is None:
        return
    pass_ = _Pass(keeping, settings, time.monotonic() + budget)
    try:
        pass_.run(Store(settings.store), step)
    except (StoreFault, BadCredentials, NotSealed) as error:
        raise KeeperFault(str(error)) from None
    finally:
        pass_.count()


class _Pass:
    def __init__(self, keeping: Keeping, settings: Evidence, deadline: float) -> None:
        self._keeping, self._settings, self._deadline = keeping, settings, deadline
        self._directory = keeping.directory
        self._shipped = load_shipped(keeping.directory)
        self._sealed = [each for each in all_segments(keeping.directory) if each.sealed]
        # those of which records or details are here
        self._here = {path.name.partition(".")[0]
                      for path in (keeping.directory / "segments").glob("*.zst")}
        self._octets = self._removed = 0

    def run(self, store: Store, step: Step) -> None:
        assert self._settings.store is not None
        if self._shipped.store != store.identity:
            self._shipped = Shipped(store.identity)  # another one: it is asked what it has
        waiting = [each for each in self._sealed if not self._shipped.current(each)]
        size = load_tiled(self._directory / "log").size
        leaving = [each for each in self._sealed if self._may_leave(each)]
        if not (waiting or leaving or size > self._shipped.tiles or self._due()):
            return
        store.check(self._settings.store.lock is not None)
        self._tiles(store, size)
        for number, segment in enumerate(waiting):
            if time.monotonic() > self._deadline:
                break
            step(number, len(waiting), segment.stem)
            self._segment(store, segment)
        if waiting or self._due():
            self._vouch(store)
        for segment in leaving:
            leave(store, segment, load_seal(segment.seal))
            self._removed += 1
            self._keeping.say(f"{segment.stem}: the copy here was removed, the one in the store "
                              "was read back before")

    def count(self) -> None:
        """What the metrics show."""
        done = sum(self._shipped.current(each) for each in self._sealed)
        self._keeping.status.update(shipped=done, backlog=len(self._sealed) - done,
                                    octets=self._octets, removed=self._removed)

    def _due(self) -> bool:
        return (self._keeping.now - self._shipped.checkpoint >= CHECKPOINT_EVERY
                and (self._directory / "log" / "checkpoint").exists())

    def _may_leave(self, segment: Segment) -> bool:
        assert self._settings.store is not None
        keep = self._settings.store.keep_local
        if keep is None or segment.stem not in self._here or not self._shipped.current(segment):
            return False
        return self._keeping.now - load_seal(segment.seal).end / 1e6 > keep

    def _tiles(self, store: Store, size: int) -> None:
        lock = hashes_lock(self._settings, self._keeping.now)
        names = [f"log/{tile_path(level, index)}"
                 for level in range(-(-size.bit_length() // TILE_HEIGHT))
                 for index in range(self._shipped.tiles >> TILE_HEIGHT * (level + 1),
                                    size >> TILE_HEIGHT * (level + 1))]
        if size == self._shipped.tiles:
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                self._octets += sum(pool.map(
                    lambda name: send(store, of_file(self._directory, name, lock)), names))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self._send(store, of_file(self._directory, "log/tiles.json", 0.0))
        self._shipped.tiles = size
        save_shipped(self._directory, self._shipped)

    def _segment(self, store: Store, segment: Segment) -> None:
        seal = load_seal(segment.seal)
        if not self._adopt(store, segment, seal):
            for item in manifest(segment, seal, self._settings, self._keeping.now):
                self._send(store, item)
            seal = msgspec.structs.replace(seal, shipped=int(self._keeping.now))
            self._send(store, of_octets(SEGMENTS + segment.seal.name, encoded(seal)))
            save_seal(segment.seal, seal)
            self._supersede(store, segment, seal)
        self._shipped.sent(segment)
        save_shipped(self._directory, self._shipped)
        self._keeping.say(f"{segment.stem}: in the store")

    def _adopt(self, store: Store, segment: Segment, seal: Seal) -> bool:
        """Whether this very seal is there: then everything it names was read back before it was
        sent, and only the note of that is lost."""
        if not seal.shipped:
            return False
        held = store.head(SEGMENTS + segment.seal.name)
        return held is not None and held.sha256 == _sum(segment.seal)

    def _supersede(self, store: Store, segment: Segment, seal: Seal) -> None:
        """What the segment consisted of before may be what had to be erased."""
        locked = superseded(store, segment, seal)
        for name, until in locked:
            when = time.strftime("%Y-%m-%d", time.gmtime(until))
            self._keeping.say(f"{name}: an older version stays in the store until {when}, when "
                              "its lock ends")

    def _vouch(self, store: Store) -> None:
        """What is there ends where the first segment begins that is not, and the checkpoint for
        that was signed then: with it the copy is complete by itself. The newest one tells of more
        records than are there, and goes beside it."""
        lock = hashes_lock(self._settings, self._keeping.now)
        self._send(store, of_file(self._directory, "log/keys", lock))
        missing = next((each for each in all_segments(self._directory)
                        if not (each.sealed and self._shipped.current(each))), None)
        if missing is not None and missing.checkpoint.exists():
            self._send(store, of_octets("log/checkpoint", missing.checkpoint.read_bytes(), lock))
        newest = (self._directory / "log" / "checkpoint").read_bytes()
        self._send(store, of_octets("log/newest", newest, lock))
        self._shipped.checkpoint = self._keeping.now
        save_shipped(self._directory, self._shipped)

    def _send(self, store: Store, item: Item) -> None:
        self._octets += send(store, item)


def _sum(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
