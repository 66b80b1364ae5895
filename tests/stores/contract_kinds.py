"""The contract of stores: debts, quotas of the calendar, what is held, distinct hosts, and what an
operator sees and forgets."""

from __future__ import annotations

from typing import Any

import pytest
from store_scenario import (
    SLOW,
    TWO,
    Periods,
    Scenario,
    ask,
    hosts,
    octets,
    per_second,
    quota,
    visit,
)

from outbounds.core.limits import Exceeded
from outbounds.stores import LimitStore

HOURLY = Periods(3600.0)


class Kinds(Scenario):
    # --- debts ----------------------------------------------------------------------------------

    async def test_a_debit_is_charged_whether_there_is_room_or_not(self, store: LimitStore,
                                                                   clock: Any) -> None:
        """What follows is late by exactly what was beyond the edge."""
        limit = octets("down", 100, 1000)
        assert await self.debit(store, ask(limit, cost=900)) is None
        over = await self.debit(store, ask(limit, cost=600))
        assert isinstance(over, Exceeded) and over.limit == limit and over.key == "a"
        assert over.retry_after == self.about(5.0)
        assert over.state.remaining == 0
        assert (await self.refused(store, ask(limit))).retry_after == self.about(5.01)
        clock.advance(5.1)
        assert await self.taken(store, ask(limit))

    async def test_a_debit_up_to_the_edge_is_not_over_it(self, store: LimitStore) -> None:
        limit = octets("down", 1, 1000)
        assert await self.debit(store, ask(limit, cost=1000)) is None
        assert isinstance(await self.debit(store, ask(limit, cost=10)), Exceeded)

    async def test_a_debit_names_the_longest_debt_and_charges_all(self, store: LimitStore) -> None:
        small, large = octets("small", 1, 10), octets("large", 1, 1000)
        over = await self.debit(store, ask(large, small, cost=100))
        assert isinstance(over, Exceeded) and over.limit == small
        assert over.retry_after == self.about(90.0)
        assert (await self.refused(store, ask(large, cost=1000))).retry_after == self.about(100.0)

    async def test_a_debit_of_a_quota_is_over_beyond_its_count(self, store: LimitStore) -> None:
        limit = quota(100, HOURLY)
        assert await self.debit(store, ask(limit, cost=100)) is None
        over = await self.debit(store, ask(limit, cost=1))
        assert isinstance(over, Exceeded) and over.limit == limit and over.state.remaining == 0

    async def test_a_need_is_waited_for_after_a_debt(self, store: LimitStore,
                                                     clock: Any) -> None:
        """Who is cut off comes back with a request that needs room to begin with."""
        limit = octets("down", 100, 1000)
        over = await self.debit(store, ask(limit, cost=1100, need=500))
        assert isinstance(over, Exceeded) and over.retry_after == self.about(6.0)
        clock.advance(over.retry_after or 0.0)
        assert await self.taken(store, ask(limit, cost=0, need=500))

    # --- quotas per calendar period -------------------------------------------------------------

    async def test_a_quota_lasts_for_its_period_and_begins_again(self, store: LimitStore,
                                                                 clock: Any) -> None:
        limit = quota(3, HOURLY)
        assert await self.how_many(store, ask(limit), 5) == 3
        outcome = await self.refused(store, ask(limit))
        left = HOURLY.period(clock.wall())[1] - clock.wall()
        assert outcome.retry_after == self.about(left)
        assert outcome.state.reset == self.about(left) and not outcome.paceable
        clock.advance(left - 1.0)
        assert not await self.taken(store, ask(limit))
        clock.advance(1.0)
        assert await self.how_many(store, ask(limit), 5) == 3

    async def test_quotas_of_two_calendars_do_not_mix(self, store: LimitStore,
                                                      clock: Any) -> None:
        hour, day = quota(2, HOURLY, "hour"), quota(3, Periods(86_400.0), "day")
        assert await self.how_many(store, ask(hour, day), 5) == 2
        clock.advance(HOURLY.period(clock.wall())[1] - clock.wall())
        assert await self.how_many(store, ask(hour, day), 5) == 1
        assert (await self.refused(store, ask(hour, day))).limit == day

    # --- what is held ---------------------------------------------------------------------------

    async def test_what_is_held_is_free_again_when_it_ends(self, store: LimitStore,
                                                           clock: Any) -> None:
        assert await self.how_many(store, ask(TWO), 5) == 2
        outcome = await self.refused(store, ask(TWO))
        assert outcome.retry_after is None
        assert (outcome.state.quota, outcome.state.remaining, outcome.state.window) == (2, 0, 0.0)
        clock.advance(1e5)  # time alone ends none
        assert not await self.taken(store, ask(TWO))
        await self.release(store, ask(TWO))
        assert await self.how_many(store, ask(TWO), 5) == 1

    async def test_more_releases_than_takes_make_no_room_for_more(self, store: LimitStore) -> None:
        await self.take(store, ask(TWO))
        for _ in range(5):
            await self.release(store, ask(TWO))
        await self.release(store, ask(TWO, key="never seen"))
        assert await self.how_many(store, ask(TWO), 5) == 2

    async def test_what_has_ended_leaves_no_key(self, store: LimitStore) -> None:
        await self.take(store, ask(TWO))
        assert len(store) > 0
        await self.release(store, ask(TWO))
        assert len(store) == 0

    async def test_release_keeps_what_was_paid(self, store: LimitStore) -> None:
        slow, hourly = per_second("slow", window=1000.0), quota(1, HOURLY)
        await self.take(store, ask(slow, TWO, hourly))
        await self.release(store, ask(slow, TWO, hourly))
        assert not await self.taken(store, ask(slow))
        assert not await self.taken(store, ask(hourly))
        assert await self.how_many(store, ask(TWO), 3) == 2

    # --- giving back ----------------------------------------------------------------------------

    async def test_give_back_undoes_a_take(self, store: LimitStore) -> None:
        charges = ask(per_second("x", 1, 3, window=1e5), quota(3, HOURLY), TWO)
        for _ in range(30):
            assert await self.taken(store, charges)
            await self.give_back(store, charges)
        assert await self.how_many(store, charges, 5) == 2
        assert await self.how_many(store, charges[:2], 5) == 1

    @pytest.mark.parametrize("idle", [0.0, 0.5, 1.0, 50.0, 5000.0])
    async def test_give_back_makes_no_credit(self, store: LimitStore, clock: Any,
                                             idle: float) -> None:
        """However long ago the key was used, and whether or not the store still has it."""
        charges = ask(per_second("x", 1, 2, window=1000.0), quota(2, Periods(864_000.0)))
        await self.take(store, charges)
        clock.advance(idle * 1000.0)
        await self.take(store, ask(SLOW, key="somebody else"))
        for _ in range(5):
            await self.give_back(store, charges)
            await self.give_back(store, ask(SLOW, key="never seen"))
        assert await self.how_many(store, charges[:1], 5) == 2
        assert await self.taken(store, ask(SLOW, key="never seen"))
        assert not await self.taken(store, ask(SLOW, key="never seen"))

    async def test_a_host_that_was_given_back_stays_visited(self, store: LimitStore) -> None:
        """Whether this take paid for the host is not known; to ask for it again is free."""
        limit = hosts(2, 1e5)
        await self.take(store, visit(limit, "one.example"))
        for _ in range(3):
            await self.take(store, visit(limit, "one.example"))
            await self.give_back(store, visit(limit, "one.example"))
        assert await self.taken(store, visit(limit, "two.example"))
        assert not await self.taken(store, visit(limit, "three.example"))
        assert await self.taken(store, visit(limit, "one.example"))

    # --- distinct hosts -------------------------------------------------------------------------

    async def test_only_a_new_host_is_charged(self, store: LimitStore) -> None:
        limit = hosts(2, 1000.0)
        for _ in range(5):
            assert await self.taken(store, visit(limit, "one.example"))
            assert await self.taken(store, visit(limit, "two.example"))
        outcome = await self.refused(store, visit(limit, "three.example"))
        assert outcome.retry_after == self.about(500.0)
        assert await self.taken(store, visit(limit, "one.example"))
        assert await self.taken(store, visit(limit, "three.example", key="b"))

    async def test_a_refused_host_was_not_visited(self, store: LimitStore) -> None:
        limit = hosts(1, 1000.0)
        await self.take(store, visit(limit, "one.example"))
        for _ in range(3):
            assert not await self.taken(store, visit(limit, "two.example"))
        await self.take(store, ask(SLOW))
        # a visit is remembered by what is taken, and another limit refuses this
        assert not await self.taken(store, visit(limit, "two.example", key="b") + ask(SLOW))
        assert await self.taken(store, visit(limit, "one.example", key="b"))

    async def test_a_visit_is_renewed_and_then_forgotten(self, store: LimitStore,
                                                         clock: Any) -> None:
        limit = hosts(1, 100.0)
        for _ in range(4):
            assert await self.taken(store, visit(limit, "one.example"))
            clock.advance(90.0)
        # paid for long ago, so there is room for another, and none for a third
        assert await self.taken(store, visit(limit, "two.example"))
        assert await self.taken(store, visit(limit, "one.example"))
        assert not await self.taken(store, visit(limit, "three.example"))
        clock.advance(99.0)
        assert await self.taken(store, visit(limit, "one.example"))
        clock.advance(101.0)
        assert await self.taken(store, visit(limit, "three.example"))
        assert not await self.taken(store, visit(limit, "one.example"))

    async def test_hosts_per_calendar_period(self, store: LimitStore, clock: Any) -> None:
        limit = hosts(2, calendar=HOURLY)
        for _ in range(2):
            for _ in range(3):
                assert await self.taken(store, visit(limit, "one.example"))
                assert await self.taken(store, visit(limit, "two.example"))
            left = HOURLY.period(clock.wall())[1] - clock.wall()
            outcome = await self.refused(store, visit(limit, "three.example"))
            assert outcome.retry_after == self.about(left)
            clock.advance(left)

    # --- what an operator sees and forgets ------------------------------------------------------

    async def test_live_shows_what_is_counted_for_an_owner(self, store: LimitStore) -> None:
        slow = per_second("slow", 1, 5, window=1000.0)
        await self.take(store, (*ask(slow, TWO, quota(9, HOURLY), key="acct_1"),
                                *ask(slow, key="acct_1 a.example"),
                                *visit(hosts(5, 1000.0), "b.example", key="acct_1")))
        for stranger in ("acct_12", "acct_", "x acct_1", "b.example"):
            await self.take(store, ask(slow, key=stranger))
        found = {(each.limit_id, each.key): each for each in await store.live("acct_1")}
        assert set(found) == {("slow", "acct_1"), ("tunnels", "acct_1"), ("quota", "acct_1"),
                              ("slow", "acct_1 a.example"), ("hosts", "acct_1")}
        assert found["slow", "acct_1"].ahead == self.about_live(1000.0)
        assert found["quota", "acct_1"].used == found["tunnels", "acct_1"].used == 1
        assert len(await store.live("acct_1", most=2)) == 2
        assert await store.live("nobody") == ()

    async def test_reset_forgets_what_was_counted_but_not_what_is_held(
            self, store: LimitStore) -> None:
        slow, other = (per_second(name, window=1000.0) for name in ("slow", "other"))
        mine = ask(slow, other, quota(1, HOURLY), key="acct_1")
        await self.take(store, (*mine, *ask(TWO, key="acct_1"), *ask(slow, key="acct_1 a.example")))
        await self.take(store, ask(slow, key="acct_12"))
        assert await store.reset("acct_1", "other") == 1
        assert await self.taken(store, mine[1:2])
        assert not await self.taken(store, mine[:1])
        assert await store.reset("acct_1") == 4
        assert await self.taken(store, mine)
        assert await self.taken(store, ask(slow, key="acct_1 a.example"))
        assert not await self.taken(store, ask(slow, key="acct_12"))
        assert await self.how_many(store, ask(TWO, key="acct_1"), 3) == 1
        assert await store.reset("nobody") == 0

    async def test_reset_forgets_the_visits_too(self, store: LimitStore) -> None:
        """Otherwise the hosts of before would be free, beyond the count that begins afresh."""
        limit = hosts(2, 1000.0)
        for name in ("one", "two"):
            await self.take(store, visit(limit, name))
        assert await store.reset("a") == 1
        assert [await self.taken(store, visit(limit, name))
                for name in ("three", "four", "one")] == [True, True, False]

    async def test_closing_twice_is_closing(self, store: LimitStore) -> None:
        await self.take(store, ask(SLOW))
        await store.aclose()
        await store.aclose()
