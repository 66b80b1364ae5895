"""Whether a table that workers share is sound, and what is in it."""

from __future__ import annotations

from pathlib import Path

from outbounds.stores import table as layout
from outbounds.stores.table import Table


def whole(path: Path) -> dict[tuple[float, bytes], float]:
    """Everything in the table, found along its chains; its books agree with each other."""
    table = Table(path)
    try:
        with table.locked():
            high = int(table.doubles[layout.HIGH])
            entries = [table.at(number) for number in range(1, high + 1)]
            used = [at for at in entries if table.doubles[at + layout.KIND] != layout.FREED]
            free, number = set(), int(table.doubles[layout.FREE])
            while number:
                assert number not in free
                free.add(number)
                number = int(table.doubles[table.at(number) + layout.NEXT])
            assert len(used) + len(free) == high
            assert len(used) == len(table)
            for at in used:
                begin = table.doubles[at + layout.BEGIN]
                assert table.find(table.doubles[at + layout.KIND], table.key(at), begin,
                                  table.doubles[at + layout.UNTIL]) == at
            return {(table.doubles[at + layout.KIND], table.key(at)):
                    table.doubles[at + layout.VALUE] or table.doubles[at + layout.UNTIL]
                    for at in used}
    finally:
        table.close()
