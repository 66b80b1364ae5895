"""The contract that every limit store keeps, as one suite (`store_scenario` plays it).

A store's own test file subclasses `StoreContract`, or `BoundedContract` if it keeps its keys in
memory of its own, and gives it a `make`; nothing here knows what the store is made of.
"""

from __future__ import annotations

from typing import Any

import pytest
from contract_kinds import Kinds
from contract_laws import Laws
from contract_taking import Taking
from store_scenario import TWO, Periods, ask, hosts, per_second, quota, visit

from outbounds.core.limits import Charge, Exceeded, Limit, Taken
from outbounds.stores import LimitStore, StoreFull


class StoreContract(Taking, Kinds, Laws):
    """Every clause of the contract that holds wherever the state is kept."""


LONG = per_second("long", 1, 1, window=1000.0)


class BoundedContract(StoreContract):
    """A store that holds `max_keys` and no more, and never forgives a debt to make room."""

    async def fill(self, store: LimitStore, limit: Limit, tries: int = 3000) -> list[str]:
        """Put keys with a debt into the store until none is taken; those it took."""
        held = []
        for i in range(tries):
            try:
                await self.take(store, ask(limit, key=f"k{i}"))
                held.append(f"k{i}")
            except StoreFull:
                continue
        return held

    async def without_room(self, store: LimitStore, limit: Limit) -> str:
        """A key that the full store has no room for."""
        for i in range(500):
            try:
                await self.take(store, ask(limit, key=f"n{i}"))
            except StoreFull:
                return f"n{i}"
        raise AssertionError("the store is not full")

    async def test_a_full_store_refuses_and_forgives_no_debt(self, clock: Any) -> None:
        """Forgetting a key to make room would let its owner start afresh."""
        async with self.opened(clock, 256) as store:
            held = await self.fill(store, LONG)
            assert 64 < len(held) <= 256
            for key in held:
                assert isinstance(await self.take(store, ask(LONG, key=key)), Exceeded), key

    async def test_no_room_for_one_key_takes_none_of_the_charges(self, clock: Any) -> None:
        async with self.opened(clock, 256) as store:
            await self.fill(store, LONG)
            fresh = await self.without_room(store, LONG)
            known = (await store.live("k1"))[0].key
            before = len(store)
            roomy = per_second("long", 1, 10**6)  # as the store has it, asked less strictly
            for _ in range(3):
                with pytest.raises(StoreFull):
                    await self.take(store, (*ask(TWO, key="t"), *ask(roomy, key=known),
                                            *ask(LONG, key=fresh)))
            assert len(store) == before
            assert (await store.live(known))[0].ahead == self.about(1000.0)
            assert (await store.live("t")) == ()

    @pytest.mark.parametrize("kind", ["quota", "hosts"])
    async def test_other_kinds_are_bounded_too(self, clock: Any, kind: str) -> None:
        day = Periods(86_400.0)
        async with self.opened(clock, 256) as store:
            taken = []
            for i in range(600):
                charges = (ask(quota(1, day), key=f"k{i}") if kind == "quota"
                           else visit(hosts(10**6, 1000.0), f"host{i}.example"))
                try:
                    await self.take(store, charges)
                    taken.append(charges)
                except StoreFull:
                    pass
                assert len(store) <= 256
            assert 64 < len(taken) <= 256

    async def test_a_full_store_makes_room_once_debts_are_paid(self, clock: Any) -> None:
        async with self.opened(clock, 256) as store:
            await self.fill(store, LONG)
            clock.advance(1000.0)
            assert isinstance(await self.take(store, ask(LONG, key="new")), Taken)

    async def test_a_full_store_makes_room_when_a_period_has_ended(self, clock: Any) -> None:
        hour = Periods(3600.0)
        async with self.opened(clock, 256) as store:
            await self.fill(store, quota(1, hour))
            clock.advance(hour.period(clock.wall())[1] - clock.wall())
            for i in range(20):
                assert isinstance(await self.take(store, ask(quota(1, hour), key=f"n{i}")), Taken)

    async def test_a_full_store_still_serves_the_keys_it_holds(self, clock: Any) -> None:
        limit = per_second("x", 1, 2, window=1000.0)
        async with self.opened(clock, 256) as store:
            for key in await self.fill(store, limit):
                assert isinstance(await self.take(store, ask(limit, key=key)), Taken)

    async def test_a_debit_without_room_says_that_it_cannot_be_counted(self, clock: Any) -> None:
        """What cannot be counted must not flow on; and it does not raise."""
        async with self.opened(clock, 256) as store:
            await self.fill(store, LONG)
            fresh = await self.without_room(store, LONG)
            over = await self.debit(store, ask(LONG, key=fresh))
            assert isinstance(over, Exceeded) and over.unavailable and over.key == fresh
            assert over.limit == LONG and not over.paceable

    async def test_a_target_is_held_off_even_when_the_store_is_full(self, clock: Any) -> None:
        gate = per_second("gate", 1, 0)
        async with self.opened(clock, 256) as store:
            await self.fill(store, LONG)
            for i in range(9):
                await self.hold_off(store, Charge(gate, f"target{i}", 0), 50.0)
            for i in range(9):
                outcome = await self.refused(store, (Charge(gate, f"target{i}", 0),))
                assert outcome.retry_after == self.about(50.0)

    @pytest.mark.parametrize("max_keys", [256, 512, 2560])
    async def test_never_more_keys_than_its_bound(self, max_keys: int, clock: Any) -> None:
        limits = [per_second(f"l{i}", window=1000.0) for i in range(4)]
        async with self.opened(clock, max_keys) as store:
            for i in range(max_keys * 2):
                try:
                    await self.take(store, ask(*limits, key=f"k{i}"))
                except StoreFull:
                    pass
                assert len(store) <= max_keys
            assert len(store) > max_keys // 4
