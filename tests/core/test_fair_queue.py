"""The fair queue: its order as a table, and the laws of start-time fair queueing as properties."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.fair_queue import FairQueue


def drain(queue: FairQueue[str]) -> list[str]:
    order = []
    while (waiter := queue.head()) is not None:
        queue.serve(waiter)
        order.append(waiter)
    return order


# --- order: (waiters as account + number, weights of accounts that are not 1, order served) ------

ORDERS: dict[str, tuple[str, dict[str, int], str]] = {
    "nobody": ("", {}, ""),
    "one account is served as it came": ("a1 a2 a3", {}, "a1 a2 a3"),
    "accounts take turns": ("a1 a2 a3 b1 b2", {}, "a1 b1 a2 b2 a3"),
    "who comes late is not put behind a greedy one": ("a1 a2 a3 a4 a5 b1", {}, "a1 b1 a2 a3 a4 a5"),
    "of equals, who came first": ("b1 a1 c1", {}, "b1 a1 c1"),
    "two turns for one": ("a1 a2 a3 a4 b1 b2", {"a": 2}, "a1 b1 a2 b2 a3 a4"),
}


@pytest.mark.parametrize("name", ORDERS)
def test_order(name: str) -> None:
    waiters, weights, expected = ORDERS[name]
    queue: FairQueue[str] = FairQueue()
    for waiter in waiters.split():
        queue.add(waiter, waiter[0], weights.get(waiter[0], 1))
    assert drain(queue) == expected.split()
    assert len(queue) == 0 and queue.head() is None


def test_who_left_costs_the_account_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.add(f"a{number}", "a")
    queue.add("b1", "b")
    queue.add("b2", "b")
    for number in range(100):
        assert queue.remove(f"a{number}")
    queue.add("a!", "a")
    assert drain(queue) == ["b1", "a!", "b2"]
    assert not queue.remove("a!")


def test_an_account_that_was_served_and_comes_back_is_behind_those_that_were_not() -> None:
    queue: FairQueue[str] = FairQueue()
    for waiter in ("a1", "b1", "c1"):
        queue.add(waiter, waiter[0])
    queue.serve("a1")
    queue.add("a2", "a")
    assert drain(queue) == ["b1", "c1", "a2"]


def test_keeping_away_saves_up_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(20):
        queue.add(f"a{number}", "a")
    for _ in range(10):
        queue.serve(queue.head() or "")
    for number in range(5):
        queue.add(f"b{number}", "b")
    assert [waiter[0] for waiter in drain(queue)[:10]] == ["b", "a"] * 5


def test_one_that_waited_here_before_goes_first_of_its_account() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("a2", "a")
    queue.add("b1", "b")
    queue.add("a1", "a", first=True)
    assert drain(queue) == ["a1", "b1", "a2"]


def test_served_though_no_longer_the_head() -> None:
    queue: FairQueue[str] = FairQueue()
    for waiter in ("a1", "a2", "b1", "b2"):
        queue.add(waiter, waiter[0])
    queue.serve("a1")
    queue.serve("b1")
    assert queue.head() == "a2"
    queue.add("c1", "c")
    assert queue.head() == "c1"
    queue.serve("a2")
    assert drain(queue) == ["c1", "b2"]


@pytest.mark.parametrize("weight", [0, -1, 2**40 + 1])
def test_a_weight_without_meaning_is_a_mistake(weight: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        FairQueue[str]().add("a1", "a", weight)


def test_twice_the_same_waiter_is_a_mistake() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("a1", "a")
    with pytest.raises(ValueError, match="already"):
        queue.add("a1", "b")
    with pytest.raises(KeyError):
        queue.serve("b1")


# --- laws -----------------------------------------------------------------------------------------

ACCOUNTS = st.sampled_from("abcde")
STEPS = st.lists(st.one_of(
    st.tuples(st.just("add"), ACCOUNTS), st.tuples(st.just("serve"), ACCOUNTS),
    st.tuples(st.just("leave"), ACCOUNTS)), max_size=200)
WEIGHTS = st.fixed_dictionaries({account: st.integers(1, 8) for account in "abcde"})


@given(STEPS, WEIGHTS)
def test_work_conserving_first_come_first_served_and_complete(
        steps: list[tuple[str, str]], weights: dict[str, int]) -> None:
    queue: FairQueue[str] = FairQueue()
    present: defaultdict[str, list[str]] = defaultdict(list)
    for number, (what, account) in enumerate(steps):
        if what == "add":
            present[account].append(f"{account}{number}")
            queue.add(f"{account}{number}", account, weights[account])
        elif what == "leave" and present[account]:
            assert queue.remove(present[account].pop(len(present[account]) // 2))
        elif what == "serve":
            head = queue.head()
            assert (head is None) == (not any(present.values()))
            if head is not None:
                assert present[head[0]][0] == head
                queue.serve(present[head[0]].pop(0))
        assert len(queue) == sum(map(len, present.values()))
        assert set(queue) == {waiter for waiting in present.values() for waiter in waiting}


@given(WEIGHTS, st.lists(st.tuples(ACCOUNTS, st.integers(1, 3)), max_size=60),
       st.integers(1, 100))
def test_turns_are_in_proportion_to_weights(
        weights: dict[str, int], before: list[tuple[str, int]], turns: int) -> None:
    """Goyal et al., theorem 1: over any time in which two accounts wait all the while. `before`
    is a history that must not matter."""
    queue: FairQueue[str] = FairQueue()
    serial = iter(range(10**6))
    for account, served in before:
        queue.add(f"{account}{next(serial)}", account, weights[account])
        for _ in range(served - 1):
            head = queue.head()
            if head is not None:
                queue.serve(head)
    for account in "abc":
        for _ in range(turns + 100):
            queue.add(f"{account}{next(serial)}", account, weights[account])
    found: Counter[str] = Counter()
    for _ in range(turns):
        head = queue.head()
        assert head is not None
        queue.serve(head)
        found[head[0]] += 1
        for one in "abc":
            for other in "abc":
                apart = found[one] / weights[one] - found[other] / weights[other]
                assert abs(apart) <= 1 / weights[one] + 1 / weights[other] + 1e-9


@given(st.integers(1, 50), st.integers(1, 8))
def test_nobody_starves(greedy: int, weight: int) -> None:
    """However many come and however heavy they are: at most their weight, and one, go before."""
    queue: FairQueue[str] = FairQueue()
    for number in range(greedy):
        queue.add(f"g{number}", "g", weight)
    queue.add("x", "x")
    before = 0
    while (head := queue.head()) != "x":
        assert head is not None
        queue.serve(head)
        before += 1
        queue.add(f"g-again-{before}", "g", weight)
    assert before <= weight + 1


@given(st.lists(st.tuples(ACCOUNTS, st.booleans()), max_size=80), WEIGHTS, ACCOUNTS)
def test_the_place_in_line_is_the_place_in_line(
        steps: list[tuple[str, bool]], weights: dict[str, int], account: str) -> None:
    queue: FairQueue[str] = FairQueue()
    for number, (who, serve) in enumerate(steps):
        queue.add(f"{who}{number}", who, weights[who])
        head = queue.head()
        if serve and head is not None:
            queue.serve(head)
    told = queue.ahead_of(account, weights[account])
    assert queue.ahead_of(account, weights[account], most=2) == min(told, 2)
    queue.add("new", account, weights[account])
    place = drain(queue).index("new")
    # of those with the same tag some go first and some not; no more than one of each account
    assert place <= told <= place + 4


def test_memory_is_bounded_by_who_waits() -> None:
    """Accounts that came and left, while somebody waits all the time, are forgotten."""
    queue: FairQueue[str] = FairQueue()
    queue.add("stuck", "stuck")
    for number in range(5000):
        queue.add(f"w{number}", f"account{number}")
        queue.remove(f"w{number}")
    assert len(queue._lanes) < 300 and len(queue._order) < 300
    for number in range(5000):
        queue.add(f"w{number}", "again")
        queue.serve(f"w{number}")
    assert len(queue._lanes) < 300 and len(queue._order) < 300
    assert queue.head() == "stuck"
