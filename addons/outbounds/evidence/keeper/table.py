"""The keeper's tasks, in the order they run.

    seal       first: everything after it is about sealed segments, and it needs no network
    index      without it a search is slow, and right
    witness    before copies: who rewrites history must not be a copy ahead
    ship       before retention: what is copied is what was sealed
    retention  after them, since it removes
    captures   the contents that a case had captured, when their time is over

Each is named rather than imported: a pass loads what its settings ask for, and no more.
"""

from __future__ import annotations

TASKS: dict[str, str] = {
    "seal": "outbounds.evidence.keeper.sealing:run",
    "index": "outbounds.evidence.keeper.indexing:run",
}
