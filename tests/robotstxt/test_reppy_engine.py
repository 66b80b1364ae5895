"""The engine that judges by reppy, and its processes, whatever these do: a stand-in misbehaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from outbounds.core.questions import RobotsAnswer
from outbounds.core.robots import Match, Robots
from outbounds.robotstxt import reppy_engine
from outbounds.robotstxt.aside import TooBusy, TooLate
from outbounds.robotstxt.reppy_engine import BAD_PATHS, REMEMBERED_BAD, Poisonous, ReppyEngine
from outbounds.robotstxt.reppy_process import CannotRead, ReppyProcess, WorkerDied, unusable
from outbounds.robotstxt.reppy_workers import MAX_PAUSE, NoWorker, ReppyWorkers, pause_after
from wire.harness import wait_until

from .asking_reppy import RULES, STAND_IN, question
from .site import Clock

OTHER = RULES + b"# another site's\n"
TESTS = Path(__file__).resolve().parents[1]
DEADLINE = 1.0  # s: four times the product's, for machines that are busy with other tests


class Stage:
    """An engine over stand-ins, with a clock of its own, and what it counted."""

    def __init__(self, *words: str, count: int = 2, deadline: float = DEADLINE) -> None:
        self.counted: Counter[str] = Counter()
        self.clock = Clock()
        self.workers = ReppyWorkers((*STAND_IN, *words), count=count, deadline=deadline)
        self.engine = ReppyEngine(workers=self.workers, clock=self.clock, deadline=20.0,
                                  count=lambda event: self.counted.update([event]))

    async def ask(self, path: str, body: bytes = RULES) -> bool:
        (match,) = await self.engine.judge(question(path, body=body))
        return match.allowed

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 (of processes, no event tells)
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.engine.aclose()


async def test_verdicts_are_remembered(stage: Stage) -> None:
    asked = question("/private/x", "FooBot")
    assert stage.engine.judge_now(asked) is None
    assert await stage.engine.judge(asked) == (Match(False, 2),)
    assert stage.engine.judge_now(asked) == (Match(False, 2),)
    assert await stage.engine.judge(question("/", "A", "B")) == (Match(True, 0), Match(True, 0))


async def test_what_is_not_reppys_to_say_is_our_own_matchers(stage: Stage) -> None:
    closed = question("/", body=b"User-agent: *\nDisallow: /\n", whole_site=True)
    assert stage.engine.judge_now(closed) == (Match(False, 2),)
    absent = question("/private")._replace(answer=RobotsAnswer(Robots.parse(b""), "absent"))
    assert stage.engine.judge_now(absent) == (Match(True, 0),)
    assert await stage.engine.judge(absent) == (Match(True, 0),)
    assert stage.workers.pids == []


async def test_agents_are_judged_up_to_the_first_refusal(stage: Stage) -> None:
    body = b"agent:foobot"
    found = await stage.engine.judge(question("/", "FooBot/1.0", "BarBot", body=body))
    assert found == (Match(False, 0),), "our matcher allows it: it can name no line"
    found = await stage.engine.judge(question("/", "BarBot", "FooBot/1.0", body=body))
    assert found == (Match(True, 0), Match(False, 0))


@pytest.mark.parametrize("deed", ["abort", "endless", "stop", "exit", "garbage", "huge", "half",
                                  "short"])
async def test_a_process_that_fails_is_replaced_and_its_question_not_asked_again(
        stage: Stage, deed: str) -> None:
    await stage.ask("/", OTHER)
    with pytest.raises(WorkerDied):
        await stage.ask(f"/{deed}")
    assert await stage.ask("/open", OTHER), "others ask on"
    with pytest.raises(Poisonous):
        await stage.ask(f"/{deed}")
    assert await stage.ask("/open"), "the same file with another path"
    await stage.until(lambda: stage.workers.restarts == 1 and len(stage.workers.pids) == 2)
    assert stage.counted == {"died": 1, "poisonous": 1}
    stage.clock.now += REMEMBERED_BAD + 1
    with pytest.raises(WorkerDied):
        await stage.ask(f"/{deed}")


async def test_a_file_that_ends_processes_by_many_paths_is_refused_as_a_whole(stage: Stage) -> None:
    for number in range(BAD_PATHS):
        with pytest.raises(WorkerDied):
            await stage.ask(f"/abort/{number}")
    with pytest.raises(Poisonous, match="its file"):
        await stage.ask("/harmless")
    assert await stage.ask("/harmless", OTHER)
    stage.clock.now += REMEMBERED_BAD + 1
    assert await stage.ask("/harmless")


async def test_an_exception_ends_no_process(stage: Stage) -> None:
    await stage.ask("/")
    with pytest.raises(CannotRead, match="ValueError: invalid literal"):
        await stage.ask("/raise")
    assert await stage.ask("/open")
    assert stage.workers.restarts == 0
    assert stage.counted == {"unreadable": 1}


async def test_a_file_that_was_forgotten_is_sent_again(stage: Stage) -> None:
    assert await stage.ask("/forget/1")
    assert not await stage.ask("/private")
    assert stage.workers.restarts == 0


async def test_a_file_under_anothers_digest_is_not_judged(stage: Stage) -> None:
    asked = question("/private")
    with pytest.raises(CannotRead, match="digest"):
        await stage.engine.judge(asked._replace(answer=replace(asked.answer, body=b"")))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
async def test_killed_between_two_questions(stage: Stage, how: signal.Signals) -> None:
    await stage.ask("/")
    await stage.until(lambda: len(stage.workers.pids) == 2)
    for pid in (pids := stage.workers.pids):
        os.kill(pid, how)
    await asyncio.to_thread(wait_until, lambda: not any(map(alive, pids)))
    assert await stage.ask("/open"), "nobody's question failed"
    assert stage.counted == {}


async def test_killed_during_a_question() -> None:
    stage = Stage(deadline=30.0, count=1)
    await stage.ask("/")
    asking = asyncio.create_task(stage.ask("/endless"))
    await stage.until(lambda: not stage.workers._free)  # it has the question, or is about to
    (pid,) = stage.workers.pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        await asking
    assert await stage.ask("/open")
    await stage.engine.aclose()


async def test_stopped_between_two_questions() -> None:
    stage = Stage(count=1)
    await stage.ask("/")
    (pid,) = stage.workers.pids
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerDied, match="in time"):
        await stage.ask("/open")
    assert await stage.ask("/other")
    await stage.engine.aclose()


async def test_what_nobody_asked_for_is_no_answer_to_the_next() -> None:
    process = ReppyProcess(STAND_IN, DEADLINE)
    await process.start()
    asked = question("/later")
    assert process.sound()
    await process.ask(asked.answer.digest, asked.answer.body, ("foobot",), (b"/later",))
    async with asyncio.timeout(10):
        while process.sound():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.kill()
    assert await process.ended() == -signal.SIGKILL


async def test_one_file_holds_one_process(stage: Stage) -> None:
    await stage.ask("/")
    held = [asyncio.create_task(stage.ask(f"/endless/{number}")) for number in range(2)]
    assert await stage.ask("/open", OTHER)
    assert not any(task.done() for task in held)
    assert [type(fault) for fault in await asyncio.gather(*held, return_exceptions=True)] \
        == [WorkerDied, WorkerDied]


async def test_questions_about_one_file_do_not_pile_up(stage: Stage) -> None:
    paths = [f"/slow/{number}" for number in range(reppy_engine.QUEUE_OF_FILE + 1)]
    found = await asyncio.gather(*map(stage.ask, paths), return_exceptions=True)
    assert [fault for fault in found if isinstance(fault, BaseException)] == [found[-1]]
    assert isinstance(found[-1], TooBusy)
    assert stage.counted == {"busy": 1}


async def test_questions_do_not_pile_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reppy_engine, "QUEUE", 2)
    found = await asyncio.gather(*(stage.ask("/", RULES + b"#" * number) for number in range(3)),
                                 return_exceptions=True)
    assert [type(each) for each in found] == [bool, bool, TooBusy]


async def test_who_waits_too_long_is_told() -> None:
    stage = Stage("silent", count=1)
    engine = ReppyEngine(workers=stage.workers, deadline=0.05)
    with pytest.raises(TooLate):
        await engine.judge(question("/"))
    await engine.aclose()


async def test_a_question_of_many_is_asked_once(stage: Stage) -> None:
    found = await asyncio.gather(*(stage.ask("/abort") for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in found] == [WorkerDied] * 5
    assert stage.counted == {"died": 1}


async def test_a_caller_that_goes_away_breaks_nothing(stage: Stage) -> None:
    await stage.ask("/")
    before = set(stage.workers.pids)
    caller = asyncio.create_task(stage.ask("/slow"))
    await asyncio.sleep(0.01)
    caller.cancel()
    await stage.until(lambda: stage.engine.judge_now(question("/slow")))
    assert before <= set(stage.workers.pids)
    assert stage.workers.restarts == 0


@pytest.mark.parametrize("word", ["crash", "garbage"])
async def test_without_a_process_nobody_waits(word: str) -> None:
    stage = Stage(word)
    stage.workers.start()
    await stage.until(lambda: stage.workers.restarts >= 6)
    with pytest.raises(NoWorker):
        await stage.ask("/")
    assert stage.counted["down"] == 1 and not stage.counted["died"]
    await stage.engine.aclose()


async def test_a_process_that_did_not_start_once_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "now").touch()
    stage = Stage("once", str(tmp_path / "now"), count=1)
    assert await stage.ask("/")
    (pid,) = stage.workers.pids
    os.kill(pid, signal.SIGKILL)  # and now it fails to start, twice, before it does again
    await stage.until(lambda: stage.workers.restarts >= 3)
    (tmp_path / "now").touch()
    await stage.until(lambda: not (tmp_path / "now").exists())
    await stage.until(lambda: stage.workers.pids)
    assert await stage.ask("/open")
    await stage.engine.aclose()


@pytest.mark.parametrize(("failures", "seconds"), [
    (1, 0.0), (2, 0.1), (3, 0.2), (4, 0.4), (7, 3.2), (8, MAX_PAUSE), (5000, MAX_PAUSE)])
def test_the_pause_before_the_next_start(failures: int, seconds: float) -> None:
    assert pause_after(failures) == pytest.approx(seconds)


async def test_nothing_is_left_after_closing(stage: Stage) -> None:
    await stage.ask("/")
    await stage.until(lambda: len(stage.workers.pids) == 2)
    pids = stage.workers.pids
    held = asyncio.create_task(stage.ask("/endless"))
    await asyncio.sleep(0.05)
    await stage.engine.aclose()
    await asyncio.gather(held, return_exceptions=True)
    assert held.cancelled() or held.exception()
    await stage.until(lambda: not any(map(alive, pids)))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it is read
        return False
    return state not in ("Z", "X")


PARENT = """
import asyncio, sys
sys.path[:0] = {path!r}
from robotstxt.asking_reppy import STAND_IN, question
from outbounds.robotstxt.reppy_engine import ReppyEngine
from outbounds.robotstxt.reppy_workers import ReppyWorkers

async def main():
    engine = ReppyEngine(workers=ReppyWorkers(STAND_IN, deadline=60.0), deadline=60.0)
    await engine.judge(question("/"))
    while len(engine.workers.pids) < 2:
        await asyncio.sleep(0.02)
    asyncio.create_task(engine.judge(question("/endless")))
    await asyncio.sleep(0.1)
    print(*engine.workers.pids, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_no_process_outlives_the_proxy() -> None:
    path = [str(TESTS), str(TESTS.parent / "addons")]
    with subprocess.Popen([sys.executable, "-c", PARENT.format(path=path)],
                          stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = list(map(int, parent.stdout.readline().split()))
        assert len(pids) == 2 and all(map(alive, pids)), "one is idle, one in an endless judgement"
        parent.kill()
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize(("words", "said"), [
    ((), ""),
    (("crash",), "its process ended with status 3"),
    (("garbage",), "its process ended with status 0"),
])
def test_whether_it_is_usable(words: tuple[str, ...], said: str) -> None:
    assert unusable((*STAND_IN, *words)) == said


def test_without_an_interpreter_it_is_unusable() -> None:
    assert "No such file" in unusable(("/no/such/python",))
