"""Saying which record it is, and what was done to it, from where records and tiles differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from .runs import Odd

MOST_NAMED = 20


def name_records(odd: Sequence[Odd], more: int,
                 place: Callable[[int], str]) -> Iterator[tuple[str, int]]:
    """(sentence, position) of what was done to records, where the tiles are right."""
    if not odd:
        return
    belongs = {each.kept: each.position for each in odd}
    shift = _shift(odd)
    first = odd[0].position
    if shift == 1:
        yield (f"record {first} ({place(first)}) was put in: every record after it stands one "
               "place later than when it was recorded"), first
        return
    if shift == -1:
        yield (f"record {first} was removed: from {place(first)} on every record stands one place "
               "earlier than when it was recorded"), first
        return
    for each in odd[:MOST_NAMED]:
        home = belongs.get(each.found)
        if home is not None:
            yield (f"record {each.position} ({place(each.position)}) is the one that was recorded "
                   f"as {home}: the order was changed"), each.position
        else:
            yield (f"record {each.position} ({place(each.position)}) is not what was recorded",
                   each.position)
    rest = len(odd) - MOST_NAMED + more
    if rest > 0:
        yield f"and {rest} more records after it are not what was recorded", odd[-1].position


def name_tiles(odd: Sequence[Odd], more: int,
               place: Callable[[int], str]) -> Iterator[tuple[str, int]]:
    """(sentence, position) of tiles that are damaged, where the records are right."""
    for tile in dict.fromkeys(each.tile for each in odd):
        mine = [each for each in odd if each.tile == tile]
        first = mine[0].position
        yield (f"{tile}: hash {first % 256} is not that of record {first} ({place(first)})"
               + (f", nor are {len(mine) - 1} more of it right" if len(mine) > 1 else "")), first
    if more:
        yield f"and {more} more hashes in tiles are not those of records", odd[-1].position


def _shift(odd: Sequence[Odd]) -> int:
    """By how many places everything after the first was moved; 0 for no such thing."""
    if len(odd) < 3 or any(later.position != at for at, later in enumerate(odd, odd[0].position)):
        return 0
    if all(later.found == each.kept for each, later in pairwise(odd)):
        return 1
    if all(each.found == later.kept for each, later in pairwise(odd)):
        return -1
    return 0
