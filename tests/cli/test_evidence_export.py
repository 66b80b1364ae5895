"""`outbounds evidence export` and `outbounds evidence schema`, over a log that a collector left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from outbounds.cli import main
from outbounds.evidence.decision import closing, connection, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.ledger import slip
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.ocsf_schema import ocsf_schema
from outbounds.evidence.privacy import load_key
from outbounds.evidence.pseudonym import pseudonym
from outbounds.evidence.record import Encoder
from outbounds.evidence.schema import record_schema
from wire.harness import make_config

AT = 1_795_262_587_000_000_000  # 2026-11-21T12:03:07Z
HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three requests, an hour apart, of two accounts."""
    found = make_config(tmp_path_factory.mktemp("export") / "config", [])
    directory = found / "var" / "evidence"
    (directory / "segments").mkdir(parents=True)
    encoder = Encoder("session-1", load_key(found / "var"))
    log = EvidenceLog(directory)
    for number, account in enumerate(("acct_a", "acct_b", "acct_a")):
        at = AT + number * HOUR
        start = opening(id=new_id(at), at=at, action="request")
        start.user_id, start.source_ip, start.source_port = account, "203.0.113.9", 51234
        start.destination_domain, start.http_request_method = "www.example.net", "GET"
        start.verdict, start.way, start.connection = "allow", "plain", f"c{number}"
        made = connection(start, at=at + 1000, egress=("192.0.2.1", 40_000 + number),
                          dialled=("198.51.100.7", 80))
        end = closing(start, at=at + 2000, outcome="success", duration=2000, status=200,
                      egress=("192.0.2.1", 40_000 + number), dialled="198.51.100.7")
        lines = [encoder.encode(start, "/a?b=c"), encoder.encode(made), encoder.encode(end)]
        log.append([(slip(line), line) for line in lines])
    log.close()
    yield found


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", *words, "--config", str(config)])


def events(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for each in found:
        Draft202012Validator(ocsf_schema()).validate(each)
    return found


def test_pseudonyms_unless_it_is_on_record(config: Path) -> None:
    result = run(config, "export", "--ocsf")
    found = events(result)
    key = load_key(config / "var")
    assert [each["actor"]["user"]["uid"] for each in found] == [
        pseudonym(key, account) for account in ("acct_a", "acct_b", "acct_a")]
    for secret in ("acct_a", "acct_b", "203.0.113.9", "51234"):
        assert secret not in result.output
    assert [each["proxy_endpoint"]["port"] for each in found] == [40_000, 40_001, 40_002]


@pytest.mark.parametrize(("words", "ports"), [
    (("--account", "acct_a"), [40_000, 40_002]),
    (("--egress", "192.0.2.1:40001"), [40_001]),
    (("--since", "2026-11-21T13:00:00Z"), [40_001, 40_002]),
    (("--until", "2026-11-21T12:30:00Z"), [40_000]),
    (("--target", "other.example.net"), []),
])
def test_what_is_asked_for(config: Path, words: tuple[str, ...], ports: list[int]) -> None:
    found = events(run(config, "export", "--ocsf", *words))
    assert [each["proxy_endpoint"]["port"] for each in found] == ports


@pytest.mark.parametrize(("words", "code", "said"), [
    ((), 2, "--ocsf"), (("--ocsf", "--unmask"), 2, "--unmask needs --case"),
    (("--ocsf", "--unmask", "--case", "C-nowhere"), 1, "C-nowhere"),
    (("--ocsf", "--since", "never"), 2, "never"),
])
def test_what_cannot_be_done(config: Path, words: tuple[str, ...], code: int, said: str) -> None:
    result = run(config, "export", *words)
    assert result.exit_code == code and said in result.output
    assert "203.0.113.9" not in result.output


def test_with_a_case_accounts_are_shown_and_that_is_on_record(config: Path) -> None:
    made = CliRunner().invoke(main, ["case", "open", "A complaint", "--config", str(config)])
    assert made.exit_code == 0, made.output
    case = made.stdout.split()[0].rstrip(".:")
    found = events(run(config, "export", "--ocsf", "--unmask", "--case", case, "--action",
                       "request"))
    assert [each["actor"]["user"]["uid"] for each in found] == ["acct_a", "acct_b", "acct_a"]
    assert found[0]["src_endpoint"] == {"ip": "203.0.113.9", "port": 51234, "uid": "c0"}
    act, = events(run(config, "export", "--ocsf", "--action", "evidence.unmask"))
    assert act["unmapped"]["outbounds.case"] == case and act["status_id"] == 1


@pytest.mark.parametrize(("words", "schema"), [((), record_schema()), (("--ocsf",), ocsf_schema())])
def test_the_schemas(words: tuple[str, ...], schema: dict[str, Any]) -> None:
    result = CliRunner().invoke(main, ["evidence", "schema", *words])
    assert result.exit_code == 0 and json.loads(result.stdout) == schema
    Draft202012Validator.check_schema(json.loads(result.stdout))
