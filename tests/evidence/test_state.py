"""The collector's watch over its disk, and what clients do about it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from collecting import names

from outbounds.evidence.client import EvidenceUnavailable
from outbounds.evidence.state import LOOK, State, Watch, parse_state


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def free(octets: int, inodes: int = 1000) -> None:
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(
            (512, 512, 10**6, 10**6, octets // 512, 10**6, 10**6, inodes, 0, 255)))
    return free


def test_full_below_the_reserve_and_back_with_a_little_more(disk, tmp_path: Path) -> None:
    watch, now = Watch(tmp_path, 16 * 512), 100.0
    for blocks, turned, full in ((17, False, False), (16, False, False), (15, True, True),
                                 (16, False, True), (14, False, True), (17, True, False),
                                 (16, False, False)):
        disk(blocks * 512)
        assert (watch.look(now), bool(watch.full)) == (turned, full), blocks
        assert watch.free == blocks * 512
        now += LOOK


def test_it_looks_a_few_times_a_second(disk, tmp_path: Path) -> None:
    watch = Watch(tmp_path, 1024)
    disk(4096)
    watch.look(100.0)
    disk(512)
    assert not watch.look(100.0 + LOOK / 2) and not watch.full
    assert watch.look(100.0 + LOOK) and "512 bytes are free" in watch.full


def test_a_disk_without_inodes_is_full(disk, tmp_path: Path) -> None:
    watch = Watch(tmp_path, 1024)
    disk(4096, inodes=3)
    assert watch.look(100.0) and "no room for more files" in watch.full


def test_without_a_reserve_nothing_is_full(disk, tmp_path: Path) -> None:
    watch = Watch(tmp_path, 0)
    disk(0)
    assert not watch.look(100.0) and not watch.full


def test_what_the_keeper_said_is_passed_on(tmp_path: Path) -> None:
    watch = Watch(tmp_path, 0)
    assert parse_state(watch.payload(3, 2, 0.0, 1.5)) == State(
        free=watch.free, size=3, signed=2, at=1.5)
    (tmp_path / "kept.json").write_text('{"seal": {"ok": true, "unsealed": 2}}')
    found = parse_state(watch.payload(3, 2, 0.0, 1.5))
    assert found is not None and found.kept == {"seal": {"ok": True, "unsealed": 2}}
    (tmp_path / "kept.json").write_text("{")
    assert parse_state(watch.payload(3, 2, 0.0, 1.5)) == found
    assert parse_state(b"[]") is None


async def test_below_the_reserve_openings_are_not_kept_and_closings_are(
        collect, proxy, directory) -> None:
    """A reserve that no disk has: every user can, and it is as if the disk were nearly full."""
    collector = collect()
    one = proxy()
    await one.client.wait_available(5)
    id, start, end = one.pair()
    await one.client.commit(start)
    collector.kill(15)
    assert collector.end() == 0
    collector = collect("--reserve", str(2**62))
    full = asyncio.Event()
    one.client.news = lambda: full.set() if one.client.full else None
    await asyncio.wait_for(full.wait(), 8)
    assert not one.client.available
    one.client.post(end)
    for _ in range(3):
        with pytest.raises(EvidenceUnavailable, match="below the reserve") as raised:
            await one.client.commit(one.pair()[1])
        assert not raised.value.kept
    assert await one.client.close(5)
    assert names(directory) == [(id, "start"), (id, "end")]
    assert "nothing new is let through" in collector.errors
