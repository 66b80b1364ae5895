"""The log on a real disk: rotation, torn lines, full disks, one writer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from collecting import ADDONS, on_disk

from outbounds.evidence.ledger import load, slip
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.segment import (
    AppendError,
    DirectoryTaken,
    SegmentWriter,
    cut_torn_line,
    lock,
    segments,
)

HOUR = 3600.0
AT = 1_795_219_200.0  # 2026-11-21T00:00:00Z


def line(id: str, type: str = "start", session: str = "s1") -> bytes:
    return (f'{{"event.id":"{id}","event.type":"{type}","event.action":"request",'
            f'"outbounds.session":"{session}"}}\n').encode()


@pytest.fixture
def writer(directory: Path):
    os.close(lock(directory, 0))
    made = SegmentWriter(directory, max_bytes=1000)
    yield made
    made.close()


def test_segments_rotate_by_hour_and_by_size(directory: Path, writer: SegmentWriter) -> None:
    writer.append(b"1\n", AT)
    writer.append(b"2\n", AT + HOUR)
    writer.append(b"x" * 999 + b"\n", AT + HOUR)
    writer.append(b"3\n", AT + HOUR)
    writer.append(b"4\n", AT)  # the clock was set back: names still sort by time of writing
    assert [(s.name, s.read_bytes()[:2]) for s in segments(directory)] == [
        ("2026-11-21T00-000001.jsonl", b"1\n"), ("2026-11-21T01-000002.jsonl", b"2\n"),
        ("2026-11-21T01-000003.jsonl", b"3\n")]
    assert all(s.stat().st_mode & 0o777 == 0o600 for s in segments(directory))


def test_a_new_run_begins_a_segment_of_its_own(directory: Path, writer: SegmentWriter) -> None:
    writer.append(b"1\n", AT)
    again = SegmentWriter(directory)
    again.append(b"2\n", AT)
    again.close()
    assert [s.read_bytes() for s in segments(directory)] == [b"1\n", b"2\n"]


@pytest.mark.parametrize(("before", "after"), [
    (b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nbc", b"a\n"), (b"torn", b""),
    (b"a\n" + b"x" * 200_000, b"a\n")])
def test_a_torn_tail_is_cut(tmp_path: Path, before: bytes, after: bytes) -> None:
    segment = tmp_path / "2026-11-21T00-000001.jsonl"
    segment.write_bytes(before)
    assert cut_torn_line(segment) == len(before) - len(after)
    assert segment.read_bytes() == after


def test_one_writer_per_directory(directory: Path) -> None:
    held = lock(directory, 0)
    with pytest.raises(DirectoryTaken, match=rf"another collector \(process {os.getpid()}\)"):
        lock(directory, 0.1)
    os.close(held)
    os.close(lock(directory, 0))


FILL = """
import errno, resource, sys
from pathlib import Path
from outbounds.evidence.segment import AppendError, SegmentWriter, lock
directory, how = Path(sys.argv[1]), sys.argv[2]
lock(directory, 0)
writer = SegmentWriter(directory)
if how == "rlimit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
chunk = b"x" * 9_999 + b"\\n"
written = 0
try:
    while True:
        writer.append(chunk * 7, 0.0)
        written += 7
except AppendError as error:
    print(str(error).partition(":")[0])
for _ in range(3):  # it stays full
    try:
        writer.append(chunk * 7, 0.0)
        sys.exit("appended to a full disk")
    except AppendError:
        pass
if how == "rlimit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
else:
    (directory.parent / "ballast").unlink()
writer.append(b"after\\n", 0.0)
data = b"".join(p.read_bytes() for p in sorted(directory.glob("segments/*.jsonl")))
assert data == chunk * written + b"after\\n", (written, len(data))
print("whole")
"""


@pytest.mark.parametrize("how", ["tmpfs", "rlimit"])
def test_a_full_disk_leaves_no_torn_line(tmp_path: Path, how: str) -> None:
    """tmpfs: a real ENOSPC, in a mount namespace of the child (needs root). rlimit: EFBIG with a
    short write before it, for everyone else."""
    script = [sys.executable, "-c", FILL, str(tmp_path / "disk" / "evidence"), how]
    if how == "tmpfs":
        if os.geteuid() != 0:
            pytest.skip("mounting a tmpfs needs root; the rlimit case covers the short write")
        (tmp_path / "disk").mkdir()
        mount = (f"mount -t tmpfs -o size=1m none {tmp_path}/disk && "
                 f"head -c 500000 /dev/zero > {tmp_path}/disk/ballast && exec \"$@\"")
        script = ["unshare", "--mount", "sh", "-c", mount, "sh", *script]
    done = subprocess.run(script, env={**os.environ, "PYTHONPATH": ADDONS}, check=False,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ENOSPC" if how == "tmpfs" else "EFBIG", "whole"]


class FailingDisk:
    """An fdatasync that fails once. Not real: a disk that reports EIO needs device-mapper, which
    a test machine does not have; what the writer does afterwards is on the real disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 1
        self._real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, fd: int) -> None:
        if self.left:
            self.left -= 1
            raise OSError(5, "Input/output error")
        self._real(fd)


def test_after_a_failed_sync_the_segment_is_left(
        directory: Path, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.append(b"safe\n", AT)
    FailingDisk(monkeypatch)
    with pytest.raises(AppendError, match="EIO: Input/output error"):
        writer.append(b"lost\n", AT)
    writer.append(b"again\n", AT)
    assert [s.read_bytes() for s in segments(directory)] == [b"safe\n", b"again\n"]


def put(log: EvidenceLog, *lines: bytes) -> None:
    log.append([(slip(line), line) for line in lines])


def test_each_name_is_taken_once(directory: Path) -> None:
    os.close(lock(directory, 0))
    log = EvidenceLog(directory)
    put(log, line("a"), line("a"), line("b"))
    put(log, line("a", "end"), line("a", "end"), line("a"))
    put(log, line("c", "end"))  # its opening was refused: the closing tells of it
    log.close()
    found = [(r["event.id"], r["event.type"]) for r in on_disk(directory)]
    assert found == [("a", "start"), ("b", "start"), ("a", "end"), ("c", "end")]
    # and the same after a restart, and after one more whose segment stayed empty
    for _ in range(2):
        log = EvidenceLog(directory)
        put(log, line("a"), line("b"), line("c", "end"), line("a", "end"))
        log.close()
        assert len(on_disk(directory)) == 4


def test_a_failed_append_takes_no_names(
        directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(lock(directory, 0))
    log = EvidenceLog(directory)
    put(log, line("a"))
    FailingDisk(monkeypatch)
    with pytest.raises(AppendError):
        put(log, line("a", "end"), line("b"))
    assert log.sessions() == {"s1"}
    put(log, line("a", "end"), line("b"))
    log.close()
    assert [r["event.id"] for r in on_disk(directory)] == ["a", "a", "b"]


def test_what_is_open_is_carried_over_segments(directory: Path) -> None:
    os.close(lock(directory, 0))
    for n in range(3):
        log = EvidenceLog(directory)
        put(log, line(f"x{n}", session=f"s{n}"))
        log.close()
    segments(directory)[0].unlink()  # old segments are not read again, so not needed
    loaded = load(directory)
    assert set(loaded.ledger.open) == {"x0", "x1", "x2"} and not loaded.odd
    assert loaded.peaks.size == 3


def test_a_broken_carry_is_said_and_the_segments_are_read(directory: Path) -> None:
    os.close(lock(directory, 0))
    log = EvidenceLog(directory)
    put(log, line("a"))
    log.close()
    (directory / "carried.json").write_text("{")
    loaded = load(directory)
    assert set(loaded.ledger.open) == {"a"} and "carried.json" in loaded.odd[0]
    assert loaded.peaks.size == 1
