"""The table that workers share: whenever its process is killed, a step is done or it is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_scenario import Clock, Periods, ask, per_second, quota, tunnels
from table_books import whole

from outbounds.core.limits import Taken
from outbounds.stores.keys import mark_of, parts
from outbounds.stores.ledger import HELD
from outbounds.stores.shared import SharedStore, create, forget_worker
from outbounds.stores.table import Table, TableFull, shown, stored


class Killed(BaseException):
    """What nothing in the product catches."""


class Mortal:
    """The words of a table, whose process dies at the store number `at`."""

    def __init__(self, words: Any, at: int) -> None:
        self.words, self.left = words, at

    def __getitem__(self, index: Any) -> Any:
        return self.words[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        self.words[index] = value

    def release(self) -> None:
        self.words.release()


ALL = ask(per_second("rate", 1, 50), per_second("other", 1, 50), quota(50, Periods()), tunnels(50))


@pytest.mark.parametrize("act", ["first take", "next take", "take into freed entries", "release",
                                 "give back", "debit", "sweep"])
def test_killed_at_any_store_a_step_is_done_or_it_is_not(tmp_path: Path, act: str) -> None:
    """Every store of every step: what is left is the state before or after, never one between."""
    clock, at, path = Clock(), 0, tmp_path / "limits"
    before = tmp_path / "before"
    create(before, 1024)
    first = SharedStore(before, 0, 1, clock, clock.wall)
    if act != "first take":
        first.take_now(ALL)
    if act in ("take into freed entries", "sweep"):
        for number in range(5):
            first.take_now(ask(per_second("gone"), key=f"k{number}"))
    if act == "take into freed entries":
        first.take_now(ask(tunnels(5), key="freed"))
        first.release(ask(tunnels(5), key="freed"))
    acts: dict[str, Any] = {
        "release": lambda store: store.release(ALL),
        "give back": lambda store: store.give_back(ALL),
        "debit": lambda store: store.debit(ALL[:1]),
        "sweep": lambda store: store.take_now(()),
    }
    fresh = tuple(each for name in ("a", "b", "c")
                  for each in ask(per_second("new"), tunnels(3, "t"), key=name))
    begun, steps = clock.now, 0
    while True:
        shutil.copy(before, path)
        clock.now = begun
        store = _opened(path, clock)
        if act == "sweep":
            clock.advance(1e5)
        was = whole(path)
        table = store._open
        mortal = Mortal(table.doubles, at)
        table.doubles = mortal  # type: ignore[assignment]
        try:
            acts.get(act, lambda store: store.take_now(
                fresh if act == "take into freed entries" else ALL))(store)
        except Killed:
            table.doubles = mortal.words
            found = whole(path)
            steps += found != was
            after = _opened(path, clock)
            if act == "sweep":  # takes out one key after the other
                assert found.keys() <= was.keys()
            elif found != was and act != "release" and act != "give back":
                assert found == _done(before, tmp_path / "done", begun, act, fresh)
            assert isinstance(after.take_now(ask(per_second("alive"), key="alive")), Taken)
            forget_worker(path, 0)
            # a key that says nothing any more may be left, which a sweep takes out
            assert not any(value for (kind, _), value in whole(path).items() if kind >= HELD)
            at += 1
            continue
        break
    assert at > (0 if act == "debit" else 3)
    assert steps or at < 2  # killed late, the step has been done nevertheless


def _opened(path: Path, clock: Clock) -> SharedStore:
    """As worker 1 of 2 where nothing is to be forgotten of what worker 0 holds."""
    store = SharedStore(path, 1, 2, clock, clock.wall)
    store._worker, store._own = 0, float(HELD + 1)
    return store


def _done(before: Path, path: Path, begun: float, act: str, fresh: Any
          ) -> dict[tuple[float, bytes], float]:
    shutil.copy(before, path)
    clock = Clock(begun)
    store = _opened(path, clock)
    if act == "debit":
        store.debit(ALL[:1])
    else:
        store.take_now(fresh if act == "take into freed entries" else ALL)
    return whole(path)


@settings(max_examples=60, deadline=None)
@given(moves=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80))
def test_it_holds_what_a_dict_would(tmp_path_factory: pytest.TempPathFactory,
                                    moves: list[tuple[bool, int]]) -> None:
    path = tmp_path_factory.mktemp("table") / "limits"
    create(path, 16)  # so few buckets that chains are long
    table, model = Table(path), dict[bytes, float]()
    for insert, number in moves:
        key = b"key %d" % number
        with table.locked():
            at = table.find(0.0, key)
            assert bool(at) is (key in model)
            if at and not insert:
                table.remove(at)
                del model[key]
            elif insert and not at:
                if len(model) < 16:
                    table.insert(0.0, key, float(number), 0.0)
                    table.commit()
                    model[key] = float(number)
                else:
                    with pytest.raises(TableFull):
                        table.insert(0.0, key, 0.0, 0.0)
    table.close()
    assert whole(path) == {(0.0, key): value or 0.0 for key, value in model.items()}


@pytest.mark.parametrize("length", [0, 1, 102, 103, 104, 119, 120, 121, 500])
@pytest.mark.parametrize("letter", ["x", "ä", "\N{GRINNING FACE}"])
def test_a_key_is_whole_or_says_that_it_is_not(length: int, letter: str) -> None:
    key = f"limit\n{letter * length}"
    text, all_of_it = shown(stored(key))
    assert all_of_it is (len(key.encode()) <= 120)
    assert (text == key) if all_of_it else key.startswith(text.rstrip("\N{REPLACEMENT CHARACTER}"))
    assert stored(key) != stored(key + "x")


@pytest.mark.parametrize(("key", "member"), [("a", "b.example"), ("a\nb", "c"), ("a", "b\nc"),
                                             ("", ""), ("acct 1", "x" * 300)])
def test_the_mark_of_a_visit_says_whose_it_is(key: str, member: str) -> None:
    charge = ask(per_second("limit"), key=key)[0]
    mark = mark_of(type(charge)(charge.limit, key, member=member))
    assert parts(mark) == ("limit", key, True)
    for end in range(3, len(mark)):  # also when only its beginning is kept
        assert parts(mark[:end])[2]
