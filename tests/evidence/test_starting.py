"""What the collector finds at its start after a crash or a power cut, and goes on from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from logs import lines, read, root, write

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.tlog.growth import HistoryDiffers
from outbounds.evidence.tlog.keys import KeyUnusable, read_keys
from outbounds.evidence.tlog.verified import read_checkpoint

type Damage = Callable[[Path], None]


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they would leave is made by hand, and the disk is everybody's."""
    monkeypatch.setattr("os.fsync", lambda fd: None)
    monkeypatch.setattr("outbounds.evidence.archive.tiling.sync_filesystem", lambda folder: None)


def start(directory: Path, capfd: pytest.CaptureFixture[str]) -> tuple[EvidenceLog, str]:
    capfd.readouterr()
    log = EvidenceLog(directory)
    return log, capfd.readouterr().err


def made(directory: Path) -> list[bytes]:
    """Two segments sealed, one hot, and in the newest one what was recorded last."""
    written = write(directory, 4, 3)
    seal_all(directory, lambda _: None, {})
    log = EvidenceLog(directory)
    for _ in range(2):
        batch = lines(3)
        log.append([(slip(line), line) for line in batch])
        written += batch
        log.checkpoint()
        if len(written) < 20 + 6:
            log.roll()
    log.close()
    return written


def remove(name: str) -> Damage:
    return lambda directory: next(directory.glob(name)).unlink()


def content(name: str, octets: bytes) -> Damage:
    return lambda directory: next(directory.glob(name)).write_bytes(octets) and None


def cut(name: str) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / name
        path.write_bytes(path.read_bytes()[:-20])
    return damage


def both(*damages: Damage) -> Damage:
    def damage(directory: Path) -> None:
        for each in damages:
            each(directory)
    return damage


def newest_checkpoint(directory: Path) -> None:
    all_segments(directory)[-1].checkpoint.unlink()


def older_checkpoint(directory: Path) -> None:
    """log/checkpoint as it was some segments ago, as from a backup."""
    (directory / "log" / "checkpoint").write_bytes(
        all_segments(directory)[1].checkpoint.read_bytes())


def older_carried(directory: Path) -> None:
    """carried.json as it was when the log began."""
    (directory / "carried.json").write_bytes(json.dumps(
        {"sequence": 1, "open": {}, "closed": [], "size": 0, "peaks": []}).encode())


def drafts(directory: Path) -> None:
    segment = all_segments(directory)[-2]
    for path in (directory / "log" / ".checkpoint.new", directory / ".carried.json.new",
                 segment.folder / f".{segment.checkpoint.name}.new",
                 segment.records.with_name(segment.records.name + ".new")):
        path.write_bytes(b"half")


@pytest.mark.parametrize(("damage", "said"), [
    (lambda _: None, ""),
    (remove("log/checkpoint"), "log/checkpoint: missing; going on without"),
    (content("log/checkpoint", b""), "log/checkpoint: "),
    (cut("log/checkpoint"), "log/checkpoint: "),
    (older_checkpoint, ""),
    (newest_checkpoint, ".checkpoint: missing; going on without"),
    (both(remove("log/checkpoint"), newest_checkpoint), "nothing here says what was signed before"),
    (both(older_checkpoint, newest_checkpoint), "reading every segment instead"),
    (remove("carried.json"), "carried.json: missing; reading every segment instead"),
    (content("carried.json", b""), "carried.json: "),
    (cut("carried.json"), "carried.json: "),
    (older_carried, ""),
    (both(remove("carried.json"), remove("log/checkpoint")), "log/checkpoint: missing"),
    (remove("log/tiles.json"), ""),
    (drafts, ""),
])
def test_it_goes_on_by_itself_and_says_what_it_found(
        directory: Path, capfd: pytest.CaptureFixture[str], damage: Damage, said: str) -> None:
    written = made(directory)
    damage(directory)
    log, errors = start(directory, capfd)
    assert said in errors and bool(said) == bool(errors), errors
    batch = lines(2)
    log.append([(slip(line), line) for line in batch])
    log.append([(slip(line), line) for line in written[-2:]])  # a repetition after a reconnect
    log.close()
    assert read(directory) == written + batch
    keys = [each.verifier for each in read_keys(directory / "log" / "keys")]
    signed = read_checkpoint(directory / "log" / "checkpoint", keys)
    assert (signed.size, signed.root) == (len(written + batch), root(written + batch))
    seal_all(directory, lambda _: None, {})
    assert read(directory) == written + batch


def test_cut_at_any_octet_of_what_was_not_signed_yet(
        directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A power cut leaves any part of what had not been flushed: the torn line goes, the rest
    stays."""
    written = made(directory)
    hot = all_segments(directory)[-1].hot
    signed = hot.read_bytes()
    more = lines(2)
    chance = random.Random(6)
    for at in sorted({0, 1, len(more[0]) - 1, len(more[0]),
                      *(chance.randrange(sum(map(len, more))) for _ in range(20))}):
        hot.write_bytes(signed + b"".join(more)[:at])
        log, errors = start(directory, capfd)
        log.close()
        whole = [line for number, line in enumerate(more)
                 if at >= sum(map(len, more[:number + 1]))]
        assert read(directory) == written + whole
        torn = at - sum(map(len, whole))
        assert (f"cut a torn last line of {torn} bytes" in errors) == (torn > 0)
        # as it was, for the next round
        (directory / "log" / "checkpoint").write_bytes(
            all_segments(directory)[-1].checkpoint.read_bytes())


def test_segments_that_are_in_the_object_store_only(
        directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without carried.json the tree goes on from the tiles."""
    written = made(directory)
    seal_all(directory, lambda _: None, {})
    for segment in all_segments(directory)[:2]:
        segment.records.unlink()
        segment.details(0).unlink()
    (directory / "carried.json").unlink()
    log, errors = start(directory, capfd)
    assert "going on after record 20, by the tiles" in errors
    batch = lines(2)
    log.append([(slip(line), line) for line in batch])
    log.close()
    keys = [each.verifier for each in read_keys(directory / "log" / "keys")]
    signed = read_checkpoint(directory / "log" / "checkpoint", keys)
    assert (signed.size, signed.root) == (len(written + batch), root(written + batch))


def shorter(directory: Path) -> None:
    hot = all_segments(directory)[-1].hot
    hot.write_bytes(b"".join(hot.read_bytes().splitlines(keepends=True)[:-1]))


def other(directory: Path) -> None:
    hot = all_segments(directory)[-1].hot
    hot.write_bytes(hot.read_bytes().replace(b'"success"', b'"failure"', 1))


def other_sealed_behind_an_old_checkpoint(directory: Path) -> None:
    """Where everything has to be read again, everything is compared."""
    both(older_checkpoint, newest_checkpoint)(directory)
    hot = all_segments(directory)[-2].hot
    assert hot.exists()
    all_segments(directory)[0].seal.rename(directory / "aside")


@pytest.mark.parametrize(("damage", "said"), [
    (shorter, "it has 25 records and 26 were signed: some are missing"),
    (other, "its first 26 records are not those that were signed"),
    (both(remove("carried.json"), other), "its first 26 records are not those that were signed"),
    (other_sealed_behind_an_old_checkpoint, "that were signed|some are missing"),
])
def test_another_history_is_not_signed(directory: Path, damage: Damage, said: str) -> None:
    made(directory)
    damage(directory)
    before = (directory / "log" / "checkpoint").read_bytes()
    with pytest.raises(HistoryDiffers, match=said) as caught:
        EvidenceLog(directory)
    assert "`outbounds evidence verify` says which" in str(caught.value)
    assert (directory / "log" / "checkpoint").read_bytes() == before


@pytest.mark.parametrize(("damage", "said"), [
    (remove("log/keys"), "log"), (remove("log/key-*.pem"), "key-"),
    (content("log/keys", b"outbounds log key\n"), "log/keys: ")])
def test_keys_that_are_gone_stop_it(directory: Path, damage: Damage, said: str) -> None:
    made(directory)
    damage(directory)
    with pytest.raises(KeyUnusable, match=said):
        EvidenceLog(directory)


def test_an_hour_without_records_ends_its_segment(
        directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can be sealed, and shown to witnesses, before the next customer comes."""
    (directory / "segments").mkdir(parents=True)
    clock = [1_795_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    log = EvidenceLog(directory)
    log.append([(slip(line), line) for line in lines(1)])
    log.checkpoint()
    assert log.segment == 1
    clock[0] += 3600
    for _ in range(3):
        log.checkpoint()
        assert log.segment == 2, "and no other one while that is empty"
        clock[0] += 3600
    log.close()
    assert [each.hot.stat().st_size > 0 for each in all_segments(directory)] == [True, False]
