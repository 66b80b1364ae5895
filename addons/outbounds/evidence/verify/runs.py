"""Hashes of records as they were found, beside what the tiles say of them.

A million records are a few thousand runs: where the tiles agree, a full tile is one hash. Runs end
wherever a root was signed, so that the tree can be compared there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..tlog.merkle import HASH_SIZE
from ..tlog.tiles import BadTile, TileReader, tile_path
from ..tlog.tree import TILE_HEIGHT, TILE_WIDTH, subtree_root

MOST_ODD = 300  # records of a stretch that are named


@dataclass(frozen=True, slots=True)
class Span:
    """Records from `start` on. `leaves` are their hashes, 32 octets each; None where they could not
    be read, and then `count` says how many they should be."""

    start: int
    leaves: bytes | None
    count: int


@dataclass(frozen=True, slots=True)
class Run:
    """The tree's nodes over `count` records from `start` on: leaves (`height` 0) or full tiles (8),
    32 octets each. `found` is what the records come to, None where they could not be read; `kept`
    what the tiles say, None where there are none."""

    start: int
    count: int
    height: int
    found: bytes | None
    kept: bytes | None


@dataclass(frozen=True, slots=True)
class Odd:
    """Record `position` has the hash `found`, where the tile `tile` says `kept`."""

    position: int
    found: bytes
    kept: bytes
    tile: str


@dataclass(slots=True)
class Compared:
    """Some `runs`, where they differ from the tiles, and what is wrong with tiles."""

    runs: list[Run]
    odd: list[Odd]
    more: int  # that differ and are not in `odd`
    bad: list[str]


def compare(spans: Iterable[Span], tiles: TileReader, reach: int, cuts: Sequence[int]) -> Compared:
    """`tiles` are those of the first `reach` records; `cuts` are the sizes of the log at which runs
    end, ascending."""
    into = Compared([], [], 0, [])
    borders = set(cuts)
    for span in spans:
        for start, count in _pieces(span, reach, cuts):
            found = None
            if span.leaves is not None:
                at = (start - span.start) * HASH_SIZE
                found = span.leaves[at:at + count * HASH_SIZE]
            kept = _kept(start, count, tiles, into) if start < reach else None
            if found is not None and kept is not None and found != kept:
                _note(start, found, kept, into)
            _add(into.runs, _run(start, count, found, kept), start in borders)
    return into


def _pieces(span: Span, reach: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(start, count) between the borders of tiles and `cuts`."""
    at, end = span.start, span.start + span.count
    cut = bisect_right(cuts, at)
    while at < end:
        stop = min(end, (at // TILE_WIDTH + 1) * TILE_WIDTH)
        if at < reach < stop:
            stop = reach
        while cut < len(cuts) and cuts[cut] <= at:
            cut += 1
        if cut < len(cuts):
            stop = min(stop, cuts[cut])
        yield at, stop - at
        at = stop


def _kept(start: int, count: int, tiles: TileReader, into: Compared) -> bytes | None:
    tile, at = divmod(start, TILE_WIDTH)
    try:
        octets = tiles.hashes(0, tile)[at * HASH_SIZE:(at + count) * HASH_SIZE]
    except BadTile as error:
        if str(error) not in into.bad:
            into.bad.append(str(error))
        return None
    return octets if len(octets) == count * HASH_SIZE else None


def _run(start: int, count: int, found: bytes | None, kept: bytes | None) -> Run:
    if count < TILE_WIDTH:
        return Run(start, count, 0, found, kept)
    root = None if found is None else subtree_root(found)
    other = root if kept == found else None if kept is None else subtree_root(kept)
    return Run(start, count, TILE_HEIGHT, root, other)


def _note(start: int, found: bytes, kept: bytes, into: Compared) -> None:
    for at in range(0, len(found), HASH_SIZE):
        one, other = found[at:at + HASH_SIZE], kept[at:at + HASH_SIZE]
        if one != other:
            position = start + at // HASH_SIZE
            if len(into.odd) < MOST_ODD:
                into.odd.append(Odd(position, one, other, tile_path(0, position // TILE_WIDTH)))
            else:
                into.more += 1


def _add(runs: list[Run], new: Run, border: bool) -> None:
    """Together with the one before it, if they are alike and there is no `border` between them."""
    last = runs[-1] if runs else None
    if (last is None or border or last.height != new.height or last.start + last.count != new.start
            or (last.found is None) != (new.found is None)
            or (last.kept is None) != (new.kept is None)
            or not new.height):
        runs.append(new)
        return
    runs[-1] = Run(last.start, last.count + new.count, new.height,
                   None if last.found is None else last.found + (new.found or b""),
                   None if last.kept is None else last.kept + (new.kept or b""))
