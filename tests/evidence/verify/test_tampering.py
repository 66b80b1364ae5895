"""Every way to change a log, and what verification says of it: the kind, and where it is.

The log under test has three sealed segments (4,300 records in two frames, 700 and 300) and the
newest, hot one (90). Its first checkpoint of each segment, and one that somebody kept elsewhere,
are signed.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from written import Written

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.reading import read_frame
from outbounds.evidence.archive.seal import Frame, Index, load_seal, save_seal
from outbounds.evidence.line import placeholder, split
from outbounds.evidence.tlog.checkpoint import Checkpoint
from outbounds.evidence.tlog.merkle import leaf_hash
from outbounds.evidence.tlog.moment import written as moment
from outbounds.evidence.tlog.note import Signer, Verifier, sign
from outbounds.evidence.tlog.tiles import tile_path
from outbounds.evidence.verify import Report, verify

FIRSTS = (0, 4300, 5000, 5300)
SIZE = 5390


@dataclass(frozen=True)
class Case:
    directory: Path
    verifier: Verifier
    segments: list[Segment]
    kept: Path  # a checkpoint of 4300 records that was kept elsewhere

    @property
    def hot(self) -> Path:
        return self.segments[-1].hot

    def lines(self) -> list[bytes]:
        return self.hot.read_bytes().splitlines(keepends=True)

    def write(self, lines: list[bytes]) -> None:
        self.hot.write_bytes(b"".join(lines))

    def report(self, *known: Path) -> Report:
        return verify(self.directory, [self.verifier], known)

    def signer(self) -> Signer:
        (path,) = (self.directory / "log").glob("key-*.pem")
        key = load_pem_private_key(path.read_bytes(), None)
        return Signer(self.verifier.name, key)  # type: ignore[arg-type]

    def checkpoint(self) -> Checkpoint:
        text = (self.directory / "log" / "checkpoint").read_text()
        return Checkpoint.parse(text.rpartition("\n\n")[0] + "\n")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("log") / "evidence"
    made = Written(directory)
    made.run(4300)
    shutil.copy(directory / "log" / "checkpoint", directory / "kept-elsewhere")
    for count in (700, 300, 90):
        made.run(count)
    made.seal()
    segment = all_segments(directory)[0]
    segment.index.write_bytes(b"PAR1 some index PAR1")
    save_seal(segment.seal, msgspec.structs.replace(load_seal(segment.seal), index=Index(
        segment.index.name, 20, sha256(segment.index.read_bytes()).hexdigest())))
    return directory


def copied(template: Path, directory: Path) -> Case:
    shutil.copytree(template, directory)
    verifier = Verifier.parse((directory / "log" / "keys").read_text().splitlines()[2])
    return Case(directory, verifier, all_segments(directory), directory / "kept-elsewhere")


@pytest.fixture
def case(template: Path, tmp_path: Path) -> Case:
    return copied(template, tmp_path / "evidence")


def rewrite(case: Case, number: int, change: Callable[[list[bytes]], list[bytes]],
            details: bool = False) -> None:
    """Change lines of segment `number` and make everything that is not signed fit again: what
    somebody with all rights on this machine would do."""
    segment = case.segments[number]
    seal = load_seal(segment.seal)
    part = seal.details if details else seal.records
    lines: list[bytes] = []
    for frame in range(len(part.frames)):
        lines += read_frame(segment.folder, part, frame).splitlines(keepends=True)
    lines = change(lines)
    octets, frames = b"", []
    for at in range(0, len(lines), seal.frame_records):
        packed = zstandard.ZstdCompressor().compress(
            b"".join(lines[at:at + seal.frame_records]))
        frames.append(Frame(len(packed), sha256(packed).hexdigest()))
        octets += packed
    (segment.folder / part.name).write_bytes(octets)
    new = msgspec.structs.replace(part, frames=tuple(frames))
    seal = msgspec.structs.replace(seal, **({"details": new} if details else {"records": new}))
    if not details:
        seal = msgspec.structs.replace(seal, count=len(lines))
    save_seal(segment.seal, seal)


def change(lines: list[bytes], at: int) -> list[bytes]:
    assert b"account-" in lines[at]
    return [*lines[:at], lines[at].replace(b"account-", b"accounT-"), *lines[at + 1:]]


def swap(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2:]]


# --- ways to tamper -----------------------------------------------------------------------------

def changed_sealed(case: Case) -> None:
    rewrite(case, 0, lambda lines: change(lines, 4200))


def changed_with_its_tile(case: Case) -> None:
    changed_sealed(case)
    path = case.directory / "log" / tile_path(0, 4200 // 256)
    tile = bytearray(path.read_bytes())
    line = read_frame(case.segments[0].folder, load_seal(case.segments[0].seal).records, 1)
    tile[4200 % 256 * 32:4200 % 256 * 32 + 32] = leaf_hash(line.splitlines()[4200 - 4096])
    path.write_bytes(tile)


def swapped_sealed(case: Case) -> None:
    rewrite(case, 1, lambda lines: swap(lines, 10))


def inserted_sealed(case: Case) -> None:
    rewrite(case, 1, lambda lines: [*lines[:10], lines[3], *lines[10:]])


def removed_sealed(case: Case) -> None:
    rewrite(case, 1, lambda lines: [*lines[:10], *lines[11:]])


def replaced_sealed(case: Case) -> None:
    """As many as before: one out, one in."""
    rewrite(case, 1, lambda lines: [*lines[:10], *lines[11:600], lines[3], *lines[600:]])


def changed_hot(case: Case) -> None:
    case.write(change(case.lines(), 7))


def swapped_hot(case: Case) -> None:
    case.write(swap(case.lines(), 7))


def inserted_hot(case: Case) -> None:
    lines = case.lines()
    case.write([*lines[:7], lines[3], *lines[7:]])


def cut_hot(case: Case) -> None:
    case.write(case.lines()[:-3])


def torn_hot(case: Case) -> None:
    case.hot.write_bytes(case.hot.read_bytes()[:-20])


def torn_before(case: Case) -> None:
    """And the collector went on after it."""
    torn_hot(case)
    (case.directory / "segments" / "2099-01-01T00-000005.jsonl").write_bytes(b"")


def gone_segment(case: Case) -> None:
    for path in case.segments[1].folder.glob(f"{case.segments[1].stem}.*"):
        if path.suffix != ".checkpoint":
            path.unlink()


def gone_segment_and_checkpoint(case: Case) -> None:
    gone_segment(case)
    case.segments[1].checkpoint.unlink()


def gone_newest(case: Case) -> None:
    case.hot.unlink()


def gone_seal(case: Case) -> None:
    case.segments[2].seal.unlink()


def gone_records(case: Case) -> None:
    case.segments[2].records.unlink()


def gone_details(case: Case) -> None:
    case.segments[2].details(0).unlink()


def gone_checkpoint(case: Case) -> None:
    (case.directory / "log" / "checkpoint").unlink()


def gone_begin(case: Case) -> None:
    case.segments[1].checkpoint.unlink()


def gone_keys(case: Case) -> None:
    (case.directory / "log" / "keys").unlink()


def foreign_checkpoint(case: Case) -> None:
    other = Signer(case.verifier.name, Ed25519PrivateKey.generate())
    (case.directory / "log" / "checkpoint").write_text(sign(str(case.checkpoint()), [other]))


def forked(case: Case) -> None:
    """The key's holder signs another history of the same size."""
    case.kept.write_text(sign(str(Checkpoint(case.verifier.name, 4300, b"f" * 32,
                                             case.checkpoint().extension)), [case.signer()]))


def forked_between(case: Case) -> None:
    case.kept.write_text(sign(str(Checkpoint(case.verifier.name, 4444, b"f" * 32,
                                             case.checkpoint().extension)), [case.signer()]))


def shrunken(case: Case) -> None:
    """All put back to an older state, consistently; only the kept checkpoint tells."""
    case.kept.write_bytes((case.directory / "log" / "checkpoint").read_bytes())
    case.hot.unlink()
    newest = case.segments[-1].checkpoint
    (case.directory / "log" / "checkpoint").write_bytes(newest.read_bytes())
    newest.unlink()


def expired(case: Case) -> None:
    was = case.checkpoint()
    late = Checkpoint(was.origin, was.size, was.root, ("time 2199-01-01T00:00:00Z",))
    (case.directory / "log" / "checkpoint").write_text(sign(str(late), [case.signer()]))


def not_yet_valid(case: Case) -> None:
    was = case.checkpoint()
    early = Checkpoint(was.origin, was.size, was.root, (f"time {moment(1_000_000_000)}",))
    (case.directory / "log" / "checkpoint").write_text(sign(str(early), [case.signer()]))


def timeless(case: Case) -> None:
    was = case.checkpoint()
    (case.directory / "log" / "checkpoint").write_text(
        sign(str(Checkpoint(was.origin, was.size, was.root)), [case.signer()]))


def other_detail(case: Case) -> None:
    rewrite(case, 0, lambda lines: [line.replace(b"/a/", b"/b/") if at == 4201 else line
                                    for at, line in enumerate(lines)], details=True)


def detail_in_secret(case: Case) -> None:
    """A detail taken away without an erasure."""
    rewrite(case, 1, lambda lines: [b"\n" if at < 50 else line for at, line in enumerate(lines)],
            details=True)


def erased_in_secret(case: Case) -> None:
    rewrite(case, 1, lambda lines: [placeholder(line[:-1]) + b"\n" if at == 9 else line
                                    for at, line in enumerate(lines)])


def erased_hot(case: Case) -> None:
    lines = case.lines()
    case.write([placeholder(split(lines[0])[0]) + b"\n", *lines[1:]])


def shifted_time(case: Case) -> None:
    seal = load_seal(case.segments[1].seal)
    save_seal(case.segments[1].seal, msgspec.structs.replace(seal, begin=seal.begin + 60_000_000))


def shifted_first(case: Case) -> None:
    seal = load_seal(case.segments[1].seal)
    save_seal(case.segments[1].seal, msgspec.structs.replace(seal, first=seal.first + 1))


def appended_to_frames(case: Case) -> None:
    with case.segments[1].records.open("ab") as file:
        file.write(b"more")


def other_tile(case: Case) -> None:
    path = case.directory / "log" / tile_path(0, 3)
    octets = bytearray(path.read_bytes())
    octets[5 * 32] ^= 1
    path.write_bytes(octets)


def gone_tile(case: Case) -> None:
    (case.directory / "log" / tile_path(0, 3)).unlink()


def other_edge(case: Case) -> None:
    path = case.directory / "log" / "tiles.json"
    found = json.loads(path.read_bytes())
    found["edge"][1] = "00" * 32 + found["edge"][1][64:]
    path.write_bytes(json.dumps(found).encode())


def other_index(case: Case) -> None:
    case.segments[0].index.write_bytes(b"PAR1 some jndex PAR1")


def gone_index(case: Case) -> None:
    case.segments[0].index.unlink()


TABLE: list[tuple[Callable[[Case], None], str, str]] = [
    (changed_sealed, "record", r"record 4200 \(.*000001\.records\.zst: frame 1, line 105\) is not"),
    (changed_with_its_tile, "record", r"of records 4096 to 4351 .* tile/0/016 with them"),
    (swapped_sealed, "record", r"record 4310 \(.*frame 0, line 11\) is the one .* as 4311"),
    (inserted_sealed, "inserted", r"begins with record 5000, and 5001 come before it: 1 were put"),
    (inserted_sealed, "record", r"record 4310 .* was put in"),
    (removed_sealed, "gap", r"only 4999 come before it: record 4999 is missing"),
    (removed_sealed, "record", r"record 4310 was removed: from .*line 11"),
    (replaced_sealed, "record", r"record 4310 was removed: from .*line 11"),
    (changed_hot, "record", r"of records 5300 to 5389 \(from .*jsonl, line 1 to .*line 90\)"),
    (swapped_hot, "record", r"the first 5390 records are not those"),
    (inserted_hot, "record", r"the first 5390 records are not those"),
    (cut_hot, "shrunken", r"ends after 5387 records, .* signed for 5390: the last 3 are missing"),
    (torn_hot, "shrunken", r"ends after 5389 records"),
    (torn_hot, "torn", r"000004\.jsonl: record 5389 is a torn line of \d+ octets"),
    (torn_before, "torn", r"000004\.jsonl: record 5389 is a torn line of \d+ octets"),
    (gone_segment, "gap", r"records 4300 to 4999 are missing, which .*-000002 had"),
    (gone_segment_and_checkpoint, "gap", r"records 4300 to 4999 are missing$"),
    (gone_newest, "shrunken", r"ends after 5300 records"),
    (gone_newest, "gap", r"records from 5300 on are missing, which .*-000004 had"),
    (gone_seal, "gap", r"records 5000 to 5299 are missing, which .*-000003 had"),
    (gone_records, "gap", r"000003\.records\.zst: the file is missing: records 5000 to 5299"),
    (gone_details, "detail", r"000003\.details\.0\.zst: the file is missing: .* 5000 to 5299"),
    (gone_checkpoint, "signature", r"log/checkpoint: the checkpoint is missing"),
    (gone_begin, "signature", r"000002\.checkpoint: the checkpoint is missing"),
    (gone_keys, "key", r"log/keys: the file is missing"),
    (foreign_checkpoint, "signature", r"log/checkpoint: signed by .*, and by none of the keys"),
    (forked, "fork", r"kept-elsewhere: signed for another history of 4300 records than .*000002"),
    (forked_between, "fork", r"kept-elsewhere: signed for another history of 4444 records"),
    (shrunken, "shrunken", r"ends after 5300 records, and .*kept-elsewhere was signed for 5390"),
    (expired, "key", r"log/checkpoint: its key \w+ was expired, or replaced, when .*, 2199"),
    (not_yet_valid, "key", r"log/checkpoint: its key \w+ was not yet valid when .*, 2001"),
    (timeless, "key", r"log/checkpoint: it does not say when it was made"),
    (other_detail, "detail", r"frame 1, line 106: record 4201 has a detail that is not"),
    (detail_in_secret, "erased", r"000002\.seal: 0 records and \d+ details are not there"),
    (erased_in_secret, "erased", r"000002\.seal: 1 records and 0 details are not there"),
    (erased_hot, "erased", r"000004\.jsonl: 1 records and 0 details were removed"),
    (shifted_time, "seal", r"000002\.seal: it says from when to when .* frame 0 has others"),
    (shifted_first, "seal", r"000002\.seal: it says that record 4301 is its first; .* says 4300"),
    (appended_to_frames, "frame", r"000002\.records\.zst: 4 octets follow its last frame, at"),
    (other_tile, "tile", r"tile/0/003: hash 5 is not that of record 773 \(.*frame 0, line 774\)"),
    (gone_tile, "tile", r"tile/0/003: No such file"),
    (other_edge, "tile", r"tiles\.json: its edge is not what the tiles come to"),
    (other_index, "index", r"000001\.parquet: the index is missing or damaged; .*reindex"),
    (gone_index, "index", r"000001\.parquet: the index is missing or damaged; .*reindex"),
]


@pytest.mark.parametrize(("tamper", "kind", "text"), TABLE,
                         ids=[f"{each[0].__name__}-{each[1]}" for each in TABLE])
def test_what_is_said(case: Case, tamper: Callable[[Case], None], kind: str, text: str) -> None:
    tamper(case)
    report = case.report(case.kept)
    assert [each for each in report.findings if each.kind == kind and re.search(text, each.text)], \
        "\n".join(f"{each.kind}: {each.text}" for each in report.findings)
    assert not report.ok


HARMLESS = {"tile", "index"}


@pytest.mark.parametrize("tamper", [other_tile, gone_tile, other_edge, other_index, gone_index])
def test_that_no_record_is_doubted_for_a_damaged_aid(
        case: Case, tamper: Callable[[Case], None]) -> None:
    tamper(case)
    assert {each.kind for each in case.report(case.kept).findings} <= HARMLESS


def test_an_untouched_log_has_nothing_to_say(case: Case) -> None:
    report = case.report(case.kept)
    assert report.findings == [] and report.notes == []
    assert (report.size, report.signed, report.segments) == (SIZE, SIZE, 4)
    assert report.root == case.checkpoint().root.hex()
    assert report.compared == 6


@pytest.mark.parametrize("pattern", [
    "log/checkpoint", "log/keys", "log/tile/0/003", "log/tile/0/019", "log/tiles.json",
    "segments/*-000002.checkpoint", "segments/*-000001.seal", "segments/*-000001.records.zst",
    "segments/*-000001.details.0.zst", "segments/*-000001.parquet", "segments/*-000004.jsonl"])
def test_a_flipped_bit_is_found_wherever_it_is(case: Case, pattern: str) -> None:
    (path,) = case.directory.glob(pattern)
    whole = path.read_bytes()
    step = max(1, len(whole) * 8 // 13)
    for bit in range(3, len(whole) * 8, step):
        octets = bytearray(whole)
        octets[bit // 8] ^= 1 << bit % 8
        path.write_bytes(octets)
        report = case.report(case.kept)
        named = path.name if path.parent.name != "0" else f"tile/0/{path.name}"
        assert any(named in each.text for each in report.findings), \
            f"bit {bit}: {[each.text for each in report.findings]}"


def test_whatever_is_done_to_lines_is_found(template: Path, tmp_path: Path) -> None:
    """One line changed, put in, taken out, doubled or moved, anywhere, with everything that is not
    signed made to fit."""
    chance = random.Random(6)

    def once(lines: list[bytes]) -> list[bytes]:
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        line = lines[at]
        rest = [*lines[:at], *lines[at + 1:]]
        found = chance.choice([
            [*lines[:at], line[:50] + b"~" + line[51:], *lines[at + 1:]], rest,
            [*rest[:to], line, *rest[to:]], [*lines[:to], line, *lines[to:]],
            [*lines[:at], lines[to], *lines[at + 1:]]])
        return found if found != lines else rest

    for turn in range(16):
        case = copied(template, tmp_path / str(turn))
        number = turn % 4
        if number < 3:
            rewrite(case, number, once)
        else:
            case.write(once(case.lines()))
        assert {each.kind for each in case.report().findings} & {
            "record", "gap", "inserted", "shrunken"}
        shutil.rmtree(case.directory)


@pytest.mark.parametrize("how", ["cut", "empty", "garbage", "doubled"])
def test_whatever_is_done_to_a_file_is_found(template: Path, tmp_path: Path, how: str) -> None:
    """And nothing that lies there ends in a traceback."""
    chance = random.Random(how)
    case = copied(template, tmp_path / "evidence")
    paths = [path for path in sorted(case.directory.rglob("*")) if path.is_file()
             and path.name not in ("carried.json", "kept.json", "keeper.lock")
             and path.suffix != ".pem" and (path.parent.name != "0" or path.name == "019")]
    for path in paths:
        whole = path.read_bytes()
        if how == "cut":
            path.write_bytes(whole[:chance.randrange(1, len(whole))])
        else:
            path.write_bytes({"empty": b"", "garbage": chance.randbytes(len(whole)),
                              "doubled": whole * 2}[how])
        report = case.report(case.kept)
        # what nobody has signed yet is no evidence, and is only counted
        assert not report.ok or (how == "doubled" and path == case.hot and report.notes), path
        path.write_bytes(whole)
