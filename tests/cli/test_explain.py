"""`outbounds explain`: the verdict control by control, the same as in traffic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.core.account import Standing
from outbounds.core.policy import CONTROLS
from wire.harness import Proxy, accounts_file, add_account, free_port, make_config, wait_until
from wire.origin import Origin

ORDER = [name for name, _ in CONTROLS]


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    rules = "User-agent: *\nDisallow: /private\n\nUser-agent: SlowBot\nCrawl-delay: 3\nAllow: /\n"
    with Origin(free_port(), robots=rules) as running:
        yield running


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Path:
    folder = make_config(tmp_path_factory.mktemp("explain") / "config", [origin.port])
    account = add_account(folder, "carol", "another-password")
    with closing(accounts_file(folder)) as file:
        file.set_standing(account, Standing.SUSPENDED, "see [ticket 7]", now=0.0)
    return folder


@pytest.fixture(scope="module")
def proxy(config: Path) -> Iterator[Proxy]:
    with Proxy(config) as running:
        yield running


@pytest.fixture
def alone(tmp_path: Path, origin: Origin) -> Path:
    """A configuration that no proxy runs on, and hence no collector."""
    return make_config(tmp_path / "alone", [origin.port])


def explain(config: Path, url: str, *words: str, account: str = "bob") -> Result:
    return CliRunner().invoke(main, ["explain", "--config", str(config), "--account", account,
                                     *words, url])


def explained(config: Path, url: str, *words: str, account: str = "bob") -> dict[str, Any]:
    result = explain(config, url, "--json", *words, account=account)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def base(origin: Origin) -> str:
    return f"http://127.0.0.1:{origin.port}"


# --- without a collector ------------------------------------------------------------------------


def test_without_a_collector_no_robots_txt_is_fetched_and_it_says_why(
        alone: Path, origin: Origin) -> None:
    """A fetch is a request to a target: nothing reaches one before its record is safe."""
    before = len(origin.seen)
    said = explained(alone, f"{base(origin)}/page")
    step, = said["steps"]
    assert (step["verdict"], step["control"], step["rule"]) == (
        "refuse", "robots", "robots/unreachable")
    because = {each["control"]: each["because"] for each in step["controls"]}
    assert "cannot be recorded" in because["robots"]
    assert len(origin.seen) == before


def test_what_needs_no_fetch_needs_no_collector(alone: Path, origin: Origin) -> None:
    said = explained(alone, "http://10.0.0.1/")
    assert said["allowed"] is False and said["steps"][0]["control"] == "destination"
    assert explained(alone, f"{base(origin)}/robots.txt")["allowed"] is True


# --- beside a running proxy ---------------------------------------------------------------------


def test_an_allowed_request_control_by_control(config: Path, proxy: Proxy,
                                               origin: Origin) -> None:
    result = explain(config, f"{base(origin)}/page?q=1", "--user-agent", "FooBot/1")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"GET {base(origin)}/page?q=1"
    assert lines[1].split() == ["control", "says", "because"]
    rows = [re.split(r" {2,}", line) for line in lines[2:2 + len(ORDER)]]
    assert [row[:2] for row in rows] == [[name, "pass"] for name in ORDER]
    because = {row[0]: row[2] for row in rows}
    assert "(bob), plan default, not inspected" in because["identity"]
    assert because["protocol"] == f"GET, port {origin.port}"
    assert because["destination"] == "127.0.0.1"
    assert re.fullmatch(r"fresh, this path: no rule applies; FooBot/1 is bound as \*; \d+ s old",
                        because["robots"])
    assert "account-requests" in because["limits"] and "target-requests" in because["limits"]
    assert lines[-1] == "allow."


def test_the_fetch_for_an_explanation_is_on_record(config: Path, proxy: Proxy,
                                                   origin: Origin) -> None:
    before = len(proxy.pairs(event_action="robots-fetch"))
    explained(config, f"{base(origin)}/page")
    wait_until(lambda: len(proxy.pairs(event_action="robots-fetch")) > before)
    start, _ = proxy.pairs(event_action="robots-fetch")[-1]
    assert start["destination.port"] == origin.port


def test_a_refusal_says_control_rule_and_clause(config: Path, proxy: Proxy,
                                                origin: Origin) -> None:
    lines = explain(config, f"{base(origin)}/private/x").output.splitlines()
    row = next(line for line in lines if line.startswith("robots"))
    assert re.match(r"robots +refuse +The robots\.txt of 127\.0\.0\.1 disallows this path", row)
    assert row.endswith("[rule robots:2, clause P-robots]")
    assert re.match(r"limits +- +not reached$", lines[2 + ORDER.index("limits")])
    assert lines[-1] == "refuse: 403 Disallowed by robots.txt."


CASES: list[tuple[str, str, str, dict[str, str]]] = [
    # (path or URL, account, method, more fields)
    ("/page", "bob", "GET", {}),
    ("/private", "bob", "GET", {}),
    ("/private", "bob", "GET", {"User-Agent": "SlowBot/1"}),
    ("/robots.txt", "bob", "GET", {}),
    ("/page", "bob", "TRACE", {}),
    ("/page", "carol", "GET", {}),
    ("http://127.0.0.1:25/", "bob", "GET", {}),
    ("http://127.0.0.1:80/", "bob", "GET", {}),
    ("http://10.0.0.1/", "bob", "GET", {}),
    ("http://169.254.169.254/", "bob", "GET", {}),
    ("http://[::1]/", "bob", "GET", {}),
    ("http://2130706433/", "bob", "GET", {}),
    ("http://no-such-name.invalid/", "bob", "GET", {}),
]


@pytest.mark.parametrize(("where", "account", "method", "fields"), CASES)
def test_it_says_what_traffic_gets(config: Path, proxy: Proxy, origin: Origin, where: str,
                                   account: str, method: str, fields: dict[str, str]) -> None:
    """The promise of the command: the same code decides, so the answer is the same."""
    url = where if "://" in where else base(origin) + where
    words = ["--method", method, "--user-agent", fields.get("User-Agent", "python-requests")]
    step = explained(config, url, *words, account=account)["steps"][-1]
    answer = requests.request(
        method, url, timeout=10, headers={"User-Agent": "python-requests", **fields},
        proxies={"http": proxy.url_for("bob").replace("//bob:", f"//{account}:")})
    if step["verdict"] == "refuse":
        problem = answer.json()
        assert (step["status"], step["control"], step["rule"], step["clause"]) == (
            answer.status_code, problem["control"], problem["rule"], problem["clause"])
        assert problem["detail"] == next(
            each["because"] for each in step["controls"] if each["says"] == "refuse")
    else:
        assert answer.status_code == 200 and "Proxy-Status" not in answer.headers


def test_a_crawl_delay_is_named_among_the_limits(config: Path, proxy: Proxy,
                                                 origin: Origin) -> None:
    step = explained(config, f"{base(origin)}/page", "--user-agent", "SlowBot")["steps"][0]
    assert "crawl-delay" in step["controls"][ORDER.index("limits")]["because"]


def test_https_is_two_steps_where_it_is_inspected(config: Path, proxy: Proxy,
                                                  origin: Origin) -> None:
    """The origin speaks no TLS, which the second step finds out when it asks for robots.txt."""
    said = explained(config, f"https://127.0.0.1:{origin.port}/page", account="alice")
    assert [step["way"] for step in said["steps"]] == ["connect", "inspected"]
    assert [step["verdict"] for step in said["steps"]] == ["allow", "refuse"]
    assert said["steps"][0]["controls"][ORDER.index("robots")]["because"] == "not asked"


def test_what_cannot_be_seen_is_said(config: Path, proxy: Proxy, origin: Origin) -> None:
    result = explain(config, f"https://127.0.0.1:{origin.port}/private")
    assert f"CONNECT 127.0.0.1:{origin.port}" in result.output
    assert "whole-site rule only" in result.output
    assert result.output.endswith(
        "allow. What flows inside the tunnel cannot be seen: this account is not inspected.\n")


def test_json_has_every_control_of_every_step(config: Path, proxy: Proxy, origin: Origin) -> None:
    said = explained(config, "http://127.0.0.1:25/")
    assert set(said) == {"account", "url", "policy", "allowed", "steps"}
    assert said["account"].startswith("acct_") and len(said["policy"]) == 64
    step, = said["steps"]
    assert [each["control"] for each in step["controls"]] == ORDER
    assert [each["says"] for each in step["controls"]] == [
        "pass", "pass", "refuse", *["not reached"] * 3]
    assert (step["status"], step["rule"], step["clause"]) == (403, "port/25", "P-spam")


# --- as it is printed, and what is wrong --------------------------------------------------------


def test_no_line_ends_in_spaces_and_none_is_folded(config: Path, proxy: Proxy,
                                                   origin: Origin) -> None:
    for url in ("http://[::1]:8000/x", f"{base(origin)}/private", "http://10.0.0.1/" + "x" * 300):
        lines = explain(config, url).output.splitlines()
        assert not any(line != line.rstrip() for line in lines)
        assert lines[0] == f"GET {url}"  # square brackets are no markup
        assert len(lines) == len(ORDER) + 4


def test_a_reason_with_brackets_is_shown_as_it_is(config: Path) -> None:
    assert "Reason: see [ticket 7] [rule suspended, clause S-suspend]" in explain(
        config, "http://127.0.0.1/", account="carol").output


@pytest.mark.parametrize(("url", "account", "code", "why"), [
    ("ftp://x.example/", "bob", 2, "is no http or https url"),
    ("x.example", "bob", 2, "is no http or https url"),
    ("http://a..b/", "bob", 2, "is not a host"),
    ("http://x.example:port/", "bob", 2, "port"),
    ("http://x.example/", "nobody", 1, "there is no account 'nobody'"),
])
def test_errors_are_plain(config: Path, url: str, account: str, code: int, why: str) -> None:
    result = explain(config, url, account=account)
    assert result.exit_code == code and why in result.output.lower(), result.output
    assert "Traceback" not in result.output


def test_a_broken_configuration_is_not_explained(tmp_path: Path) -> None:
    result = explain(tmp_path, "http://x.example/")
    assert result.exit_code == 1 and f"{tmp_path}/limits.yaml: no such file" in result.output
