"""A segment is written anew without what goes, whatever crashes on the way."""

from __future__ import annotations

import random
import shutil
import signal
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aged import Aged, Event, checked
from logs import files, in_child, write
from test_sealing import killing

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.reading import Damaged, read_all, read_segment
from outbounds.evidence.archive.seal import Index, load_seal, save_seal
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.line import placeholder
from outbounds.evidence.retention.due import Fate
from outbounds.evidence.retention.rewriting import Removed, remove_leftovers, rewrite


@pytest.fixture
def segment(directory: Path) -> Segment:
    """Two frames, the second of 904 records."""
    write(directory, 2500, 1)
    seal_all(directory, print, {})
    return all_segments(directory)[0]


def test_any_fates(segment: Segment, directory: Path) -> None:
    """Again and again, and the counts in the seal are those of what is left (`verify` counts)."""
    choose = random.Random(7)
    before = list(read_all(directory))
    count = load_seal(segment.seal).count
    expected = {each.position: (each.envelope, each.detail) for each in before}
    for generation in (1, 2, 3):
        fates = bytearray(choose.choices((0, 1, 2), (8, 1, 1), k=count))
        removed = Removed()
        for at, fate in enumerate(fates):
            envelope, detail = expected[at]
            if fate == Fate.RECORD:
                removed.records += placeholder(envelope) != envelope
                expected[at] = (placeholder(envelope), b"")
            elif fate == Fate.DETAIL:
                removed.details += bool(detail)
                expected[at] = (envelope, b"")
        assert rewrite(segment, fates) == removed
        assert load_seal(segment.seal).generation == generation
        assert {each.position: (each.envelope, each.detail)
                for each in read_all(directory)} == expected
        checked(directory)
    names = {path.name for path in segment.folder.glob(f"{segment.stem}.*")}
    assert names == {f"{segment.stem}.{rest}" for rest in (
        "seal", "checkpoint", "records.3.zst", "details.3.zst")}


def test_nothing_to_do_changes_nothing(segment: Segment, directory: Path) -> None:
    before = files(directory)
    count = load_seal(segment.seal).count
    assert rewrite(segment, bytearray(count)) == Removed()
    assert files(directory) == before
    rewrite(segment, bytearray([Fate.DETAIL]) * count)
    before = files(directory)
    assert rewrite(segment, bytearray([Fate.DETAIL]) * count) == Removed()
    assert files(directory) == before


def test_frames_in_which_nothing_goes_are_the_same_octets(segment: Segment) -> None:
    before = load_seal(segment.seal)
    rewrite(segment, bytearray(4096) + bytearray([Fate.DETAIL]) + bytearray(903))
    after = load_seal(segment.seal)
    assert after.details.frames[0] == before.details.frames[0]
    assert after.details.frames[1] != before.details.frames[1]
    assert after.records == before.records, "no record goes: that file is left alone"


def test_the_index_goes_too(segment: Segment) -> None:
    segment.index.write_bytes(b"rows with what was erased")
    segment.index.with_name(f".{segment.index.name}.new").write_bytes(b"a draft of it")
    save_seal(segment.seal, msgspec.structs.replace(
        load_seal(segment.seal), index=Index(segment.index.name, 25, "0" * 64), shipped=5))
    rewrite(segment, bytearray([Fate.DETAIL]) + bytearray(4999))
    seal = load_seal(segment.seal)
    assert (seal.index, seal.shipped) == (None, 0)
    assert not segment.index.exists()
    remove_leftovers([segment])
    assert not list(segment.folder.glob("*parquet*")) and not list(segment.folder.glob(".*"))


def test_who_reads_meanwhile_reads_on(segment: Segment) -> None:
    reader = read_segment(segment)
    first = next(reader)
    rewrite(segment, bytearray([Fate.KEEP]) * 4096 + bytearray([Fate.RECORD]) * 904)
    rest = list(reader)
    assert first.position == 0 and len(rest) == 4999
    assert all(each.envelope == placeholder(each.envelope) for each in rest[4095:])


def test_a_damaged_frame_stays_as_it_is(segment: Segment, directory: Path) -> None:
    octets = bytearray(segment.details(0).read_bytes())
    octets[50] ^= 1
    segment.details(0).write_bytes(octets)
    before = files(directory)
    with pytest.raises(Damaged, match=r"details\.0\.zst: frame 0"):
        rewrite(segment, bytearray([Fate.DETAIL]) * 5000)
    assert files(directory) == before


def test_the_number_of_fates_is_that_of_the_records(segment: Segment) -> None:
    with pytest.raises(ValueError, match="3 fates for the 5000 records"):
        rewrite(segment, bytearray(3))


def test_killed_at_every_step(directory: Path, tmp_path: Path) -> None:
    """What was there is there, or is gone as it should be; one more pass, and nothing is left of
    what was to go, under any name."""
    log = Aged(directory)
    log.segment(*log.whole(Event("a", 0)), *log.whole(Event("b", 0)))
    log.segment(*log.whole(Event("c", 0)))
    one, _ = log.seal()
    one.index.write_bytes(b"path-of-a")
    save_seal(one.seal, msgspec.structs.replace(
        load_seal(one.seal), index=Index(one.index.name, 9, "0" * 64)))
    fates = bytearray([Fate.DETAIL, Fate.RECORD, Fate.KEEP, Fate.KEEP])
    torn = tmp_path / "torn"
    at = 0
    while True:
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(directory, torn)
        segment = all_segments(torn)[0]
        ended = in_child(killing(at, partial(rewrite, segment, fates)))
        found = [(each.envelope, each.detail) for each in read_segment(segment)]
        assert len(found) == 4
        assert (b"path-of-a" in found[0][1]) == bool(found[1][1]), "one went without the other"
        remove_leftovers([segment])
        rewrite(segment, fates)
        checked(torn)
        assert load_seal(segment.seal).generation == 1
        kept = {path.name for path in segment.folder.glob(f"*{segment.stem}.*")}
        assert kept == {f"{segment.stem}.{rest}" for rest in (
            "seal", "checkpoint", "records.1.zst", "details.1.zst")}, f"killed at step {at}"
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        at += 1
    assert at > 10, "the steps were not found"
