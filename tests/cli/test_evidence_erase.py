"""`outbounds evidence erase`: what an account asked for is gone from every file, and nothing else;
what a case holds stays, and the log verifies as before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.archive.seal import load_seal
from outbounds.evidence.cases.custody import Held
from outbounds.evidence.cases.desk import Desk
from outbounds.evidence.cases.store import Cases
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import fields
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.privacy import load_key
from outbounds.evidence.record import Encoder
from outbounds.evidence.submit import recording
from outbounds.evidence.tlog.note import Verifier
from outbounds.evidence.verify import verify
from wire.harness import make_config

TEXTS = ("path", "agent", "key", "tag")


class Log:
    """Three segments, the first of them sealed, with records of two accounts in each."""

    def __init__(self, config: Path) -> None:
        self.config, self.data = config, config / "var"
        self.directory, self.socket = self.data / "evidence", self.data / "collector.sock"
        self.encoder = Encoder("s1", b"k" * 32)
        self.ids: dict[str, list[str]] = {"acct-one": [], "acct-two": []}
        (self.directory / "segments").mkdir(parents=True)
        for number in range(3):
            log = EvidenceLog(self.directory)
            lines = [line for account in self.ids for line in self._pair(account, number)]
            log.append([(slip(line), line) for line in lines])
            log.close()
            if number == 1:
                seal_all(self.directory, print, {})

    def _pair(self, account: str, number: int) -> list[bytes]:
        at = time.time_ns()
        record = opening(id=new_id(at), at=at, action="request")
        record.user_id, record.verdict = account, "allow"
        record.destination_domain = "www.example.org"
        record.user_agent = f"agent-of-{account}-{number}"
        self.ids[account].append(record.id)
        line = self.encoder.encode(record, f"/path-of-{account}-{number}?key-of-{account}=1")
        end = closing(record, at=at + 1, outcome="success", duration=1)
        end.robots_tag = f"tag-of-{account}-{number}"
        return [line, self.encoder.encode(end)]

    def erase(self, *words: str, account: str = "acct-one") -> Result:
        return CliRunner().invoke(main, [
            "evidence", "erase", "--config", str(self.config), "--account", account,
            "--reason", "request 17", *words])

    def texts(self) -> set[tuple[str, str]]:
        """(account, text) of all that any file of the service still says, whatever it is packed
        in."""
        found: set[tuple[str, str]] = set()
        for path in self.data.rglob("*"):
            if path.is_file() and path.suffix != ".sock":
                octets = path.read_bytes()
                if path.suffix == ".zst":
                    with zstandard.ZstdDecompressor().stream_reader(
                            octets, read_across_frames=True) as reader:
                        octets = reader.read()
                elif path.suffix == ".parquet":
                    octets = unpacked(path)
                found |= {(account, text) for account in self.ids for text in TEXTS
                          if f"{text}-of-{account}".encode() in octets}
        return found

    def records(self, action: str) -> list[dict[str, object]]:
        return [record for each in read_all(self.directory)
                if (record := fields(each.envelope, each.detail))["event.action"] == action]

    def verified(self) -> None:
        key = Verifier.parse((self.directory / "log" / "keys").read_text().splitlines()[2])
        report = verify(self.directory, [key])
        assert report.ok, report.findings

    def hold(self, held: Held) -> str:
        with recording(self.directory, self.socket, load_key(self.data)) as recorder:
            desk = Desk(Cases(self.data / "evidence" / "cases"), recorder, "kim")
            case = desk.open_case("complaint").id
            desk.hold(case, held)
        return case


def unpacked(path: Path) -> bytes:
    import duckdb

    with duckdb.connect() as database:
        return repr(database.execute("SELECT * FROM read_parquet(?)",
                                     [str(path)]).fetchall()).encode()


def every(*accounts: str) -> set[tuple[str, str]]:
    return {(account, text) for account in accounts for text in TEXTS}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(make_config(tmp_path / "config", []))


def test_it_is_gone_from_every_file(log: Log) -> None:
    assert log.texts() == every("acct-one", "acct-two")
    done = log.erase("--dry-run")
    assert done.exit_code == 0, done.output
    assert "6 records, 6 details to be erased" in done.output
    assert log.texts() == every("acct-one", "acct-two") and not log.records("evidence.erase")

    done = log.erase("--yes")
    assert done.exit_code == 0, done.output
    assert "6 details erased" in done.output and "What stays" in done.output
    assert log.texts() == every("acct-two")
    log.verified()
    kept = log.records("request")
    assert len(kept) == 12, "the records themselves stay"
    assert [each["event.id"] for each in kept if each.get("url.path")] == log.ids["acct-two"]
    start, end = log.records("evidence.erase")
    assert (start["outbounds.scope"], start["event.reason"]) == ("account acct-one", "request 17")
    assert start["outbounds.operator"] and end["outbounds.count"] == 6
    seals = [load_seal(each.seal) for each in all_segments(log.directory) if each.sealed]
    assert sum(each.erased_details for each in seals) == 6
    assert all(each.index for each in seals), "they are searched as before"

    done = log.erase("--yes")
    assert done.exit_code == 0 and "0 details to be erased" in done.output


def test_what_a_case_holds_stays(log: Log) -> None:
    case = log.hold(Held(events=(log.ids["acct-one"][1],), reason="r"))
    done = log.erase("--yes")
    assert done.exit_code == 1, done.output
    assert f"Case {case} holds 2 details" in done.output
    assert "4 details erased" in done.output
    assert [each["event.id"] for each in log.records("request")
            if each.get("url.path") and each["user.id"] == "acct-one"] == [log.ids["acct-one"][1]]
    log.verified()


def test_a_hold_of_the_account_keeps_all_of_it(log: Log) -> None:
    case = log.hold(Held(account="acct-one", reason="r"))
    done = log.erase("--yes")
    assert done.exit_code == 1 and f"Case {case} holds 6 details" in done.output
    assert log.texts() == every("acct-one", "acct-two")
    assert not log.records("evidence.erase")


@pytest.mark.parametrize("account", ["acct-on", "acct-one2", "acct", '"', "\x00", "-"])
def test_another_account_is_another_account(log: Log, account: str) -> None:
    done = log.erase("--yes", account=account)
    assert done.exit_code == 1 and "There is no record of account" in done.output
    assert log.texts() == every("acct-one", "acct-two")


def test_it_asks_first(log: Log) -> None:
    done = CliRunner().invoke(main, [
        "evidence", "erase", "--config", str(log.config), "--account", "acct-one",
        "--reason", "r"], input="n\n")
    assert done.exit_code == 1 and "Erase these details for good?" in done.output
    assert log.texts() == every("acct-one", "acct-two")


def test_a_case_that_cannot_be_read_stops_it(log: Log) -> None:
    (log.data / "evidence" / "cases" / "C-1").mkdir(parents=True)
    (log.data / "evidence" / "cases" / "C-1" / "custody.jsonl").write_text("{}\n")
    done = log.erase("--yes")
    assert done.exit_code == 1 and "custody.jsonl" in done.output
    assert log.texts() == every("acct-one", "acct-two")


def test_a_damaged_segment_is_named(log: Log) -> None:
    segment = all_segments(log.directory)[0]
    octets = bytearray(segment.records.read_bytes())
    octets[40] ^= 1
    segment.records.write_bytes(octets)
    done = log.erase("--yes")
    assert done.exit_code == 1 and "records.zst: frame 0" in done.output
