"""Lists as destinations.yaml describes them: which are held in memory, which are compiled, and
what is said about a description that cannot be meant; with DNS and the protocols of tunnels."""

from __future__ import annotations

import datetime
import math

import pytest

from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms
from outbounds.core.list_entry import EVERYONE, Scope
from outbounds.settings import SettingsError
from outbounds.settings.documents import MAX_IN_MEMORY
from settings.config_folder import Folder

BLOCKED = """  - id: blocked
    file: lists/blocked.txt
    clause: P-robots
"""


def with_list(folder: Folder, text: str) -> None:
    folder.change("destinations.yaml", BLOCKED, BLOCKED + text)


def day(text: str) -> float:
    return datetime.datetime.fromisoformat(text + "T00:00:00+00:00").timestamp()


def test_a_feed_is_compiled_and_its_terms_are_those_of_the_file(folder: Folder) -> None:
    with_list(folder, """\
  - id: malware
    feed: {url: "https://lists.example.net/hosts"}
    clause: S-suspend
    legal: https://www.example.net/legal
    labels: [malware, "country:kp"]
    only: [adult]
    plans: [default]
    accounts: [acct_1]
    since: 2026-01-01
    until: 2027-01-31
""")
    settings = folder.load()
    source, = settings.sources
    assert source.terms == Terms(
        "malware", "S-suspend", "https://www.example.net/legal", ("malware", "country:kp"),
        frozenset({"adult"}),
        Scope(frozenset({"default"}), frozenset({"acct_1"}), day("2026-01-01"), day("2027-02-01")))
    assert (source.format, source.file) == ("auto", None)
    feed = source.feed
    assert feed is not None
    assert (feed.url, feed.refresh, feed.max_size, feed.max_age, feed.when_stale,
            feed.min_percent, feed.sha256) == (
        "https://lists.example.net/hosts", 3600.0, 256 * 1024**2, 3 * 86400.0, "keep", 50, None)
    assert settings.lists == {"blocked": 1}


def test_a_file_in_another_format_is_compiled_and_no_reload_reads_it(folder: Folder) -> None:
    folder.write("lists/ads.txt", "0.0.0.0 ads.example\n")
    with_list(folder, "  - {id: ads, file: lists/ads.txt, format: hosts, clause: P-robots}\n")
    settings = folder.load()
    source, = settings.sources
    assert source.file == folder.path.absolute() / "lists/ads.txt"
    assert (source.format, source.feed, source.terms.scope) == ("hosts", None, EVERYONE)
    assert not any(path.name == "ads.txt" for path in settings.files)


def test_a_large_list_of_rules_is_compiled(folder: Folder) -> None:
    line = "domain a.example\n"
    folder.write("lists/blocked.txt", line * (MAX_IN_MEMORY // len(line)))
    assert folder.load().sources == ()
    folder.write("lists/blocked.txt", line * (MAX_IN_MEMORY // len(line) + 1))
    settings = folder.load()
    assert [(each.id, each.format) for each in settings.sources] == [("blocked", "rules")]
    assert settings.policy.denylist.size == 0


def test_the_scope_of_a_list_in_memory_reaches_its_hits(folder: Folder) -> None:
    folder.change("destinations.yaml", BLOCKED, BLOCKED + "    plans: [default]\n")
    hit, = folder.load().policy.denylist.match(parse_host("denied.example"), 80, "http", "/")
    assert hit.terms.scope.plans == {"default"}


def test_a_list_that_has_ended_is_said(folder: Folder) -> None:
    folder.change("destinations.yaml", BLOCKED, BLOCKED + "    until: 2026-01-31\n")
    assert folder.load(day("2026-01-31")).warnings == ()
    assert folder.load(day("2026-02-01")).warnings == (
        "blocked has ended and does nothing; remove it",)


def test_mixed_answers_and_tunnel_protocols(folder: Folder) -> None:
    assert not folder.load().policy.drop_bad_addresses
    folder.change("destinations.yaml", "lists:", "mixed_answers: drop\nlists:")
    folder.change("protocol.yaml", "forged_headers:", "refused_in_tunnels:\n"
                  "  - {protocols: [smtp, ssh], clause: S-suspend}\nforged_headers:")
    policy = folder.load().policy
    assert policy.drop_bad_addresses
    assert policy.protocol.refused_in_tunnels == {"smtp": "S-suspend", "ssh": "S-suspend"}


def test_dns(folder: Folder) -> None:
    dns = folder.load().service.dns
    assert (dns.servers, dns.timeout, dns.ttl_floor, dns.ttl_ceiling, dns.negative_ceiling,
            dns.names) == ((), 5.0, 5.0, 3600.0, 60.0, 20_000)
    folder.change("outbounds.yaml", "data: var", "data: var\ndns:\n  servers: [192.0.2.53, "
                  '"127.0.0.1:5353", "2001:db8::53", "[::1]:5353"]\n')
    assert folder.load().service.dns.servers == (
        "192.0.2.53:53", "127.0.0.1:5353", "[2001:db8::53]:53", "[::1]:5353")


def test_without_a_compiled_list_or_with_it_the_policy_is_the_same_but_for_the_lists(
        folder: Folder) -> None:
    settings = folder.load()
    assert settings.with_compiled(None).policy.denylist is settings.policy.denylist
    bare = settings.with_compiled(None, ["malware"])
    assert bare.policy.unusable_lists == ("malware",)
    both = settings.with_compiled(settings.policy.denylist)
    assert both.policy.denylist.size == 2
    assert both.policy.version == settings.policy.version


FEED = "  - id: x\n    feed: {{url: https://a.example/, {}}}\n    clause: P-robots\n"
FAULTS = [
    # (more lists, what is said)
    ("  - {id: x, clause: P-robots}\n",
     "6: lists[1]: a list has either a file or a feed; write one of them"),
    ("  - {id: x, file: lists/blocked.txt, feed: {url: https://a.example/}, clause: P-robots}\n",
     "6: lists[1]: a list has either a file or a feed; write one of them"),
    ("  - {id: x, file: lists/blocked.txt, format: csv, clause: P-robots}\n",
     '6: lists[1].format: "csv": unknown; use rules or auto or domains'),
    ("  - {id: x, file: lists/gone.txt, format: hosts, clause: P-robots}\n",
     '6: lists[1].file: "lists/gone.txt": no such file; create it or correct the name'),
    ("  - {id: x, file: lists/blocked.txt, clause: P-robots, plans: [gold]}\n",
     '6: lists[1].plans[0]: "gold": unknown plan; use one of default'),
    ("  - {id: x, file: lists/blocked.txt, clause: P-robots, labels: [Mal ware]}\n",
     '6: lists[1].labels[0]: "Mal ware": not a label; use lower-case letters'),
    ("  - {id: x, file: lists/blocked.txt, clause: P-robots, since: 2027-02-01, "
     "until: 2027-01-31}\n",
     "6: lists[1]: since is not before until, so the list is never in force; mend the dates"),
    ("  - {id: x, file: lists/blocked.txt, clause: P-robots, since: soon}\n",
     '6: lists[1].since: "soon": not a date; write the first day as YYYY-MM-DD'),
    ("  - {id: x, feed: {url: a.example}, clause: P-robots}\n",
     '6: lists[1].feed.url: "a.example": not a URL'),
    (FEED.format("refresh: 2day"),
     "7: lists[1].feed: max_age is less than two times refresh, so one failed attempt makes the "
     "list stale; raise max_age"),
    (FEED.format("min_percent: 101"),
     "7: lists[1].feed.min_percent: 101: too large; use at most 100"),
    (FEED.format("sha256: ABC"),
     '7: lists[1].feed.sha256: "ABC": not a SHA-256; write the 64 hex digits in lower case'),
    (FEED.format("when_stale: allow"),
     '7: lists[1].feed.when_stale: "allow": unknown; use keep or refuse'),
]


@pytest.mark.parametrize(("text", "said"), FAULTS)
def test_a_list_that_cannot_be_meant(folder: Folder, text: str, said: str) -> None:
    with_list(folder, text)
    with pytest.raises(SettingsError) as caught:
        folder.load()
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 and f"destinations.yaml:{said}" in lines[0], lines


@pytest.mark.parametrize(("old", "new", "said"), [
    ("data: var", "data: var\ndns: {servers: [dns.example]}\n",
     'dns.servers[0]: "dns.example": not a name server; write its address'),
    ("data: var", 'data: var\ndns: {servers: ["192.0.2.1:99999"]}\n', "not a name server"),
    ("data: var", "data: var\ndns: {ttl_floor: 2h}\n", "dns: ttl_floor is above ttl_ceiling"),
])
def test_dns_faults(folder: Folder, old: str, new: str, said: str) -> None:
    folder.change("outbounds.yaml", old, new)
    with pytest.raises(SettingsError, match=r"outbounds\.yaml:") as caught:
        folder.load()
    assert said in str(caught.value)


def test_a_protocol_has_one_clause(folder: Folder) -> None:
    folder.change("protocol.yaml", "forged_headers:", "refused_in_tunnels:\n"
                  "  - {protocols: [smtp, ssh], clause: S-suspend}\n"
                  "  - {protocols: [ssh], clause: P-robots}\nforged_headers:")
    with pytest.raises(SettingsError, match="ssh is named twice in refused_in_tunnels; keep one"):
        folder.load()


def test_an_exception_may_name_a_compiled_list_and_any_line_of_it(folder: Folder) -> None:
    with_list(folder, "  - {id: malware, feed: {url: https://a.example/}, clause: P-robots}\n")
    folder.write("exceptions.yaml", "exceptions:\n  - {id: e, rule: 'malware:7', "
                 "host: a.example, until: 2027-01-31, reason: x}\n")
    grant, = folder.load().policy.grants
    assert grant.rule == "malware:7" and grant.until < math.inf


def test_an_entry_for_a_plan_that_does_not_exist_is_for_nobody(folder: Folder) -> None:
    folder.write("lists/blocked.txt", "domain a.example plans=default\n"
                                      "domain b.example plans=defualt\n")
    with pytest.raises(SettingsError) as caught:
        folder.load()
    assert 'lists/blocked.txt:2: ' in str(caught.value)
    assert '"defualt": unknown plan; did you mean default?' in str(caught.value)
