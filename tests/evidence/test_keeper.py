"""The keeper's pass: its tasks, its lock, what it says; and when the collector starts one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from collecting import ADDONS, wait_for
from logs import lines, read, write

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import Damaged
from outbounds.evidence.frame import RECORDS, ROLL
from outbounds.evidence.keeper import spawn
from outbounds.evidence.keeper.kept import load_kept
from outbounds.evidence.keeper.lock import KeeperBusy, kept_alone
from outbounds.evidence.keeper.one_pass import one_pass
from outbounds.evidence.keeper.spawn import KeeperSpawner
from outbounds.evidence.keeper.task import KeeperFault, Keeping
from outbounds.evidence.submit import EvidenceUnavailable, Recording, recording
from wire.harness import make_config

KEY = bytes(32)


def fine(keeping: Keeping) -> None:
    keeping.status["done"] = 3
    keeping.say("done three")


def raising(error: Exception) -> Callable[[Keeping], None]:
    def task(keeping: Keeping) -> None:
        keeping.status["done"] = 1
        raise error
    return task


@pytest.mark.parametrize(("error", "said"), [
    (KeeperFault("store: no answer; look at it"), "store: no answer; look at it"),
    (Damaged("x.seal: frame 3"), "x.seal: frame 3"),
    (PermissionError(13, "Permission denied", "/x"), "[Errno 13] Permission denied: '/x'")])
def test_a_fault_of_one_task_is_no_other_ones(tmp_path: Path, error: Exception, said: str) -> None:
    told: list[str] = []
    tasks = {"first": raising(error), "second": fine}
    assert not one_pass(tmp_path, tmp_path, None, told.append, tasks)
    assert told == [f"first: {said}", "done three"]
    kept = load_kept(tmp_path)
    assert kept["first"]["ok"] is False and kept["first"]["fault"] == said
    assert kept["first"]["done"] == 1 and "good" not in kept["first"]
    assert kept["second"] == {"done": 3, "at": kept["second"]["at"], "ok": True, "fault": "",
                              "good": kept["second"]["at"]}


def test_what_nobody_expected_is_raised_when_the_others_have_run(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(ZeroDivisionError):
        one_pass(tmp_path, tmp_path, None, told.append,
                 {"first": raising(ZeroDivisionError("oh")), "second": fine})
    assert told == ["first: ZeroDivisionError: oh", "done three"]
    assert load_kept(tmp_path)["first"]["fault"] == "ZeroDivisionError: oh"


def test_a_fault_that_lasts_is_said_once_an_hour(tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    clock = [1000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])

    def passes(at: float, *faults: str) -> list[str]:
        clock[0] = at
        told.clear()
        tasks = {"t": raising(KeeperFault(faults[0])) if faults else lambda _: None}
        one_pass(tmp_path, tmp_path, None, told.append, tasks)
        return list(told)

    assert passes(1000, "no answer") == ["t: no answer"]
    assert passes(1060, "no answer") == []
    assert passes(1120, "wrong key") == ["t: wrong key"]
    assert passes(4719, "wrong key") == []
    assert passes(4721, "wrong key") == ["t: wrong key"]
    assert passes(5000) == ["t: works again"]
    assert passes(5060) == []
    assert passes(5120, "wrong key") == ["t: wrong key"]
    assert load_kept(tmp_path)["t"]["good"] == 5060


def test_a_torn_kept_json_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_bytes(b'{"t": {"at"')
    assert one_pass(tmp_path, tmp_path, None, lambda _: None, {"second": fine})
    assert load_kept(tmp_path)["second"]["ok"]


def test_one_at_a_time(directory: Path) -> None:
    directory.mkdir()
    busy = pytest.raises(KeeperBusy, match=f"process {os.getpid()} is at work")
    with kept_alone(directory), busy, kept_alone(directory):
        raise AssertionError("twice")
    with kept_alone(directory):
        assert (directory / "keeper.lock").stat().st_mode & 0o777 == 0o600


# --- as a process -------------------------------------------------------------------------------

def keeper(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outbounds.evidence.keeper", "--dir", str(directory), *words],
        env={**os.environ, "PYTHONPATH": ADDONS}, capture_output=True, text=True, timeout=60,
        check=False)


def test_a_pass_seals_and_says_so(directory: Path) -> None:
    written = write(directory, 5, 5)
    with kept_alone(directory):
        found = keeper(directory)
    assert (found.returncode, found.stderr) == (0, ""), "another one is at it"
    found = keeper(directory)
    assert "000001.seal: 10 records sealed" in found.stderr
    assert [each.sealed for each in all_segments(directory)] == [True, True, False]
    assert load_kept(directory)["seal"]["sealed"] == 2
    assert read(directory) == written


def test_a_broken_configuration_does_not_stop_the_sealing(directory: Path, tmp_path: Path) -> None:
    write(directory, 5)
    config = make_config(tmp_path / "config", [])
    (config / "evidence.yaml").write_text("collector: perhaps\n")
    found = keeper(directory, "--config", str(config))
    assert found.returncode == 1
    assert "evidence.yaml:1: collector:" in found.stderr
    assert "only sealing goes on until this is mended" in found.stderr
    assert all_segments(directory)[0].sealed


# --- when the collector starts one ----------------------------------------------------------------

class Child:
    def __init__(self) -> None:
        self.status: int | None = None

    def poll(self) -> int | None:
        return self.status


class Clock:
    """A spawner whose passes are only counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: float | bool) -> None:
        self.now = 0.0
        self.started: list[float] = []
        self.child = Child()
        self.said: list[str] = []
        monkeypatch.setattr(subprocess, "Popen", self._popen)
        known: dict[str, float | bool] = {"after": 10.0, "every": 0.0, "pending": False, **options}
        self.spawner = KeeperSpawner(Path("/log"), None, say=self.said.append,
                                     now=lambda: self.now, **known)  # type: ignore[arg-type]

    def _popen(self, words: list[str], **options: object) -> Child:
        assert words[-2:] == ["--dir", "/log"]
        self.started.append(self.now)
        self.child = Child()
        return self.child

    def until(self, end: float) -> None:
        """Turns, each when it is asked for."""
        while self.now < end:
            self.spawner.turn()
            self.now = min(end, self.now + max(self.spawner.wait(), 0.01))

    def ends(self, status: int) -> None:
        self.child.status = status


def test_nothing_is_started_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert clock.spawner.wait() == float("inf")
    clock.until(100_000)
    assert clock.started == []


def test_a_segment_that_was_left_is_sealed_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, pending=True)
    clock.until(20)
    assert clock.started == [10]
    clock.spawner.left()   # while a pass runs
    clock.until(100)
    assert clock.started == [10], "never two at a time"
    clock.ends(0)
    clock.until(110)
    assert len(clock.started) == 2


def test_witnesses_are_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, every=60.0)
    for number in range(1, 4):
        clock.until(number * 61 + 5)
        assert len(clock.started) == number
        clock.ends(0)


def test_after_a_fault_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, pending=True)
    clock.until(11)
    for pause in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        clock.ends(1)
        before = len(clock.started)
        clock.until(clock.now + pause - 2)
        assert len(clock.started) == before, pause
        clock.until(clock.now + 4)
        assert len(clock.started) == before + 1, pause
    assert clock.said == [], "the pass itself says what is wrong"
    clock.ends(-9)
    clock.spawner.left()   # and a new segment is worth a try at once
    before = clock.now
    clock.until(before + 12)
    assert clock.started[-1] - before <= 12
    assert clock.said == ["the keeper ended with status -9; again in 3600 s"]


def test_a_keeper_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, pending=True)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    clock.until(11)
    assert "could not be started" in clock.said[0] and len(clock.said) == 1
    clock.until(71)
    assert len(clock.said) == 2
    assert spawn.FIRST_PAUSE == 60


def send(socket: Path, *batches: list[bytes]) -> None:
    connection = Recording(socket, KEY)
    for batch in batches:
        connection.send(RECORDS, b"".join(batch))
    connection.close()


def test_the_collector_has_what_it_left_sealed(collect, directory, tmp_path) -> None:
    collector = collect("--segment-size", "3000", "--keep-after", "0")
    wait_for((tmp_path / "socket").exists)
    batches = [lines(5) for _ in range(4)]
    send(tmp_path / "socket", *batches)
    wait_for(lambda: sum(each.sealed for each in all_segments(directory)) >= 3)
    assert "records sealed" in collector.errors
    assert read(directory)[:40] == [line for batch in batches for line in batch]


def test_a_proxy_that_lives_for_seconds_starts_no_keeper(collect, directory, tmp_path) -> None:
    """A first run has nothing to seal, and a second waits before it does."""
    for _ in range(2):
        collector = collect()
        wait_for((tmp_path / "socket").exists)
        send(tmp_path / "socket", lines(1))
        collector.kill(15)
        collector.end()
    assert len(all_segments(directory)) == 2
    assert not (directory / "keeper.lock").exists()


# --- a new segment when asked for -----------------------------------------------------------------

def test_roll_makes_the_newest_sealable_at_once(collect, directory, tmp_path) -> None:
    collect()
    wait_for((tmp_path / "socket").exists)
    connection = Recording(tmp_path / "socket", KEY)
    connection.send(ROLL)
    assert all_segments(directory) == [], "there is nothing to leave"
    batch = lines(3)
    connection.send(RECORDS, b"".join(batch))
    for _ in range(3):
        connection.send(ROLL)
        assert [each.sequence for each in all_segments(directory)] == [1, 2]
    assert keeper(directory).stderr.count("6 records sealed") == 1
    more = lines(1)
    connection.send(RECORDS, b"".join(more))
    connection.close()
    assert [each.sequence for each in all_segments(directory)] == [1, 2]
    assert read(directory)[:8] == batch + more


def test_roll_without_a_collector_starts_one_for_it(directory, tmp_path) -> None:
    written = write(directory, 3)
    for _ in range(2):
        with recording(directory, tmp_path / "none", KEY) as connection:
            connection.send(ROLL)
    assert [each.sequence for each in all_segments(directory)] == [1, 2], "empty already"
    assert read(directory) == written


def test_a_roll_that_cannot_be_is_refused(collect, directory, tmp_path) -> None:
    collect()
    wait_for((tmp_path / "socket").exists)
    connection = Recording(tmp_path / "socket", KEY)
    connection.send(RECORDS, b"".join(lines(1)))
    (directory / "segments").rename(directory / "gone")
    with pytest.raises(EvidenceUnavailable, match=r"refused: .*No such file"):
        connection.send(ROLL)
    (directory / "gone").rename(directory / "segments")
    connection.send(ROLL)
    connection.close()
    assert len(all_segments(directory)) == 2
