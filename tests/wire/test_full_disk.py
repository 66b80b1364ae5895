"""The evidence log on a real, small file system that fills up: refused in time, nothing lost, and
everything goes on by itself. With `fail: open`: let through, and counted in the log."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.frame import ROLL
from outbounds.evidence.line import fields, leaf_of
from outbounds.evidence.privacy import load_key
from outbounds.evidence.submit import recording
from outbounds.evidence.supervisor import command
from outbounds.evidence.tlog.log_tree import LogTree
from outbounds.evidence.tlog.peaks import Peaks

from .harness import Proxy, edit_yaml, lift_limits, make_config, wait_until
from .origin import Origin
from .sockets import ask, connect

MIB = 1024 * 1024
NAMES = {name: ["127.0.0.1"] for name in ("site.test", "denied.test")}


def wait(condition: Callable[[], Any]) -> Any:
    return wait_until(condition, 20.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """24 MiB of their own."""
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(path)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def small(tmp_path: Path, disk: Path, origin: Origin) -> Path:
    """A configuration whose log lies on that disk: a reserve of 8 MiB, a warning at 16."""
    config = make_config(tmp_path / "config", [origin.port], robots="off")
    (config / "lists" / "blocked.txt").write_text("host denied.test\n")
    lift_limits(config)
    edit_yaml(config / "evidence.yaml", lambda data: data.update(
        directory=str(disk / "log"), reserve="8MiB", warn="16MiB", ack_timeout="1s"))
    return config


class Ballast:
    """A file of somebody else's on the disk of the log."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "ballast"

    def leave(self, free: int) -> None:
        """Grow until no more than `free` bytes are left; 0 fills the disk to the last page."""
        now = os.statvfs(self._path.parent)
        with self._path.open("ab") as file, suppress(OSError):
            left = now.f_bavail * now.f_frsize - free
            while left > 0 or not free:
                file.write(bytes(min(left, MIB) if free else 4096))
                file.flush()
                left -= MIB

    def remove(self) -> None:
        self._path.unlink()


def wait_full(proxy: Proxy, full: bool) -> None:
    wait(lambda: proxy.metrics()["outbounds_evidence_full"] == full)


def records(disk: Path) -> list[dict[str, Any]]:
    return [fields(each.envelope, each.detail) for each in read_all(disk / "log")]


def of_type(disk: Path, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    return [each for each in records(disk) if each["event.type"] == kind
            and all(each.get(name.replace("_", ".")) == value for name, value in wanted.items())]


def assert_signed(disk: Path) -> None:
    """The newest checkpoint is over what is there."""
    signed = LogTree.open(disk / "log").checkpoint
    peaks = Peaks()
    peaks.extend([leaf_of(each.envelope) for each in read_all(disk / "log")][:signed.size])
    assert (peaks.size, peaks.root()) == (signed.size, signed.root)


def test_below_the_reserve_nothing_begins_and_what_is_open_is_recorded(
        small: Path, disk: Path, origin: Origin) -> None:
    ballast = Ballast(disk)
    with Proxy(small, names=NAMES) as proxy:
        url = f"http://site.test:{origin.port}"
        assert ask(proxy, f"{url}/before").status == 200
        one, answer = connect(proxy, f"site.test:{origin.port}", "bob")
        other, _ = connect(proxy, f"site.test:{origin.port}", "bob")
        assert answer.status == 200
        wait_full(proxy, False)
        assert proxy.metrics()["outbounds_evidence_reserve_bytes"] == 8 * MIB

        ballast.leave(12 * MIB)
        wait(lambda: "free on the disk of the evidence log, below 16777216" in proxy.log)
        assert ask(proxy, f"{url}/warned").status == 200

        ballast.leave(6 * MIB)
        wait_full(proxy, True)
        assert 0 < proxy.metrics()["outbounds_evidence_disk_free_bytes"] < 8 * MIB
        before = len(records(disk))
        for _ in range(10):
            answer = ask(proxy, f"{url}/full")
            assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
            assert answer.problem["type"] == "urn:outbounds:problem:evidence-unavailable"
        one.close()
        wait(lambda: len(records(disk)) > before)
        ends = records(disk)[before:]
        assert {each["event.type"] for each in ends} == {"end"}, "refusals must not eat the reserve"
        assert of_type(disk, "start", event_id=ends[-1]["event.id"], event_action="tunnel")

        # a command that is about to make room is recorded, in a segment that begins now
        with recording(disk / "log", small / "var" / "collector.sock",
                       load_key(small / "var")) as recorder:
            recorder.send(ROLL)
            with recorder.act("retention"):
                pass
        assert len(of_type(disk, "end", event_action="retention")) == 1
        assert len(all_segments(disk / "log")) >= 2

        ballast.leave(0)  # the reserve, too: nothing at all can be written
        other.close()
        wait(lambda: "cannot write" in proxy.log)
        assert ask(proxy, f"{url}/full").status == 503

        ballast.remove()
        wait(lambda: ask(proxy, f"{url}/after").status == 200)
        wait_full(proxy, False)
        wait(lambda: all(end for _, end in pairs(disk)))
        [gap] = wait(lambda: of_type(disk, "start", event_action="gap"))
        assert gap["outbounds.count"] >= 11
        assert gap["event.start"] < gap["@timestamp"]
        assert gap["event.reason"].startswith(f"{gap['outbounds.count']} were refused unrecorded")
        metrics = proxy.metrics()
        assert metrics['outbounds_evidence_unrecorded_total{fate="refused"}'] == (
            gap["outbounds.count"])
        assert metrics['outbounds_evidence_unrecorded_total{fate="out"}'] == 0
        assert metrics["outbounds_evidence_up"] == 1
        wait(lambda: "enough again" in proxy.log)
        assert {"/before", "/warned", "/after"} <= set(origin.paths())
        assert "/full" not in origin.paths()
        kept = {each.get("url.path") for each in of_type(disk, "start")}
        assert {"/before", "/warned", "/after"} <= kept
    assert_signed(disk)


def pairs(disk: Path) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    ends = {each["event.id"]: each for each in of_type(disk, "end")}
    return [(each, ends.get(each["event.id"])) for each in of_type(disk, "start")]


def test_fail_open_lets_through_and_counts(small: Path, disk: Path, origin: Origin) -> None:
    """Refusals go on, too; and a proxy that is killed in the gap leaves its count to the next."""
    edit_yaml(small / "evidence.yaml", lambda data: data.update(fail="open"))
    ballast = Ballast(disk)
    with Proxy(small, names=NAMES) as proxy:
        url = f"http://site.test:{origin.port}"
        assert ask(proxy, f"{url}/before").status == 200
        ballast.leave(6 * MIB)
        wait_full(proxy, True)
        for _ in range(5):
            assert ask(proxy, f"{url}/gap").status == 200
        assert ask(proxy, "http://denied.test/").status == 403
        assert "Requests go out UNRECORDED" in proxy.log
        assert not of_type(disk, "start", url_path="/gap")
        ballast.remove()
        [gap] = wait(lambda: of_type(disk, "start", event_action="gap"))
        assert gap["outbounds.count"] == 6
        assert gap["event.reason"].startswith("5 went out unrecorded and 1 were refused")
        assert ask(proxy, f"{url}/after").status == 200
        wait(lambda: "Evidence is recorded again" in proxy.log)
        assert gap["event.id"] in proxy.log
        assert proxy.metrics()['outbounds_evidence_unrecorded_total{fate="out"}'] == 5

        ballast.leave(6 * MIB)
        wait_full(proxy, True)
        for _ in range(3):
            assert ask(proxy, f"{url}/killed").status == 200
        proxy.kill()
        ballast.remove()
        proxy.start()
        first, second = wait(lambda: len(found := of_type(
            disk, "start", event_action="gap")) == 2 and found)
        assert (first["event.id"], second["outbounds.count"]) == (gap["event.id"], 3)
        assert "the proxy ended before this was over" in second["event.reason"]
        assert origin.paths().count("/killed") == 3
        wait(lambda: len(list((small / "var" / "gaps").iterdir())) == 1)
    assert not list((small / "var" / "gaps").iterdir())
    assert_signed(disk)


def test_fail_open_without_a_collector(small: Path, disk: Path, origin: Origin) -> None:
    """What waits in memory while the collector is away is recorded late, and in the count."""
    edit_yaml(small / "evidence.yaml", lambda data: data.update(
        fail="open", collector="external", socket=str(disk / "socket")))
    words, environment = command(disk / "log", disk / "socket")
    collectors = [subprocess.Popen(words, env=environment)]
    try:
        with Proxy(small, names=NAMES) as proxy:
            collectors[0].kill()
            wait(lambda: proxy.metrics()["outbounds_evidence_up"] == 0)
            for _ in range(3):
                assert ask(proxy, f"http://site.test:{origin.port}/away").status == 200
            collectors.append(subprocess.Popen(words, env=environment))
            [gap] = wait(lambda: of_type(disk, "start", event_action="gap"))
            assert gap["event.reason"].startswith("3 went out unrecorded")
            wait(lambda: len(of_type(disk, "start", url_path="/away")) == 3)
    finally:
        for collector in collectors:
            collector.terminate()
            collector.wait(10)
    assert all(end for _, end in pairs(disk))
