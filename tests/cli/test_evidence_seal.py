"""`outbounds evidence seal` and `status`, beside a running proxy and without one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.keeper.lock import kept_alone
from wire.harness import Proxy, free_port, make_config, wait_until
from wire.origin import Origin


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Origin(free_port()) as origin:
        config = make_config(tmp_path_factory.mktemp("seal") / "config", [origin.port])
        with Proxy(config) as running:
            for page in range(4):
                get(running, f"http://127.0.0.1:{origin.port}/page/{page}")
            wait_until(lambda: settled(running, 4))
            yield running


def settled(proxy: Proxy, requests: int) -> bool:
    """Whether so many requests are on record, and everything that was opened is closed."""
    pairs = proxy.pairs()
    return all(end for _, end in pairs) and sum(
        start["event.action"] == "request" for start, _ in pairs) == requests


def copy(proxy: Proxy, config: Path) -> Path:
    """The proxy's log as that of another configuration, as it is between two passes."""
    log = config / "var" / "evidence"
    with kept_alone(proxy.data / "evidence", 30):
        shutil.copytree(proxy.data / "evidence", log, ignore=shutil.ignore_patterns(".*", "lock"))
    return log


def get(proxy: Proxy, url: str) -> requests.Response:
    return requests.get(url, proxies={"http": proxy.url_for("bob", "")}, timeout=10,
                        headers={"Connection": "close"})


def evidence(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", words[0], "--config", str(config), *words[1:]])


def test_all_that_was_recorded_is_sealed_while_the_proxy_goes_on(proxy: Proxy) -> None:
    before = proxy.records()
    result = evidence(proxy.config, "seal")
    assert result.exit_code == 0, result.output
    assert "records sealed" in result.output
    segments = all_segments(proxy.data / "evidence")
    assert [each.sealed for each in segments] == [True, False]
    assert segments[-1].hot.stat().st_size == 0
    assert proxy.records() == before
    # tail shows them all the same, and what comes next
    shown = evidence(proxy.config, "tail", "-n", "3", "--json").output.splitlines()
    assert [json.loads(line) for line in shown] == before[-3:]
    get(proxy, "http://10.0.0.1/")
    wait_until(lambda: settled(proxy, 5))
    shown = evidence(proxy.config, "tail", "-n", "500", "--json").output.splitlines()
    assert [json.loads(line) for line in shown] == proxy.records()


def test_status_says_what_there_is(proxy: Proxy) -> None:
    sealed = evidence(proxy.config, "seal")
    assert sealed.exit_code == 0, sealed.output

    def status() -> Any:
        result = evidence(proxy.config, "status", "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    # the newest records are signed within a second
    wait_until(lambda: status()["checkpoint"]["size"] == len(proxy.records()))
    found = status()
    assert found["sealed_records"] == len(proxy.records()) == found["checkpoint"]["size"]
    assert found["hot"] == 1 and found["hot_octets"] == 0 and found["unindexed"] == 0
    folder = proxy.data / "evidence" / "segments"
    stems = {each.stem for each in all_segments(proxy.data / "evidence") if each.sealed}
    assert found["sealed_octets"] == sum(
        path.stat().st_size for path in folder.iterdir() if path.name.partition(".")[0] in stems)
    assert found["kept"]["seal"]["ok"] and found["kept"]["seal"]["unsealed"] == 0
    text = evidence(proxy.config, "status").output
    assert f"checkpoint  {found['checkpoint']['size']} records, 20" in text
    assert "bytes a record" in text and "(the keeper has not run yet)" not in text
    assert "seal" in text and "fine" in text


def test_without_a_proxy(proxy: Proxy, tmp_path: Path) -> None:
    """The command starts a collector for as long as it takes."""
    config = make_config(tmp_path / "config", [])
    copy(proxy, config)
    result = evidence(config, "seal")
    assert result.exit_code == 0, result.output
    assert all(each.sealed for each in all_segments(config / "var" / "evidence")[:-1])


def test_a_fault_of_the_keeper_is_said(proxy: Proxy, tmp_path: Path) -> None:
    config = make_config(tmp_path / "config", [])
    seal = all_segments(copy(proxy, config))[0].seal
    seal.write_bytes(seal.read_bytes()[:-30])
    result = evidence(config, "seal", "--no-roll")
    assert result.exit_code == 1 and f"{seal}: " in result.output
    result = evidence(config, "status")
    assert result.exit_code == 1 and "`outbounds evidence verify` says more" in result.output


@pytest.mark.parametrize("command", ["seal", "status"])
def test_nothing_recorded_yet(tmp_path: Path, command: str) -> None:
    config = make_config(tmp_path / "config", [])
    result = evidence(config, command)
    assert result.exit_code == 0 and "nothing has been recorded yet" in result.output


@pytest.mark.parametrize("command", ["seal", "status"])
def test_a_broken_configuration_is_said(tmp_path: Path, command: str) -> None:
    config = make_config(tmp_path / "config", [])
    (config / "evidence.yaml").write_text("collector: perhaps\n")
    result = evidence(config, command)
    assert result.exit_code == 1 and "evidence.yaml:1: collector:" in result.output


def test_a_pass_under_way_is_waited_for(
        proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outbounds.cli.evidence_seal.WAIT", 0.1)
    with kept_alone(proxy.data / "evidence", 30):
        result = evidence(proxy.config, "seal")
    assert result.exit_code == 1 and "is at work on the sealed segments" in result.output
