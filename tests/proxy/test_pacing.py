"""Pacing on a virtual clock: who waits, how long, in which order, and what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbounds.core.limits import Charge, Exceeded, Limit, Over, Per, Taken, Unit
from outbounds.core.questions import Take
from outbounds.core.rules import QueueTerms
from outbounds.proxy.pacing import Pacer
from outbounds.proxy.turns import POLL
from outbounds.stores import StoreFull
from outbounds.stores.memory import MemoryStore
from proxy.virtual_time import clock, run

EXACT = 0.002  # seconds: a timer fires no more finely than that


def rate(name: str = "paced", count: int = 1, burst: int = 1, wait: float = 10.0,
         over: Over = Over.PACE) -> Limit:
    return Limit(name, Unit.REQUESTS, Per.HOST, count, 1.0, burst, over,
                 wait if over is Over.PACE else 0.0)


def ceiling(count: int, wait: float = 10.0) -> Limit:
    return Limit("ceiling", Unit.CONCURRENT, Per.HOST, count, 0.0, count, Over.PACE, wait)


def take(*limits: Limit, account: str = "a", weight: int = 1, patient: bool = True) -> Take:
    return Take(tuple(Charge(limit, "host") for limit in limits), account, weight,
                patient=patient)


class Elsewhere(MemoryStore):
    """The same store at the other end of a wire: each answer takes `delay` seconds."""

    delay = 0.01

    def take_now(self, charges: tuple[Charge, ...], report: bool = False
                 ) -> Taken | Exceeded | None:  # type: ignore[override]
        return None

    async def take(self, charges: tuple[Charge, ...], report: bool = False) -> Taken | Exceeded:
        await asyncio.sleep(self.delay)
        return MemoryStore.take_now(self, charges, report)


class Stage:
    """A pacer on a store in memory, and what became of the requests: (account, second)."""

    def __init__(self, store: type[MemoryStore] = MemoryStore,
                 terms: QueueTerms | None = None) -> None:
        terms = terms or QueueTerms()
        self.store = store(clock=clock)
        self.seen: list[Exceeded] = []
        self.pacer = Pacer(self.store, lambda: terms, clock, self.seen.append)
        self.began = clock()
        self.passed: list[tuple[str, float]] = []
        self.tasks: list[asyncio.Task[Taken | Exceeded]] = []

    def ask(self, question: Take, gone: asyncio.Future[None] | None = None
            ) -> asyncio.Task[Taken | Exceeded]:
        async def asking() -> Taken | Exceeded:
            outcome = self.pacer.take_now(question)
            if outcome is None:
                outcome = await self.pacer.take(question, gone)
            if isinstance(outcome, Taken):
                self.passed.append((question.account, round(clock() - self.began, 1)))
            return outcome
        task = asyncio.get_running_loop().create_task(asking())
        self.tasks.append(task)
        return task

    async def done(self) -> list[Taken | Exceeded]:
        return await asyncio.gather(*self.tasks)


def staged(scene: Callable[[Stage], Awaitable[None]], store: type[MemoryStore] = MemoryStore,
           terms: QueueTerms | None = None) -> None:
    async def main() -> None:
        stage = Stage(store, terms)
        await scene(stage)
        await asyncio.sleep(30.0)
        assert stage.pacer.waiting() == 0
        assert not stage.pacer._turns.lines
    run(main())


STORES = pytest.mark.parametrize("store", [MemoryStore, Elsewhere], ids=["here", "elsewhere"])


@STORES
def test_held_for_exactly_as_long_as_it_takes(store: type[MemoryStore]) -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(3):
            stage.ask(take(rate()))
        first, second, third = await stage.done()
        assert isinstance(first, Taken) and first.wait == 0.0 and first.paced_by is None
        for outcome, wait in ((second, 1.0), (third, 2.0)):
            assert isinstance(outcome, Taken)
            assert outcome.wait == pytest.approx(wait, abs=0.1)
            assert outcome.paced_by == rate()
        assert all(outcome.key == "host" for outcome in stage.seen)
    staged(scene, store)


@STORES
def test_accounts_take_turns_by_weight(store: type[MemoryStore]) -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(6):
            stage.ask(take(rate(), account="greedy"))
        await asyncio.sleep(0.5)
        for _ in range(2):
            stage.ask(take(rate(), account="modest"))
        for _ in range(2):
            stage.ask(take(rate(), account="paying", weight=2))
        await stage.done()
        order = [account for account, _ in stage.passed]
        assert order[0] == "greedy" and sorted(order[1:4]) == ["greedy", "modest", "paying"]
        # what is left of modest and paying after six turns is nothing
        assert order.index("paying", order.index("paying") + 1) <= 5
        assert order[6:] == ["greedy"] * 4 or order[7:] == ["greedy"] * 3
        assert [second for _, second in stage.passed] == pytest.approx(range(10), abs=0.2)
    staged(scene, store)


@STORES
def test_nobody_who_comes_later_passes_the_line(store: type[MemoryStore]) -> None:
    """At the very moment at which there is room, one more asks: it is not the one that gets it."""
    async def scene(stage: Stage) -> None:
        stage.ask(take(rate()))
        stage.ask(take(rate(), account="waits"))
        await asyncio.sleep(0.9999)
        late = stage.ask(take(rate(), account="late"))
        await stage.done()
        assert [account for account, _ in stage.passed] == ["a", "waits", "late"]
        assert isinstance(late.result(), Taken)
    staged(scene, store)


def test_what_is_held_goes_to_the_next_when_it_comes_free() -> None:
    async def scene(stage: Stage) -> None:
        limit = ceiling(2)
        for name in "abcd":
            stage.ask(take(limit, account=name))
        await asyncio.sleep(1.0)
        assert stage.pacer.waiting() == 2
        stage.pacer.release(take(limit).charges)
        assert stage.pacer.take_now(take(limit, account="late")) is None  # it has to wait
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stage.passed == [("a", 0.0), ("b", 0.0), ("c", 1.0)]
        await asyncio.sleep(1.0)
        stage.pacer.give_back(take(limit).charges)
        await stage.done()
        assert stage.passed[3] == ("d", 2.0)
    staged(scene)


def test_a_place_that_comes_free_in_another_process_is_found() -> None:
    async def scene(stage: Stage) -> None:
        stage.ask(take(ceiling(1)))
        waits = stage.ask(take(ceiling(1), account="b"))
        await asyncio.sleep(1.0)
        stage.store.release(take(ceiling(1)).charges)  # not through this pacer
        await asyncio.sleep(2 * POLL)
        assert waits.done()
        await stage.done()
    staged(scene)


@STORES
def test_a_turn_that_cannot_come_in_time_is_refused_at_once(store: type[MemoryStore]) -> None:
    async def scene(stage: Stage) -> None:
        limit = rate(wait=2.5)
        for _ in range(4):
            stage.ask(take(limit))
        await asyncio.sleep(0.1)
        # one of the last three, whichever was answered last: 3 s would be too long
        outcome = next(task.result() for task in stage.tasks[1:] if task.done())
        assert isinstance(outcome, Exceeded)
        assert outcome.retry_after == pytest.approx(3.0, abs=0.1)
        assert outcome.state.remaining == 0 and outcome.limit == limit and outcome.key == "host"
        other = stage.pacer.take_now(take(limit, account="other"))  # goes before a's second
        assert other is None
        await stage.done()
        assert len(stage.passed) == 3
    staged(scene, store)


def test_who_comes_back_when_told_to_succeeds() -> None:
    async def scene(stage: Stage) -> None:
        limit = rate(wait=2.5)
        for _ in range(4):
            stage.ask(take(limit))
        await asyncio.sleep(0.25)
        refused = stage.tasks[3].result()
        assert isinstance(refused, Exceeded) and refused.retry_after is not None
        again = stage.pacer.take_now(take(limit))
        assert isinstance(again, Exceeded) and again.retry_after is not None
        assert again.retry_after == pytest.approx(refused.retry_after - 0.25, abs=EXACT)
        await asyncio.sleep(again.retry_after)
        assert isinstance(stage.pacer.take_now(take(limit)), Taken)
    staged(scene)


def test_the_wait_ends_with_max_wait_and_the_truth() -> None:
    """An account that comes later, of more weight, takes the turns of one that waits."""
    async def scene(stage: Stage) -> None:
        limit = rate(wait=2.0)
        stage.ask(take(limit))
        stage.ask(take(limit))
        last = stage.ask(take(limit))
        await asyncio.sleep(0.5)
        for _ in range(2):
            stage.ask(take(limit, account="heavy", weight=1000))
        outcome = await last
        assert isinstance(outcome, Exceeded)
        assert clock() - stage.began == pytest.approx(2.0, abs=EXACT)
        assert outcome.retry_after is not None and outcome.retry_after > 0
        await stage.done()
    staged(scene)


def test_a_turn_at_the_very_end_of_max_wait_counts() -> None:
    async def scene(stage: Stage) -> None:
        stage.ask(take(rate(wait=1.0)))
        last = stage.ask(take(rate(wait=1.0)))
        assert isinstance(await last, Taken)
    staged(scene)


@pytest.mark.parametrize(("terms", "account"), [
    (QueueTerms(per_account=2, total=100), "a"), (QueueTerms(per_account=100, total=2), "other")],
    ids=["per account", "in all"])
def test_bounded(terms: QueueTerms, account: str) -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(3):
            stage.ask(take(rate()))
        await asyncio.sleep(0.1)
        assert stage.pacer.waiting() == 2
        outcome = stage.pacer.take_now(take(rate(), account=account))
        assert isinstance(outcome, Exceeded) and not outcome.paceable
        assert outcome.retry_after is not None and outcome.retry_after >= 0.9
        await stage.done()
    staged(scene, terms=terms)


@STORES
@pytest.mark.parametrize("how", ["gone", "cancelled"])
def test_who_leaves_frees_the_place_at_once(store: type[MemoryStore], how: str) -> None:
    async def scene(stage: Stage) -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stage.ask(take(rate()))
        leaver = stage.ask(take(rate()), gone)
        stage.ask(take(rate(), account="stays"))
        await asyncio.sleep(0.5)
        assert stage.pacer.waiting() == 2
        if how == "gone":
            gone.set_result(None)
            assert isinstance(await leaver, Exceeded)
        else:
            leaver.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaver
        assert stage.pacer.waiting() == 1
        stage.tasks.remove(leaver)
        await stage.done()
        assert [(who, round(when)) for who, when in stage.passed] == [("a", 0), ("stays", 1)]
    staged(scene, store)


def test_who_is_cancelled_in_the_moment_of_its_turn_gives_it_back() -> None:
    async def scene(stage: Stage) -> None:
        limit = ceiling(1)
        stage.ask(take(limit))
        lucky = stage.ask(take(limit, account="b"))
        await asyncio.sleep(0.5)
        stage.pacer.release(take(limit).charges)  # it has its turn, and has not yet heard
        lucky.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lucky
        assert isinstance(stage.pacer.take_now(take(limit)), Taken)
    staged(scene)


def test_who_is_cancelled_while_the_store_is_asked_is_not_charged() -> None:
    async def scene(stage: Stage) -> None:
        asked = stage.ask(take(ceiling(1)))
        await asyncio.sleep(Elsewhere.delay / 2)
        asked.cancel()
        await asyncio.sleep(1.0)
        assert isinstance(await stage.pacer.take(take(ceiling(1))), Taken)
        stage.tasks.clear()
    staged(scene, Elsewhere)


def test_the_impatient_and_what_cannot_be_paced_are_told_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.ask(take(rate()))
        await asyncio.sleep(0)
        assert isinstance(stage.pacer.take_now(take(rate(), patient=False)), Exceeded)
        assert isinstance(await stage.pacer.take(take(rate(), patient=False)), Exceeded)
        strict = rate("strict", over=Over.REFUSE)
        assert isinstance(stage.pacer.take_now(take(strict)), Taken)
        outcome = stage.pacer.take_now(take(rate(), strict))
        assert isinstance(outcome, Exceeded)
        assert stage.pacer.waiting() == 0
    staged(scene)


def test_from_one_line_to_the_next() -> None:
    """Over two limits: it waits for the one, then for the other, all in all no longer than that
    one's max_wait, and is charged for both only then."""
    async def scene(stage: Stage) -> None:
        slow, few = rate(), ceiling(1)
        stage.ask(take(few, account="holds"))
        stage.ask(take(slow, account="first"))
        both = stage.ask(take(slow, few, account="both"))
        await asyncio.sleep(1.5)
        assert not both.done() and stage.pacer.waiting() == 1
        assert list(stage.pacer._turns.lines) == [("ceiling", "host")]
        stage.pacer.release(take(few).charges)
        outcome = await both
        assert isinstance(outcome, Taken) and outcome.paced_by == few
        assert outcome.wait == pytest.approx(1.5, abs=EXACT)
    staged(scene)


def test_a_pause_ends_without_a_herd() -> None:
    """A hundred wait for a pause to end before a ceiling of 2: the store is not asked for each."""
    async def scene(stage: Stage) -> None:
        asked = 0
        real = stage.store.take_now

        def counted(charges: tuple[Charge, ...], report: bool = False) -> Taken | Exceeded:
            nonlocal asked
            asked += 1
            return real(charges, report)

        stage.store.take_now = counted  # type: ignore[method-assign]
        pause = Charge(Limit("target-pause", Unit.REQUESTS, Per.HOST, 1, 1.0, 0, Over.PACE, 10.0),
                       "host", cost=0)
        few = Charge(ceiling(2, wait=3.0), "host")
        stage.pacer.hold_off(pause, 2.0)
        for number in range(100):
            stage.ask(Take((pause, few), f"account{number}"))
        await asyncio.sleep(1.9)
        assert stage.passed == [] and stage.pacer.waiting() == 100
        asked = 0
        await asyncio.sleep(0.2)
        assert len(stage.passed) == 2 and asked <= 6
        await stage.done()
        assert len(stage.passed) == 2  # nothing came free
    staged(scene)


def test_close_answers_everybody() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(5):
            stage.ask(take(rate()))
        await asyncio.sleep(0.5)
        stage.pacer.close()
        outcomes = await stage.done()
        assert [type(outcome) for outcome in outcomes] == [Taken] + [Exceeded] * 4
        assert isinstance(stage.pacer.take_now(take(rate())), Exceeded)
        stage.pacer.close()
    staged(scene)


def test_a_store_that_fails_fails_the_request_and_not_the_line() -> None:
    async def scene(stage: Stage) -> None:
        stage.ask(take(rate()))
        unlucky = stage.ask(take(rate(), account="b"))
        lucky = stage.ask(take(rate(), account="c"))
        await asyncio.sleep(0.5)
        real, faults = stage.store.take_now, [StoreFull("full")]

        def failing(charges: tuple[Charge, ...], report: bool = False) -> Taken | Exceeded:
            if faults:
                raise faults.pop()
            return real(charges, report)

        stage.store.take_now = failing  # type: ignore[method-assign]
        with pytest.raises(StoreFull):
            await unlucky
        assert isinstance(await lucky, Taken)
    staged(scene)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from("abc"), st.floats(0.0, 2.0), st.sampled_from(["rate", "held", "both"]),
    st.sampled_from(["stays", "stays", "leaves", "is cancelled"]), st.floats(0.0, 3.0)),
    max_size=25), st.booleans())
def test_whatever_happens_everybody_is_answered_in_time_and_nothing_is_lost(
        people: list[tuple[str, float, str, str, float]], elsewhere: bool) -> None:
    """Each comes after the one before, wants one of three things, stays or not, and gives back
    what it held after a while. At the end nobody waits and nothing is held."""
    wants = {"rate": (rate(count=2, wait=3.0),), "held": (ceiling(2, wait=3.0),),
             "both": (rate(count=2, wait=3.0), ceiling(2, wait=3.0))}

    async def scene(stage: Stage) -> None:
        held = 0

        async def one(account: str, what: str, how: str, seconds: float) -> None:
            nonlocal held
            question, started = take(*wants[what], account=account), clock()
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            asking = stage.ask(question, gone)
            if how != "stays":
                await asyncio.sleep(seconds / 3)
                asking.cancel() if how == "is cancelled" else gone.set_result(None)
            try:
                outcome = await asking
            except asyncio.CancelledError:
                return
            assert clock() - started <= 3.0 + EXACT + 3 * Elsewhere.delay
            if isinstance(outcome, Taken):
                if what != "rate":
                    held += 1
                    assert held <= 2
                    await asyncio.sleep(seconds)
                    held -= 1
                stage.pacer.release(question.charges)

        async with asyncio.TaskGroup() as group:
            for account, after, what, how, seconds in people:
                await asyncio.sleep(after)
                group.create_task(one(account, what, how, seconds))
        stage.tasks.clear()
        await asyncio.sleep(1.0)
        assert isinstance(await stage.pacer.take(take(ceiling(2))), Taken)
        assert isinstance(await stage.pacer.take(take(ceiling(2))), Taken)
        assert isinstance(await stage.pacer.take(take(ceiling(2), patient=False)), Exceeded)
    staged(scene, Elsewhere if elsewhere else MemoryStore)
