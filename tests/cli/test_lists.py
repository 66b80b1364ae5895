"""`outbounds lists`: build, status, test and diff, as an operator types them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from outbounds.cli import main
from outbounds.cli.list_naming import complete_list
from outbounds.lists.build_lock import build_lock
from outbounds.lists.places import Places
from outbounds.lists.status import Status, read_status, write_status
from settings.config_folder import Folder

LISTS = """\
clauses: {own: P-robots, special: P-robots}
lists:
  - {id: blocked, file: lists/blocked.txt, clause: P-robots}
  - {id: ads, file: lists/ads.txt, format: domains, clause: P-robots, labels: [ads]}
  - {id: trial, file: lists/trial.txt, format: netset, clause: S-suspend, plans: [default]}
  - {id: shut, file: lists/shut.txt, format: domains, clause: S-suspend, accounts: [someone]}
grants: []
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(os, "nice", lambda by: by)  # this process has to go on
    folder = Folder(tmp_path / "config")
    folder.write("destinations.yaml", LISTS)
    folder.write("lists/ads.txt", "# ads\nads.example\ntracker.example\n")
    folder.write("lists/trial.txt", "192.0.2.0/24\n")
    folder.write("lists/shut.txt", "elsewhere.example\n")
    return folder


def lists(folder: Folder, *words: str) -> Result:
    return CliRunner().invoke(main, ["lists", *words[:1], "--config", str(folder.path), *words[1:]])


def said(folder: Folder, *words: str, code: int = 0) -> Any:
    result = lists(folder, *words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def places(folder: Folder) -> Places:
    return Places.below(folder.load().service.data)


# --- build ----------------------------------------------------------------------------------------


def test_a_build_says_what_it_did(folder: Folder) -> None:
    result = lists(folder, "build")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"3 lists, 4 entries, in \d+\.\d s; generation [0-9a-f]{12}\n",
                        result.stdout)
    assert "reading ads\n" in result.stderr


def test_quiet_says_nothing_but_what_is_wrong(folder: Folder) -> None:
    result = lists(folder, "build", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    folder.write("lists/ads.txt", "com\n")
    result = lists(folder, "build", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    line, = result.stderr.splitlines()
    assert line.startswith(f"ads: {folder.path}/lists/ads.txt")
    assert line.endswith("; the last good copy stays in force, with 2 entries")


def test_a_list_that_never_was_good(folder: Folder) -> None:
    folder.write("lists/ads.txt", "com\n")
    found = said(folder, "build", code=1)
    assert [each["id"] for each in found["lists"] if not each["part"]] == ["ads"]
    result = lists(folder, "build", "--quiet")
    assert result.stderr.endswith(
        "; there is no good copy to go on with: a running proxy keeps its old configuration, and "
        "one that starts refuses every request\n")


def test_a_build_while_another_one_runs(folder: Folder) -> None:
    places(folder).make()
    with build_lock(places(folder).lock):
        result = lists(folder, "build")
    assert result.exit_code == 75
    assert result.stderr == (
        f"Error: another build of the lists is under way (it holds {places(folder).lock}); wait "
        "for it, `outbounds lists status` shows what came of it\n")


def test_data_that_cannot_be_written(folder: Folder) -> None:
    folder.write("var/lists", "in the way")
    result = lists(folder, "build")
    assert result.exit_code == 75
    assert result.stderr.endswith("; the lists in force stay as they were\n")


def test_a_fault_of_ours_does_not_look_like_a_bad_list(
        folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object, **__: object) -> None:
        raise RuntimeError("oops")
    monkeypatch.setattr("outbounds.cli.list_build.build_lists", faulty)
    result = lists(folder, "build", "--quiet")
    assert result.exit_code == 70
    assert result.stderr.endswith(
        "RuntimeError: oops\nThe lists in force stay as they were.\n")


@pytest.mark.parametrize(("name", "why"), [
    ("blocked", "blocked is held in memory: it is never built, and live within two seconds of a "
                "change"),
    ("other", "there is no list 'other'; there are: ads, trial, shut")])
def test_only_what_is_compiled_can_be_accepted(name: str, why: str, folder: Folder) -> None:
    result = lists(folder, "build", "--accept", name)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, f"Error: {why}")


def test_without_lists_to_compile(folder: Folder) -> None:
    folder.write("destinations.yaml", re.sub(r"(?m)^  - \{id: (?!blocked).*\n", "", LISTS))
    result = lists(folder, "build")
    assert (result.exit_code, result.stdout) == (
        0, "No list needs compiling: all are held in memory.\n")


def test_a_broken_configuration_is_said_and_nothing_is_built(folder: Folder) -> None:
    folder.write("destinations.yaml", "lists: 5\n")
    for command in ("build", "status", "diff"):
        result = lists(folder, command)
        assert result.exit_code == 1
        assert "destinations.yaml" in result.stderr
    assert not (folder.path / "var/lists").exists()


# --- status ---------------------------------------------------------------------------------------


def test_status_before_and_after_a_build(folder: Folder) -> None:
    before = lists(folder, "status").stdout.splitlines()
    assert [line.split() for line in before[1:3]] == [
        ["blocked", "rules", "1", "-", "-", "in", "memory"],
        ["ads", "domains", "-", "-", "-", "unbuilt"]]
    assert before[-1] == "generation -, never built; `outbounds lists build` does it now"
    version = said(folder, "build")["version"]
    after = lists(folder, "status").stdout.splitlines()
    assert re.fullmatch(r"ads +domains +2  \d+ s  -     good", after[2])
    assert re.fullmatch(rf"generation {version[:12]}, built \d s ago", after[-1])
    found = said(folder, "status")
    assert (found["version"], found["in_memory"]) == (version, {"blocked": 1})
    assert [(each["id"], each["state"]) for each in found["lists"]] == [
        ("ads", "good"), ("trial", "good"), ("shut", "good")]


FEED = "  - id: feed\n    feed: {url: 'https://me:secret@lists.example/x', max_age: 1day}\n" \
       "    clause: P-robots\n"


@pytest.mark.parametrize(("change", "state", "age", "next_one"), [
    ({}, "good", "3 h", "in 2 h"),
    ({"good_at": -90_000.0}, "stale", "25 h", "in 2 h"),
    ({"error": "it is cut off"}, "failed", "3 h", "in 2 h"),
    ({"error": "it shrank", "held_back": True}, "held back", "3 h", "in 2 h"),
    ({"error": "never", "part": ""}, "missing", "-", "in 2 h"),
    ({"next_check": -5.0}, "good", "3 h", "due"),
])
def test_the_states_of_a_feed(change: dict[str, Any], state: str, age: str, next_one: str,
                              folder: Folder) -> None:
    folder.write("destinations.yaml", LISTS.replace("grants:", FEED + "grants:"))
    said(folder, "build", code=1)
    path, now = places(folder).status, time.time()
    status = read_status(path)
    assert status is not None
    feed = status.lists[-1]
    feed = replace(feed, format="domains", part="x.part", good_at=-10_900.0, next_check=8000.0,
                   error="")
    feed = replace(feed, **change)
    feed = replace(feed, good_at=now + feed.good_at, next_check=now + feed.next_check)
    write_status(path, replace(status, lists=(*status.lists[:-1], feed)))
    output = lists(folder, "status").stdout
    line, = (line for line in output.splitlines() if line.startswith("feed "))
    assert re.split(r"  +", line)[3:] == [age, next_one, state]
    assert "secret" not in output
    assert (f"feed: {feed.error}" in output) is bool(feed.error)


def test_status_that_may_not_be_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> Status:
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr("outbounds.cli.list_status.read_status", refused)
    result = lists(folder, "status")
    assert result.exit_code == 1
    assert result.stderr.endswith("status.json: Permission denied; may you read the proxy's "
                                  "data?\n")


# --- test -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "rules"), [
    ("www.tracker.example", ["ads:3"]),
    ("https://ADS.example:8443/x?y", ["ads:2"]),
    ("denied.example:443", ["blocked:2"]),
    ("192.0.2.7", ["trial:1"]),
    ("[::ffff:192.0.2.7]:80", ["trial:1"]),
    ("0xc0000207", ["trial:1"]),
])
def test_which_list_and_which_line(target: str, rules: list[str], folder: Folder) -> None:
    said(folder, "build")
    found = said(folder, "test", target, code=1)
    assert found["denied"] is True
    assert [f"{hit['list']}:{hit['line']}" for hit in found["hits"]] == rules


def test_the_answer_as_a_table(folder: Folder) -> None:
    said(folder, "build")
    assert lists(folder, "test", "ads.example").stdout == (
        "list:line  effect  says    labels  clause    for\n"
        "ads:2      deny    denies  ads     P-robots  everyone\n"
        "ads.example is denied by the lists\n")
    result = lists(folder, "test", "good.example")
    assert (result.exit_code, result.output) == (0, "good.example is not denied by the lists\n")


def test_a_list_that_is_for_others(folder: Folder) -> None:
    said(folder, "build")
    found = said(folder, "test", "elsewhere.example")
    assert found["denied"] is False
    hit, = found["hits"]
    assert (hit["says"], hit["scope"]) == (
        "not in force for this account now", "accounts someone")


def test_a_dated_exception_lifts_a_denial(folder: Folder) -> None:
    said(folder, "build")
    folder.write("exceptions.yaml", "exceptions:\n  - {id: ticket-7, rule: ads, "
                 "host: ads.example, until: 2999-01-01, reason: for the test}\n")
    hit, = said(folder, "test", "ads.example")["hits"]
    assert hit["says"] == "lifted by the exception ticket-7"
    assert said(folder, "test", "tracker.example", code=1)["denied"] is True


@pytest.mark.parametrize(("words", "why"), [
    (("bad host",), "is not a host"), (("ftp://ads.example/",), "neither a host nor"),
    (("ads.example/page",), "has a path but no scheme; write https://ads.example/page"),
    (("ads.example", "--account", "nobody"), "there is no account 'nobody'")])
def test_what_cannot_be_asked(words: tuple[str, ...], why: str, folder: Folder) -> None:
    result = lists(folder, "test", *words)
    assert result.exit_code == 2
    assert why in result.stderr


def test_a_list_that_was_never_built_is_not_taken_for_an_empty_one(folder: Folder) -> None:
    result = lists(folder, "test", "good.example")
    assert result.exit_code == 2
    assert "ads: it was never built, so it was not asked; `outbounds lists build` does it" in \
        result.stderr
    assert lists(folder, "test", "denied.example").exit_code == 1


def test_a_generation_that_is_damaged(folder: Folder) -> None:
    version = said(folder, "build")["version"]
    (places(folder).generations / version / "manifest.json").write_bytes(b"{")
    result = lists(folder, "test", "good.example")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "compile again: outbounds lists build" in result.stderr


# --- diff -----------------------------------------------------------------------------------------


def test_nothing_has_changed(folder: Folder) -> None:
    said(folder, "build")
    folder.write("lists/ads.txt", "tracker.example\n\n# other order\nADS.example.\n")
    result = lists(folder, "diff")
    assert result.exit_code == 0
    assert result.stdout == "".join(f"{name}: 0 added, 0 removed\n"
                                    for name in ("ads", "trial", "shut"))


def test_what_a_list_would_change(folder: Folder) -> None:
    said(folder, "build")
    folder.write("lists/ads.txt", "".join(f"new{number}.example\n" for number in range(25)))
    folder.write("lists/trial.txt", "198.51.100.0/24\n2001:db8:1::/48\n")
    result = lists(folder, "diff", "ads")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "ads: 25 added, 2 removed", *(f"  + domain new{number}.example" for number in range(20)),
        "  + … and 5 more", "  - domain ads.example", "  - domain tracker.example"]
    assert said(folder, "diff", "trial", code=1)["lists"] == {"trial": {
        "added": 2, "removed": 1, "first_removed": ["network 192.0.2.0/24"],
        "first_added": ["network 198.51.100.0/24", "network 2001:db8:1::/48"]}}


def test_against_another_file(folder: Folder, tmp_path: Path) -> None:
    said(folder, "build")
    other = tmp_path / "other.txt"
    other.write_text("ads.example\n")
    result = lists(folder, "diff", "ads", "--against", str(other))
    assert result.stdout == "ads: 0 added, 1 removed\n  - domain tracker.example\n"
    result = lists(folder, "diff", "--against", str(other))
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2, "Error: --against needs one list: name its id")


def test_a_copy_that_cannot_be_read_has_no_difference(folder: Folder) -> None:
    said(folder, "build")
    folder.write("lists/ads.txt", "com\n")
    found = said(folder, "diff", code=2)
    assert list(found["lists"]) == ["trial", "shut"]
    assert "com" in found["errors"]["ads"]


def test_every_kind_is_shown_as_it_would_be_written(folder: Folder) -> None:
    entries = ["domain a.example", "host b.example", "below c.example", "network 192.0.2.0/24",
               "port 25", "scheme http", "url http://d.example:8080/x/", "allow domain e.example",
               "pattern ^https?://f[0-9]+[.]example/"]
    folder.change("destinations.yaml", "format: domains, clause: P-robots, labels",
                  "clause: P-robots, labels")
    folder.write("lists/ads.txt", "\n".join(entries) + "\n")
    shown = said(folder, "diff", "ads", code=1)["lists"]["ads"]["first_added"]
    assert sorted(shown) == sorted(entries)


# --- help and completion --------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["build", "status", "test", "diff"])
def test_each_command_has_a_manual(command: str) -> None:
    result = CliRunner().invoke(main, ["lists", command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 10


def test_ids_are_completed(folder: Folder) -> None:
    complete: Callable[..., Any] = complete_list
    context = click.Context(click.Command("diff"))
    context.params["config_dir"] = folder.path
    assert [item.value for item in complete(context, None, "s")] == ["shut"]
    context.params["config_dir"] = folder.path / "nowhere"
    assert complete(context, None, "") == []
