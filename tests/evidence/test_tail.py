"""Reading beside a writer."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from logs import lines as recorded
from logs import write

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import flat
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.tail import follow


def segment(directory: Path, number: int) -> Path:
    (directory / "segments").mkdir(parents=True, exist_ok=True)
    return directory / "segments" / f"2026-11-21T00-{number:06d}.jsonl"


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"event.id":"%d"}\n' % n for n in numbers)


def ids(records) -> list[int]:
    return [int(r["event.id"]) for r in records]


@pytest.mark.parametrize("count", [0, 1, 3, 5, 9, 10, 11])
def test_the_last_lines_across_segments(directory: Path, count: int) -> None:
    segment(directory, 1).write_bytes(lines(*range(5)))
    segment(directory, 2).write_bytes(b"")
    segment(directory, 3).write_bytes(lines(*range(5, 10)) + b'{"event.id":"to')
    assert ids(follow(directory, count)) == list(range(10))[max(0, 10 - count):10 if count else 0]


def test_blocks_are_joined_rightly(directory: Path) -> None:
    segment(directory, 1).write_bytes(lines(*range(20_000)))
    assert ids(follow(directory, 12_345)) == list(range(20_000 - 12_345, 20_000))


def test_no_log_has_no_records(directory: Path) -> None:
    assert list(follow(directory)) == []


def test_following_across_a_rotation(directory: Path) -> None:
    first = segment(directory, 1)
    first.write_bytes(lines(1, 2) + b'{"event.')
    records = follow(directory, 1, True, poll=0.01)
    assert ids(itertools.islice(records, 1)) == [2]

    def write() -> None:
        with open(first, "ab") as file:
            file.write(b'id":"3"}\nnot a record\n')
        segment(directory, 2).write_bytes(lines(4))
        segment(directory, 3).write_bytes(lines(5))

    writer = threading.Timer(0.05, write)
    writer.start()
    assert ids(itertools.islice(records, 3)) == [3, 4, 5]
    writer.join()


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 16, 17, 4200, 4223, 4224, 5000])
def test_hot_and_sealed_alike(directory: Path, count: int) -> None:
    """The newest record may be in any: right after a rollover most are sealed."""
    written = write(directory, 2100, 5)
    seal_all(directory, lambda _: None, {})
    log = EvidenceLog(directory)
    for batch in (recorded(3), recorded(4)):
        log.append([(slip(line), line) for line in batch])
        log.roll()
        written += batch
    log.close()
    assert [each.sealed for each in all_segments(directory)] == [True, True, *[False] * 4]
    expected = [flat(line) for line in written]
    assert list(follow(directory, count)) == expected[max(0, len(expected) - count):
                                                      len(expected) if count else 0]


def test_following_across_sealing(directory: Path) -> None:
    """What is sealed while it is followed is shown to its end, and what was sealed before it was
    come to is shown as a whole."""
    written = write(directory, 2)
    records = follow(directory, 1, True, poll=0.01)
    assert next(records) == flat(written[-1])
    for _ in range(2):
        log = EvidenceLog(directory)
        more = []
        for batch in (recorded(1), recorded(2)):
            log.append([(slip(line), line) for line in batch])
            log.roll()
            more += batch
        log.close()
        seal_all(directory, lambda _: None, {})
        assert list(itertools.islice(records, len(more))) == [flat(line) for line in more]
