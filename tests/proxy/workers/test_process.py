"""A worker seen from the supervisor, with small commands in the place of a proxy."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from outbounds.proxy.workers import Place, process
from outbounds.proxy.workers.channel import Ask, Channel, Counted, Message, Ready
from outbounds.proxy.workers.page import Family
from outbounds.proxy.workers.process import WorkerProcess


@pytest.mark.parametrize(("text", "place"), [("1/1", Place(1, 1)), ("2/16", Place(2, 16))])
def test_a_place(text: str, place: Place) -> None:
    assert Place.parse(text) == place and str(place) == text


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", " 1/2"])
def test_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="INDEX/COUNT"):
        Place.parse(text)


# --- the channel --------------------------------------------------------------------------------


async def test_messages_arrive_whole_and_in_order() -> None:
    one, other = socket.socketpair()
    ours, theirs = await Channel.over(one), await Channel.over(other)
    family = Family("a", "…" * 200_000, "counter", [("a_total", (("rule", "ü\n"),), 1.5)])
    sent: list[Message] = [Ready(), Ask(1), Counted(1, [family]), Ask(2)]
    for message in sent:
        ours.send(message)
    assert [await theirs.receive() for _ in sent] == sent
    ours.close()
    assert await theirs.receive() is None
    theirs.send(Ask(3))  # nobody is there; nobody is told either
    theirs.close()


@pytest.mark.parametrize("octets", [
    b"", b"\0\0", b"\0\0\0\2{}", b"\0\0\0\2no", b"\xff\xff\xff\xff", b"\0\0\0\x09{\"type\":"])
async def test_what_makes_no_sense_is_the_end(octets: bytes) -> None:
    one, other = socket.socketpair()
    channel = await Channel.over(one)
    other.sendall(octets)
    other.close()
    assert await channel.receive() is None
    channel.close()


# --- lives of a worker --------------------------------------------------------------------------

HELPLESS = ("--version",)  # ends at once, with status 0
WAITING = ("evidence", "tail", "--follow")  # never says that it is ready


def worker(*words: str, gone: list[Place] | None = None) -> WorkerProcess:
    async def ended(place: Place) -> None:
        if gone is not None:
            gone.append(place)

    return WorkerProcess(Place(1, 2), words, ended)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- another process brings it about
            await asyncio.sleep(0.01)


async def test_one_that_cannot_start_is_left_alone() -> None:
    """The supervisor says so, and stops."""
    gone: list[Place] = []
    one = worker(*HELPLESS, gone=gone)
    await one.keep()
    assert gone == [Place(1, 2)] and one.failed_starts == 1 and not one.ready and one.pid is None
    assert one.failure == "ended with status 0 while it started"


async def test_one_that_takes_too_long_to_start_is_killed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STARTING", 0.0)
    (tmp_path / "x").mkdir()
    one = worker(*WAITING, "--config", str(tmp_path / "x"))
    keeping = asyncio.create_task(one.keep())
    await until(lambda: one.pid is not None)
    await asyncio.sleep(0.01)
    one.kill_if_silent()
    await keeping
    assert one.failure == "was ended by SIGKILL while it started"


async def test_one_that_is_stopped_is_not_started_again() -> None:
    one = worker(*HELPLESS)
    one.stopping = True
    await one.keep()
    assert one.restarts == 0 and one.pid is None


SERVING = """
import socket, struct, sys, time
end = socket.socket(fileno=0)
body = b'{"type":"Ready"}'
end.sendall(struct.pack(">I", len(body)) + body)
time.sleep(60)
"""


async def test_one_that_served_is_started_again_ever_later(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    gone: list[Place] = []
    one = worker(gone=gone)
    monkeypatch.setattr(one, "_spawn", spawn(SERVING))
    keeping = asyncio.create_task(one.keep())
    pids = []
    for _ in range(2):
        await until(lambda: one.ready and one.pid not in pids)
        assert one.pid is not None
        pids.append(one.pid)
        os.kill(one.pid, signal.SIGKILL)
    await until(lambda: one.ready and one.pid not in pids)
    assert gone == [Place(1, 2)] * 2 and one.restarts == 2 and one.failed_starts == 0
    assert [record.message for record in caplog.records] == [
        f"Worker 1 was ended by SIGKILL; starting it again in {pause} s." for pause in (0.1, 0.2)]
    one.stopping = True
    one.signal(signal.SIGTERM)
    await keeping
    assert one.pid is None


async def test_one_that_no_longer_answers_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop hangs; the kernel would go on giving it connections."""
    one = worker()
    monkeypatch.setattr(one, "_spawn", spawn(SERVING))
    keeping = asyncio.create_task(one.keep())
    await until(lambda: one.ready)
    one.kill_if_silent()
    assert one.pid is not None and await one.ask(0.05) is None
    monkeypatch.setattr(process, "SILENT", 0.0)
    one.stopping = True
    one.kill_if_silent()
    await keeping
    assert one.status == -signal.SIGKILL


def spawn(code: str) -> Callable[[socket.socket], object]:
    async def made(end: socket.socket) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=end.fileno())
    return made
