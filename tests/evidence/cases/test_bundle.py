"""Bundles: made from a real log, about one account, verified by us and with sh, sha256sum and
openssl; and whatever is changed in one is found and named."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from bundling import (
    EGRESS,
    KEY,
    Office,
    checked,
    files_of,
    of_egress,
    of_target,
    office,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.witness.peers import Authority
from outbounds.evidence.cases import bundle as bundling_module
from outbounds.evidence.cases.bundle import Log, export, proof
from outbounds.evidence.cases.check import Trust, check
from outbounds.evidence.cases.check_records import read_proof
from outbounds.evidence.cases.container import reading
from outbounds.evidence.cases.custody import Held
from outbounds.evidence.cases.desk import Desk, NotDone
from outbounds.evidence.cases.material import Foreign, NothingToExport, SeveralAccounts
from outbounds.evidence.cases.readme import readme
from outbounds.evidence.cases.statement import Statement
from outbounds.evidence.cases.store import CaseClosed
from outbounds.evidence.line import placeholder
from outbounds.evidence.search import Event, Query, search
from outbounds.evidence.submit import Recording
from outbounds.evidence.tlog.checkpoint import Checkpoint
from outbounds.evidence.tlog.note import Signer, Verifier, split
from outbounds.evidence.witness.stamps import folder_of, keep
from outbounds.evidence.witness.timestamp_token import request, token_time
from outbounds.settings.evidence import Witness

ALICE, BOB = "acct_alice", "acct_bob"
# everything by which the other customer could be recognised
BOBS = ("acct_bob", "bobs-host.example.net", "203.0.113.99", "bobs-agent", "bobs-path")


def fill(it: Office) -> None:
    for number in range(5):
        it.traffic.event(ALICE, "www.example.org", f"/login/{number}?user=kim")
        it.traffic.event(BOB, "bobs-host.example.net", "/bobs-path", agent="bobs-agent",
                         source="203.0.113.99", port=51111)
    it.traffic.event(BOB, "www.example.org", "/bobs-path", agent="bobs-agent",
                     source="203.0.113.99", port=51111)
    it.traffic.event(ALICE, "www.example.org", "/refused", verdict="refuse", reason="denied")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office(tmp_path_factory.mktemp("office")) as it:
        fill(it)
        yield it


@pytest.fixture(scope="module")
def good(place: Office) -> Path:
    """A case of one account."""
    case = place.desk.open_case("Attack on www.example.org")
    place.add(case.id, of_egress(51234), complaint="2026-11-21T12:03:09.000000Z",
              findings=("certain: the port was used by nobody else",))
    place.desk.note(case.id, "The complaint came by mail,\nand was answered.")
    place.desk.hold(case.id, Held(reason="asked for by a court", all_items=True))
    out = place.data / "good"
    export(place.desk, case.id, place.log, out)
    return out


@pytest.fixture(scope="module")
def mixed_case(place: Office) -> str:
    """A case of two accounts."""
    case = place.desk.open_case("Attack on www.example.org")
    place.add(case.id, of_target("www.example.org"))
    place.add(case.id, Query(account=BOB))
    place.desk.note(case.id, "It may also be acct_bob.")
    place.desk.hold(case.id, Held(reason="for acct_bob", account=BOB))
    place.desk.hold(case.id, Held(reason="for alice", account=ALICE))
    return case.id


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copy"))


# --- what is in it ------------------------------------------------------------------------------

def test_a_good_bundle_is_good(good: Path, place: Office) -> None:
    found = checked(good)
    assert found.findings == [] and not found.pinned
    stated = found.statement
    assert isinstance(stated, Statement)
    assert (stated.accounts, stated.events, stated.records) == ((ALICE,), 6, 18)
    assert stated.searches[0].conditions == {"egress": f"{EGRESS}:51234"}
    assert (stated.searches[0].events, stated.searches[0].events_here) == (6, 6)
    assert len(list((good / "acts").iterdir())) == 5  # open, add, note, hold, and the export itself


def test_records_are_to_the_octet_those_of_the_log(good: Path, place: Office) -> None:
    lines = b"".join(path.read_bytes() for path in (place.directory / "segments").glob("*.jsonl"))
    details = 0
    for path in (good / "records").iterdir():
        detail = good / "details" / path.name
        more = b"\t" + detail.read_bytes() if detail.exists() else b""
        details += detail.exists()
        assert path.read_bytes() + more + b"\n" in lines
    assert details == 6


def commands(folder: Path) -> str:
    """The blocks of README.txt that are to be pasted, as they stand there."""
    text = (folder / "README.txt").read_text().partition("HOW TO VERIFY IT")[2]
    lines = [line[5:] for line in text.partition("WHAT THIS SHOWS")[0].split("\n")
             if line.startswith("     ")]
    key = lines.index(next(line for line in lines if re.fullmatch(r"\S+\+[0-9a-f]{8}\+\S+", line)))
    return "\n".join(lines[:key] + lines[key + 1:])


def paste(folder: Path) -> tuple[str, str]:
    done = subprocess.run(["sh", "-u", "-c", commands(folder)], cwd=folder, capture_output=True,
                          text=True, timeout=120, check=False)
    return done.stdout, done.stderr


def test_a_stranger_verifies_it_with_sh_and_openssl(good: Path) -> None:
    out, errors = paste(good)
    assert errors == ""
    assert out.count("Signature Verified Successfully") == 2
    for line in ("files: good", "records: checked", "details: checked", "statement: good",
                 "list: good", "count: good, 18 records", "list: checked", "custody: good"):
        assert line in out.splitlines()
    assert not re.search("NOT|BROKEN|CHANGED|FAILED", out)
    octets = [line for line in out.splitlines() if re.fullmatch("( [0-9a-f]{2})+", line)]
    assert octets[2].startswith(" 01") and (octets[0] + octets[1]).replace(" ", "") in \
        "".join(octets[2:]).replace(" ", "")  # the key of log/key.pem is the one that is named


def test_a_key_with_a_plus_in_it_is_named_whole(good: Path) -> None:
    """A verifier is NAME+ID+BASE64, and base64 has "+", too."""
    key = Verifier("outbounds/x", bytes([0, 0xBE, *range(30)]))
    encoded = base64.b64encode(b"\x01" + key.key).decode()
    assert "+" in encoded
    stated = msgspec.json.decode((good / "statement.json").read_bytes(), type=Statement)
    text = readme(stated, Checkpoint("outbounds/x", 1, bytes(32)), key, 0, ())
    assert f"printf '%s' '{encoded}' | base64 -d" in text


def flipped(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def test_the_stranger_finds_what_was_changed_even_if_the_checksums_were_made_anew(
        copy: Path) -> None:
    """One file of each kind, each of another record."""
    changed = [sorted(copy.glob(pattern))[at] for at, pattern in enumerate(
        ("records/*.json", "details/*.json", "proofs/*.tlog-proof", "acts/*.json"))]
    for path in changed:
        flipped(path)
    (copy / "SHA256SUMS").write_text(sums_of(copy))
    out, errors = paste(copy)
    assert "files: good" in out and "Signature Verification Failure" in out + errors
    record, detail, proved, act = (path.relative_to(copy) for path in changed)
    assert {line for line in out.splitlines() if "NOT" in line} == {
        f"NOT IN THE LOG: {record}", f"NOT THE ONE LISTED: {record}", f"NOT ITS DETAIL: {detail}",
        f"NOT IN THE LOG: records/{proved.stem}.json", f"NOT IN THE LOG: {act}"}


def sums_of(folder: Path) -> str:
    return "".join(f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
                   for name in files_of(folder) if not name.startswith("SHA256SUMS"))


# --- whose it is --------------------------------------------------------------------------------

def every_octet(folder: Path) -> bytes:
    return b"\n".join(name.encode() + b"\n" + (folder / name).read_bytes()
                      for name in files_of(folder))


def test_it_holds_nothing_of_other_customers(place: Office, mixed_case: str,
                                             tmp_path: Path) -> None:
    out = tmp_path / "alice"
    stated = export(place.desk, mixed_case, place.log, out, account=ALICE)
    assert checked(out).findings == []
    octets = every_octet(out)
    others = [event.id for event in search(place.directory, Query(account=BOB))]
    assert len(others) == 6
    for text in (*BOBS, *others):
        assert text.encode() not in octets, text
    # the search says that there was more, and not whose
    assert [(each.events, each.events_here) for each in stated.searches] == [(7, 6)]
    assert stated.others == 1
    assert stated.left_out == 4  # both searches, the note, the hold for bob
    assert b"for alice" in octets and b"left out of this bundle" in octets


def test_nobody_said_whose(place: Office, mixed_case: str, tmp_path: Path) -> None:
    with pytest.raises(SeveralAccounts, match=r"is about 2 accounts: .* --account, .* --mixed"):
        export(place.desk, mixed_case, place.log, tmp_path / "out")
    with pytest.raises(NothingToExport, match="no records of account 'acct_carol'"):
        export(place.desk, mixed_case, place.log, tmp_path / "out", account="acct_carol")
    assert list(tmp_path.iterdir()) == []


def test_all_of_them_if_that_is_asked_for(place: Office, mixed_case: str, tmp_path: Path) -> None:
    stated = export(place.desk, mixed_case, place.log, tmp_path / "all", mixed=True)
    assert (stated.accounts, stated.events, stated.left_out) == ((ALICE, BOB), 12, 0)
    assert checked(tmp_path / "all").findings == []


def test_a_record_of_somebody_else_is_refused(place: Office, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that do not belong to this log, or were changed: then nothing is handed on."""
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))
    real = bundling_module.fetch

    def other(directory: Path, positions: object) -> list[object]:
        found = real(directory, positions)  # type: ignore[arg-type]
        foreign = real(directory, [3])[0]   # bob's
        return [each._replace(envelope=foreign.envelope) for each in found]

    with monkeypatch.context() as patch:
        patch.setattr(bundling_module, "fetch", other)
        with pytest.raises(Foreign, match="is not of event"):
            export(place.desk, case.id, place.log, tmp_path / "out")
        patch.setattr(bundling_module, "fetch", lambda directory, positions: [])
        with pytest.raises(Foreign, match="is not in the log any more"):
            export(place.desk, case.id, place.log, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# --- containers ---------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_archive_holds_the_same(place: Office, tmp_path: Path, suffix: str) -> None:
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))
    out = tmp_path / f"out.{suffix}"
    export(place.desk, case.id, place.log, out)
    assert checked(out).findings == []
    if suffix == "zip":
        with zipfile.ZipFile(out) as archive:
            archive.extractall(tmp_path / "there")
    else:
        with tarfile.open(out) as archive:
            archive.extractall(tmp_path / "there", filter="data")
    assert checked(tmp_path / "there").findings == []
    assert (tmp_path / "there" / case.id / "report.html").exists()  # in a folder of its own
    assert out.stat().st_mode & 0o077 == 0


def test_nothing_is_overwritten(place: Office, good: Path, tmp_path: Path) -> None:
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))
    (tmp_path / "out.zip").write_text("mine")
    for out in (good, tmp_path / "out.zip"):
        with pytest.raises(FileExistsError):
            export(place.desk, case.id, place.log, out)
    assert (tmp_path / "out.zip").read_text() == "mine" and checked(good).findings == []


# --- what was changed is found ------------------------------------------------------------------

def resealed(folder: Path) -> None:
    """What somebody does who has changed a bundle and knows how it is made, but has neither key:
    a new case key, everything signed with it, new checksums."""
    signer = Signer("outbounds-case/C/0", Ed25519PrivateKey.generate())
    path = folder / "statement.json"
    path.write_text(re.sub(r'"key": "[^"]*"', f'"key": "{signer.verifier}"', path.read_text()))
    (folder / "case-key.pem").write_bytes(bundling_module.pem(signer.verifier))
    sums = sums_of(folder)
    (folder / "SHA256SUMS").write_text(sums)
    (folder / "SHA256SUMS.sig").write_bytes(signer.key.sign(sums.encode()))


def test_a_bit_flipped_in_any_file_is_found_and_named(good: Path, tmp_path: Path) -> None:
    names = files_of(good)
    assert len(names) > 40
    copy = Path(shutil.copytree(good, tmp_path / "copy"))
    for number, name in enumerate(names):
        whole = (copy / name).read_bytes()
        for at in {0, len(whole) - 1, (number * 7919) % len(whole)}:
            (copy / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1 << number % 8])
                                      + whole[at + 1:])
            found = checked(copy).findings
            assert any(name in f"{each.file} {each.problem}" for each in found), (name, at, found)
        (copy / name).write_bytes(whole)
    assert checked(copy).findings == []


def test_a_missing_file_is_found_and_named(good: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(good, tmp_path / "copy"))
    for name in files_of(good):
        if name != "SHA256SUMS":
            (copy / name).unlink()
            assert any(each.file == name and "missing" in each.problem
                       for each in checked(copy).findings), name
            shutil.copy(good / name, copy / name)


def test_a_file_too_many_is_found_and_named(copy: Path) -> None:
    (copy / "records" / "extra.json").write_text("{}")
    assert {each.file for each in checked(copy).findings} == {"records/extra.json"}


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = sorted(folder.glob(name))[0]
        octets = path.read_bytes()
        assert old in octets
        path.write_bytes(octets.replace(old, new, 1))
    return change


def drop_last(folder: Path) -> None:
    """The last record, with all that speaks of it: the statement then counts one less."""
    name = sorted(path.stem for path in (folder / "records").iterdir())[-1]
    for path in folder.glob(f"*/{name}.*"):
        path.unlink()
    leaves = (folder / "leaves.txt").read_bytes()
    shorter = b"".join(leaves.splitlines(keepends=True)[:-1])
    (folder / "leaves.txt").write_bytes(shorter)
    path = folder / "statement.json"
    path.write_text(path.read_text().replace(sha256(leaves).hexdigest(),
                                             sha256(shorter).hexdigest()))
    edit("statement.json", b'"records": 18,\n  "erased', b'"records": 17,\n  "erased')(folder)


def swap_details(folder: Path) -> None:
    first, second = sorted((folder / "details").iterdir())[:2]
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def erase_detail(folder: Path) -> None:
    """As if it had been erased before."""
    path = sorted((folder / "details").iterdir())[0]
    path.unlink()
    leaves = (folder / "leaves.txt").read_bytes()
    changed = leaves.replace(b" here ", b" erased ", 1)
    (folder / "leaves.txt").write_bytes(changed)
    edit("statement.json", sha256(leaves).hexdigest().encode(),
         sha256(changed).hexdigest().encode())(folder)
    edit("statement.json", b'"erased_details": 0', b'"erased_details": 1')(folder)


def drop_note(folder: Path) -> None:
    path = folder / "custody.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))


def hide_note(folder: Path) -> None:
    path = folder / "custody.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].partition(b"\t")[0] + b"\n", lines[3]]))


def no_export(folder: Path) -> None:
    name = sorted(path.stem for path in (folder / "acts").iterdir())[-1]
    (folder / f"acts/{name}.json").unlink()
    (folder / f"proofs/{name}.tlog-proof").unlink()


TAMPERED = [
    # what was done, after which everything was sealed anew without the keys; which file is named
    (edit("records/*.json", b'"user.id":"acct_alice"', b'"user.id":"acct_carol"'), "records/"),
    (swap_details, "details/"),
    (drop_last, "statement.json"),
    (erase_detail, "statement.json"),
    (edit("statement.json", b"kim", b"eve"), "statement.json"),
    (edit("statement.json", b'"events_here": 6', b'"events_here": 5'), "statement.json"),
    (edit("custody.jsonl", b"answered", b"refused!"), "custody.jsonl"),
    (drop_note, "custody.jsonl"),
    (hide_note, "custody.jsonl"),
    (no_export, "statement.json"),
    (edit("acts/*.json", b"case.open", b"case.shut"), "acts/"),
    (edit("log/checkpoint", b"\ntime 2", b"\ntime 3"), "log/checkpoint"),
    (edit("log/keys", b"\nuntil 2028", b"\nuntil 2029"), "log/keys"),
    (edit("proofs/*", b"index ", b"index 1"), "proofs/"),
]


@pytest.mark.parametrize(("change", "named"), TAMPERED)
def test_whoever_seals_it_anew_is_found(copy: Path, change: Callable[[Path], None],
                                        named: str) -> None:
    change(copy)
    resealed(copy)
    found = checked(copy).findings
    assert any(each.file.startswith(named) for each in found), found
    # the case's key is in the log: another one is another case
    assert any("recorded before" in each.problem for each in found)


def test_the_log_s_key_is_pinned(good: Path, place: Office) -> None:
    mine = Verifier.parse((place.directory / "log/keys").read_text().splitlines()[2])
    other = Signer(mine.name, Ed25519PrivateKey.generate()).verifier
    with reading(good) as files:
        found = check(files, [mine])
        assert found.pinned and found.findings == []
        problem = check(files, [other]).findings[0]
    assert (problem.file, problem.problem) == (
        "log/keys", "none of these keys is the one that is trusted")


def test_a_whole_other_log_is_found_by_its_key_alone(good: Path, tmp_path: Path) -> None:
    """Somebody makes a log of their own, with records of their own: nothing in that bundle is
    wrong. That is why the key has to come from elsewhere."""
    (tmp_path / "forged").mkdir()
    with office(tmp_path / "forged") as forged:
        forged.traffic.event(ALICE, "www.example.org")
        case = forged.desk.open_case("Attack on www.example.org")
        forged.add(case.id, of_egress(51234))
        export(forged.desk, case.id, forged.log, tmp_path / "out")
    real = Verifier.parse((good / "log/keys").read_text().splitlines()[2])
    assert checked(tmp_path / "out").findings == []
    with reading(tmp_path / "out") as files:
        assert [each.file for each in check(files, [real], Trust()).findings] == ["log/keys"]


# --- what was removed ---------------------------------------------------------------------------

def test_what_was_erased_is_shown_as_erased(place: Office, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention and erasure rewrite the log; here what is read of it is as they leave it."""
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))
    real = bundling_module.fetch

    def left(directory: Path, positions: object) -> list[object]:
        found = real(directory, positions)  # type: ignore[arg-type]
        if len(found) != 18:
            return list(found)
        return [found[0]._replace(detail=b""),
                *(each._replace(envelope=placeholder(each.envelope), detail=b"")
                  for each in found[1:4]), *found[4:]]

    opened = case.lines[0].entry.record

    def without_the_opening(directory: Path, query: Query) -> Iterator[Event]:
        return (event for event in search(directory, query) if event.id != opened)

    with monkeypatch.context() as patch:
        patch.setattr(bundling_module, "fetch", left)
        patch.setattr(bundling_module, "search", without_the_opening)
        stated = export(place.desk, case.id, place.log, tmp_path / "out")
    assert (stated.erased_records, stated.erased_details, stated.unrecorded) == (3, 1, (1,))
    assert checked(tmp_path / "out").findings == []
    out, errors = paste(tmp_path / "out")
    assert errors == "" and not re.search("NOT|BROKEN|CHANGED", out)
    page = (tmp_path / "out/report.html").read_text()
    assert "3 records were removed from the log" in page and ">erased</em>" in page


# --- cases --------------------------------------------------------------------------------------

def test_a_closed_case_exports_nothing(place: Office, tmp_path: Path) -> None:
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))
    hold = place.desk.hold(case.id, Held(reason="r", all_items=True))
    with pytest.raises(NotDone, match=rf"holds records \(hold {hold}\), and would for ever"):
        place.desk.close(case.id, "over")
    place.desk.release(case.id, hold, "over")
    place.desk.close(case.id, "over")
    with pytest.raises(CaseClosed):
        export(place.desk, case.id, place.log, tmp_path / "out")
    with pytest.raises(CaseClosed):
        place.desk.note(case.id, "x")


def test_what_is_done_is_in_the_log_first(place: Office, good: Path) -> None:
    done = {str(event.first("event.action")): event
            for event in search(place.directory, Query())
            if event.first("outbounds.case") == "C-2026-001"}
    assert set(done) == {"case.open", "case.add", "case.note", "case.hold", "case.export"}
    custody = (place.data / "cases/C-2026-001/custody.jsonl").read_text()
    for event in done.values():
        assert event.first("outbounds.operator") == "kim" and event.id in custody
    assert done["case.export"].first("outbounds.count") == 18


@pytest.mark.parametrize(("held", "said"), [
    (Held(reason="r"), "say what is held"),
    (Held(reason="r", all_items=True, since=1), "a time belongs to the hold of an account"),
    (Held(reason="r", events=("e",), until=1), "a time belongs to the hold of an account"),
    (Held(reason="r", account="a", since=2, until=1), "would end before it begins"),
])
def test_a_hold_that_keeps_nothing_is_refused(place: Office, held: Held, said: str) -> None:
    case = place.desk.open_case("x")
    with pytest.raises(NotDone, match=said):
        place.desk.hold(case.id, held)
    with pytest.raises(NotDone, match="has no hold 7; those that stand: none"):
        place.desk.release(case.id, 7, "x")
    with pytest.raises(NotDone, match="nothing was found"):
        place.add(case.id, of_egress(9))
    with pytest.raises(NotDone, match="the note is empty"):
        place.desk.note(case.id, " \n")
    with pytest.raises(NothingToExport, match="has no records"):
        export(place.desk, case.id, place.log, place.data / "nothing")


def test_an_event_that_ended_later_is_exported_with_its_end(place: Office,
                                                            tmp_path: Path) -> None:
    from outbounds.evidence.decision import closing, opening
    from outbounds.evidence.frame import RECORDS

    id = place.traffic.event("acct_dora", "tunnel.example.org", over=False, port=60001)
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(60001))
    record = opening(id=id, at=place.traffic.at, action="request")
    place.recorder.send(RECORDS, place.traffic.encoder.encode(closing(
        record, at=place.traffic.at + 10**9, outcome="success", duration=10**9)))
    stated = export(place.desk, case.id, place.log, tmp_path / "out")
    assert (stated.events, stated.records, stated.searches[0].records) == (1, 3, 2)
    assert checked(tmp_path / "out").findings == []


def test_two_exports_at_once(place: Office, tmp_path: Path) -> None:
    """Each with a connection of its own, of one case: one after the other, and both are good."""
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))
    done: list[Statement] = []

    def run(name: str) -> None:
        recorder = Recording(place.data / "socket", KEY)
        done.append(export(Desk(place.desk.cases, recorder, "kim"), case.id, place.log,
                           tmp_path / name))
        recorder.close()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two.zip")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2 and done[0].custody != done[1].custody
    assert checked(tmp_path / "one").findings == checked(tmp_path / "two.zip").findings == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two.zip"]


def test_an_export_that_fails_is_on_record_as_failed(place: Office, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    case = place.desk.open_case("x")
    place.add(case.id, of_egress(51234))

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(bundling_module, "proof", full)
        export(place.desk, case.id, place.log, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    event, = (each for each in search(place.directory, Query(action="case.export"))
              if each.first("outbounds.case") == case.id)
    assert event.last("event.outcome") == "failure" and "No space" in event.last("event.reason")
    assert len(place.desk.cases.get(case.id).lines) == 2


# --- witnesses ----------------------------------------------------------------------------------

def test_what_witnesses_saw_is_in_it(tmp_path: Path) -> None:
    """A time stamp authority (openssl's) and a file: both in the bundle, checked by us, and the
    stamp by the command in the README."""
    authority = Authority(tmp_path)
    with office(tmp_path) as it:
        it.traffic.event(ALICE, "www.example.org")
        it.covered()
        note = (it.directory / "log/checkpoint").read_bytes()
        seen = Checkpoint.parse(split(note.decode())[0])
        reply = authority.answer("", request(note).as_bytes())[2]
        folder = folder_of(it.directory)
        keep(folder / "stamp", "timestamp", token_time(reply, note, [authority.root.read_bytes()]),
             seen.size, (note, b"query", reply))
        keep(folder / "disk", "file", int(seen.at or 0), seen.size, (note,))
        case = it.desk.open_case("x")
        it.add(case.id, of_egress(51234))
        log = Log(it.directory, (Witness.model_construct(name="stamp", ca=authority.root, key=""),))
        out = tmp_path / "out"
        export(it.desk, case.id, log, out)
    found = checked(out)
    assert found.findings == []
    assert [(each.name, each.kind, each.size, each.named_here) for each in found.witnessed] == [
        ("disk", "file", seen.size, True), ("stamp", "timestamp", seen.size, True)]
    with reading(out) as files:
        pinned = check(files, (), Trust(roots=(authority.root.read_bytes(),)))
        assert not pinned.witnessed[1].named_here
        stranger = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "/dev/null",
             "-subj", "/CN=Stranger"], check=True, capture_output=True).stdout
        refused = check(files, (), Trust(roots=(stranger,)))
        assert "the time stamp does not hold" in refused.findings[0].problem
    shutil.copy(authority.root, out / "ROOT.pem")
    shown, errors = paste(out)
    assert "Verification: OK" in shown + errors and "custody: good" in shown
    (out / "ROOT.pem").unlink()
    page = (out / "report.html").read_text()
    assert "a time stamp authority (RFC 3161)" in page and "Nobody else has seen" not in page
    for name in files_of(out / "witness"):
        whole = (out / "witness" / name).read_bytes()
        if whole and not name.endswith((".tsq", ".ca.pem")):  # asked with; and the bundle's word
            flipped(out / "witness" / name)
            (out / "SHA256SUMS").write_text(sums_of(out))
            found = checked(out)
            assert {each.file.partition("/")[0] for each in found.findings} \
                == {"SHA256SUMS", "witness"}, name
            (out / "witness" / name).write_bytes(whole)


# --- formats ------------------------------------------------------------------------------------

@pytest.mark.parametrize("octets", [
    b"", b"c2sp.org/tlog-proof@v2\nindex 1\n\nx", b"c2sp.org/tlog-proof@v1\nindex 01\n\nx",
    b"c2sp.org/tlog-proof@v1\nindex -1\n\nx", b"c2sp.org/tlog-proof@v1\nindex 1\nx",
    b"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx", b"c2sp.org/tlog-proof@v1\nindex 1\n***\n\nx",
    b"c2sp.org/tlog-proof@v1\nindex 1\n" + base64.b64encode(bytes(31)) + b"\n\nx",
    b"c2sp.org/tlog-proof@v1\nindex 1\n" + base64.b64encode(bytes(32))[:-2] + b"B=\n\nx",
])
def test_no_proof(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no proof|no hash"):
        read_proof(octets)


def test_a_proof_is_read_as_it_was_written() -> None:
    path = [bytes([number]) * 32 for number in range(3)]
    assert read_proof(proof(7, path, "note\n\n— x y\n")) == (7, path, b"note\n\n\xe2\x80\x94 x y\n")
