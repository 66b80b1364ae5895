"""Erasing the details of one account, at the request of whom they are about.

What goes: path, query keys, user agent and the rest of `fields.DETAIL`, with their salts, and the
index rows that held them. What stays is the envelope: that the account made a request, when, to
which host, and what became of it. That is what the service needs to answer for what left its
addresses; whether it may be kept, and how long, is for counsel: retention removes it in its time.

What a hold keeps is not erased. The other records of the account are, and the answer says what was
kept, and for which case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ..archive.layout import Segment
from ..archive.reading import read_segment
from ..cases.store import Hold
from .due import Fate, holding, span_of
from .facts import facts_of


@dataclass(slots=True)
class Found:
    """In one segment: each record's fate, `details` of the account to be erased, and how many of
    them each case (by its id) keeps. `records` of the account there are in all."""

    segment: Segment
    fates: bytearray = field(default_factory=bytearray)
    records: int = 0
    details: int = 0
    kept: Counter[str] = field(default_factory=Counter)


def find(segment: Segment, account: str, holds: Sequence[Hold]) -> Found:
    """What `account` has in `segment`, hot or sealed. Raises as `read_segment`."""
    found = Found(segment)
    # as it is written: an id that needs an escape is found by it
    needle = b'"user.id":' + msgspec.json.encode(account)
    for stored in read_segment(segment):
        found.fates.append(Fate.KEEP)
        if needle not in stored.envelope or (facts := facts_of(stored.envelope)) is None:
            continue
        if facts.account != account:
            continue
        found.records += 1
        if not stored.detail:
            continue
        # an opening may be part of what came long after it: such as a hold's time
        if (hold := holding(span_of(facts, None), holds)) is not None:
            found.kept[hold.case] += 1
        else:
            found.fates[-1] = Fate.DETAIL
            found.details += 1
    return found


def forget(cache: Path, found: Sequence[Found]) -> None:
    """Remove indexes of these segments that were fetched from an object store. Raises OSError."""
    for each in found:
        for path in cache.glob(f"**/{each.segment.stem}.*"):
            path.unlink(missing_ok=True)
