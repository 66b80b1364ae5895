"""`outbounds evidence tail`: the newest records, one a line, while the proxy goes on writing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.cli.evidence_tail import one_line
from wire.harness import ROOT, Proxy, free_port, make_config, wait_until
from wire.origin import Origin


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(free_port()) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Proxy]:
    config = make_config(tmp_path_factory.mktemp("tail") / "config", [origin.port])
    with Proxy(config) as running:
        get(running, f"http://127.0.0.1:{origin.port}/page?q=secret-value")
        get(running, "http://10.0.0.1/")
        get(running, f"http://127.0.0.1:{origin.port}/page", "wrong")
        # robots.txt, an allowed request and two refusals, each with an opening and a closing, and
        # two connections
        wait_until(lambda: len(running.records()) == 10)
        yield running


def get(proxy: Proxy, url: str, password: str = "") -> requests.Response:
    return requests.get(url, proxies={"http": proxy.url_for("bob", password)}, timeout=10,
                        headers={"Connection": "close"})


def tail(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", "tail", "--config", str(config), *words])


def test_the_newest_records_oldest_first(proxy: Proxy) -> None:
    result = tail(proxy.config, "-n", "3", "--json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.output.splitlines()] == proxy.records()[-3:]


@pytest.mark.parametrize(("words", "count"), [((), 10), (("-n", "0"), 0), (("-n", "1"), 1),
                                              (("--lines", "500"), 500)])
def test_how_many(proxy: Proxy, words: tuple[str, ...], count: int) -> None:
    found = len(tail(proxy.config, *words).output.splitlines())
    assert found == min(count, len(proxy.records()))


def test_a_line_for_people(proxy: Proxy, origin: Origin) -> None:
    lines = tail(proxy.config, "-n", "500").output.splitlines()
    bob = proxy.pairs(outbounds_verdict="allow", event_action="request")[0][0]["user.id"]
    allowed = next(line for line in lines if f"GET 127.0.0.1:{origin.port}/page allow" in line)
    assert re.match(rf"\d{{4}}-\d\d-\d\dT[\d:.]+Z request +start +{bob} GET ", allowed)
    refused = next(line for line in lines if "refuse (destination: special-purpose)" in line)
    assert "10.0.0.1:80/" in refused
    assert any("refuse (identity: credentials)" in line for line in lines)
    for line, record in zip(lines, proxy.records(), strict=True):
        assert line.endswith(f"[{record['event.id']}]")  # the reference that a reply carries


def test_no_secret_is_printed(proxy: Proxy) -> None:
    for words in ((), ("--json",)):
        output = tail(proxy.config, *words).output
        assert "secret-value" not in output and "wrong" not in output.replace("is wrong", "")


def test_the_reference_of_a_reply_can_be_found(proxy: Proxy) -> None:
    instance = get(proxy, "http://10.0.0.1/").json()["instance"]
    record = instance.removeprefix("urn:uuid:")
    wait_until(lambda: f"[{record}]" in tail(proxy.config).output)


def test_following(proxy: Proxy, origin: Origin, tmp_path: Path) -> None:
    """What is written after the start appears by itself; Ctrl-C ends it quietly."""
    path = tmp_path / "out"
    with path.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "outbounds", "evidence", "tail", "-f", "-n", "1", "--json",
             "--config", str(proxy.config)], stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "addons"), "PYTHONUNBUFFERED": "1"})
    try:
        wait_until(lambda: path.read_text().count("\n") == 1)
        get(proxy, f"http://127.0.0.1:{origin.port}/followed")
        wait_until(lambda: "/followed" in path.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
        process.wait()
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_an_empty_log_has_no_records(tmp_path: Path) -> None:
    config = make_config(tmp_path / "config", [])
    result = tail(config)
    assert (result.exit_code, result.output) == (0, "")


def test_a_broken_configuration_is_said(tmp_path: Path) -> None:
    result = tail(tmp_path)
    assert result.exit_code == 1 and f"{tmp_path}/evidence.yaml: no such file" in result.output


@pytest.mark.parametrize(("record", "line"), [
    ({}, "- -            -     - - - up 0 down 0 [-]"),
    ({"@timestamp": "2026-01-02T03:04:05.678Z", "event.type": "start", "event.id": "id",
      "event.action": "tunnel", "user.id": "acct_a", "http.request.method": "CONNECT",
      "destination.domain": "site.example", "destination.port": 443,
      "outbounds.verdict": "allow"},
     "2026-01-02T03:04:05.678Z tunnel       start acct_a CONNECT site.example:443 allow [id]"),
    ({"@timestamp": "2026-01-02T03:04:05.678Z", "event.type": "end", "event.id": "id",
      "event.action": "request", "user.id": "acct_a", "event.outcome": "failure",
      "http.response.status_code": 502, "http.request.bytes": 5, "http.response.bytes": 7,
      "event.reason": "No."},
     "2026-01-02T03:04:05.678Z request      end   acct_a failure 502 up 5 down 7 No. [id]"),
])
def test_a_record_as_a_line(record: dict[str, Any], line: str) -> None:
    assert one_line(record) == line
