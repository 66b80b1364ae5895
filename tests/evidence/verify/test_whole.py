"""Verification of logs that nobody has touched: being written, sealed, shipped, erased from."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from written import Written, tree_hash

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.seal import load_seal, save_seal
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import leaf_of, split
from outbounds.evidence.tlog.checkpoint import Checkpoint
from outbounds.evidence.tlog.keys import read_keys
from outbounds.evidence.tlog.note import Signer, sign
from outbounds.evidence.verify import verify, whole
from outbounds.evidence.witness.stamps import Trusted, keep


@pytest.fixture
def log(tmp_path: Path) -> Written:
    made = Written(tmp_path / "evidence")
    for count in (600, 500, 0, 90):
        made.run(count)
    made.seal()
    return made


def test_a_log_of_nothing(tmp_path: Path) -> None:
    made = Written(tmp_path)
    made.run()
    report = verify(tmp_path, [made.verifier])
    assert (report.ok, report.size, report.findings) == (True, 0, [])


def test_without_a_key_the_logs_own_is_believed(log: Written) -> None:
    assert verify(log.directory, []).ok


def test_a_key_of_another_log_is_led_to_nothing(log: Written) -> None:
    other = Signer("outbounds/other", Ed25519PrivateKey.generate()).verifier
    report = verify(log.directory, [other])
    assert {each.kind for each in report.findings} == {"key", "signature"}
    assert "none of these keys is the one that is trusted" in report.findings[0].text


def test_any_key_of_the_chain_will_do(log: Written) -> None:
    for _ in range(2):
        running = log.run(20, close=False)
        running.rotate()
        lines = [log.line() for _ in range(5)]
        running.append([(slip(line), line) for line in lines])
        running.close()
    keys = read_keys(log.directory / "log" / "keys")
    assert len(keys) == 3
    for each in keys:
        report = verify(log.directory, [each.verifier])
        assert report.findings == [] and report.size == 1240


def test_a_key_that_was_replaced_signs_nothing_later(log: Written) -> None:
    (path,) = (log.directory / "log").glob("key-*.pem")
    leaked = Signer(log.verifier.name, load_pem_private_key(  # type: ignore[arg-type]
        path.read_bytes(), None))
    running = log.run(close=False)
    running.rotate()
    running.close()
    checkpoint = log.directory / "log" / "checkpoint"
    assert verify(log.directory, [log.verifier]).ok
    text = checkpoint.read_text().rpartition("\n\n")[0] + "\n"
    was = Checkpoint.parse(text)
    checkpoint.write_text(sign(str(Checkpoint(was.origin, was.size, was.root,
                                              ("time 2027-01-01T00:00:00Z",))), [leaked]))
    report = verify(log.directory, [log.verifier])
    assert [each.kind for each in report.findings] == ["key"]
    assert "was expired, or replaced, when it was made, 2027" in report.findings[0].text


def test_the_newest_checkpoint_must_be_by_a_key_that_is_led_to(log: Written) -> None:
    """Somebody adds a key of their own to the file, which no older key vouched for."""
    copy = Written(log.directory.with_name("other"))
    copy.run(1)
    shutil.copy(copy.directory / "log" / "keys", log.directory / "log" / "keys")
    shutil.copy(copy.directory / "log" / "checkpoint", log.directory / "log" / "checkpoint")
    report = verify(log.directory, [log.verifier])
    assert any("by none of the keys that are trusted" in each.text for each in report.findings)


def test_records_after_the_newest_checkpoint_are_counted(log: Written) -> None:
    running = log.run(30, close=False)
    running.checkpoint()
    lines = [log.line() for _ in range(7)]
    with all_segments(log.directory)[-1].hot.open("ab") as file:
        file.write(b"".join(lines) + b'{"@timestamp":"being written')
    report = verify(log.directory, [log.verifier])
    assert report.findings == []
    assert (report.size, report.signed) == (1227, 1220)
    assert report.notes == ["7 records came after the newest checkpoint: they are not signed yet, "
                            "and not verified"]


def test_while_it_is_written_and_sealed(log: Written) -> None:
    running = log.run(close=False)
    faults: list[BaseException] = []

    def write() -> None:
        try:
            for turn in range(40):
                lines = [log.line() for _ in range(50)]
                running.append([(slip(line), line) for line in lines])
                running.checkpoint()
                if turn % 5 == 4:
                    running.roll()
                    log.seal()
        except BaseException as error:
            faults.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while writer.is_alive():
            report = verify(log.directory, [log.verifier])
            assert report.findings == []
    finally:
        writer.join()
    assert not faults
    running.close()
    report = verify(log.directory, [log.verifier])
    assert report.findings == [] and report.size == 1190 + 2000


def test_on_several_cores_it_is_the_same(log: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = verify(log.directory, [log.verifier])
    monkeypatch.setattr(whole, "SPREAD", 0)
    told: list[tuple[int, int]] = []
    together = verify(log.directory, [log.verifier], (), lambda *done: told.append(done),
                      processes=2)
    assert together == alone and together.ok
    assert told[-1][0] == told[-1][1] > 0


def test_a_segment_that_is_only_in_the_object_store(log: Written) -> None:
    segment = all_segments(log.directory)[0]
    seal = load_seal(segment.seal)
    save_seal(segment.seal, msgspec.structs.replace(seal, shipped=1_795_262_587))
    segment.records.unlink()
    segment.details(0).unlink()
    report = verify(log.directory, [log.verifier])
    assert report.findings == []
    assert report.elsewhere == 600
    assert "not here but in the object store: the hashes of its 600 records" in report.notes[0]
    # what the tiles say of them is still held against what was signed
    tile = log.directory / "log" / "tile" / "0" / "001"
    tile.write_bytes(b"x" + tile.read_bytes()[1:])
    assert not verify(log.directory, [log.verifier]).ok


def test_a_copy_in_another_place_is_verified_there(log: Written, tmp_path: Path) -> None:
    shutil.copytree(log.directory, tmp_path / "copy")
    (tmp_path / "copy" / "carried.json").unlink()
    assert verify(tmp_path / "copy", [log.verifier]).ok


def stamp(log: Written, note: bytes) -> None:
    keep(log.directory / "log" / "witness" / "other-disk", "file", 1_795_262_587,
         int(note.split(b"\n")[1]), [note])


def test_what_a_witness_saw_is_compared(log: Written) -> None:
    """The proxy's root writes everything anew; a witness has seen another history."""
    checkpoint = log.directory / "log" / "checkpoint"
    stamp(log, checkpoint.read_bytes())
    report = verify(log.directory, [log.verifier])
    assert report.findings == [] and report.witnessed == 1
    assert report.notes == ["witness other-disk: not among those that are configured, so it was "
                            "not checked that the stamps are theirs"]
    hot = all_segments(log.directory)[-1].hot
    hot.write_bytes(hot.read_bytes().replace(b"account-", b"accounT-", 1))
    leaves = log.leaves[:1100] + [leaf_of(split(line)[0])
                                  for line in hot.read_bytes().splitlines()]
    (path,) = (log.directory / "log").glob("key-*.pem")
    signer = Signer(log.verifier.name, load_pem_private_key(  # type: ignore[arg-type]
        path.read_bytes(), None))
    text = checkpoint.read_text()
    checkpoint.write_text(sign(str(Checkpoint(
        log.verifier.name, 1190, tree_hash(leaves), (text.splitlines()[3],))), [signer]))
    report = verify(log.directory, [log.verifier])
    assert [each.kind for each in report.findings] == ["fork"]
    assert "(seen by other-disk, 2026-11-21T12:03:07Z): signed for another history of 1190 " \
           "records than" in report.findings[0].text


def test_a_stamp_that_shows_nothing(log: Written) -> None:
    note = (log.directory / "log" / "checkpoint").read_bytes()
    stamp(log, note)
    report = verify(log.directory, [log.verifier], witnesses={"other-disk": Trusted(())})
    assert [each.kind for each in report.findings] == ["witness"]
    assert "stamped at another time" in report.findings[0].text
