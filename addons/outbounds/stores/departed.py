"""What a worker held in the shared table comes free when it is no more, however it ended.

Each worker's part is an entry of its own beside the one that counts all, so this looks for the
entries of one worker, a chunk at a time, while the others go on.
"""

from __future__ import annotations

from pathlib import Path

from .ledger import HELD
from .table import FOREVER, HIGH, UNTIL, VALUE, Table

CHUNK = 4096  # entries to look at while others wait for the lock


def forget_worker(path: Path, worker: int) -> None:
    """What a worker held comes free: for whoever sees that it has died. Raises OSError, and
    ValueError where there is no table at `path`."""
    table = Table(path)
    try:
        let_go_of(table, worker)
    finally:
        table.close()


def let_go_of(table: Table, worker: int) -> None:
    own, first = float(HELD + 1 + worker), 1
    while True:
        with table.locked():
            left = int(table.doubles[HIGH]) - first + 1
            if left <= 0:
                return
            _, kinds = table.columns(first, min(CHUNK, left))
            for number, kind in enumerate(kinds, first):
                if kind == own:
                    _let_go(table, table.at(number))
        first += CHUNK


def _let_go(table: Table, own: int) -> None:
    if not table.doubles[own + VALUE]:
        # its worker was killed before it took this out; there may be nothing in all any more
        table.remove(own)
        return
    total = table.find(HELD, table.key(own))
    if not total:
        raise RuntimeError("the table of limits is broken: what a worker holds is not in all")
    left = table.doubles[total + VALUE] - table.doubles[own + VALUE]
    table.words.update({total + VALUE: left, total + UNTIL: FOREVER if left > 0 else 0.0,
                        own + VALUE: 0.0, own + UNTIL: 0.0})
    table.commit()
    table.remove(own)
    if left <= 0:
        table.remove(total)
