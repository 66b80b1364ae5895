"""`outbounds check`, as a script or a person sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from outbounds.cli.check import check
from outbounds.cli.init import SINGLE

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped files, without the run data that may lie beside them."""
    for name in SINGLE:
        shutil.copy(SHIPPED / name, tmp_path)
    for name in ("aup", "lists"):
        shutil.copytree(SHIPPED / name, tmp_path / name)
    return tmp_path


def test_good(config: Path) -> None:
    result = CliRunner().invoke(check, ["--config", str(config)])
    assert (result.exit_code, result.stderr) == (0, "")
    line, = result.stdout.splitlines()
    assert line.startswith(f"{config} is good: 2 plans, 9 limits, 2 lists (entries: blocked ")
    assert ", 0 exceptions, 43 clauses; policy " in line


def test_good_as_json(config: Path) -> None:
    result = CliRunner().invoke(check, ["--config", str(config), "--json"])
    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"], said["plans"]) == (0, True, ["default", "large"])
    assert set(said["lists"]) == {"blocked", "legal"}
    assert len(said["policy"]) == 64


def test_compiled_lists_are_named_apart(config: Path) -> None:
    text = (config / "destinations.yaml").read_text()
    (config / "destinations.yaml").write_text(text.replace("lists:\n  - id: blocked", """lists:
  - {id: malware, feed: {url: "https://lists.example.net/x"}, clause: S-covert}
  - id: blocked""", 1))
    line = CliRunner().invoke(check, ["--config", str(config)]).stdout
    assert "1 compiled (`outbounds lists status`)" in line
    said = json.loads(CliRunner().invoke(check, ["--config", str(config), "--json"]).stdout)
    assert said["compiled_lists"] == ["malware"]


@pytest.fixture
def broken(config: Path) -> Path:
    for name, old, new in (("limits.yaml", "6000/min", "6000/parsec"),
                           ("robots.yaml", "mode: enforce", "mode: maybe")):
        text = (config / name).read_text()
        assert old in text
        (config / name).write_text(text.replace(old, new, 1))
    (config / "lists/legal.txt").write_text("domain com\n")
    return config


def test_every_fault_is_a_line_on_stderr_and_the_exit_status_is_1(broken: Path) -> None:
    result = CliRunner().invoke(check, ["--config", str(broken)])
    assert (result.exit_code, result.stdout) == (1, "")
    limits, robots, legal = result.stderr.splitlines()
    text = (broken / "limits.yaml").read_text().split("6000/parsec")[0]
    assert limits == (f"{broken}/limits.yaml:{text.count(chr(10)) + 1}: limits[0].rate: "
                      '"6000/parsec": unknown unit; use s, min, h or day')
    assert ': mode: "maybe": unknown; use enforce or observe or off' in robots
    assert legal.startswith(f"{broken}/lists/legal.txt:1: ")


def test_faults_as_json(broken: Path) -> None:
    result = CliRunner().invoke(check, ["--config", str(broken), "--json"])
    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"], len(said["errors"])) == (1, False, 3)
    first = said["errors"][0]
    assert first["file"] == f"{broken}/limits.yaml"
    assert (first["key"], first["value"]) == ("limits[0].rate", "6000/parsec")
    assert first["message"].startswith(f"{first['file']}:{first['line']}: ")


def test_faults_whose_value_is_no_scalar_are_json_too(config: Path) -> None:
    (config / "exceptions.yaml").write_text("exceptions: {a: [1, {b: &x c}]}\n")
    result = CliRunner().invoke(check, ["--config", str(config), "--json"])
    assert result.exit_code == 1
    assert [fault["key"] for fault in json.loads(result.stdout)["errors"]] == [
        "exceptions.a[1].b", "exceptions"]


def test_where_the_configuration_is(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUNDS_CONFIG", str(config))
    assert CliRunner().invoke(check).exit_code == 0
    monkeypatch.delenv("OUTBOUNDS_CONFIG")
    monkeypatch.chdir(config)
    result = CliRunner().invoke(check)
    assert (result.exit_code, result.stderr) == (
        1, "config: no such folder; name one with --config, or write one with "
           "`outbounds init DIR`\n")


def test_what_is_idle_is_said_and_harms_nothing(config: Path) -> None:
    (config / "exceptions.yaml").write_text(
        "exceptions:\n  - {id: old, rule: robots, host: a.example, until: 2020-01-31, reason: x}\n")
    result = CliRunner().invoke(check, ["--config", str(config)])
    assert result.exit_code == 0
    assert result.stderr == "warning: old has ended and does nothing; remove it\n"
