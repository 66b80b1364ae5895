"""Not one request more than the limits say, and not one less: an hour on a virtual clock (the
benchmark's traffic; there more of it)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from outbounds.core.limits import Exceeded, Taken
from outbounds.stores import Charges, LimitStore
from outbounds.stores.memory import MemoryStore
from outbounds.stores.shared import SharedStore, create

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.exactness import Hand, play

Made = Callable[[Hand, Path], list[LimitStore]]


def in_memory(clock: Hand, folder: Path) -> list[LimitStore]:
    return [MemoryStore(200_000, clock, clock.wall)]


def two_workers(clock: Hand, folder: Path) -> list[LimitStore]:
    create(folder / "limits", 60_000)
    return [SharedStore(folder / "limits", number, 2, clock, clock.wall) for number in range(2)]


@pytest.mark.parametrize("make", [in_memory, two_workers])
async def test_admits_exactly_what_the_limits_say(make: Made, tmp_path: Path) -> None:
    clock = Hand()
    outcome = await play(make(clock, tmp_path), clock, bursts=8000, askers=20)
    assert outcome.admitted < outcome.asked > 150_000
    assert outcome.over == 0  # so somebody was at the edge, and nobody beyond it
    assert -1 <= outcome.short <= 0


async def test_two_stores_that_do_not_share_are_found_out(tmp_path: Path) -> None:
    """The judge sees what every limit multiplied by the number of workers looks like."""
    clock = Hand()
    stores = [*in_memory(clock, tmp_path), *in_memory(clock, tmp_path)]
    assert (await play(stores, clock, accounts=100, bursts=300, askers=2)).over > 10


async def test_a_store_that_keeps_something_back_is_found_out(tmp_path: Path) -> None:
    class Miser(MemoryStore):
        asked = 0

        def take_now(self, charges: Charges, report: bool = False) -> Taken | Exceeded:
            self.asked += 1
            outcome = super().take_now(charges, report)
            if self.asked % 50 == 0:
                super().debit(charges)
            return outcome

    clock = Hand()
    outcome = await play([Miser(1000, clock, clock.wall)], clock, accounts=10, bursts=1, askers=2)
    assert outcome.short < -10
