"""The contract of stores: what holds whatever is asked, in whatever order, at whatever time."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_scenario import Scenario, ask, octets, per_second, quota, tunnels

from outbounds.core.limits import TOLERANCE, Exceeded, Taken
from outbounds.settings.calendar import Calendar, Every

COUNTS = st.integers(1, 20)
GAPS = st.floats(0.0, 0.7)


def unix(zone: str, *moment: int) -> float:
    return datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[misc]


class Laws(Scenario):
    # each store's class runs these, which hypothesis takes for one test run by several
    EXAMPLES = settings(max_examples=40, deadline=None,
                        suppress_health_check=[HealthCheck.differing_executors])

    @EXAMPLES
    @given(data=st.data())
    async def test_no_window_admits_more_than_burst_and_rate(self, data: st.DataObject) -> None:
        """Over every limit of the request at once, whatever is refused in between."""
        clock = self.make_clock(data.draw(st.sampled_from([0.0, 1000.0, 1e6])))
        limits = [per_second(f"l{i}", data.draw(COUNTS), data.draw(st.integers(1, 5)))
                  for i in range(data.draw(st.integers(1, 3)))]
        times: list[float] = []
        async with self.opened(clock) as store:
            for gap in data.draw(st.lists(GAPS, max_size=50)):
                clock.advance(gap)
                if isinstance(await self.take(store, ask(*limits)), Taken):
                    times.append(clock.now)
        for limit in limits:
            for first in range(len(times)):
                for last in range(first, len(times)):
                    window = times[last] - times[first] + 2 * TOLERANCE + 2 * self.SLACK
                    assert last - first + 1 <= limit.burst + window * limit.count

    @EXAMPLES
    @given(data=st.data())
    async def test_who_waits_as_long_as_told_succeeds(self, data: st.DataObject) -> None:
        clock = self.make_clock(data.draw(st.sampled_from([0.0, 1e6])), 1.8e9 + 0.1)
        limits = [per_second(f"l{i}", data.draw(COUNTS), data.draw(st.integers(1, 5)),
                             window=data.draw(st.sampled_from([0.3, 1.0, 60.0])))
                  for i in range(data.draw(st.integers(1, 3)))]
        if data.draw(st.booleans()):
            limits.append(quota(data.draw(COUNTS), Calendar(Every.HOUR)))
        async with self.opened(clock) as store:
            for gap in data.draw(st.lists(GAPS, max_size=40)):
                clock.advance(gap)
                outcome = await self.take(store, ask(*limits))
                if isinstance(outcome, Exceeded):
                    assert outcome.retry_after is not None and outcome.retry_after > 0
                    clock.advance(outcome.retry_after)
                    assert isinstance(await self.take(store, ask(*limits)), Taken)

    @EXAMPLES
    @given(moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=60))
    async def test_what_is_held_is_what_was_taken_and_not_released(
            self, moves: list[tuple[int, int]]) -> None:
        limits = [tunnels(3, "three"), tunnels(5, "five")]
        open_now = [0, 0]
        async with self.opened(self.make_clock()) as store:
            for move, which in moves:
                charges = ask(limits[which])
                if move:  # oftener than released, so that edges are met
                    taken = isinstance(await self.take(store, charges), Taken)
                    assert taken is (open_now[which] < limits[which].count)
                    open_now[which] += taken
                else:
                    await self.release(store, charges)
                    open_now[which] = max(0, open_now[which] - 1)

    @EXAMPLES
    @given(amounts=st.lists(st.integers(1, 3000), min_size=1, max_size=20))
    async def test_a_debt_delays_what_follows_by_exactly_itself(self, amounts: list[int]) -> None:
        limit = octets("down", 1000, 2000)
        async with self.opened(self.make_clock()) as store:
            for amount in amounts:
                await self.debit(store, ask(limit, cost=amount))
            owed = (sum(amounts) + 1 - limit.burst) / limit.count
            outcome = await self.take(store, ask(limit))
            if owed > self.SLACK:
                assert isinstance(outcome, Exceeded) and outcome.retry_after == self.about(owed)
            elif owed <= 0:
                assert isinstance(outcome, Taken)

    @EXAMPLES
    @given(data=st.data())
    async def test_whatever_was_given_back_was_never_taken(self, data: st.DataObject) -> None:
        charges = ask(per_second("x", 1, 9, window=1e6), quota(9, Calendar(Every.DAY)), tunnels(9))
        kept = 0
        async with self.opened(self.make_clock()) as store:
            for keep in data.draw(st.lists(st.booleans(), max_size=30)):
                if isinstance(await self.take(store, charges), Taken):
                    if keep:
                        kept += 1
                    else:
                        await self.give_back(store, charges)
            assert await self.how_many(store, charges, 12) == 9 - kept

    # --- the operator's calendar ----------------------------------------------------------------

    @pytest.mark.parametrize(("every", "begin", "hours"), [
        (Every.DAY, (2026, 3, 29), 23.0),  # Europe/Vienna springs forward at 02:00
        (Every.DAY, (2026, 10, 25), 25.0),  # and falls back at 03:00
        (Every.DAY, (2026, 6, 1), 24.0),
        (Every.MONTH, (2026, 2, 1), 28 * 24.0),
        (Every.MONTH, (2028, 2, 1), 29 * 24.0),
        (Every.MONTH, (2026, 3, 1), 31 * 24 - 1.0),
        (Every.MONTH, (2026, 10, 1), 31 * 24 + 1.0),
        (Every.MONTH, (2026, 12, 1), 31 * 24.0),
    ])
    async def test_a_period_is_as_long_as_the_calendar_says(
            self, every: Every, begin: tuple[int, int, int], hours: float) -> None:
        zone = "Europe/Vienna"
        clock: Any = self.make_clock(5000.0, unix(zone, *begin) - 10.0)
        limit = quota(3, Calendar(every, zone))
        async with self.opened(clock) as store:
            assert await self.how_many(store, ask(limit), 5) == 3  # the period before
            clock.advance(10.0)
            assert await self.how_many(store, ask(limit), 5) == 3
            assert (await self.refused(store, ask(limit))).retry_after == self.about(hours * 3600)
            clock.advance(hours * 3600 - 1.0)
            assert not await self.taken(store, ask(limit))
            clock.advance(1.0)
            assert await self.how_many(store, ask(limit), 5) == 3
