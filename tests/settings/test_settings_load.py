"""What a good configuration becomes."""

from __future__ import annotations

import dataclasses
import math
from ipaddress import ip_address, ip_network
from pathlib import Path

import pydantic
import pytest
from config_folder import Folder

from outbounds.core.account import Account, Plan
from outbounds.core.destination import parse_host
from outbounds.core.limits import Away, Limit, Over, Per, Unit
from outbounds.core.rules import AdaptiveTerms, Protocol, QueueTerms, RobotsPolicy
from outbounds.lists.rules_file import parse_rules
from outbounds.settings import Listen, Settings, load
from outbounds.settings.calendar import Calendar, Every

SHIPPED = Path(__file__).resolve().parents[2] / "config"
JANUARY_31_2027_ENDS = 1801440000.0  # date -u -d 2027-02-01 +%s

CLAUSES = """
P-access P-harvest P-probe P-spam P-robots P-impair P-flood P-overload P-forge P-retaliate
P-provider P-content P-copyright P-listing P-monitor P-report P-revise
S-suspend S-lawful S-minors S-unauthorized S-probe S-interfere S-forge S-entitle S-spider S-covert
S-retaliate S-intercept S-fairshare S-eol S-mail S-usenet S-pentest S-live S-copyright S-addresses
S-identity S-nomonitor S-modify S-wcag S-domains S-hosting
"""


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return load(SHIPPED, parse_rules)


def test_the_shipped_configuration_is_good_and_local(shipped: Settings) -> None:
    assert shipped.warnings == ()
    assert all(ip_address(each.host).is_loopback for each in shipped.service.listen)
    assert ip_address(shipped.service.metrics.host).is_loopback
    assert shipped.service.listen[0] == Listen(mode="http", host="127.0.0.1", port=8080)
    assert shipped.service.data == SHIPPED / "var"
    assert shipped.identity.accounts == SHIPPED / "var/accounts.db"
    assert shipped.evidence.directory == SHIPPED / "var/evidence"
    assert shipped.policy.grants == () and shipped.policy.addresses.grants == ()


def test_the_shipped_catalogue_holds_every_clause_and_claims_no_control_for_attestations(
    shipped: Settings,
) -> None:
    assert sorted(shipped.clauses) == sorted(CLAUSES.split())
    # standing is set by a person, upon the case that the attestation is
    assert all(set(clause.controls) <= {"standing"} for clause in shipped.clauses.values()
               if clause.how == ("attested",))


def test_mail_and_usenet_ports_cite_their_own_clauses(shipped: Settings) -> None:
    protocol = shipped.policy.protocol
    cited = {port: protocol.port_clauses.get(port, protocol.port_clause)
             for port in (22, 25, 465, 587, 2525, 119, 563, 194, 6667, 6697)}
    assert cited == {22: "P-probe", **dict.fromkeys((25, 465, 587, 2525), "P-spam"),
                     **dict.fromkeys((119, 563, 194, 6667, 6697), "S-usenet")}
    assert not cited.keys() & (protocol.ports | protocol.tunnel_ports)


def test_each_part_is_built_from_its_file(folder: Folder) -> None:
    settings = folder.load()
    policy = settings.policy
    assert policy.limits == {
        "requests": Limit("requests", Unit.REQUESTS, Per.ACCOUNT, 60, 60.0, 10, Over.REFUSE, 0.0,
                          "P-robots"),
        "tunnels": Limit("tunnels", Unit.TUNNELS, Per.ACCOUNT, 5, 0.0, 5, Over.REFUSE, 0.0,
                         "P-robots"),
        "target": Limit("target", Unit.REQUESTS, Per.HOST, 20, 1.0, 5, Over.PACE, 1.5,
                        "P-robots"),
    }
    assert policy.protocol == Protocol(
        frozenset({"GET", "POST"}), frozenset({80, 8000, 8001, 8002}), frozenset({443}),
        {25: "S-suspend", 587: "S-suspend"}, "P-robots", "P-robots", "P-robots")
    assert policy.robots == RobotsPolicy("enforce", "P-robots", 60.0, 10.0)
    assert policy.suspended_clause == "S-suspend"
    hit, = policy.denylist.match(parse_host("a.denied.example"), 80, "http", "/")
    assert (hit.list_id, hit.rule, hit.clause) == ("blocked", "blocked:2", "P-robots")
    assert settings.lists == {"blocked": 1}
    assert settings.service.heads.timeout == 10.0
    assert settings.identity.failures.per_source.count == 30
    assert settings.evidence.segment_size == 64 * 1024**2
    assert settings.robots.cache.memory == 1024**2
    assert settings.forged_headers.names == ("Via", "X-Forwarded-*")
    assert settings.clauses["S-suspend"].controls == ("standing",)
    assert settings.stale_at == math.inf


def test_every_shape_of_a_limit_is_built(folder: Folder) -> None:
    folder.write("limits.yaml", """\
time_zone: Europe/Vienna
limits:
  - {id: a, unit: bytes-down, per: account, rate: 10MiB/s, burst: 100MiB, over: pace, max_wait: 5s,
     clause: P-robots}
  - {id: b, unit: bytes, per: account, quota: 100GiB/month, clause: P-robots, when_away: closed}
  - {id: c, unit: hosts, per: account, rate: 50/h, clause: P-robots}
  - {id: d, unit: concurrent-requests, per: site, max: 7, over: pace, max_wait: 500ms,
     clause: P-robots}
  - {id: e, unit: requests, per: source, quota: 10/day, methods: [POST], ports: [80, 8000-8001],
     targets: [EXAMPLE.com.], clause: P-robots, when_away: open}
queue: {per_account: 3, total: 9}
adaptive: {start: 5, most: 50, max_wait: 2s, most_pause: 1min, clause: P-robots}
""")
    folder.write("plans.yaml", "standing: {clause: S-suspend}\nplans:\n"
                               "  - {id: default, limits: [a, b, c]}\n"
                               "  - {id: large, limits: [], weight: 4,\n"
                               "     rate_limit_fields: always}\n")
    policy = folder.load().policy
    month, day = (Calendar(every, "Europe/Vienna") for every in (Every.MONTH, Every.DAY))
    mib = 1024 ** 2
    assert policy.limits == {each.id: each for each in (
        Limit("a", Unit.BYTES_DOWN, Per.ACCOUNT, 10 * mib, 1.0, 100 * mib, Over.PACE, 5.0,
              "P-robots"),
        Limit("b", Unit.BYTES, Per.ACCOUNT, 102400 * mib, 0.0, 102400 * mib, clause="P-robots",
              calendar=month, away=Away.CLOSED),
        Limit("c", Unit.HOSTS, Per.ACCOUNT, 50, 3600.0, 50, clause="P-robots"),
        Limit("d", Unit.CONCURRENT, Per.SITE, 7, 0.0, 7, Over.PACE, 0.5, "P-robots"),
        Limit("e", Unit.REQUESTS, Per.SOURCE, 10, 0.0, 10, clause="P-robots", calendar=day,
              methods=frozenset({"POST"}), ports=frozenset({80, 8000, 8001}),
              targets=("example.com",), away=Away.OPEN))}
    assert policy.plans == {"default": Plan("default", ("a", "b", "c", "d", "e")),
                            "large": Plan("large", ("d", "e"), 4, True)}
    assert policy.queue == QueueTerms(3, 9)
    assert policy.adaptive == AdaptiveTerms(5, 1, 50, 2.0, 60.0, "P-robots")


def test_a_target_limit_holds_for_every_plan_once(folder: Folder) -> None:
    folder.write("plans.yaml", "standing: {clause: S-suspend}\nplans:\n"
                               "  - {id: default, limits: []}\n"
                               "  - {id: large, limits: [target, requests]}\n")
    policy = folder.load().policy
    assert [limit.id for limit in policy.limits_of(Account("a", "a"))] == ["target"]
    assert [limit.id for limit in policy.limits_of(Account("b", "b", plan="large"))] == [
        "target", "requests"]


def test_settings_cannot_be_changed(folder: Folder) -> None:
    settings = folder.load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.policy.version = "x"  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError):
        settings.service.name = "x"
    with pytest.raises(TypeError):
        settings.policy.limits["x"] = settings.policy.limits["requests"]  # type: ignore[index]


def test_own_addresses_come_from_the_machine_and_ports_from_the_files(folder: Folder) -> None:
    settings = folder.load()
    known = settings.with_own({ip_address("192.0.2.7")}, {4711})
    assert known.policy.addresses.own_ports == {8080, 9464, 4711}
    assert known.policy.addresses.refuses(ip_address("192.0.2.7"), 80) is not None
    assert known.policy.version == settings.policy.version
    assert settings.policy.addresses.own == frozenset()


def test_relative_paths_are_below_the_configuration_and_absolute_ones_stay(folder: Folder) -> None:
    folder.change("outbounds.yaml", "data: var", "data: ../elsewhere")
    folder.change("evidence.yaml", "socket: c.sock", "socket: /run/c.sock")
    folder.write("customers", "")
    folder.change("identity.yaml", "cache: 5min",
                  "cache: 5min\nhtpasswd: [{file: customers, plan: default}]")
    settings = folder.load()
    assert settings.evidence.directory == folder.path.parent / "elsewhere/evidence"
    assert settings.evidence.socket == Path("/run/c.sock")
    assert settings.identity.htpasswd[0].file == folder.path / "customers"
    assert folder.path / "customers" in settings.files


GRANT = "grants: [{id: wiki, network: 10.1.2.0/24, ports: [443], reason: x, until: 2027-01-31}]"


def test_a_dated_grant_holds_through_its_last_day_and_says_when_to_load_again(
    folder: Folder,
) -> None:
    folder.change("destinations.yaml", "grants: []", GRANT)
    before = folder.load(JANUARY_31_2027_ENDS - 1)
    grant, = before.policy.addresses.grants
    assert (grant.id, grant.network, grant.ports) == ("wiki", ip_network("10.1.2.0/24"), {443})
    assert (before.stale_at, before.warnings) == (JANUARY_31_2027_ENDS, ())
    after = folder.load(JANUARY_31_2027_ENDS)
    assert after.policy.addresses.grants == ()
    assert after.stale_at == math.inf
    assert after.warnings == ("wiki has ended and does nothing; remove it",)
    assert before.policy.version == after.policy.version


def test_an_exception_is_canonical_and_ends(folder: Folder) -> None:
    folder.write("exceptions.yaml", """\
exceptions:
  - {id: e, rule: "blocked:2", accounts: [acme], host: BÜCHER.example., until: 2027-01-31,
     reason: x}
  - {id: whole, rule: blocked, host: example.com, until: 2027-01-31, reason: x}
""")
    settings = folder.load(JANUARY_31_2027_ENDS)
    grant = settings.policy.grants[0]
    host = parse_host("www.bücher.example")
    assert grant.lifts("blocked:2", "acme", host, JANUARY_31_2027_ENDS - 1)
    assert not grant.lifts("blocked:2", "acme", host, JANUARY_31_2027_ENDS)
    assert not grant.lifts("blocked:2", "other", host, JANUARY_31_2027_ENDS - 1)
    assert settings.warnings == ("e has ended and does nothing; remove it",
                                 "whole has ended and does nothing; remove it")


def test_the_version_is_what_the_policy_says_not_how_it_is_written(folder: Folder) -> None:
    version = folder.load().policy.version
    assert len(version) == 64 and folder.load().policy.version == version
    folder.write("robots.yaml", """\
# the same, in another order and form
cache:
  memory: "1MiB"
fetch: {timeout: 10s}
max_wait: 10s
max_delay: 1min
clause: P-robots
mode: enforce
""")
    folder.change("outbounds.yaml", "port: 8080", "port: 8081")
    folder.change("evidence.yaml", "64MiB", "65MiB")
    assert folder.load().policy.version == version


@pytest.mark.parametrize("name, old, new", [
    ("identity.yaml", "restrict: true", "restrict: false"),
    ("plans.yaml", "[requests, tunnels]", "[tunnels, requests]"),
    ("limits.yaml", "60/min", "61/min"),
    ("destinations.yaml", "own: P-robots", "own: S-suspend"),
    ("protocol.yaml", "[443]", "[444]"),
    ("robots.yaml", "enforce", "observe"),
    ("exceptions.yaml", "[]",
     "[{id: a, rule: robots, host: a.example, until: 2027-01-31, reason: x}]"),
    ("aup/two.yaml", "Some must go.", "All must go."),
    ("lists/blocked.txt", "# one", "# one\n"),
])
def test_the_version_changes_with_every_policy_file(
    folder: Folder, name: str, old: str, new: str
) -> None:
    version = folder.load().policy.version
    folder.change(name, old, new)
    assert folder.load().policy.version != version


def test_the_version_does_not_depend_on_the_place(folder: Folder, tmp_path: Path) -> None:
    assert Folder(tmp_path / "other").load().policy.version == folder.load().policy.version


@pytest.mark.parametrize(("action", "refused"), [("strip", False), ("refuse", True)])
def test_what_becomes_of_forged_headers(folder: Folder, action: str, refused: bool) -> None:
    folder.change("protocol.yaml", "action: strip", f"action: {action}")
    settings = folder.load()
    assert settings.forged_headers.action == action
    assert settings.policy.protocol.refuse_route_fields is refused
