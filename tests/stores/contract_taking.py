"""The contract of stores: what is taken, what is not, and what is said about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from store_scenario import (
    FAST,
    SLOW,
    TWO,
    Periods,
    Scenario,
    ask,
    octets,
    per_second,
    quota,
    tunnels,
)

from outbounds.core.limits import Charge, Limit, Over, Taken, Unit
from outbounds.stores import LimitStore


def pause(max_wait: float = 10.0) -> Charge:
    """A gate that is shut while its tat lies ahead: a burst of 0, and nothing is charged."""
    limit = dataclasses.replace(
        per_second("pause", 1, 0, over=Over.PACE, max_wait=max_wait), unit=Unit.REQUESTS)
    return Charge(limit, "target.example", cost=0)


class Taking(Scenario):
    # --- taking ---------------------------------------------------------------------------------

    async def test_nothing_to_charge_is_always_taken(self, store: LimitStore) -> None:
        assert await self.take(store, ()) == Taken()
        assert len(store) == 0

    async def test_the_burst_then_the_rate(self, store: LimitStore, clock: Any) -> None:
        limit = per_second("x", 2, 3)  # two a second, three at once
        for wait, taken in ((0.0, True), (0.0, True), (0.0, True), (0.0, False), (0.4, False),
                            (0.1, True), (0.0, False), (1.0, True), (0.0, True), (0.0, False),
                            (58.5, True), (0.0, True), (0.0, True), (0.0, False)):
            clock.advance(wait)
            assert await self.taken(store, ask(limit)) is taken, wait

    async def test_keys_and_limits_are_each_their_own(self, store: LimitStore) -> None:
        other = per_second("other")
        assert await self.taken(store, ask(SLOW, key="a"))
        assert await self.taken(store, ask(SLOW, key="b"))
        assert await self.taken(store, ask(other, key="a"))
        assert not await self.taken(store, ask(SLOW, key="a"))

    async def test_no_key_can_be_written_so_that_it_is_anothers(self, store: LimitStore) -> None:
        """A key holds whatever a customer can get into a name."""
        await self.take(store, ask(per_second("x"), key="a\ny"))
        for limit, key in ((per_second("x"), "a"), (per_second("x"), "y"), (per_second("xa"), "y"),
                           (per_second("x"), "a y"), (per_second("a"), "y")):
            assert await self.taken(store, ask(limit, key=key)), (limit.id, key)

    @pytest.mark.parametrize("length", [60, 130, 140, 250, 600])
    async def test_long_keys_that_begin_alike_are_each_their_own(
            self, store: LimitStore, length: int) -> None:
        for number in range(20):
            assert await self.taken(store, ask(SLOW, key="ä" * length + str(number)))
        for number in range(20):
            assert not await self.taken(store, ask(SLOW, key="ä" * length + str(number)))

    async def test_a_cost_counts_as_so_many(self, store: LimitStore) -> None:
        limit = per_second("x", 1, 5, window=100.0)
        assert await self.taken(store, ask(limit, cost=4))
        assert not await self.taken(store, ask(limit, cost=2))
        assert await self.taken(store, ask(limit, cost=1))

    async def test_a_need_must_be_free_and_only_the_cost_is_charged(
            self, store: LimitStore, clock: Any) -> None:
        limit = octets("down", 100, 1000)
        for _ in range(20):
            assert await self.taken(store, ask(limit, cost=0, need=1000))
        assert await self.taken(store, ask(limit, cost=500))
        assert not await self.taken(store, ask(limit, cost=0, need=600))
        late = await self.refused(store, ask(limit, cost=0, need=600))
        assert late.retry_after == self.about(1.0)
        assert await self.taken(store, ask(limit, cost=0, need=400))
        clock.advance(1.0)
        assert await self.taken(store, ask(limit, cost=0, need=600))

    # --- all or nothing -------------------------------------------------------------------------

    @pytest.mark.parametrize("order", [(FAST, SLOW), (SLOW, FAST)], ids=["last", "first"])
    async def test_a_refusal_by_one_limit_costs_the_others_nothing(
            self, store: LimitStore, order: tuple[Limit, Limit]) -> None:
        slowly = tuple(dataclasses.replace(limit, window=1000.0) for limit in order)
        assert await self.taken(store, ask(*slowly))
        assert await self.how_many(store, ask(*slowly), 50) == 0
        # of fast's burst of 10 one is gone, not fifty-one
        assert await self.how_many(store, ask(*(each for each in slowly if each.id == "fast")),
                                   20) == 9

    @pytest.mark.parametrize("which", ["rate", "quota", "held", "need"])
    async def test_whatever_refuses_leaves_every_kind_as_it_was(
            self, store: LimitStore, which: str) -> None:
        """A full limit of each kind, last and first, beside an empty one of every kind."""
        rate, days = per_second("rate", 1, 5, window=1000.0), Periods(864_000.0)
        others = {"rate": rate, "quota": quota(5, days), "held": tunnels(5)}
        full = {"rate": per_second("full", 1, 1, window=1000.0),
                "quota": quota(1, days, "full"), "held": tunnels(1, "full"),
                "need": octets("full", 1, 10)}[which]
        blocked = ask(full, cost=0 if which == "need" else 1, need=10 if which == "need" else 0)
        assert await self.taken(store, ask(full))
        for _ in range(7):
            assert not await self.taken(store, blocked + ask(*others.values()))
            assert not await self.taken(store, ask(*others.values()) + blocked)
        for name, limit in others.items():
            assert await self.how_many(store, ask(limit), 9) == 5, name

    # --- refuse and pace ------------------------------------------------------------------------

    async def test_nothing_is_charged_for_the_future(self, store: LimitStore,
                                                     clock: Any) -> None:
        """Who may wait is told that, and asks again."""
        paced = per_second("paced", 1, 1, over=Over.PACE, max_wait=2.5, window=10.0)
        assert await self.taken(store, ask(paced))
        assert await self.how_many(store, ask(paced), 20) == 0
        clock.advance(10.0)
        assert await self.taken(store, ask(paced))

    @pytest.mark.parametrize(("charges", "paceable"), [
        (((Over.PACE, 3.0),), True),
        (((Over.PACE, 2.0),), True),
        (((Over.PACE, 1.9),), False),
        (((Over.REFUSE, 0.0),), False),
        (((Over.PACE, 3.0), (Over.REFUSE, 0.0)), False),
        (((Over.REFUSE, 0.0), (Over.PACE, 3.0)), False),
        (((Over.PACE, 3.0), (Over.PACE, 1.0)), False),
        (((Over.PACE, 3.0), (Over.PACE, 2.5)), True),
    ])
    async def test_paceable_if_every_limit_that_is_over_waits_that_long(
            self, store: LimitStore, charges: tuple[tuple[Over, float], ...],
            paceable: bool) -> None:
        limits = [per_second(f"l{number}", 1, 1, over=over, window=2.0,
                             max_wait=max_wait + self.SLACK if over is Over.PACE else 0.0)
                  for number, (over, max_wait) in enumerate(charges)]
        roomy = per_second("roomy", 1, 10**6)  # conforms: what it would do over its edge is moot
        await self.take(store, ask(*limits))
        assert (await self.refused(store, ask(*limits, roomy))).paceable is paceable

    @pytest.mark.parametrize("over", list(Over))
    async def test_what_is_held_is_paceable_whatever_the_wait(self, store: LimitStore,
                                                              over: Over) -> None:
        limit = tunnels(1, over=over, max_wait=0.5 if over is Over.PACE else 0.0)
        await self.take(store, ask(limit))
        assert (await self.refused(store, ask(limit))).paceable is (over is Over.PACE)

    # --- a truthful time to come back -----------------------------------------------------------

    @pytest.mark.parametrize("swapped", [False, True])
    async def test_retry_after_is_the_longest_of_all_limits(
            self, store: LimitStore, clock: Any, swapped: bool) -> None:
        """Who waits exactly so long conforms to every limit, not only to the first that refused."""
        slow, slower = SLOW, per_second("slower", window=7.0)
        order = (slower, slow) if swapped else (slow, slower)
        assert await self.taken(store, ask(*order))
        outcome = await self.refused(store, ask(*order))
        assert (outcome.limit, outcome.key) == (slower, "a")
        assert outcome.retry_after == self.about(7.0)
        clock.advance(6.5)
        assert not await self.taken(store, ask(*order))
        clock.advance(0.5)
        assert await self.taken(store, ask(*order))

    async def test_a_known_wait_prevails_over_an_unknown_one(self, store: LimitStore) -> None:
        """Who came back sooner, because a tunnel may end any moment, would be refused for sure."""
        for order in ((TWO, SLOW), (SLOW, TWO)):
            slow = dataclasses.replace(SLOW, window=50.0, id=f"slow-{order[0].id}")
            both = ask(*(slow if each is SLOW else each for each in order))
            await self.take(store, ask(TWO, TWO) + ask(slow))
            await self.take(store, ask(TWO))
            outcome = await self.refused(store, both)
            assert outcome.limit == slow and outcome.retry_after == self.about(50.0)
            await self.release(store, ask(TWO, TWO))

    async def test_a_cost_beyond_the_burst_never_conforms(self, store: LimitStore,
                                                          clock: Any) -> None:
        limit = per_second("x", 1, 2)
        for _ in range(3):
            assert (await self.refused(store, ask(limit, cost=5))).retry_after == self.about(3.0)
            clock.advance(1000.0)
        assert await self.how_many(store, ask(limit), 3) == 2

    # --- what is told ---------------------------------------------------------------------------

    async def test_the_state_that_is_told(self, store: LimitStore, clock: Any) -> None:
        limit = per_second("x", 2, 3, window=10.0)
        assert await self.how_many(store, ask(limit), 3) == 3
        state = (await self.refused(store, ask(limit))).state
        assert (state.name, state.quota, state.window, state.remaining, state.unit) == (
            "x", 2, 10.0, 0, "request")
        assert state.reset == self.about(15.0)
        clock.advance(5.0)
        assert (await self.refused(store, ask(limit, cost=2))).state.remaining == 1

    async def test_the_state_of_each_kind(self, store: LimitStore) -> None:
        days = Periods(86_400.0)
        for limit, cost, told in (
                (octets("b", 1000, 3000), 2000, ("b", 1000, 1.0, 1000, "content-bytes")),
                (quota(10, days, "q"), 4, ("q", 10, 86_400.0, 6, "request")),
                (quota(10, days, "d", Unit.BYTES_UP), 4, ("d", 10, 86_400.0, 6, "content-bytes")),
                (tunnels(5, "t"), 2, ("t", 5, 0.0, 3, "concurrent-requests"))):
            outcome = await self.take(store, ask(limit, cost=cost), report=True)
            assert isinstance(outcome, Taken) and outcome.closest is not None
            state = outcome.closest
            assert (state.name, state.quota, state.window, state.unit) == (
                told[0], told[1], told[2], told[4])
            assert state.remaining == pytest.approx(told[3], abs=1000 * self.SLACK)

    async def test_closest_has_the_least_left_in_proportion(self, store: LimitStore) -> None:
        half, tenth = (per_second("half", 10, 10, window=1e4), tunnels(10, "tenth"))
        await self.take(store, ask(half, cost=4))
        await self.take(store, ask(tenth, cost=8))
        outcome = await self.take(store, (*ask(half, tenth), pause()), report=True)
        assert isinstance(outcome, Taken) and outcome.closest is not None
        assert (outcome.closest.name, outcome.closest.remaining) == ("tenth", 1)

    async def test_no_state_unless_asked_for(self, store: LimitStore) -> None:
        assert await self.take(store, ask(FAST, TWO)) == Taken()
        assert await self.take(store, (pause(),), report=True) == Taken()

    # --- holding off ----------------------------------------------------------------------------

    async def test_nothing_conforms_while_held_off(self, store: LimitStore, clock: Any) -> None:
        gate = pause()
        assert await self.taken(store, (gate,))
        await self.hold_off(store, gate, 5.0)
        outcome = await self.refused(store, (gate, *ask(SLOW)))
        assert outcome.retry_after == self.about(5.0) and outcome.paceable
        clock.advance(4.5)
        assert not await self.taken(store, (gate,))
        clock.advance(0.5)
        assert await self.how_many(store, (gate,), 9) == 9

    async def test_a_shorter_hold_off_does_not_end_a_longer_one(self, store: LimitStore,
                                                                clock: Any) -> None:
        await self.hold_off(store, pause(), 50.0)
        await self.hold_off(store, pause(), 1.0)
        clock.advance(20.0)
        assert (await self.refused(store, (pause(),))).retry_after == self.about(30.0)
        await self.hold_off(store, pause(), 60.0)
        assert (await self.refused(store, (pause(),))).retry_after == self.about(60.0)
