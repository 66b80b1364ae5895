"""robots.yaml: whom the rules bind and how, from the file's words to the policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from config_folder import Folder
from ruamel.yaml import YAML

from outbounds.core.account import Account
from outbounds.core.destination import parse_host
from outbounds.core.rules import HONOURED, Identity, RobotsMode, RobotsPolicy
from outbounds.settings.robots import ModeEntry, RobotsFile

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "robots.yaml"
JANUARY_31_2027_ENDS = 1801440000.0  # date -u -d 2027-02-01 +%s

FULL = """\
max_wait: 10s
identity: account
engine: built-in
honour: [crawl-delay, visit-time]
modes:
  - id: shop
    mode: off
    accounts: [acct_a]
    hosts: [Shop.Example., 192.0.2.7]
    reason: the shop's own crawler
  - id: trial
    mode: observe
    plans: [default]
    until: 2027-01-31
    reason: a trial
"""


def test_what_is_left_out_is_strict(folder: Folder) -> None:
    settings = folder.load()
    assert settings.policy.robots == RobotsPolicy(
        "enforce", "P-robots", 60.0, 10.0, Identity.STRICTEST, frozenset(HONOURED), ())
    assert settings.robots.engine == "built-in"


def test_every_key(folder: Folder) -> None:
    folder.change("robots.yaml", "max_wait: 10s\n", FULL)
    settings = folder.load(now=JANUARY_31_2027_ENDS - 1)
    assert settings.policy.robots == RobotsPolicy(
        "enforce", "P-robots", 60.0, 10.0, Identity.ACCOUNT,
        frozenset({"crawl-delay", "visit-time"}), (
            RobotsMode("shop", "off", accounts=frozenset({"acct_a"}),
                       hosts=frozenset({"shop.example", "192.0.2.7"})),
            RobotsMode("trial", "observe", plans=frozenset({"default"}),
                       until=JANUARY_31_2027_ENDS)))
    assert settings.warnings == ()


def test_a_mode_that_has_ended_can_go(folder: Folder) -> None:
    folder.change("robots.yaml", "max_wait: 10s\n", FULL)
    settings = folder.load(now=JANUARY_31_2027_ENDS)
    assert settings.warnings == ("trial has ended and does nothing; remove it",)
    policy, host = settings.policy.robots, parse_host("site.example")
    account = Account("acct_b", "bob")
    assert policy.mode_for(account, host, JANUARY_31_2027_ENDS - 1) == ("observe", "trial")
    assert policy.mode_for(account, host, JANUARY_31_2027_ENDS) == ("enforce", "")


@pytest.mark.parametrize(("text", "fault"), [
    ("identity: agent", '4: identity: "agent": unknown; use user-agent or account or strictest'),
    ("engine: protego", '4: engine: "protego": unknown; use built-in or reppy'),
    ("honour: [crawl-dealy]", '4: honour[0]: "crawl-dealy": unknown; use crawl-delay or '
                              "request-rate or visit-time or content-signals"),
    ("honour: crawl-delay", '4: honour: "crawl-delay": not a list; write [a, b], or each entry '
                            "on a line of its own after a dash"),
    ("snapshots: {keep: 0s}", '4: snapshots.keep: "0s": must be more than nothing; write a larger '
                              "value"),
    ("ownership: {check: 1day, lapse: 1day}",
     "4: ownership: lapse is less than two times check, so that one failed look-up ends a proof; "
     "raise lapse"),
    ("modes: [{id: a, mode: observe, reason: x}]",
     "4: modes[0]: is for everyone everywhere; name plans, accounts or hosts, or set the file's "
     "own mode"),
    ("modes: [{id: a, mode: observe, hosts: [''], reason: x}]",
     "4: modes[0]: has an empty host, which no target fits; name one, or leave hosts out"),
    ("modes: [{id: a, mode: observe, hosts: ['*.example'], reason: x}]",
     '4: modes[0].hosts[0]: "*.example": not a host: '),
    ("modes: [{id: a, mode: observe, plans: [defualt], reason: x}]",
     '4: modes[0].plans[0]: "defualt": unknown plan; did you mean default?'),
    ("modes: [{id: a, mode: observe, plans: [default]}]", "4: modes[0].reason: missing; add it"),
    ("modes: [{id: a, mode: watch, plans: [default], reason: x}]",
     '4: modes[0].mode: "watch": unknown; use enforce or observe or off'),
    ("modes: [{id: a, mode: observe, plans: [default], reason: x, until: 2027-02-30}]",
     '4: modes[0].until: "2027-02-30": not a date; write the last day as YYYY-MM-DD'),
    ("modes:\n  - {id: a, mode: observe, plans: [default], reason: x}\n"
     "  - {id: a, mode: enforce, hosts: [h.example], reason: y}",
     '6: modes[1].id: "a": given twice, first at config/robots.yaml:5; choose another id'),
])
def test_faults(folder: Folder, text: str, fault: str) -> None:
    lines = (folder.path / "robots.yaml").read_text().splitlines()
    folder.write("robots.yaml", "\n".join([*lines[:3], text, *lines[3:]]) + "\n")
    faults = folder.faults()
    assert len(faults) == 1 and faults[0].startswith(f"config/robots.yaml:{fault}"), faults


@pytest.mark.parametrize("name", ["crawl-delay", "request-rate", "visit-time"])
def test_limits_that_sites_set_have_their_own_ids(folder: Folder, name: str) -> None:
    folder.change("limits.yaml", "id: target", f"id: {name}")
    assert folder.faults() == [
        f'config/limits.yaml:14: limits[2].id: "{name}": the limit that a site\'s {name} sets is '
        "called so; choose another id"]


@pytest.mark.parametrize("rule", ["visit-time", "content-use/ai-train", "robots/unreachable"])
def test_a_robots_txt_is_lifted_as_a_whole(folder: Folder, rule: str) -> None:
    folder.change("exceptions.yaml", "[]", f"[{{id: a, rule: {rule}, host: h.example, "
                  "until: 2027-01-31, reason: x}]")
    assert folder.faults() == [
        f'config/exceptions.yaml:1: exceptions[0].rule: "{rule}": what a robots.txt refuses can '
        "only be lifted as a whole; use robots"]


# --- the file that is shipped -------------------------------------------------------------------


def keys(model: Any) -> Iterator[tuple[str, ...]]:
    """The path of every key that can be written."""
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from ((name, *inner) for inner in keys(field.annotation))
        else:
            yield (name,)


def test_the_shipped_file_shows_every_key() -> None:
    text = SHIPPED.read_text()
    for path in keys(RobotsFile):
        at = YAML(typ="safe").load(text)
        for name in path:
            assert name in at, path
            at = at[name]
    for name in ModeEntry.model_fields:  # in the example
        assert f"#       {name}: " in text or f"#     - {name}: " in text, name


def test_what_it_shows_is_what_holds_without_it(folder: Folder) -> None:
    """So that a key can be deleted by whoever does not want to think about it."""
    clause = "clause: P-robots"
    shown = SHIPPED.read_text()
    assert clause in shown
    folder.write("robots.yaml", shown)
    written = folder.load().robots
    needed = {"mode", "clause", "max_delay", "max_wait", "fetch", "cache"}
    bare = RobotsFile.model_construct(**{name: getattr(written, name) for name in needed})
    assert bare.model_dump() == written.model_dump()
    for name, field in type(written.fetch).model_fields.items():
        if not field.is_required():
            assert getattr(written.fetch, name) == field.default, name
