"""Gaps are counted in a file that a killed process leaves behind, and the next one finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from collecting import ADDONS

from outbounds.evidence.gap import SIZE, Gap, Marker, left_behind


def test_nobody_takes_the_file_of_a_process_that_lives(tmp_path: Path) -> None:
    marker = Marker(tmp_path, "s1")
    marker.note(Gap(1, 2, "full", out=3))
    assert left_behind(tmp_path) == []
    marker.close(None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("why", "kept"), [("the disk is full", "the disk is full"),
                                           ("x" * 2000, "x" * 300), ("\x00" * 2000, ""),
                                           ("é" * 2000, "")])
def test_what_a_killed_process_counted_is_found_once(tmp_path: Path, why: str, kept: str) -> None:
    """Whatever the reason is: the file never grows."""
    code = ("import os, sys; from outbounds.evidence.gap import Gap, Marker; "
            "gap = Gap(5, 5, sys.stdin.read()); m = Marker(__import__('pathlib').Path(sys.argv[1]),"
            " 's1'); gap.add(7, True); gap.add(9, False); m.note(gap); os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], input=why, text=True, check=False,
                   env={**os.environ, "PYTHONPATH": ADDONS, "PYTHONUTF8": "1"})
    assert (tmp_path / "s1").stat().st_size == SIZE
    [left] = left_behind(tmp_path)
    assert left.gap == Gap(5, 9, kept, 1, 1, cut_short=True)
    assert left_behind(tmp_path) == [], "another process is putting it on record"
    left.remove()
    assert not list(tmp_path.iterdir())


def test_a_process_that_ended_without_a_gap_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "s1").write_bytes(b" " * SIZE)
    (tmp_path / "s2").write_bytes(b'{"begin":1')
    assert left_behind(tmp_path) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("gap", "told"), [
    (Gap(1, 2, "w", out=2), "2 went out unrecorded: w"),
    (Gap(1, 2, "w", refused=2), "2 were refused unrecorded: w"),
    (Gap(1, 2, "w", 1, 2, cut_short=True), "1 went out unrecorded and 2 were refused unrecorded: "
                                           "w; the proxy ended before this was over")])
def test_what_is_said(gap: Gap, told: str) -> None:
    assert gap.told() == told
    joined = Gap(1, 2, "first", 1, 1)
    joined.join(gap)
    assert (joined.count, joined.end, joined.why) == (gap.count + 2, 2, "first")
