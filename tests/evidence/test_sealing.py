"""A segment's way from hot lines to sealed files, ended by kill -9 at every step of it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from logs import files, in_child, lines, read, root, write

from outbounds.evidence.archive import packing
from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.reading import Damaged, open_frame
from outbounds.evidence.archive.seal import load_seal
from outbounds.evidence.archive.tiling import Tiler, load_tiled, sync_filesystem
from outbounds.evidence.keeper.sealing import seal_all, waiting
from outbounds.evidence.keeper.task import KeeperFault
from outbounds.evidence.line import leaf_of, split
from outbounds.evidence.tlog.tiles import BadTile

SYSCALLS = ("replace", "fsync", "unlink", "open")


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill takes nothing from the page cache, and the disk is everybody's."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr("outbounds.evidence.archive.tiling.sync_filesystem", lambda folder: None)


def seal(directory: Path) -> tuple[dict[str, int | float | str], list[str]]:
    said: list[str] = []
    status: dict[str, int | float | str] = {}
    seal_all(directory, said.append, status)
    return status, said


def test_what_was_recorded_is_what_is_read(directory: Path) -> None:
    written = write(directory, 200, 1, 2100)
    status, _ = seal(directory)
    assert status == {"sealed": 3, "unsealed": 0}
    assert read(directory) == written
    segments = all_segments(directory)
    assert [each.sealed for each in segments] == [True, True, True, False]
    assert not any(each.hot.exists() for each in segments[:-1])
    seals = [load_seal(each.seal) for each in segments[:-1]]
    assert [(each.first, each.count) for each in seals] == [(0, 400), (400, 2), (402, 4200)]
    assert [len(each.records.frames) for each in seals] == [1, 1, 2]


def test_the_tiles_are_those_of_the_records(directory: Path) -> None:
    written = write(directory, 200, 1, 2100)
    seal(directory)
    log = directory / "log"
    tiled = load_tiled(log)
    assert tiled.size == len(written)
    leaves = [leaf_of(split(line)[0]) for line in written]
    for number in range(len(written) // 256):
        tile = (log / "tile" / "0" / f"{number:03d}").read_bytes()
        assert tile == b"".join(leaves[number * 256:(number + 1) * 256])
    assert not (log / "tile" / "0" / f"{len(written) // 256:03d}").exists()
    assert Tiler(log, tiled).root() == root(written)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 4000, 4602])
def test_the_tree_goes_back(directory: Path, size: int) -> None:
    written = write(directory, 200, 1, 2100)
    seal(directory)
    tiler = Tiler(directory / "log", load_tiled(directory / "log"))
    tiler.rewind(size)
    assert (tiler.size, tiler.root()) == (size, root(written[:size]))
    tiler.extend(leaf_of(split(line)[0]) for line in written[size:])
    assert tiler.root() == root(written)


def test_the_time_that_a_segment_tells_of(directory: Path) -> None:
    """From the opening that the earliest closing belongs to; to the newest record."""
    write(directory, 3)
    hot = all_segments(directory)[0].hot
    when = [datetime.fromisoformat(line.split(b'"')[3].decode()) for line in hot.open("rb")]
    seal(directory)
    found = load_seal(all_segments(directory)[0].seal)
    as_micros = [round(each.replace(tzinfo=UTC).timestamp() * 1e6) for each in when]
    assert found.end == max(as_micros)
    earliest = min(as_micros[0::2] + [each - 2_000 for each in as_micros[1::2]])
    assert earliest - 1_000 < found.begin <= earliest, "a closing's id has the millisecond"


def test_a_moment_that_cannot_be_read_hides_nothing() -> None:
    assert packing.told([b'{"@timestamp":"yesterday","event.type":"start"}']) == packing.ALWAYS


def test_frames_have_the_checksums_of_two_layers(directory: Path) -> None:
    """SHA-256 in the seal, and zstd's own (RFC 8878 section 3.1.1, Content_Checksum)."""
    write(directory, 100)
    seal(directory)
    segment = all_segments(directory)[0]
    found = load_seal(segment.seal)
    octets = bytearray(segment.records.read_bytes())
    assert octets[4] & 0b100, "Frame_Header_Descriptor without Content_Checksum_flag"
    octets[found.records.frames[0].octets - 1] ^= 1
    segment.records.write_bytes(octets)
    with segment.records.open("rb") as file, pytest.raises(Damaged, match="frame 0, at octet 0"):
        open_frame(file, found.records, 0)


def test_what_the_disk_gives_back_otherwise_is_not_sealed(
        directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write(directory, 10)
    compare = packing.compare

    def flip(hot: Path, records: Path, details: Path, packed: packing.Packed) -> None:
        octets = bytearray(details.read_bytes())
        octets[20] ^= 4
        details.write_bytes(octets)
        compare(hot, records, details, packed)

    monkeypatch.setattr("outbounds.evidence.archive.sealing.compare", flip)
    with pytest.raises(Damaged, match=r"details\.0\.zst: frame 0"):
        seal(directory)
    monkeypatch.undo()
    assert not all_segments(directory)[0].sealed
    assert seal(directory)[0]["sealed"] == 1 and read(directory) == written


# --- what was signed decides --------------------------------------------------------------------

def change(segment: Segment) -> None:
    data = segment.hot.read_bytes()
    segment.hot.write_bytes(data.replace(b'"request"', b'"tunnel_"', 1))


def shorten(segment: Segment) -> None:
    data = segment.hot.read_bytes()
    segment.hot.write_bytes(data[:data[:-1].rfind(b"\n") + 1])


def swap(segment: Segment) -> None:
    found = segment.hot.read_bytes().splitlines(keepends=True)
    segment.hot.write_bytes(b"".join([found[1], found[0], *found[2:]]))


def repeat(segment: Segment) -> None:
    data = segment.hot.read_bytes()
    segment.hot.write_bytes(data + data[data[:-1].rfind(b"\n") + 1:])


@pytest.mark.parametrize("tamper", [change, shorten, swap, repeat])
@pytest.mark.parametrize("without_next", [False, True])
def test_what_differs_from_what_was_signed_stays_as_it_is(
        directory: Path, tamper: Callable[[Segment], None], without_next: bool) -> None:
    write(directory, 5, 5, 5)
    victim = all_segments(directory)[1]
    tamper(victim)
    if without_next:
        all_segments(directory)[2].checkpoint.unlink()
    before = files(directory / "segments")
    with pytest.raises(KeeperFault, match="it is not sealed, and neither are those after it"):
        seal(directory)
    after = files(directory / "segments")
    first = all_segments(directory)[0]
    assert first.sealed
    assert {name: each for name, each in after.items() if not name.startswith(first.stem)} == \
        {name: each for name, each in before.items() if not name.startswith(first.stem)}
    assert load_tiled(directory / "log").size == 10


def test_a_missing_checkpoint_is_bridged_by_the_next(directory: Path) -> None:
    written = write(directory, 5, 5, 5)
    for segment in all_segments(directory)[:3]:
        segment.checkpoint.unlink()
    assert seal(directory)[0]["sealed"] == 3
    assert read(directory) == written


def test_without_any_later_checkpoint_nothing_is_sealed(directory: Path) -> None:
    write(directory, 5)
    for segment in all_segments(directory):
        segment.checkpoint.unlink()
    with pytest.raises(KeeperFault, match="missing, and there is no later one"):
        seal(directory)
    assert len(waiting(directory)) == 1


def test_a_checkpoint_that_nobody_signed_is_not_believed(directory: Path) -> None:
    write(directory, 5)
    newest = all_segments(directory)[-1].checkpoint
    newest.write_bytes(newest.read_bytes().replace(b"\n10\n", b"\n11\n"))
    with pytest.raises(KeeperFault, match="nothing before it is sealed"):
        seal(directory)


def test_a_segment_that_comes_later_is_not_sealed(directory: Path) -> None:
    write(directory, 5, 5)
    seal(directory)
    old = all_segments(directory)[1]
    strange = Segment(old.folder, "2020-01-01T00-000001")
    os.rename(all_segments(directory)[0].seal, directory / "aside")
    strange.hot.write_bytes(b"".join(lines(1)))
    with pytest.raises(KeeperFault, match="put here later"):
        seal(directory)


# --- empty segments, torn lines -------------------------------------------------------------------

def test_empty_segments_vanish(directory: Path) -> None:
    written = write(directory, 5)
    for number in (7, 8):
        segment = Segment(directory / "segments", f"2099-01-01T00-{number:06d}")
        segment.hot.write_bytes(b"")
        segment.checkpoint.write_bytes(all_segments(directory)[1].checkpoint.read_bytes())
    seal(directory)
    seal(directory)
    assert [each.sequence for each in all_segments(directory)] == [1, 8]
    assert {path.stem[-6:] for path in (directory / "segments").glob("*.checkpoint")} == {
        "000001", "000008"}
    assert read(directory) == written


def test_the_filesystem_is_flushed(tmp_path: Path) -> None:
    sync_filesystem(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_filesystem(tmp_path / "none")


def test_a_torn_line_was_never_acknowledged(directory: Path) -> None:
    written = write(directory, 5)
    with all_segments(directory)[0].hot.open("ab") as file:
        file.write(b'{"@timestamp":"20')
    _, said = seal(directory)
    assert "left out a torn last line of 17 octets" in said[0]
    assert read(directory) == written


# --- tiles.json -------------------------------------------------------------------------------

@pytest.mark.parametrize("content", [b"", b"{", b'{"size": 300, "edge": []}',
                                     b'{"size": 1, "edge": ["00"]}', None])
def test_tiles_are_made_anew_without_their_file(directory: Path, content: bytes | None) -> None:
    written = write(directory, 200, 100)
    seal(directory)
    log = directory / "log"
    good = files(log)
    if content is None:
        (log / "tiles.json").unlink()
        (log / "tile" / "0" / "001").unlink()
    else:
        (log / "tiles.json").write_bytes(content)
        with pytest.raises(BadTile):
            load_tiled(log)
    _, said = seal(directory)
    assert files(log) == good and read(directory) == written
    assert "making all tiles anew" in said[0]


def test_a_tile_that_is_gone_when_the_tree_goes_back(directory: Path) -> None:
    write(directory, 200, 200)
    seal(directory)
    good = files(directory / "log")
    last = all_segments(directory)[1]
    found = load_seal(last.seal)
    with last.records.open("rb") as one, last.details(0).open("rb") as other:
        pairs = zip(open_frame(one, found.records, 0).splitlines(),
                    open_frame(other, found.details, 0).splitlines(), strict=True)
        last.hot.write_bytes(b"".join(
            envelope + (b"\t" + detail if detail else b"") + b"\n" for envelope, detail in pairs))
    last.seal.unlink()  # as if the crash had come between the tiles and the seal
    (directory / "log" / "tile" / "0" / "001").unlink()
    _, said = seal(directory)
    assert "making all tiles anew" in said[0]
    assert files(directory / "log") == good


# --- killed at every step -------------------------------------------------------------------------

def killing(at: int, work: Callable[[], object]) -> Callable[[], None]:
    """`work` with a kill -9 right before its `at`-th call that changes the disk."""
    left = [at]

    def counted(real: Callable[..., object], *words: object, **more: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*words, **more)

    def run() -> None:
        for name in SYSCALLS:
            setattr(os, name, partial(counted, getattr(os, name)))
        Path.unlink = lambda path, missing_ok=False: os.unlink(path) if (  # type: ignore[method-assign, assignment]
            path.exists() or not missing_ok) else None
        Path.write_bytes = lambda path, data: _write(path, data)  # type: ignore[method-assign, assignment]
        work()

    return run


def _write(path: Path, data: bytes) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        half = os.write(fd, data[:len(data) // 2])
        os.fsync(fd)  # a step between two halves of a tile
        return half + os.write(fd, data[half:])
    finally:
        os.close(fd)


def test_killed_at_every_step_and_resumed(directory: Path, tmp_path: Path) -> None:
    """Whatever step was the last: the next pass ends where an undisturbed one does, with the same
    octets in every file; and until then every record can be read."""
    written = write(directory, 130, 0, 5)
    calm = tmp_path / "calm"
    shutil.copytree(directory, calm)
    seal(calm)
    seal(calm)
    good = files(calm)
    at, torn = 0, tmp_path / "torn"
    while True:
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(directory, torn)
        ended = in_child(killing(at, partial(seal, torn)))
        assert read(torn) == written, f"killed at step {at}"
        seal(torn)
        assert seal(torn)[0] == {"sealed": 0, "unsealed": 0}
        assert files(torn) == good, f"killed at step {at}"
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        at += 1
    assert at > 20, "the steps were not found"
