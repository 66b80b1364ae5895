"""`outbounds robots …` and `outbounds explain` beside a proxy that runs: what they say is what
decides, and what they do is on record."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.core.robots_parse import SIZE_LIMIT
from outbounds.proxy.control_socket import control_folder

from .dialogue import basic
from .harness import PLAIN_PASSWORD, add_account, edit_yaml, wait_until
from .stage import Stage, staged

OPERATOR = pwd.getpwuid(os.getuid()).pw_name
HOSTS = tuple(f"{name}.site.test" for name in (
    "shown", "raw", "large", "why", "refreshed", "gone", "both", "observed", "denied"))
RULES = """\
User-agent: *
Disallow: /private
Allow: /private/open
Disalow: /caf\xe9$
Crawl-delay: 0.5
Nonsense

User-agent: ExampleBot
Disallow: /
"""
DIGEST = hashlib.sha256(RULES.encode()).hexdigest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    def prepare(config: Path, ports: list[int]) -> None:
        add_account(config, "crawler", PLAIN_PASSWORD, crawler="ExampleBot")
        edit_yaml(config / "robots.yaml", lambda data: data.update(modes=[{
            "id": "trial", "mode": "observe", "hosts": ["observed.site.test"],
            "reason": "of the tests"}]))

    with staged(tmp_path_factory.mktemp("operators"), prepare=prepare, hosts=HOSTS) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.clear()
    running.plain.robots = RULES
    return running


def run(stage: Stage, *words: str) -> Result:
    result = CliRunner().invoke(main, [*words, "--config", str(stage.proxy.config)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(stage: Stage, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(stage, *words, "--json").stdout)
    return found


def traffic(stage: Stage, host: str, path: str, agent: str, name: str = "bob") -> tuple[int, str]:
    """What a request gets: its status, and the rule that refused it."""
    with stage.dialogue() as dialogue:
        answer = dialogue.ask("GET", stage.url(path, host), [
            basic(name), *([("User-Agent", agent)] if agent else [])])
    return answer.status, answer.problem["rule"] if answer.status == 403 else ""


def test_show_as_it_is_understood(stage: Stage) -> None:
    url = stage.url("/any", "shown.site.test")
    first, again = run(stage, "robots", "show", url), run(stage, "robots", "show", url)
    assert first.exit_code == 0, first.output
    assert "the proxy did not have it, and has fetched it now" in first.output
    assert "what the proxy goes by" in again.output
    lines = [line.split(maxsplit=1) for line in again.output.splitlines() if line.strip()]
    facts = {words[0]: words[1] for words in lines if len(words) == 2}
    assert facts["state"] == "fresh"
    assert facts["from"] == stage.url("/robots.txt", "shown.site.test")
    assert facts["file"] == f"{len(RULES.encode())} bytes, SHA-256 {DIGEST}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, \d+ s ago", facts["fetched"])
    assert re.fullmatch(r"in 5\d min", facts["expires"])
    assert facts["4"].split() == ["Disalow:", "/café$", "/caf%C3%A9$"]
    assert "asks for: 0.5 s between requests" in again.output
    assert facts["6"].split(maxsplit=1) == ["Nonsense", "no record: there is no colon"]
    assert [seen.path for seen in stage.plain.seen] == ["/robots.txt"]


def test_show_as_an_object(stage: Stage) -> None:
    found = said(stage, "robots", "show", stage.url("/", "shown.site.test"))
    assert (found["state"], found["sha256"], found["status"]) == ("fresh", DIGEST, 200)
    assert found["origin"] == stage.url("", "shown.site.test")
    assert [(group["tokens"], [rule["line"] for rule in group["rules"]])
            for group in found["groups"]] == [(["*"], [2, 3, 4]), (["examplebot"], [9])]
    assert found["groups"][0]["terms"]["crawl_delay"] == 0.5
    assert found["without_effect"] == [
        {"line": 6, "text": "Nonsense", "because": "no record: there is no colon"}]


def test_the_fetch_of_an_operator_is_on_record_as_theirs(stage: Stage) -> None:
    assert run(stage, "robots", "show", "--raw", stage.url("/", "raw.site.test")
               ).stdout_bytes == RULES.encode()
    start, _ = stage.proxy.pairs(event_action="robots-fetch",
                                 destination_domain="raw.site.test")[0]
    assert start["outbounds.operator"] == OPERATOR
    assert "user.id" not in start


def test_the_largest_file_there_is_fits_into_an_answer(stage: Stage) -> None:
    line = "Disallow: /\x01\"\\\xe9\n"
    body = "User-agent: *\n" + line * (SIZE_LIMIT // len(line.encode()) + 9)
    stage.plain.robots = body
    shown = run(stage, "robots", "show", "--raw", stage.url("/", "large.site.test"))
    whole = body.encode()[:SIZE_LIMIT]
    assert shown.stdout_bytes == whole[:whole.rfind(b"\n") + 1]
    # a second file of that size in the same answer
    stage.plain.robots = body.replace("\x01", "\x02")
    assert run(stage, "robots", "refresh", stage.url("/", "large.site.test")).exit_code == 0


WHYS: list[tuple[str, str, str, int, int]] = [
    # (path, agent, account, exit status, line)
    ("/", "", "", 0, 0),
    ("/private/x", "curl/8", "", 1, 2),
    ("/private/open/x", "curl/8", "bob", 0, 3),
    ("/caf%c3%a9", "curl/8", "bob", 1, 4),
    ("/", "Mozilla/5.0 (compatible; ExampleBot/2; +http://x.example/)", "bob", 1, 9),
    ("/", "curl/8", "crawler", 1, 9),
    ("/robots.txt", "ExampleBot", "", 0, 0),
]


@pytest.mark.parametrize(("path", "agent", "account", "code", "line"), WHYS)
def test_why_says_what_traffic_gets(stage: Stage, path: str, agent: str, account: str, code: int,
                                    line: int) -> None:
    """The same code and the same copy decide; whoever asks is told the line, and traffic too."""
    host = "why.site.test"
    words = ["robots", "why", stage.url(path, host), "--agent", agent]
    words += ["--account", account] if account else []
    assert run(stage, *words).exit_code == code
    found = said(stage, *words)
    assert found["allowed"] is (code == 0)
    if found["matched"]:
        assert found["matched"][0]["line"] == line
        assert found["matched"][0]["text"] == RULES.splitlines()[line - 1]
    status, rule = traffic(stage, host, path, agent, account or "bob")
    assert status in ((200, 429) if code == 0 else (403,))
    assert rule == (f"robots:{line}" if code else "")
    assert (found["verdict"] or {"rule": ""})["rule"] == rule


def test_why_shows_what_was_beaten(stage: Stage) -> None:
    output = run(stage, "robots", "why", stage.url("/private/open", "why.site.test")).output
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    assert ["3", "Allow: /private/open", "13", "decides"] in rows
    assert ["2", "Disallow: /private", "8", "shorter"] in rows
    assert ["limit", "crawl-delay: 1 in 0.5 s"] in rows
    assert output.startswith("allowed\n")


def test_why_names_account_mode_and_token(stage: Stage) -> None:
    url = stage.url("/private", "observed.site.test")
    output = run(stage, "robots", "why", url, "--account", "crawler", "--agent", "curl/8").output
    assert output.startswith("allowed, but only observed: The robots.txt of observed.site.test ")
    assert said(stage, "robots", "why", url, "--account", "crawler", "--agent", "curl/8")[
        "names"] == {"ExampleBot": "examplebot", "curl/8": "*"}
    assert "(crawler), plan default, declared ExampleBot" in output
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    assert ["mode", "observe, by the entry trial of modes"] in rows
    assert ["asks as", "ExampleBot, bound as examplebot"] in rows
    found = said(stage, "robots", "why", url, "--account", "crawler")
    assert (found["mode"], found["mode_entry"], found["exempt"]) == (
        "observe", "trial", "mode:trial")


def test_why_of_an_account_that_is_not_inspected(stage: Stage) -> None:
    """Its tunnel is judged, as in traffic; not a path that nobody sees."""
    stage.tls.robots = RULES
    url = stage.url("/private", "why.site.test", "tls")
    assert said(stage, "robots", "why", url)["verdict"]["rule"] == "robots:2"
    result = run(stage, "robots", "why", url, "--account", "bob")
    assert result.exit_code == 0 and "only a rule for the whole site is applied" in result.output
    found = said(stage, "robots", "why", url, "--account", "crawler")
    assert (found["scope"], found["verdict"]["rule"]) == ("site", "robots:9")
    assert [rule["line"] for rule in found["matched"]] == [9]
    with stage.dialogue() as dialogue:
        answer = dialogue.connect(stage.at("why.site.test", "tls"), [basic("crawler")])
    assert (answer.status, answer.problem["rule"]) == (403, "robots:9")


def test_refresh_holds_for_the_next_request_and_says_what_has_changed(stage: Stage) -> None:
    host = "refreshed.site.test"
    assert traffic(stage, host, "/new", "curl/8")[0] == 200
    stage.plain.robots = RULES.replace("/private\n", "/new\n")
    assert traffic(stage, host, "/private", "curl/8") == (403, "robots:2")
    result = run(stage, "robots", "refresh", stage.url("/", host))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"{stage.url('/robots.txt', host)}, in 1 worker",
        f"fresh, {DIGEST[:12]} -> {hashlib.sha256(stage.plain.robots.encode()).hexdigest()[:12]}",
        "  - *: Disallow: /private", "  + *: Disallow: /new"]
    assert traffic(stage, host, "/new", "curl/8") == (403, "robots:2")
    assert f"{OPERATOR} has the robots.txt of http://{host}:{stage.plain.port} fetched anew." \
        in stage.proxy.log
    # and the file that it took the place of is kept
    shown = run(stage, "robots", "snapshot", DIGEST[:10])
    assert shown.stdout_bytes == RULES.encode()


def test_refresh_of_a_file_that_is_gone(stage: Stage) -> None:
    stage.plain.robots = None
    result = run(stage, "robots", "refresh", stage.url("/", "gone.site.test"))
    assert result.exit_code == 0
    assert "absent (gone.site.test has no robots.txt (status 404).), still none" in result.output


def test_an_operator_fetches_from_no_place_that_is_denied(stage: Stage) -> None:
    """Neither by name nor by address: what an operator types is no exception from what protects
    this machine."""
    for url in ("http://169.254.169.254/", "http://10.0.0.1/", stage.url("/", "nowhere.test")):
        found = said(stage, "robots", "show", url)
        assert (found["state"], found["sha256"]) == ("unreachable", ""), url


def test_every_worker_is_asked_and_refreshed(tmp_path: Path) -> None:
    """Each keeps a copy of its own, and which of them a connection meets is for the kernel."""
    with staged(tmp_path, hosts=["shared.site.test"], words=["--workers", "2"]) as stage:
        wait_until(lambda: len(list(control_folder(stage.proxy.data).glob("*.sock"))) == 2)
        stage.plain.robots = RULES
        url = stage.url("/", "shared.site.test")
        shown = run(stage, "robots", "show", url)
        assert shown.exit_code == 0 and DIGEST in shown.output
        result = run(stage, "robots", "refresh", url)
        assert result.exit_code == 0, result.output
        _, first, *rest = result.output.splitlines()
        assert first == f"worker 1: fresh, still {DIGEST[:12]}"
        assert rest[0] == f"worker 2: fresh, none -> {DIGEST[:12]}"
        again = run(stage, "robots", "show", url)
        assert re.search(r"what the proxy goes by, in worker [12] of 2\n", again.output)
        assert [seen.path for seen in stage.plain.seen] == ["/robots.txt"] * 3


# --- explain ------------------------------------------------------------------------------------


def test_explain_names_who_asked_line_state_and_pace(stage: Stage) -> None:
    url = stage.url("/private/open", "both.site.test")
    step, = said(stage, "explain", url, "--account", "bob", "--user-agent", "curl/8")["steps"]
    because = {each["control"]: each["because"] for each in step["controls"]}["robots"]
    assert because.startswith("fresh, this path: line 3, 'Allow: /private/open'; curl/8 is bound "
                              "as *; asks for crawl-delay 1 in 0.5 s; ")
    assert because.endswith(" s old")
    robots = step["robots"]
    assert (robots["line"], robots["text"], robots["sha256"], robots["names"]) == (
        3, "Allow: /private/open", DIGEST, {"curl/8": "*"})
    assert robots["limits"] == [{"id": "crawl-delay", "count": 1, "window": 0.5}]


def test_explain_says_by_which_line_and_name_it_refuses(stage: Stage) -> None:
    url = stage.url("/", "both.site.test")
    output = run(stage, "explain", url, "--account", "crawler", "--user-agent", "curl/8").output
    row, = [line for line in output.splitlines() if line.startswith("robots")]
    assert "for 'ExampleBot' (line 9). It is 'Disallow: /'; ExampleBot is bound as examplebot; " \
        "curl/8 is bound as *" in row
    assert row.endswith("[rule robots:9, clause P-robots]")


def test_explain_says_what_only_was_observed(stage: Stage) -> None:
    url = stage.url("/private", "observed.site.test")
    step, = said(stage, "explain", url, "--account", "bob")["steps"]
    because = {each["control"]: each["because"] for each in step["controls"]}["robots"]
    assert "; would be refused, by the entry trial of modes: The robots.txt" in because
    assert (step["robots"]["mode"], step["robots"]["mode_entry"]) == ("observe", "trial")
