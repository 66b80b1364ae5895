"""The keeper's tasks, in the order they run.

    seal       first: everything after it is about sealed segments, and it needs no network
    index      without it a search is slow, and right
    witness    before copies: who rewrites history must not be a copy ahead
    ship       before retention: what is copied is what was sealed
    retention  after them, since it removes
    captures   what cases had captured, when their time is over

Each is imported when it runs: what one of them needs, and cannot load, is no fault of the others.
"""

from __future__ import annotations

from .task import Keeping, Task


def _seal(keeping: Keeping) -> None:
    from .sealing import run

    run(keeping)


def _index(keeping: Keeping) -> None:
    from .indexing import run

    run(keeping)


def _witness(keeping: Keeping) -> None:
    from ..witness.asking import run

    run(keeping)


def _retention(keeping: Keeping) -> None:
    from ..retention.passing import run

    run(keeping)


def _ship(keeping: Keeping) -> None:
    from ..shipping.ship import run

    run(keeping)


def _captures(keeping: Keeping) -> None:
    from ..captures.expiry import run

    run(keeping)


TASKS: dict[str, Task] = {
    "seal": _seal,
    "index": _index,
    "witness": _witness,
    "ship": _ship,
    "retention": _retention,
    "captures": _captures,
}
