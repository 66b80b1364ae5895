"""The built-in engine: at once where that is cheap, beside the event loop otherwise, or not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from outbounds.core.questions import JudgeRobots, RobotsAnswer
from outbounds.core.robots import Match, Robots
from outbounds.robotstxt.aside import Aside, Budget, TooBusy, TooLate
from outbounds.robotstxt.engine import BuiltInEngine

PLAIN = b"user-agent: *\ndisallow: /x\n\nuser-agent: foobot\ndisallow: /y\n"
COSTLY = b"user-agent: *\n" + b"".join(
    b"disallow: /*" + b"a" * 90 + b"b*%d\n" % n for n in range(40))
LONG = "/" + "a" * 8_000


def question(body: bytes, path: str = "/", *agents: str, digest: str = "d",
             whole_site: bool = False) -> JudgeRobots:
    answer = RobotsAnswer(Robots.parse(body), "fresh", digest)
    return JudgeRobots(answer, ("http", "site.example", 80), path, agents or ("x",), whole_site)


@pytest.fixture
async def engine() -> AsyncIterator[BuiltInEngine]:
    engine = BuiltInEngine()
    yield engine
    await engine.aclose()


async def test_what_is_cheap_is_answered_at_once(engine: BuiltInEngine) -> None:
    assert engine.judge_now(question(PLAIN, "/x")) == (Match(False, 2),)
    assert engine.judge_now(question(PLAIN, "/y", digest="e")) == (Match(True, 0),)
    assert engine.judge_now(question(PLAIN, "/z", "foobot", "x")) == (Match(True, 0),) * 2
    assert engine.judge_now(question(PLAIN, "/x", "x", "foobot")) == (Match(False, 2),)


async def test_what_is_not_has_to_be_waited_for(engine: BuiltInEngine) -> None:
    costly = question(COSTLY, LONG)
    assert engine.judge_now(costly) is None
    assert await engine.judge(costly) == (Match(True, 0),)
    assert engine.judge_now(costly) is None, "arranged, it is still a long path"


async def test_arranging_many_rules_has_to_be_waited_for_once(engine: BuiltInEngine) -> None:
    many = question(b"user-agent: *\n" + b"".join(b"disallow: /%d\n" % n for n in range(5_000)),
                    "/7", digest="")
    assert engine.judge_now(many) is None
    assert await engine.judge(many) == (Match(False, 9),)
    assert engine.judge_now(many) == (Match(False, 9),)


async def test_an_answer_is_remembered_for_what_it_was_given_for(engine: BuiltInEngine) -> None:
    closed, open_ = b"user-agent: *\ndisallow: /\nallow: /y\n", b"user-agent: *\nallow: /\n"
    same = {"/x": (Match(False, 2),), "/y": (Match(True, 3),)}
    for _ in range(2):
        for path, matches in same.items():
            assert engine.judge_now(question(closed, path, digest="closed")) == matches
        assert engine.judge_now(question(open_, "/x", digest="open")) == (Match(True, 2),)
        assert engine.judge_now(question(closed, "/x", "a", "b", digest="closed")) \
            == (Match(False, 2),)
        assert engine.judge_now(question(closed, "/x", digest="closed", whole_site=True)) \
            == (Match(True, 0),)
        # a file whose digest nobody knows is no other's
        assert engine.judge_now(question(closed, "/x", digest="")) == (Match(False, 2),)
        assert engine.judge_now(question(open_, "/x", digest="")) == (Match(True, 2),)


async def test_what_is_remembered_is_bounded(
    engine: BuiltInEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outbounds.robotstxt.engine._REMEMBERED", 10)
    robots = question(PLAIN).answer
    for n in range(100):
        asked = JudgeRobots(robots, ("http", "site.example", 80), f"/x{n}", ("x",))
        assert engine.judge_now(asked) == engine.judge_now(asked) == (Match(False, 2),)
    engine.judge_now(question(PLAIN, "/" + "x" * 600))
    assert len(engine._young) + len(engine._old) <= 20
    assert not any(len(path) > 512 for _, path, _, _ in engine._young)


async def test_over_its_budget_a_judgement_is_a_refusal() -> None:
    engine = BuiltInEngine(budget=0.0)
    try:
        assert await engine.judge(question(COSTLY, LONG)) == (Match(False, 0),)
    finally:
        await engine.aclose()


async def test_over_its_deadline_it_is_a_fault_and_the_queue_is_bounded() -> None:
    hold, aside = threading.Event(), Aside(queue=2, deadline=0.05)
    try:
        first = asyncio.create_task(aside.run(lambda budget: hold.wait(), 1.0))
        second = asyncio.create_task(aside.run(lambda budget: 2, 1.0))
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await aside.run(lambda budget: 3, 1.0)
        for late in (first, second):
            with pytest.raises(TooLate):
                await late
        # given up, the second has left the queue; the first has not left the thread
        with pytest.raises(TooLate):
            await aside.run(lambda budget: 3, 1.0)
        waiting = asyncio.create_task(aside.run(lambda budget: 4, 1.0))
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await aside.run(lambda budget: 5, 1.0)
        with pytest.raises(TooLate):
            await waiting
        hold.set()
        while True:
            try:
                assert await aside.run(lambda budget: 6, 1.0) == 6
                break
            except (TooBusy, TooLate):
                await asyncio.sleep(0.01)
    finally:
        hold.set()
        aside.close()


async def test_a_fault_in_the_work_is_raised_to_who_waits() -> None:
    aside = Aside(queue=1, deadline=5.0)

    def broken(budget: Budget) -> None:
        raise ValueError("broken")

    try:
        with pytest.raises(ValueError, match="broken"):
            await aside.run(broken, 1.0)
        assert await aside.run(lambda budget: 1, 1.0) == 1
    finally:
        aside.close()


async def test_closed_it_judges_no_more() -> None:
    engine = BuiltInEngine()
    await engine.aclose()
    with pytest.raises(RuntimeError):
        await engine.judge(question(COSTLY, LONG))
    with pytest.raises(RuntimeError, match="shutdown"):
        await engine.judge(question(COSTLY, LONG))
