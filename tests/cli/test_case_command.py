"""`outbounds case`: what a person types, from the complaint to the bundle, on a log with two
accounts; a collector runs, as it does beside a proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.cli.moment_type import Moment
from outbounds.cli.query_options import read_endpoint, read_status, read_target
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.cases.store import Cases
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.frame import RECORDS
from outbounds.evidence.identifier import new_id
from outbounds.evidence.line import fields
from outbounds.evidence.privacy import load_key
from outbounds.evidence.pseudonym import pseudonym
from outbounds.evidence.record import Encoder
from outbounds.evidence.search import Endpoint, Target
from outbounds.evidence.submit import Recording
from outbounds.settings.evidence_file import load_evidence
from wire.harness import ROOT, make_config, wait_until

ALICE, BOB = "acct_alice", "acct_bob"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = make_config(tmp_path_factory.mktemp("case") / "config", [])
    data, settings = load_evidence(folder)
    data.mkdir(parents=True, exist_ok=True)
    collector = subprocess.Popen(
        [sys.executable, "-m", "outbounds.evidence.collector", "--dir", str(settings.directory),
         "--socket", str(settings.socket)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "addons")}, stderr=subprocess.DEVNULL)
    try:
        wait_until(settings.socket.exists)
        recorder = Recording(settings.socket, load_key(data))
        encoder = Encoder(f"test-{time.time_ns()}", load_key(data))
        for number in range(6):
            account, host = ((ALICE, "www.example.org"), (BOB, "www.example.net"))[number % 2]
            at = 1_795_262_587_000_250_000 + number * 1_000_000_000
            record = opening(id=new_id(at), at=at, action="request")
            record.user_id, record.destination_domain, record.verdict = account, host, "allow"
            end = closing(record, at=at + 1000, outcome="success", duration=1000,
                          egress=("192.0.2.7", 51000 + number))
            recorder.send(RECORDS, encoder.encode(record, "/p") + encoder.encode(end))
        yield folder
        recorder.close()
    finally:
        collector.terminate()
        collector.wait()


@pytest.fixture
def case(config: Path) -> str:
    return run(config, "open", "Attack on www.example.org").output.strip()


def run(config: Path | None, *words: str, text: str | None = None) -> Result:
    more = ["--config", str(config)] if config else []
    return CliRunner().invoke(main, ["case", *words, *more], input=text)


def fine(config: Path | None, *words: str, text: str | None = None) -> str:
    result = run(config, *words, text=text)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_the_complaint_to_the_bundle(config: Path, tmp_path: Path) -> None:
    case = fine(config, "open", "Attack on  www.example.org").strip()
    said = fine(config, "add", case, "--egress", "192.0.2.7:51002", "--target", "www.example.org",
                "--since", "2026-11-21T12:00:00Z", "--until", "2026-11-21 12:10")
    assert f"added to {case}: 1 events, 2 records, of 1 account\nThey are not held" in said
    fine(config, "note", case, text="The complaint came by mail,\nand was answered.\n")
    hold = fine(config, "hold", case, "--all-items", "--reason", "asked for by a court").strip()
    shown = fine(config, "show", case)
    key = load_key(load_evidence(config)[0])
    assert f"{pseudonym(key, ALICE)}: 1 events, 2 records" in shown and ALICE not in shown
    assert "and was answered." in shown and "hold (stands): ordered to be kept" in shown
    out = tmp_path / "bundle.zip"
    said = fine(config, "export", case, "-o", str(out))
    assert f"{out}: 2 records of 1 events" in said
    assert f"check it with: outbounds case verify {out}" in said
    # anywhere: no configuration
    verified = fine(None, "verify", str(out))
    assert verified.startswith(f"GOOD: case {case}, 2 records of 1 events, account {ALICE}\n")
    assert "that the key is that log's: compare it" in verified
    assert "no witness has seen this one" in verified
    refused = run(config, "close", case, "--reason", "over")
    assert refused.exit_code == 1 and f"holds records (hold {hold})" in refused.output
    fine(config, "release", case, hold, "--reason", "the court has it")
    fine(config, "close", case, "--reason", "over")
    for words in (("export", case, "-o", str(tmp_path / "x")), ("note", case, "late"),
                  ("hold", case, "--all-items", "--reason", "x"), ("show", case, "--unmask")):
        result = run(config, *words)
        assert result.exit_code == 1 and f"case {case}: was closed" in result.output
    row = next(line for line in fine(config, "list").splitlines() if line.startswith(case))
    assert "closed 20" in row and row.endswith("Attack on www.example.org")
    objects = [json.loads(line) for line in fine(config, "list", "--json").splitlines()]
    assert {"id": case, "events": 1, "holds": []}.items() \
        <= next(each for each in objects if each["id"] == case).items()


def test_the_key_is_pinned(config: Path, case: str, tmp_path: Path) -> None:
    fine(config, "add", case, "--account", ALICE)
    fine(config, "export", case, "-o", str(tmp_path / "out"))
    keys = (load_evidence(config)[1].directory / "log/keys").read_text().splitlines()
    (tmp_path / "key").write_text(keys[2] + "\n")
    for key in (keys[2], str(tmp_path / "key")):
        assert "that the key is that log's" not in fine(None, "verify", str(tmp_path / "out"),
                                                        "--key", key)
    found = json.loads(fine(None, "verify", str(tmp_path / "out"), "--json", "--key", keys[2]))
    assert found["good"] and found["pinned"] and found["records"] == 6
    (tmp_path / "out/report.html").write_text("x")
    result = run(None, "verify", str(tmp_path / "out"))
    assert result.exit_code == 1 and result.output == (
        "report.html: was changed: its checksum in SHA256SUMS is another\n"
        f"NOT GOOD: {tmp_path / 'out'} has 1 faults; it proves nothing as it is. Ask for another "
        "copy.\n")
    assert run(None, "verify", str(tmp_path / "out"), "--key", "x+1+AA").exit_code == 2
    assert run(None, "verify", str(tmp_path / "key")).exit_code == 1
    assert run(None, "verify", str(tmp_path / "nowhere")).exit_code == 2


def test_several_accounts(config: Path, case: str, tmp_path: Path) -> None:
    fine(config, "add", case, "--egress", "192.0.2.7")
    result = run(config, "export", case, "-o", str(tmp_path / "x"))
    assert result.exit_code == 1 and "is about 2 accounts" in result.output
    said = fine(config, "export", case, "-o", str(tmp_path / "a"), "--account", ALICE)
    assert "entries of the custody log are about other accounts" in said
    assert BOB not in said + fine(None, "verify", str(tmp_path / "a"))
    fine(config, "export", case, "-o", str(tmp_path / "m"), "--mixed")
    assert f"account {ALICE}, {BOB}" in fine(None, "verify", str(tmp_path / "m"))
    assert run(config, "export", case, "-o", "x", "--mixed", "--account", "y").exit_code == 2


def test_who_unmasks_is_on_record(config: Path, case: str) -> None:
    fine(config, "add", case, "--account", ALICE)
    assert ALICE not in fine(config, "show", case, "--json")
    assert ALICE in fine(config, "show", case, "--unmask")
    directory = load_evidence(config)[1].directory
    acts = [found for each in read_all(directory) if (found := fields(each.envelope)).get(
        "event.action") == "evidence.unmask" and found["outbounds.case"] == case]
    assert [each["event.type"] for each in acts] == ["start", "end"]
    assert acts[0]["outbounds.scope"] == "outbounds case show"


def test_holds_are_there_for_retention(config: Path, case: str) -> None:
    fine(config, "hold", case, "--account", ALICE, "--since", "2026-11-21", "--until", "2026-11-22",
         "--reason", "order 17/26")
    data, _ = load_evidence(config)
    hold, = [each for each in Cases(data / "evidence" / "cases").holds() if each.case == case]
    day = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp()) * 1_000_000
    assert (hold.account, hold.since, hold.until) == (ALICE, day, day + 2 * 86_400_000_000 - 1)


def test_without_a_collector_one_is_started_for_it(tmp_path: Path) -> None:
    config = make_config(tmp_path / "config", [])
    assert fine(config, "open", "x", "--id", "ABUSE-7") == "ABUSE-7\n"
    result = run(config, "open", "x", "--id", "ABUSE-7")
    assert result.exit_code == 1 and "case ABUSE-7: there is one already" in result.output
    result = run(config, "export", "ABUSE-7", "-o", str(tmp_path / "x"))
    assert result.exit_code == 1 and "has no records" in result.output


@pytest.mark.parametrize(("words", "code", "said"), [
    (("open", " \n"), 2, "the title is empty"),
    (("open", "x", "--id", "../x"), 1, "letters, digits and hyphens"),
    (("show", "C-1"), 1, "case 'C-1': there is no such case"),
    (("add", "C-1"), 2, "no condition"),
    (("add", "C-1", "--id", "x"), 1, "there is no such case"),
    (("add", "C-1", "--since", "soon"), 2, "'soon' is no time"),
    (("add", "C-1", "--egress", "192.0.2.7:70000"), 2, "a port is 65535 at most"),
    (("add", "C-1", "--target", "a b"), 2, "'a b'"),
    (("note", "C-1", "x"), 1, "there is no such case"),
    (("hold", "C-1", "--all-items"), 2, "--reason"),
    (("release", "C-1", "x", "--reason", "y"), 2, "'x' is not a valid integer"),
    (("close", "C-1", "--reason", "x"), 1, "there is no such case"),
    (("export", "C-1", "-o", "/nowhere/x"), 1, "there is no such case"),
])
def test_what_cannot_be_done_is_said(config: Path, words: tuple[str, ...], code: int,
                                     said: str) -> None:
    result = run(config, *words)
    assert result.exit_code == code and said in result.output, result.output


def test_what_a_case_does_not_find(config: Path, case: str) -> None:
    for words in (("--egress", "192.0.2.99"), ("--account", "acct_nobody"), ("--id", "x")):
        result = run(config, "add", case, *words)
        assert result.exit_code == 1 and f"nothing is added to {case}" in result.output
    result = run(config, "note", case, text="")
    assert result.exit_code == 1 and "the note is empty" in result.output
    result = run(config, "hold", case, "--reason", "x")
    assert result.exit_code == 1 and "say what is held" in result.output


def test_a_broken_configuration_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, "list")
    assert result.exit_code == 1 and "outbounds.yaml: no such file" in result.output


# --- words of a search --------------------------------------------------------------------------

NOW = datetime(2026, 11, 21, 12, 3, 7, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
MIDNIGHT = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(("text", "first", "last"), [
    ("2026-11-21T12:03:07Z", SECONDS * 10**6, SECONDS * 10**6),
    ("2026-11-21T13:03:07.5+01:00", SECONDS * 10**6 + 500_000, SECONDS * 10**6 + 500_000),
    ("2026-11-21 12:03:07", SECONDS * 10**6, SECONDS * 10**6),
    ("now", SECONDS * 10**6, SECONDS * 10**6),
    ("2h ago", (SECONDS - 7200) * 10**6, (SECONDS - 7200) * 10**6),
    ("90 s ago", (SECONDS - 90) * 10**6, (SECONDS - 90) * 10**6),
    ("2026-11-21", MIDNIGHT * 10**6, (MIDNIGHT + 86_400) * 10**6 - 1),
    ("Today", MIDNIGHT * 10**6, (MIDNIGHT + 86_400) * 10**6 - 1),
    ("yesterday", (MIDNIGHT - 86_400) * 10**6, MIDNIGHT * 10**6 - 1),
])
def test_moments(text: str, first: int, last: int) -> None:
    assert Moment(now=lambda: NOW).read(text) == first
    assert Moment(last=True, now=lambda: NOW).read(text) == last


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "ago", "x ago", "21/11/2026", "12:03"])
def test_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(("text", "found"), [
    ("192.0.2.7:51234", Endpoint(ip_network("192.0.2.7"), 51234)),
    ("192.0.2.7", Endpoint(ip_network("192.0.2.7"))),
    ("192.0.2.0/24", Endpoint(ip_network("192.0.2.0/24"))),
    (":51234", Endpoint(None, 51234)),
    ("[2001:DB8::1]:443", Endpoint(ip_network("2001:db8::1"), 443)),
    ("2001:db8::1", Endpoint(ip_network("2001:db8::1"))),
    ("2001:db8::/32", Endpoint(ip_network("2001:db8::/32"))),
    ("::ffff:192.0.2.7", Endpoint(ip_network("192.0.2.7"))),
])
def test_endpoints(text: str, found: Endpoint) -> None:
    assert read_endpoint(text) == found


@pytest.mark.parametrize(("text", "found"), [
    ("WWW.Example.ORG.", Target("www.example.org")),
    ("www.example.org:443", Target("www.example.org", port=443)),
    (".example.org", Target("example.org", below=True)),
    ("bücher.example", Target("xn--bcher-kva.example")),
    ("192.0.2.7:80", Target(network=ip_network("192.0.2.7"), port=80)),
    ("192.0.2.0/24", Target(network=ip_network("192.0.2.0/24"))),
    ("[2001:db8::1]:443", Target(network=ip_network("2001:db8::1"), port=443)),
])
def test_targets(text: str, found: Target) -> None:
    assert read_target(text) == found


@pytest.mark.parametrize(("text", "found"), [("404", (404, 404)), ("4xx", (400, 499)),
                                             ("400-403", (400, 403))])
def test_statuses(text: str, found: tuple[int, int]) -> None:
    assert read_status(text) == found


@pytest.mark.parametrize(("read", "text"), [
    (read_endpoint, "host.example"), (read_endpoint, "192.0.2.7:99999"), (read_endpoint, "[::1"),
    (read_target, "a b"), (read_status, "abc"), (read_status, "4x"),
])
def test_what_is_none(read: object, text: str) -> None:
    with pytest.raises(ValueError):
        read(text)  # type: ignore[operator]
