"""The tree over what was found, held against what was signed.

Between two signed roots, everything that was found is pending. At a root there are four ways:

    what was found leads to it      all is well; where a tile says otherwise, the tile is damaged
    what the tiles say leads to it  the records that differ from the tiles are not those recorded
    the higher tiles lead to it     records were changed together with the lowest tiles
    nothing does                    either the records, or that root: it stays pending. If a later
                                    root agrees, that one root was signed for another history

The tiles are nobody's proof: they are believed as far as a signed root agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..archive.tiling import Tiled
from ..tlog.merkle import HASH_SIZE
from ..tlog.peaks import Peaks
from ..tlog.tiles import BadTile, TileReader, TileStore, edge_at, tile_path
from ..tlog.tree import TILE_HEIGHT, TILE_WIDTH, Tree, edge_peaks, hashes_of, subtree_root
from .naming import name_records, name_tiles
from .report import Report
from .runs import Compared, Odd, Run
from .signed import Mark

type Place = Callable[[int], str]
"""Where a record is, for people: file, frame and line."""


class Walk:
    """`size` records have been gone over."""

    def __init__(self, store: TileStore, tiled: Tiled, marks: Sequence[Mark], report: Report,
                 place: Place) -> None:
        self._store, self._tiled, self._report, self._place = store, tiled, report, place
        self._reader = TileReader(store, tiled.size, tiled.hashes)
        self._marks = list(marks)[::-1]  # the next is last
        self.size = 0
        self.root = b""
        self._since = 0  # everything before was agreed on, and its peaks are
        self._agreed: Peaks | None = Peaks()
        self._pending: list[Run] = []
        self._odd: list[Odd] = []
        self._more = 0
        self._failed: list[Mark] = []
        self._upper = _Upper(self._check_tile, tiled.size >> TILE_HEIGHT)
        self._meet()

    @property
    def unmet(self) -> bool:
        """Whether a root was signed for more records than there were."""
        return bool(self._marks)

    def take(self, compared: Compared) -> None:
        """What follows on what was taken before."""
        for text in compared.bad:
            self._report.say("tile", f"{text}; {_REMAKE}")
        self._odd += compared.odd
        self._more += compared.more
        for run in compared.runs:
            self._pending.append(run)
            self.size = run.start + run.count
            self._meet()

    def rewind(self, size: int) -> None:
        """There were more records than were signed: go on as if they had ended at `size`."""
        self._pending = [run for run in self._pending if run.start + run.count <= size]
        self._odd = [each for each in self._odd if each.position < size]
        self._failed = [each for each in self._failed if each.size <= size]
        if self._since > size:
            self._agreed, self._since = None, size
        self.size = size

    def finish(self) -> None:
        if self._failed:
            self._blame(self._failed)
        elif self._odd or self._more:
            for text, position in name_tiles(self._odd, self._more, self._place):
                self._report.say("tile", f"{text}, and no checkpoint covers it yet; {_REMAKE}",
                                 position)
        self._upper_ends()
        if self._agreed is not None:
            peaks = self._led("found")
            self.root = peaks.root() if peaks else b""
        if self._marks:
            last = self._marks[0]
            self._report.say("shrunken", f"the log ends after {self.size} records, and "
                             f"{last.source} was signed for {last.size}: the last "
                             f"{last.size - self.size} are missing, or it was put back to an older "
                             "state")

    # --- at a signed root ------------------------------------------------------------------------

    def _meet(self) -> None:
        while self._marks and self._marks[-1].size <= self.size:
            mark = self._marks.pop()
            if mark.size == self.size:
                self._report.compared += 1
                self._report.witnessed += mark.witness
                self._compare(mark)

    def _compare(self, mark: Mark) -> None:
        if mark.size == self._since and self._agreed is not None and mark.size:
            return  # another root of this size was agreed on; if they differ, that is said already
        for version in ("found", "kept"):
            peaks = self._led(version)
            if peaks is not None and peaks.root() == mark.root:
                self._settle(peaks, version)
                return
        try:
            edge = edge_at(self._reader, mark.size)
            peaks = edge_peaks(mark.size, edge)
        except (BadTile, ValueError):
            peaks = None
        if peaks is not None and peaks.root() == mark.root:
            self._blame([mark])
            self._upper.resume(mark.size, edge)
            self._clear(mark.size, peaks)
            return
        self._failed.append(mark)

    def _led(self, version: str) -> Peaks | None:
        """The peaks that the pending runs lead to; None where there is a hole."""
        if self._agreed is None:
            return None
        peaks = Peaks(self._agreed.size, self._agreed.hashes)
        for run in self._pending:
            octets = run.found if version == "found" else _kept(run)
            if octets is None:
                return None
            peaks.extend(hashes_of(octets), run.height)
        return peaks

    def _settle(self, peaks: Peaks, version: str) -> None:
        for each in self._failed:
            if each.size == peaks.size:
                continue  # two roots of one size: said already
            self._report.say("fork", f"{each.source}: signed for another history of {each.size} "
                             "records than the one that later checkpoints are of: the log was "
                             "forked. Keep the file")
        named = name_records if version == "kept" else name_tiles
        kind = "record" if version == "kept" else "tile"
        for text, position in named(self._odd, self._more, self._place):
            self._report.say(kind, text if kind == "record" else f"{text}; {_REMAKE}", position)
        for run in self._pending:
            self._upper.take(run, run.found if version == "found" else _kept(run))
        self._clear(peaks.size, peaks)

    def _clear(self, size: int, peaks: Peaks) -> None:
        self._agreed, self._since = peaks, size
        self._pending.clear()
        self._odd.clear()
        self._failed.clear()
        self._more = 0

    def _blame(self, failed: Sequence[Mark]) -> None:
        """Nothing leads to these roots."""
        first = failed[0]
        if first.size == self._since:
            text = (f"{first.source}: it is signed for another history of {first.size} records "
                    "than these: the log was rewritten or forked")
            self._report.say("fork", text)
        else:
            span = self._place(self._since), self._place(first.size - 1)
            where = f"from {span[0]} to {span[1]}" if span[0] != span[1] else f"at {span[0]}"
            self._report.say("record", f"the first {first.size} records are not those that "
                             f"{first.source} was signed for: of records {self._since} to "
                             f"{first.size - 1} ({where}) some were changed, put in, removed or "
                             "moved", self._since)
        for text, position in name_records(self._odd, self._more, self._place):
            self._report.say("record", text, position)
        self._narrow()
        if len(failed) > 1:
            self._report.notes.append(
                f"{len(failed) - 1} later checkpoints do not agree, either; what comes after "
                f"record {self._since} could not be told apart")

    def _narrow(self) -> None:
        """What the tiles of the second level say of lowest tiles that were changed along."""
        for start, root in _full_tiles(self._pending):
            try:
                same = self._reader(TILE_HEIGHT, start // TILE_WIDTH) == root
            except BadTile:
                continue
            if not same and not any(start <= each.position < start + TILE_WIDTH
                                    for each in self._odd):
                tile = tile_path(0, start // TILE_WIDTH)
                self._report.say("record", f"of records {start} to {start + TILE_WIDTH - 1} "
                                 f"({self._place(start)} and after) some were changed, and "
                                 f"{tile} with them", start)

    # --- the tiles above -------------------------------------------------------------------------

    def _check_tile(self, level: int, index: int, octets: bytes) -> None:
        if (index + 1) << TILE_HEIGHT * (level + 1) > self._tiled.size:
            return
        try:
            wrong = self._store.tile(level, index) != octets
        except BadTile as error:
            self._report.say("tile", f"{error}; {_REMAKE}")
            return
        if wrong:
            self._report.say("tile", f"{tile_path(level, index)}: it is not what the tiles below "
                             f"come to; {_REMAKE}")

    def _upper_ends(self) -> None:
        if self._upper.edge is not None and self._upper.edge != self._tiled.hashes[1:]:
            self._report.say("tile", f"tiles.json: its edge is not what the tiles come to; "
                             f"{_REMAKE}")


class _Upper:
    """The tree above the lowest tiles, as agreed on."""

    def __init__(self, check: Callable[[int, int, bytes], None], reach: int) -> None:
        self._check, self._reach = check, reach
        self._open = b""  # of the lowest tile that is not full
        self._tree = Tree(self._keep)
        self.edge: list[bytes] | None = None  # once there were `reach` lowest tiles

    def take(self, run: Run, octets: bytes | None) -> None:
        assert octets is not None
        if run.height:
            for root in hashes_of(octets):
                self._append(root)
            return
        self._open += octets
        if len(self._open) == TILE_WIDTH * HASH_SIZE:
            self._append(subtree_root(self._open))
            self._open = b""

    def resume(self, size: int, edge: Sequence[bytes]) -> None:
        self._open = edge[0]
        self._tree = Tree(self._keep, size >> TILE_HEIGHT, edge[1:])

    def _append(self, root: bytes) -> None:
        self._tree.append(root)
        if self._tree.size == self._reach:
            self.edge = self._tree.edge

    def _keep(self, level: int, index: int, octets: bytes) -> None:
        self._check(level + 1, index, octets)


def _full_tiles(runs: Sequence[Run]) -> Iterator[tuple[int, bytes]]:
    """(first position, root) of each lowest tile of which everything was found."""
    start, some = 0, b""
    for run in runs:
        if run.height:
            for at, root in enumerate(hashes_of(run.found or b"")):
                yield run.start + at * TILE_WIDTH, root
            continue
        if run.start % TILE_WIDTH == 0:
            start, some = run.start, b""
        some += run.found or b""
        if len(some) == TILE_WIDTH * HASH_SIZE and run.start + run.count == start + TILE_WIDTH:
            yield start, subtree_root(some)


def _kept(run: Run) -> bytes | None:
    """What the tiles say; where there are none, the records are all there is."""
    return run.found if run.kept is None else run.kept


_REMAKE = "no record is lost by that: remove log/tiles.json, and `outbounds evidence seal` makes "\
          "all tiles anew"
