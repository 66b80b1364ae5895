"""`outbounds limits …` on a running proxy: what is counted, who is throttled, and the kill switch.

The commands are run as an operator runs them. A target that is closed is closed for the next
request, and for what is open within a second; nobody notices who goes elsewhere.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outbounds.cli import main
from outbounds.proxy.control_socket import control_folder, control_path

from .dialogue import Answer, basic
from .harness import PLAIN_PASSWORD, ROOT, add_account, edit_yaml, wait_until
from .stage import Stage, staged
from .test_standing import drip, ended

WITHIN = 1.0  # second
OPERATOR = pwd.getpwuid(os.getuid()).pw_name
HOSTS = tuple(f"{name}.site.test" for name in (
    "shown", "top", "reset", "shut", "sub.shut", "stays", "lifted", "brief", "broken",
    "elsewhere"))


def prepare(config: Path, ports: list[int]) -> None:
    def limits(data: Any) -> None:
        data["limits"] = [
            {"id": "few", "unit": "requests", "per": "account", "rate": "1/h", "burst": 3,
             "clause": "S-fairshare"},
            {"id": "host", "unit": "requests", "per": "account+host", "rate": "1/h", "burst": 2,
             "clause": "P-impair"},
            {"id": "month", "unit": "bytes", "per": "account", "quota": "1GiB/month",
             "clause": "S-fairshare"},
            {"id": "held", "unit": "tunnels", "per": "account", "max": 4, "clause": "S-fairshare"},
            {"id": "target", "unit": "requests", "per": "host", "rate": "1/h", "burst": 500,
             "clause": "P-flood"}]

    def plans(data: Any) -> None:
        data["plans"] = [{"id": "default", "limits": []},
                         {"id": "few", "limits": ["few", "host", "month", "held"]}]

    edit_yaml(config / "limits.yaml", limits)
    edit_yaml(config / "plans.yaml", plans)
    edit_yaml(config / "robots.yaml", lambda data: data.update(mode="off"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("operators"), prepare=prepare, hosts=HOSTS) as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    running.clear()
    running.plain.handler = running.tls.handler = drip
    yield running
    running.plain.handler = running.tls.handler = None


@pytest.fixture
def account(stage: Stage) -> Callable[[str], tuple[str, str]]:
    """Makes an account on a plan: (name, id)."""
    def make(plan: str = "default", **fields: Any) -> tuple[str, str]:
        name = f"{plan}-{time.monotonic_ns()}"
        return name, add_account(stage.proxy.config, name, PLAIN_PASSWORD, plan=plan, **fields)

    return make


def ask(stage: Stage, name: str, host: str, path: str = "/") -> Answer:
    with stage.dialogue() as dialogue:
        return dialogue.ask("GET", stage.url(path, host), [basic(name)])


def failing(stage: Stage, *words: str) -> str:
    """Run a command that must fail; what it says."""
    result = CliRunner().invoke(main, [*words, "--config", str(stage.proxy.config)])
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.output


def raw(stage: Stage, line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(control_path(stage.proxy.data)))
        peer.sendall(line)
        got = b""
        while data := peer.recv(65536):
            got += data
    found: dict[str, Any] = json.loads(got)
    return found


# --- what has been counted ----------------------------------------------------------------------


def test_what_an_account_has_used(stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, account_id = account("few")
    assert [ask(stage, name, "shown.site.test").status for _ in range(3)] == [200, 200, 429]
    with stage.dialogue() as dialogue:
        at = stage.at("elsewhere.site.test", "tls")
        assert dialogue.connect(at, [basic(name)]).status == 200
        found = json.loads(stage.command("limits", "show", name, "--json"))
        table = stage.command("limits", "show", name)
    assert (found["kind"], found["name"], found["store"]) == ("account", account_id, "memory")
    rows = {(each["limit"], each["of"]): each for each in found["limits"]}
    few = rows["few", ""]
    assert (few["used"], few["remaining"], few["most"], few["debt"]) == (3, 0, 3, 0)
    assert 10_700 < few["whole"] <= 10_800
    host = rows["host", "shown.site.test"]
    assert (host["used"], host["remaining"], host["per"]) == (2, 0, "account+host")
    assert rows["host", "elsewhere.site.test"]["used"] == 1
    held = rows["held", ""]
    assert (held["used"], held["remaining"], held["whole"]) == (1, 3, None)
    assert rows["month", ""]["every"] == "month" and rows["month", ""]["remaining"] > 0
    lines = table.splitlines()
    assert lines[0] == f"{name} ({account_id}), plan few"
    assert lines[1].split() == ["limit", "on", "allows", "used", "left", "debt", "whole"]
    assert any(line.split()[:4] == ["few", "-", "1/h,", "3"] for line in lines)


def test_what_a_target_and_a_source_have_had(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, _ = account()
    assert ask(stage, name, "top.site.test").status == 200
    found = json.loads(stage.command("limits", "show", "--target", "TOP.site.test.", "--json"))
    row, = (each for each in found["limits"] if each["limit"] == "target")
    assert (row["of"], row["used"], row["most"]) == ("top.site.test", 1, 500)
    assert json.loads(stage.command("limits", "show", "--source", "127.0.0.1", "--json"))[
        "limits"] == []


def test_who_is_throttled_most(stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, account_id = account("few")
    statuses = [ask(stage, name, "top.site.test").status for _ in range(6)]
    assert statuses.count(429) == 4
    found = json.loads(stage.command("limits", "top", "--json"))
    for minutes in ("5", "60"):
        rows = {each["name"]: each for each in found["throttled"][minutes]["accounts"]}
        assert rows[account_id]["refused"] == 4
        assert "host" in {each["name"] for each in found["throttled"][minutes]["rules"]}
        assert "top.site.test" in {each["name"] for each in found["throttled"][minutes]["targets"]}
    assert f"{name} ({account_id})" in stage.command("limits", "top")


def test_a_reset_makes_room_and_is_on_record(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, account_id = account("few")
    host = "reset.site.test"
    assert [ask(stage, name, host).status for _ in range(3)] == [200, 200, 429]
    said = stage.command("limits", "reset", name, "--limit", "host")
    assert said.startswith("Reset the limit host of ") and said.endswith("1 counts forgotten.\n")
    assert [ask(stage, name, host).status for _ in range(2)] == [200, 429]  # `few` still holds
    stage.command("limits", "reset", name)
    assert ask(stage, name, host).status == 200
    acts = wait_until(lambda: (found := stage.proxy.pairs(
        event_action="limits-reset", user_id=account_id)) and len(found) == 2 and found)
    for start, end in acts:
        assert start["outbounds.operator"] == OPERATOR
        assert end["event.outcome"] == "success"
    assert acts[0][0]["rule.id"] == "host"
    assert f"{OPERATOR} reset all limits of the account {account_id}" in stage.proxy.log


def test_a_reset_of_what_does_not_exist(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, _ = account("few")
    assert "there is no limit 'fwe'; there are: crawl-delay, few" in failing(
        stage, "limits", "reset", name, "--limit", "fwe")
    assert "there is no account 'nobody'" in failing(stage, "limits", "show", "nobody")


# --- the kill switch ----------------------------------------------------------------------------


def opened(stage: Stage, way: str, name: str, host: str) -> Any:
    """Something to `host` that goes on by itself: an idle tunnel, or a download that has begun."""
    dialogue = stage.dialogue()
    if way == "download":
        dialogue.send("GET", stage.url("/endless", host), [basic(name)])
        assert dialogue.socket.recv(65536).startswith(b"HTTP/1.1 200")
    else:
        assert dialogue.connect(stage.at(host, "tls"), [basic(name)]).status == 200
    return dialogue


def test_a_closed_target_is_closed_at_once_for_everybody_and_open_again(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, account_id = account()
    host = "sub.shut.site.test"
    running = [opened(stage, way, name, host) for way in ("tunnel", "download")]
    other = opened(stage, "download", name, "elsewhere.site.test")
    said = stage.command("limits", "close", "Shut.site.test.", "--reason", "complaint 4711")
    since = time.monotonic()
    assert said == ("Closed shut.site.test and everything below it, until it is opened again. "
                    "In force in 1 worker.\n")
    for dialogue in running:
        assert ended(dialogue.socket, since) < WITHIN
        dialogue.close()
    other.socket.settimeout(2)
    assert other.socket.recv(1000)  # who goes elsewhere goes on
    other.close()
    for action in ("tunnel", "request"):
        _, end = wait_until(lambda action=action: next((
            pair for pair in stage.proxy.pairs(user_id=account_id, destination_domain=host,
                                               event_action=action) if pair[1]), None))
        assert end["event.reason"] == "the operator closed shut.site.test"
        assert (end["rule.id"], end["outbounds.verdict"]) == ("closed:shut.site.test", "refuse")

    refused = ask(stage, name, host)
    assert refused.status == 403
    assert (refused.problem["rule"], refused.problem["clause"]) == (
        "closed:shut.site.test", "P-retaliate")
    assert "4711" not in refused.octets
    with stage.dialogue() as dialogue:
        assert dialogue.connect(stage.at("shut.site.test", "tls"), [basic("bob")]).status == 403
    act, = stage.proxy.pairs(event_action="target-close", destination_domain="shut.site.test")
    assert act[0]["outbounds.operator"] == OPERATOR
    assert act[0]["event.reason"].startswith("complaint 4711 (closed since ")
    said = f"shut.site.test was closed by {OPERATOR} (connections ended: 2): complaint 4711"
    assert said in stage.proxy.log
    assert stage.proxy.metrics()["outbounds_closed_targets"] >= 1
    listed = stage.command("limits", "closed")
    assert "shut.site.test" in listed and "complaint 4711" in listed
    explained = stage.command("explain", stage.url("/", host), "--account", name)
    assert "has been closed by the operator of this proxy. [rule closed:shut.site.test" in explained

    assert "shut.site.test is, with everything below it" in failing(stage, "limits", "open", host)
    assert stage.command("limits", "open", "shut.site.test") == (
        "Opened shut.site.test. In force in 1 worker.\n")
    assert ask(stage, name, host).status == 200
    assert wait_until(lambda: stage.proxy.pairs(
        event_action="target-open", destination_domain="shut.site.test"))


def test_an_exception_for_this_very_rule_lets_its_account_through(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, account_id = account()
    other, _ = account()

    def owners_word(data: Any) -> None:
        data["exceptions"] = [{
            "id": "owners-word", "rule": "closed:lifted.site.test", "accounts": [account_id],
            "until": "2126-01-31", "reason": "the owner agreed"}]

    before = stage.proxy.log.count(" is in force; before it was ")
    edit_yaml(stage.proxy.config / "exceptions.yaml", owners_word)
    wait_until(lambda: stage.proxy.log.count(" is in force; before it was ") > before)
    running, theirs = (opened(stage, "download", each, "lifted.site.test")
                       for each in (name, other))
    stage.command("limits", "close", "lifted.site.test", "--reason", "complaint")
    assert ended(theirs.socket, time.monotonic()) < WITHIN
    running.socket.settimeout(2)
    assert running.socket.recv(1000)
    running.close()
    theirs.close()
    assert ask(stage, name, "lifted.site.test").status == 200
    assert ask(stage, other, "lifted.site.test").status == 403
    start, _ = wait_until(lambda: stage.proxy.pairs(
        user_id=account_id, outbounds_exception="owners-word"))[0]
    assert start["outbounds.verdict"] == "allow"


def test_an_address_closes_the_names_that_are_at_it(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, _ = account()
    running = opened(stage, "tunnel", name, "elsewhere.site.test")
    try:
        stage.command("limits", "close", "127.0.0.1", "--reason", "complaint", "--clause", "S-live")
        assert ended(running.socket, time.monotonic()) < WITHIN
        refused = ask(stage, name, "elsewhere.site.test")
        assert (refused.status, refused.problem["rule"], refused.problem["clause"]) == (
            403, "closed:127.0.0.1", "S-live")
    finally:
        stage.command("limits", "open", "127.0.0.1")
        running.close()
    assert ask(stage, name, "elsewhere.site.test").status == 200


def test_what_is_closed_for_a_while_opens_by_itself(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, _ = account()
    said = stage.command("limits", "close", "brief.site.test", "--reason", "x", "--for", "3s")
    assert " UTC. In force in 1 worker." in said
    assert ask(stage, name, "brief.site.test").status == 403
    wait_until(lambda: ask(stage, name, "brief.site.test").status == 200)
    start, _ = wait_until(lambda: stage.proxy.pairs(
        event_action="target-open", destination_domain="brief.site.test"))[0]
    assert start["event.reason"].startswith("its time is over; ")
    assert "brief" not in stage.command("limits", "closed")


def test_what_is_closed_stays_closed_over_a_reload(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, _ = account()
    stage.command("limits", "close", "stays.site.test", "--reason", "x")
    before = stage.proxy.log.count(" is in force; before it was ")
    edit_yaml(stage.proxy.config / "robots.yaml", lambda data: data.update(max_delay="30s"))
    wait_until(lambda: stage.proxy.log.count(" is in force; before it was ") > before)
    assert ask(stage, name, "stays.site.test").status == 403


def test_a_file_that_is_broken_leaves_what_was_closed(
        stage: Stage, account: Callable[..., tuple[str, str]]) -> None:
    name, _ = account()
    stage.command("limits", "close", "broken.site.test", "--reason", "x")
    file = stage.proxy.data / "closed.json"
    good = file.read_bytes()
    file.write_bytes(good[:-10])
    try:
        wait_until(lambda: stage.proxy.metrics()["outbounds_closed_targets_unreadable"] == 1)
        assert ask(stage, name, "broken.site.test").status == 403
        assert "The targets that are closed stay as they are" in stage.proxy.log
        assert "closed.json: " in failing(stage, "limits", "closed")
    finally:
        file.write_bytes(good)
    wait_until(lambda: stage.proxy.metrics()["outbounds_closed_targets_unreadable"] == 0)
    stage.command("limits", "open", "broken.site.test")
    assert ask(stage, name, "broken.site.test").status == 200


# --- the socket itself --------------------------------------------------------------------------


def test_the_socket_is_the_proxys_own(stage: Stage) -> None:
    folder, path = control_folder(stage.proxy.data), control_path(stage.proxy.data)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("line", "said"), [
    (b"no json\n", "not one JSON object"),
    (b"[]\n", "not a request"),
    (b'{"command": 1}\n', "not a request"),
    (b'{"command": "stop"}\n', "there is no command 'stop'; there are: closed-targets, limits-"),
    (b'{"command": "limits-show"}\n', "of whom?"),
    (b'{"command": "limits-show", "kind": "target", "name": "a b"}\n', "is not a host"),
    (b"x" * 100_000 + b"\n", "at most 65536 bytes"),
], ids=["noise", "no-object", "no-command", "unknown", "nobody", "no-host", "long"])
def test_what_is_no_request_gets_an_error(stage: Stage, line: bytes, said: str) -> None:
    try:
        answer = raw(stage, line)
    except ConnectionError:  # what was too long is not all read: the kernel may say so first
        assert len(line) > 65536
        return
    assert answer["ok"] is False and said in answer["error"]


# --- restarts, and no proxy at all --------------------------------------------------------------


def test_it_works_without_a_proxy_and_over_a_restart(tmp_path: Path) -> None:
    with staged(tmp_path, hosts=["moved.site.test"]) as stage:
        name = "bob"
        stage.command("limits", "close", "moved.site.test", "--reason", "before the restart")
        assert stage.proxy.stop() == 0
        assert not list(control_folder(stage.proxy.data).iterdir())
        for words in (("show", name), ("top",), ("reset", name)):
            said = failing(stage, "limits", *words)
            assert "no proxy runs on" in said and "was in its memory" in said
        said = stage.command("limits", "close", "site.test", "--reason", "while it was down")
        assert said.endswith("No proxy runs; it holds when one starts.\n")
        stage.proxy.start()
        wait_until(lambda: stage.proxy.log.count("enforces policy") == 2)
        refused = [ask(stage, name, host).problem["rule"] for host in ("moved.site.test",
                                                                       "site.test")]
        assert refused == ["closed:moved.site.test", "closed:site.test"]
        stage.proxy.kill()  # leaves its socket behind, which is no proxy
        assert control_path(stage.proxy.data).exists()
        assert "no proxy runs on" in failing(stage, "limits", "top")
        (stage.proxy.data / "closed.json").write_text("{}")
        done = subprocess.run(
            [sys.executable, "-m", "outbounds", "serve", "--config", str(stage.proxy.config)],
            capture_output=True, text=True, timeout=30, check=False,
            env={"PYTHONPATH": str(ROOT / "addons"), "PATH": "/usr/bin:/bin"})
        assert done.returncode == 1
        assert "closed.json: " in done.stderr and "Traceback" not in done.stderr
