"""`outbounds evidence search` and `reindex`, over a log of sealed segments and a hot one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.privacy import load_key
from outbounds.evidence.pseudonym import pseudonym
from outbounds.evidence.record import Encoder
from outbounds.evidence.search import Query
from outbounds.evidence.search import search as search_log
from wire.harness import make_config

AT = 1_795_262_587_000_000_000  # 2026-11-21T12:03:07Z
HOUR = 3600 * 10**9
NAMES = ("acct_a", "acct_b", "acct_a", "acct_gone")
PATHS = ("/a?b=c", "/=cmd()", "/[bold]x", "/deep/er")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Four requests, an hour apart; the last is not sealed, and still under way."""
    found = make_config(tmp_path_factory.mktemp("search") / "config", [])
    directory = found / "var" / "evidence"
    (directory / "segments").mkdir(parents=True)
    encoder = Encoder("session-1", load_key(found / "var"))
    for number, account in enumerate(NAMES):
        at = AT + number * HOUR
        start = opening(id=new_id(at), at=at, action="request")
        start.user_id, start.source_ip, start.source_port = account, "203.0.113.9", 51234
        start.destination_domain, start.http_request_method = "www.example.net", "GET"
        start.verdict = "allow"
        start.reason = f"{account} is good"
        lines = [encoder.encode(start, PATHS[number])]
        if number < 3:
            lines.append(encoder.encode(closing(
                start, at=at + 2000, outcome="success", duration=2000, status=200,
                egress=("192.0.2.1", 40_000 + number), dialled="198.51.100.7")))
        log = EvidenceLog(directory)
        log.append([(slip(line), line) for line in lines])
        log.close()
    seal_all(directory, lambda text: None, {})
    assert run(found, "reindex").exit_code == 0
    yield found


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", *words, "--config", str(config)])


def found(config: Path, *words: str) -> list[dict[str, Any]]:
    """Openings of what a search finds."""
    result = run(config, "search", "--format", "jsonl", *words)
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return [each for each in records if each["event.type"] == "start"]


@pytest.mark.parametrize(("words", "numbers"), [
    ((), (0, 1, 2, 3)),
    (("--account", "acct_a"), (0, 2)),
    (("--egress", "192.0.2.1:40001"), (1,)),
    (("--egress", ":40001"), (1,)),
    (("--egress", "192.0.2.0/24"), (0, 1, 2)),
    (("--source", "203.0.113.9"), (0, 1, 2, 3)),
    (("--target", "WWW.Example.NET"), (0, 1, 2, 3)),
    (("--target", ".example.net"), (0, 1, 2, 3)),
    (("--target", "example.net"), ()),
    (("--target", "198.51.100.7"), (0, 1, 2)),
    (("--url", "/a?b="), (0,)),
    (("--url", "%"), ()),
    (("--status", "2xx"), (0, 1, 2)),
    (("--outcome", "failure"), ()),
    (("--verdict", "allow", "--method", "GET"), (0, 1, 2, 3)),
    (("--since", "2026-11-21T13:00:00+00:00", "--until", "2026-11-21T14:04"), (1, 2)),
    (("--since", "2026-11-21T15:03:07+01:00"), (2, 3)),
    (("--until", "2026-11-20"), ()),
    (("--since", "2026-11-21", "--until", "2026-11-21"), (0, 1, 2, 3)),
    (("--account", "' OR '1'='1"), ()),
])
def test_conditions(config: Path, words: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    key = load_key(config / "var")
    assert [each["url.path"] for each in found(config, *words)] == [
        PATHS[number].partition("?")[0] for number in numbers]
    assert [each["user.id"] for each in found(config, *words)] == [
        pseudonym(key, NAMES[number]) for number in numbers]


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_nobody_is_named(config: Path, form: str) -> None:
    output = run(config, "search", "--format", form).output
    for secret in ("acct_a", "acct_b", "acct_gone", "203.0.113.9", "51234"):
        assert secret not in output
    for account in NAMES:
        assert pseudonym(load_key(config / "var"), account) in output


def test_a_pseudonym_is_searched_for_even_of_an_account_that_is_gone(config: Path) -> None:
    name = pseudonym(load_key(config / "var"), "acct_gone")
    assert [each["url.path"] for each in found(config, "--account", name)] == ["/deep/er"]


def test_a_table_has_an_event_a_line(config: Path) -> None:
    lines = run(config, "search", "--verdict", "allow").stdout.splitlines()
    assert "time (UTC)" in lines[0] and len(lines) == 5
    assert "2026-11-21 12:03:07.000" in lines[1] and "192.0.2.1:40000" in lines[1]
    assert "www.example.net/[bold]x" in lines[3]  # no markup
    assert "open" in lines[4]


def test_csv_is_no_formula(config: Path) -> None:
    result = run(config, "search", "--verdict", "allow", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["url"] for row in rows] == ["/a?b=", "/=cmd()", "/[bold]x", "/deep/er"]
    assert rows[0]["egress_port"] == "40000" and "source_ip" not in rows[0]
    assert rows[3]["end"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_cell_that_would_be_a_formula_is_text(config: Path, tmp_path: Path, text: str) -> None:
    directory = tmp_path / "log"
    (directory / "segments").mkdir(parents=True)
    encoder = Encoder("session-1", b"k" * 32)
    start = opening(id=new_id(AT), at=AT, action="request")
    start.rule_id = text
    log = EvidenceLog(directory)
    line = encoder.encode(start)
    log.append([(slip(line), line)])
    log.close()
    result = run(config, "search", "--format", "csv", "--log", str(directory))
    row, = csv.DictReader(io.StringIO(result.stdout))
    assert row["rule"] == "'" + text


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_copy_of_a_log_cannot_take_over_the_terminal(config: Path, tmp_path: Path,
                                                       form: str) -> None:
    """No encoder of ours writes such texts; whoever hands over a copy can."""
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "2026-11-21T12-000001.jsonl").write_text(json.dumps(
        {"@timestamp": "2026-11-21T12:03:07.000250Z", "event.id": "x\x1b[2J", "event.type": "start",
         "event.action": "\x9b31m", "user.id": "\x1b]0;title\x07", "rule.id": "a\rb\nc",
         "destination.domain": "\x1b[A"}, separators=(",", ":")) + "\n")
    result = run(config, "search", "--format", form, "--log", str(tmp_path))
    assert result.exit_code == 0
    assert not {"\x1b", "\x9b", "\x07", "\r"} & set(result.stdout)


def test_count_and_limit(config: Path) -> None:
    allowed = ("search", "--verdict", "allow")  # not what is on record of other searches
    assert run(config, *allowed, "--count").output == "4\n"
    cut = run(config, *allowed, "--limit", "2")
    assert len(cut.stdout.splitlines()) == 3
    assert "the first 2 of 4 events; --limit 0 shows all" in cut.stderr
    assert run(config, *allowed, "--limit", "0").stderr == ""
    assert "nothing was found" in run(config, "search", "--url", "/nowhere").stderr


@pytest.mark.parametrize(("words", "said"), [
    (("--since", "tomorrow or so"), "is no time"),
    (("--target", "a b"), "is not a host"),
    (("--egress", "192.0.2.1:99999"), "65535"),
    (("--status", "soon"), "404, 4xx or 400-499"),
    (("--unmask",), "--unmask needs --case"),
    (("--url", "/a?id=5&b=c"), "only the parameters' names: '/a?id=&b='"),
    (("--store", "--log", "."), "name one"),
])
def test_wrong_usage(config: Path, words: tuple[str, ...], said: str) -> None:
    result = run(config, "search", *words)
    assert result.exit_code == 2 and said in result.output


def test_no_store(config: Path) -> None:
    result = run(config, "search", "--store")
    assert result.exit_code == 1 and "no object store is configured" in result.output


def test_unmasking_needs_an_open_case_and_is_on_record_before(config: Path) -> None:
    refused = run(config, "search", "--unmask", "--case", "C-404")
    assert refused.exit_code == 1 and "acct_a" not in refused.output
    opened = CliRunner().invoke(main, ["case", "open", "A complaint", "--config", str(config)])
    assert opened.exit_code == 0, opened.output
    case = next(word for word in opened.output.replace(":", " ").split()
                if (config / "var" / "evidence" / "cases" / word).is_dir())
    result = run(config, "search", "--egress", ":40001", "--unmask", "--case", case)
    assert result.exit_code == 0, result.output
    assert "acct_b" in result.output and "203.0.113.9:51234" in result.output
    act, = search_log(config / "var" / "evidence", Query(action="evidence.unmask"))
    assert act.opening is not None and act.closing is not None
    assert act.opening["outbounds.case"] == case
    assert act.opening["outbounds.scope"] == "search of egress=:40001"
    assert act.closing["outbounds.count"] == 1


def test_reindex_makes_what_is_missing_or_damaged(config: Path) -> None:
    segments = [each for each in all_segments(config / "var" / "evidence") if each.sealed]
    segments[0].index.unlink()
    octets = bytearray(segments[1].index.read_bytes())
    octets[50] ^= 1
    segments[1].index.write_bytes(octets)
    result = run(config, "search", "--account", "acct_a", "--count")
    assert result.stdout == "2\n"
    assert "is not the index that was made" in result.stderr and "no index" in result.stderr
    made = run(config, "reindex")
    assert (made.exit_code, made.stdout) == (0, f"2 made, {len(segments) - 2} are as they were "
                                                "made\n")
    again = run(config, "search", "--account", "acct_a", "--count")
    assert "index" not in again.stderr
    every = run(config, "reindex", "--all")
    assert every.stdout == f"{len(segments)} made, 0 are as they were made\n"


def test_reindex_says_what_cannot_be_indexed(config: Path) -> None:
    segment = next(each for each in all_segments(config / "var" / "evidence") if each.sealed)
    octets = segment.records.read_bytes()
    segment.records.write_bytes(b"x" + octets[1:])
    try:
        result = run(config, "reindex", "--all")
        assert result.exit_code == 1
        assert "1 could not be made" in result.stdout and "frame 0" in result.stderr
    finally:
        segment.records.write_bytes(octets)
