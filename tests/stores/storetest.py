"""The contract that every limit store keeps, as one suite.

A store's own test file subclasses `StoreContract` and gives it a `make`; nothing here knows what
the store is made of. Time is in the scenario: the store is made with a clock that the test moves.
A store whose clock is elsewhere (a server's) gives a `Clock` that moves that one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.core.limits import (
    TOLERANCE,
    Charge,
    Exceeded,
    Limit,
    Over,
    Per,
    Taken,
    Unit,
)
from outbounds.stores import LimitStore, StoreFull


class Clock:
    """Seconds, moved by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def per_second(name: str, count: int = 1, burst: int = 1, *, over: Over = Over.REFUSE,
               max_wait: float = 0.0) -> Limit:
    return Limit(name, Unit.REQUESTS, Per.ACCOUNT, count, 1.0, burst, over, max_wait)


def tunnels(count: int, name: str = "tunnels") -> Limit:
    return Limit(name, Unit.TUNNELS, Per.ACCOUNT, count, 0.0, count)


def ask(*limits: Limit, key: str = "a", cost: int = 1) -> tuple[Charge, ...]:
    return tuple(Charge(limit, key, cost) for limit in limits)


FAST, SLOW = per_second("fast", 100, 10), per_second("slow", 1, 1)
PACED = per_second("paced", 1, 1, over=Over.PACE, max_wait=2.5)
TWO = tunnels(2)


class StoreContract:
    """`make(max_keys, clock)` returns an empty store."""

    KEYS: ClassVar[int] = 1_000_000

    def make(self, max_keys: int, clock: Clock) -> LimitStore:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, clock: Clock) -> Iterator[LimitStore]:
        yield self.make(self.KEYS, clock)

    # --- taking ---------------------------------------------------------------------------------

    def test_nothing_to_charge_is_always_taken(self, store: LimitStore) -> None:
        assert store.take(()) == Taken()
        assert len(store) == 0

    def test_the_burst_then_the_rate(self, store: LimitStore, clock: Clock) -> None:
        limit = per_second("x", 2, 3)  # two a second, three at once
        for at, taken in ((0.0, True), (0.0, True), (0.0, True), (0.0, False), (0.4, False),
                          (0.5, True), (0.5, False), (1.5, True), (1.5, True), (1.5, False),
                          (60.0, True), (60.0, True), (60.0, True), (60.0, False)):
            clock.now = 1000.0 + at
            assert isinstance(store.take(ask(limit)), Taken) is taken, at

    def test_keys_and_limits_are_each_their_own(self, store: LimitStore) -> None:
        other = per_second("other")
        assert isinstance(store.take(ask(SLOW, key="a")), Taken)
        assert isinstance(store.take(ask(SLOW, key="b")), Taken)
        assert isinstance(store.take(ask(other, key="a")), Taken)
        assert isinstance(store.take(ask(SLOW, key="a")), Exceeded)

    def test_no_key_can_be_written_so_that_it_is_another_limits(self, store: LimitStore) -> None:
        """A key holds whatever a customer can get into a host name."""
        store.take(ask(per_second("x"), key="a\ny"))
        for limit, key in ((per_second("x"), "a"), (per_second("x"), "y"), (per_second("xa"), "y"),
                           (per_second("x"), "a y"), (per_second("a"), "y")):
            assert isinstance(store.take(ask(limit, key=key)), Taken), (limit.id, key)

    def test_a_cost_counts_as_so_many(self, store: LimitStore) -> None:
        limit = per_second("x", 1, 5)
        assert isinstance(store.take(ask(limit, cost=4)), Taken)
        assert isinstance(store.take(ask(limit, cost=2)), Exceeded)
        assert isinstance(store.take(ask(limit, cost=1)), Taken)

    # --- all or nothing -------------------------------------------------------------------------

    @pytest.mark.parametrize("order", [(FAST, SLOW), (SLOW, FAST)])
    def test_a_refusal_by_one_limit_costs_the_others_nothing(
            self, store: LimitStore, clock: Clock, order: tuple[Limit, Limit]) -> None:
        assert isinstance(store.take(ask(*order)), Taken)
        for _ in range(50):
            assert isinstance(store.take(ask(*order)), Exceeded)
        clock.now += 0.001
        for _ in range(9):  # of fast's burst of 10 one is gone, not fifty-one
            assert isinstance(store.take(ask(FAST)), Taken)

    @pytest.mark.parametrize("order", [(FAST, TWO), (TWO, FAST)])
    def test_no_tunnel_no_charge_and_no_charge_no_tunnel(
            self, store: LimitStore, order: tuple[Limit, Limit]) -> None:
        for _ in range(2):
            assert isinstance(store.take(ask(*order)), Taken)
        for _ in range(50):
            assert isinstance(store.take(ask(*order)), Exceeded)
        for _ in range(8):
            assert isinstance(store.take(ask(FAST)), Taken)
        store.release(ask(*order))
        assert isinstance(store.take(ask(*order)), Exceeded)  # fast is used up now
        assert isinstance(store.take(ask(TWO)), Taken)  # and the tunnel is still free

    def test_no_room_for_one_key_takes_none_of_the_charges(self, clock: Clock) -> None:
        store = self.make(256, clock)
        limit = per_second("long", 1, 1)
        fill(store, limit)
        room = per_second("room", 1, 10**6)
        fresh = next(f"n{i}" for i in range(10_000) if full_for(store, limit, f"n{i}"))
        before = len(store)
        with pytest.raises(StoreFull):
            store.take((Charge(TWO, "t"), Charge(room, "known"), Charge(limit, fresh)))
        assert len(store) == before
        for _ in range(2):
            assert isinstance(store.take(ask(TWO, key="t")), Taken)

    # --- refuse and pace ------------------------------------------------------------------------

    def test_pacing_makes_each_wait_its_turn(self, store: LimitStore) -> None:
        outcomes = [store.take(ask(PACED)) for _ in range(4)]
        assert outcomes[:3] == [Taken(), Taken(1.0, PACED), Taken(2.0, PACED)]
        assert isinstance(outcomes[3], Exceeded)
        assert outcomes[3].retry_after == pytest.approx(3.0)

    def test_a_request_beyond_the_longest_wait_is_refused_and_not_charged(
            self, store: LimitStore, clock: Clock) -> None:
        for _ in range(3):
            store.take(ask(PACED))
        for _ in range(50):
            assert isinstance(store.take(ask(PACED)), Exceeded)
        clock.now += 3.0
        assert store.take(ask(PACED)) == Taken()

    def test_the_longest_wait_counts_and_is_named(self, store: LimitStore) -> None:
        slower = dataclasses.replace(PACED, id="slower", window=2.0)
        store.take(ask(PACED, slower))
        assert store.take(ask(PACED, slower)) == Taken(2.0, slower)

    def test_a_refusal_prevails_over_a_wait(self, store: LimitStore) -> None:
        store.take(ask(PACED, SLOW))
        outcome = store.take(ask(PACED, SLOW))
        assert isinstance(outcome, Exceeded) and outcome.limit == SLOW

    # --- a truthful time to come back -----------------------------------------------------------

    def test_retry_after_is_the_longest_of_all_limits(self, store: LimitStore,
                                                      clock: Clock) -> None:
        """Who waits exactly so long conforms to every limit, not only to the first that refused."""
        slow, slower = SLOW, dataclasses.replace(SLOW, id="slower", window=7.0)
        for order in ((slow, slower), (slower, slow)):
            clock.now += 100.0
            assert isinstance(store.take(ask(*order)), Taken)
            outcome = store.take(ask(*order))
            assert isinstance(outcome, Exceeded) and outcome.limit == slower
            assert outcome.retry_after == pytest.approx(7.0)
            clock.now += 6.9
            assert isinstance(store.take(ask(*order)), Exceeded)
            clock.now += 0.1
            assert isinstance(store.take(ask(*order)), Taken)

    def test_a_tunnel_has_no_time_to_come_back(self, store: LimitStore) -> None:
        """It comes free when one closes, and nobody knows when that is."""
        store.take(ask(tunnels(1)))
        outcome = store.take(ask(tunnels(1)))
        assert isinstance(outcome, Exceeded) and outcome.retry_after is None
        assert (outcome.state.quota, outcome.state.remaining, outcome.state.window) == (1, 0, 0.0)

    def test_the_state_that_is_told(self, store: LimitStore, clock: Clock) -> None:
        limit = per_second("x", 2, 3)
        for _ in range(3):
            store.take(ask(limit))
        outcome = store.take(ask(limit))
        assert isinstance(outcome, Exceeded)
        state = outcome.state
        assert (state.name, state.quota, state.window, state.remaining) == ("x", 2, 1.0, 0)
        assert state.reset == pytest.approx(1.5)
        clock.now += 0.5
        outcome = store.take(ask(limit, cost=2))
        assert isinstance(outcome, Exceeded) and outcome.state.remaining == 1

    # --- tunnels --------------------------------------------------------------------------------

    def test_tunnels_are_free_again_when_they_close(self, store: LimitStore,
                                                    clock: Clock) -> None:
        for _ in range(2):
            assert isinstance(store.take(ask(TWO)), Taken)
        clock.now += 1e6  # time alone closes none
        assert isinstance(store.take(ask(TWO)), Exceeded)
        store.release(ask(TWO))
        assert isinstance(store.take(ask(TWO)), Taken)
        assert isinstance(store.take(ask(TWO)), Exceeded)

    def test_more_releases_than_tunnels_make_no_room_for_more(self, store: LimitStore) -> None:
        store.take(ask(TWO))
        for _ in range(5):
            store.release(ask(TWO))
        for _ in range(2):
            assert isinstance(store.take(ask(TWO)), Taken)
        assert isinstance(store.take(ask(TWO)), Exceeded)

    def test_a_closed_tunnel_leaves_no_key(self, store: LimitStore) -> None:
        store.take(ask(TWO))
        assert len(store) == 1
        store.release(ask(TWO))
        assert len(store) == 0

    def test_release_keeps_what_was_paid_for_requests(self, store: LimitStore) -> None:
        store.take(ask(SLOW, TWO))
        store.release(ask(SLOW, TWO))
        assert isinstance(store.take(ask(SLOW)), Exceeded)
        assert isinstance(store.take(ask(TWO)), Taken)

    # --- giving back ----------------------------------------------------------------------------

    def test_give_back_undoes_a_take(self, store: LimitStore) -> None:
        limit = per_second("x", 1, 3)
        charges = (*ask(limit), *ask(TWO))
        for _ in range(100):
            assert isinstance(store.take(charges), Taken)
            store.give_back(charges)
        for _ in range(2):
            assert isinstance(store.take(charges), Taken)
        assert isinstance(store.take(charges), Exceeded)

    def test_give_back_gives_no_more_than_the_burst(self, store: LimitStore,
                                                    clock: Clock) -> None:
        limit = per_second("x", 1, 2)
        store.take(ask(limit))
        clock.now += 50.0
        for _ in range(20):
            store.give_back(ask(limit))
        store.give_back(ask(per_second("never-seen")))
        for _ in range(2):
            assert isinstance(store.take(ask(limit)), Taken)
        assert isinstance(store.take(ask(limit)), Exceeded)

    # --- bounded --------------------------------------------------------------------------------

    def test_a_full_store_refuses_and_forgives_no_debt(self, clock: Clock) -> None:
        """Forgetting a key to make room would let its owner start afresh."""
        store = self.make(256, clock)
        limit = per_second("x", 1, 1)
        held = fill(store, limit)
        assert held
        for key in held:
            assert isinstance(store.take(ask(limit, key=key)), Exceeded), key

    def test_a_full_store_makes_room_once_debts_are_paid(self, clock: Clock) -> None:
        store = self.make(256, clock)
        limit = per_second("x", 1, 1)
        fill(store, limit)
        clock.now += 1.0
        assert isinstance(store.take(ask(limit, key="new")), Taken)

    def test_a_full_store_still_serves_the_keys_it_holds(self, clock: Clock) -> None:
        store = self.make(256, clock)
        limit = per_second("x", 1, 2)
        held = fill(store, limit)
        for key in held:
            assert isinstance(store.take(ask(limit, key=key)), Taken)

    @pytest.mark.parametrize("max_keys", [256, 512, 2560])
    def test_never_more_keys_than_its_bound(self, max_keys: int, clock: Clock) -> None:
        store = self.make(max_keys, clock)
        limits = [per_second(f"l{i}", 1, 1) for i in range(4)]
        for i in range(max_keys * 2):
            try:
                store.take(ask(*limits, key=f"k{i}"))
            except StoreFull:
                pass
            assert len(store) <= max_keys
        assert len(store) > max_keys // 4

    # --- a law ----------------------------------------------------------------------------------

    @settings(max_examples=60)
    @given(data=st.data())
    def test_no_window_admits_more_than_burst_and_rate(self, data: st.DataObject) -> None:
        """Over every limit of the request at once, whatever is refused in between."""
        clock = Clock(data.draw(st.sampled_from([0.0, 1000.0, 1.8e9])))
        store = self.make(self.KEYS, clock)
        limits = [per_second(f"l{i}", data.draw(st.integers(1, 20)), data.draw(st.integers(1, 5)))
                  for i in range(data.draw(st.integers(1, 3)))]
        times: list[float] = []
        for gap in data.draw(st.lists(st.floats(0.0, 0.7), max_size=50)):
            clock.now += gap
            if isinstance(store.take(ask(*limits)), Taken):
                times.append(clock.now)
        for limit in limits:
            for first in range(len(times)):
                for last in range(first, len(times)):
                    window = times[last] - times[first] + 2 * TOLERANCE
                    assert last - first + 1 <= limit.burst + window * limit.count


def fill(store: LimitStore, limit: Limit, tries: int = 3000) -> list[str]:
    """Put keys with a debt into the store until it is full wherever one may fall; those it took."""
    held = []
    for i in range(tries):
        try:
            store.take(ask(limit, key=f"k{i}"))
            held.append(f"k{i}")
        except StoreFull:
            continue
    return held


def full_for(store: LimitStore, limit: Limit, key: str) -> bool:
    try:
        store.take(ask(limit, key=key))
    except StoreFull:
        return True
    return False
