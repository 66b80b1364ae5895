"""One fault at a time: what an operator got wrong, and the exact line that says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from config_folder import Folder

# file, what stands in the good one, what replaces it, the line that must be reported
FAULTS = [
    # quantities and scalars
    ("limits.yaml", "60/min", "60/parsec",
     '5: limits[0].rate: "60/parsec": unknown unit; use s, min, h or day'),
    ("limits.yaml", "60/min", "fast",
     '5: limits[0].rate: "fast": not a rate; write a count per unit, such as 600/min'),
    ("limits.yaml", "60/min", "0/min",
     '5: limits[0].rate: "0/min": out of range; use a count from 1 to 1000000000000'),
    ("limits.yaml", "60/min", "60",
     "5: limits[0].rate: 60: not a rate; write a count per unit, such as 600/min"),
    ("limits.yaml", "burst: 10", "burst: 0",
     "6: limits[0].burst: 0: too small; use at least 1"),
    ("limits.yaml", "burst: 10", "burst: 99999999999999999999",
     "6: limits[0].burst: 99999999999999999999: too large; use at most 1000000000"),
    ("limits.yaml", "burst: 10", "burst: 1.5",
     "6: limits[0].burst: 1.5: not a whole number; write digits"),
    ("limits.yaml", "burst: 10", 'burst: "10"',
     '6: limits[0].burst: "10": not a whole number; write digits'),
    ("limits.yaml", "burst: 10", "burst: true",
     "6: limits[0].burst: true: not a whole number; write digits"),
    ("limits.yaml", "burst: 10", "burst:",
     "2: limits[0]: rate needs burst, which is how much may come at once; add it"),
    ("limits.yaml", "max_wait: 1.5s", "max_wait: 1.5",
     "20: limits[2].max_wait: 1.5: not a length of time; write a number with its unit, "
     "such as 5s or 10min"),
    ("limits.yaml", "max_wait: 1.5s", "max_wait: 0s",
     '20: limits[2].max_wait: "0s": must be more than nothing; write a larger value'),
    ("limits.yaml", "max_wait: 1.5s", "max_wait: 5 weeks",
     '20: limits[2].max_wait: "5 weeks": unknown unit; use ms, s, min, h or day'),
    ("evidence.yaml", "64MiB", "64MB",
     '5: segment_size: "64MB": unknown unit; use B, KiB, MiB or GiB'),
    ("evidence.yaml", "64MiB", "many",
     '5: segment_size: "many": not a size; write a number with its unit, such as 64KiB'),
    ("evidence.yaml", "64MiB", "0.3B",
     '5: segment_size: "0.3B": not a whole number of bytes in range; use another number'),
    ("robots.yaml", "enforce", "strict",
     '1: mode: "strict": unknown; use enforce or observe or off'),
    ("identity.yaml", "identify: true", "identify: yes",
     '5: networks.identify: "yes": neither true nor false; write one of them'),
    ("outbounds.yaml", "name: outbounds", "name: 7",
     "1: name: 7: not text; write words, in quotes where they look like a number"),
    ("outbounds.yaml", "name: outbounds", "name: Out Bounds",
     "1: name: \"Out Bounds\": not a token; use lower-case letters, digits, '.' and '-'"),
    ("identity.yaml", "realm: outbounds", "realm: 'a \"b\"'",
     r'1: realm: "a \"b\"": cannot stand in a header; use plain ASCII without quotes or '
     "backslashes, at most 64 characters"),
    # shape
    ("limits.yaml", "    burst: 10\n", "",
     "2: limits[0]: rate needs burst, which is how much may come at once; add it"),
    ("limits.yaml", "    max: 5\n", "", "9: limits[1].max: missing; add it"),
    ("limits.yaml", "    unit: tunnels\n", "", "9: limits[1].unit: missing; add it"),
    ("limits.yaml", "unit: tunnels", "unit: octets",
     '10: limits[1].unit: "octets": unknown; use requests or connections or hosts or refusals or '
     "bytes or bytes-up or bytes-down or concurrent-requests or tunnels"),
    ("limits.yaml", "    max: 5", "    max: 5\n    brust: 3",
     "13: limits[1].brust: unknown key; use one of clause, id, max, max_wait, methods, over, per, "
     "ports, targets, unit, when_away"),
    ("limits.yaml", "per: host", "per: planet",
     '16: limits[2].per: "planet": unknown; use account or account+host or account+site or host or '
     "site or address or source"),
    ("limits.yaml", "burst: 10", "burst: 10\n    max_wiat: 3s",
     "7: limits[0].max_wiat: unknown key; did you mean max_wait?"),
    ("outbounds.yaml", "data: var", "data: var\nheds: {}",
     "5: heds: unknown key; did you mean heads?"),
    ("outbounds.yaml", "data: var", "data: var\nheads: {timeuot: 3s}",
     "5: heads.timeuot: unknown key; did you mean timeout?"),
    ("plans.yaml", "limits: [requests, tunnels]", "limits: requests",
     '4: plans[0].limits: "requests": not a list; write [a, b], or each entry on a line of its '
     "own after a dash"),
    ("plans.yaml", "standing: {clause: S-suspend}", "standing: S-suspend",
     '1: standing: "S-suspend": not a mapping; write its keys below it, each as `key: value`'),
    ("outbounds.yaml", "\n  - {mode: http, host: 127.0.0.1, port: 8080}", " []",
     "2: listen: empty; give at least one entry"),
    ("exceptions.yaml", "exceptions: []", "[]",
     "1: not a mapping; write its keys below it, each as `key: value`"),
    # references
    ("plans.yaml", "[requests, tunnels]", "[requests, tunnles]",
     '4: plans[0].limits[1]: "tunnles": unknown limit; did you mean tunnels?'),
    ("plans.yaml", "[requests, tunnels]", "[xyz]",
     '4: plans[0].limits[0]: "xyz": unknown limit; use one of requests, target, tunnels'),
    ("plans.yaml", "S-suspend", "S-suspnd",
     '1: standing.clause: "S-suspnd": unknown clause; did you mean S-suspend?'),
    ("destinations.yaml", "    clause: P-robots", "    clause: Z",
     '5: lists[0].clause: "Z": unknown clause; use one of P-robots, S-suspend'),
    ("protocol.yaml", "clause: S-suspend", "clause: P-spam",
     '6: port_clauses[0].clause: "P-spam": unknown clause; use one of P-robots, S-suspend'),
    ("identity.yaml", "cache: 5min", "cache: 5min\nhtpasswd: [{file: plans.yaml, plan: big}]",
     '4: htpasswd[0].plan: "big": unknown plan; use one of default'),
    ("plans.yaml", "id: default", "id: basic",
     "1: there is no plan with the id default, which new accounts get; add one"),
    # ids
    ("limits.yaml", "id: tunnels", "id: Tunnels!",
     '9: limits[1].id: "Tunnels!": not an id; use lower-case letters, digits, \'.\', \'_\' '
     "and '-'"),
    ("limits.yaml", "id: target", "id: crawl-delay",
     '14: limits[2].id: "crawl-delay": the limit that a site\'s crawl-delay sets is called so; '
     "choose another id"),
    ("limits.yaml", "id: target", "id: requests",
     '14: limits[2].id: "requests": given twice, first at config/limits.yaml:2; '
     "choose another id"),
    ("aup/two.yaml", "id: S-suspend", "id: suspend",
     '3: clauses[0].id: "suspend": not a clause id; write a policy\'s letter and a word, '
     "such as P-robots"),
    # between keys
    ("limits.yaml", "burst: 10", "quota: 5/day",
     "2: limits[0]: has both rate and quota, or neither; write one of them"),
    ("limits.yaml", "rate: 60/min", "quota: 5/day",
     "2: limits[0]: a quota may be used at any pace within its period, so it has no burst; for a "
     "pace as well write a second limit, with rate and burst"),
    ("limits.yaml", "rate: 60/min\n    burst: 10", "quota: 5/min",
     '5: limits[0].quota: "5/min": unknown period; use h, day or month, or for less a rate with a '
     "burst"),
    ("limits.yaml", "rate: 60/min\n    burst: 10", "quota: 5",
     "5: limits[0].quota: 5: not a quota; write a count per period, such as 100000/month"),
    ("limits.yaml", "unit: requests\n    per: account\n    rate: 60/min\n    burst: 10",
     "unit: bytes\n    per: account\n    rate: 60/min\n    burst: 1MiB",
     '5: limits[0].rate: "60/min": unknown unit; use B, KiB, MiB or GiB'),
    ("limits.yaml", "unit: requests\n    per: host", "unit: hosts\n    per: host",
     "14: limits[2]: hosts are counted per account or per source; write one of these"),
    ("limits.yaml", "unit: requests\n    per: host", "unit: refusals\n    per: account",
     "14: limits[2]: only requests and connections at a rate can wait for their turn; "
     "write over: refuse"),
    ("limits.yaml", "limits:\n", "time_zone: Mars/Olympus\nlimits:\n",
     '1: time_zone: "Mars/Olympus": unknown time zone; use a name such as Europe/Vienna or UTC'),
    ("limits.yaml", "limits:\n",
     "adaptive: {start: 5, least: 9, clause: P-robots}\nlimits:\n",
     "1: adaptive: start is not between least and most; mend the three"),
    ("limits.yaml", "id: target", "id: target-pause",
     '14: limits[2].id: "target-pause": a limit of the adaptive protection is called so; '
     "choose another id"),
    ("limits.yaml", "    max_wait: 1.5s\n", "",
     "14: limits[2]: over: pace needs max_wait, and over: refuse has none; write both or "
     "neither"),
    ("protocol.yaml", "- {ports: [25, 587], clause: S-suspend}",
     "- {ports: [25, 587], clause: S-suspend}\n  - {ports: [25], clause: P-robots}",
     "1: port 25 has two entries in port_clauses; keep one"),
    ("outbounds.yaml", "data: var", "data: var\nmetrics: {host: 127.0.0.1, port: 8080}",
     "1: 127.0.0.1 port 8080 is listened on twice; give each listener and metrics a port of "
     "its own"),
    # places
    ("outbounds.yaml", "port: 8080", "port: 65536",
     "3: listen[0].port: 65536: too large; use at most 65535"),
    ("outbounds.yaml", "127.0.0.1", "localhost",
     '3: listen[0].host: "localhost": not an IP address; use one of this machine\'s, such as '
     "127.0.0.1"),
    ("outbounds.yaml", "data: var", "data: .",
     '4: data: ".": the configuration\'s own folder; use one below it, such as var'),
    ("outbounds.yaml", "data: var", "data: var\ncontact: somebody",
     '5: contact: "somebody": not a URL or mail address; write one that a site owner can use'),
    ("evidence.yaml", "c.sock", "/run/" + "x" * 103,
     f'3: socket: "/run/{"x" * 53}…: a socket\'s path may have 107 bytes and /run/{"x" * 103} '
     "has more; set a shorter one, such as /run/outbounds/collector.sock"),
    ("protocol.yaml", "[80, 8000-8002]", "[80, 0]",
     "2: ports: 0 is not a port; use 1 to 65535"),
    ("protocol.yaml", "[80, 8000-8002]", "[8002-8000]",
     "2: ports: '8002-8000' is an empty range; put the lower port first"),
    ("protocol.yaml", "[80, 8000-8002]", "[http]",
     "2: ports: 'http' is not a port; write a number such as 443, or a range such as 8000-8099"),
    ("protocol.yaml", "[80, 8000-8002]", "80",
     "2: ports: 80: not a list; write ports in brackets, such as [80, 443]"),
    ("protocol.yaml", "[GET, POST]", "[get]",
     '1: methods[0]: "get": not a method; write it in capitals, such as GET'),
    ("protocol.yaml", "[Via, X-Forwarded-*]", "['*-For']",
     '7: forged_headers.names[0]: "*-For": not a header name; write one such as Via, or a '
     "beginning such as X-Forwarded-*"),
    ("destinations.yaml", "lists/blocked.txt", "lists/gone.txt",
     '4: lists[0].file: "lists/gone.txt": no such file; create it or correct the name'),
    ("destinations.yaml", "lists/blocked.txt", "lists",
     '4: lists[0].file: "lists": not a regular file; put a text file here'),
    ("destinations.yaml", "    clause: P-robots", "    clause: P-robots\n    legal: example",
     '6: lists[0].legal: "example": not a URL; write it in full, such as '
     "https://www.example.net/legal"),
    ("destinations.yaml", "grants: []",
     "grants: [{id: a, network: 10.0.0.1/8, ports: [80], reason: x}]",
     '6: grants[0].network: "10.0.0.1/8": bits are set after the prefix; did you mean '
     "10.0.0.0/8?"),
    ("destinations.yaml", "grants: []",
     "grants: [{id: a, network: intranet, ports: [80], reason: x}]",
     '6: grants[0].network: "intranet": not a network; write address/length, such as '
     "10.1.0.0/16"),
    ("identity.yaml", "cache: 5min", "cache: 5min\nhtpasswd: [{file: no, plan: default}]",
     '4: htpasswd[0].file: "no": no such file; create it or correct the name'),
    # exceptions
    ("exceptions.yaml", "[]", "[{id: a, rule: port/25, host: h.example, until: 2027-02-30, "
     "reason: x}]",
     '1: exceptions[0].until: "2027-02-30": not a date; write the last day as YYYY-MM-DD'),
    ("exceptions.yaml", "[]", "[{id: a, rule: port/0, host: h.example, until: 2027-01-31, "
     "reason: x}]",
     '1: exceptions[0].rule: "port/0": no rule that can be lifted; did you mean port?'),
    ("exceptions.yaml", "[]", "[{id: a, rule: own-listener, host: h.example, "
     "until: 2027-01-31, reason: x}]",
     '1: exceptions[0].rule: "own-listener": no rule that can be lifted; use one of blocked, '
     "forged-headers, method, own-address, port, robots, special-purpose, tunnel/ftp, "
     "tunnel/http, tunnel/irc, tunnel/nntp, tunnel/smtp, tunnel/ssh"),
    ("exceptions.yaml", "[]", "[{id: a, rule: 'robots:12', host: h.example, until: 2027-01-31, "
     "reason: x}]",
     '1: exceptions[0].rule: "robots:12": the line of a robots.txt is the site\'s to change; '
     "use robots"),
    ("exceptions.yaml", "[]", "[{id: a, rule: 'blocked:1', host: h.example, "
     "until: 2027-01-31, reason: x}]",
     '1: exceptions[0].rule: "blocked:1": the list blocked has no entry in that line; '
     "name the line of one"),
    ("exceptions.yaml", "[]", "[{id: a, rule: robots, until: 2027-01-31, reason: x}]",
     "1: exceptions[0]: lifts its rule for everyone everywhere; name accounts or a host"),
    ("exceptions.yaml", "[]", "[{id: a, rule: robots, host: h.example, until: 2027-01-31, "
     "reason: ''}]",
     '1: exceptions[0].reason: "": empty or not one line; write a few words'),
    ("exceptions.yaml", "[]", "[{id: a, rule: robots, host: 'h example', until: 2027-01-31, "
     "reason: x}]",
     '1: exceptions[0].host: "h example": not a host: it contains a space; write a name such '
     "as example.com"),
    # YAML's traps
    ("plans.yaml", "plans:", "standing: {clause: P-robots}\nplans:",
     "2: standing: given twice, first in line 1; keep one"),
    ("plans.yaml", "    limits: [r", "\tlimits: [r", "4: a tab; indent with spaces"),
    ("plans.yaml", "{clause: S-suspend}", "&c {clause: S-suspend}",
     '1: standing: "&c": anchors and aliases are not used here; write the value out'),
    ("plans.yaml", "S-suspend", "!!python/name:os.system S-suspend",
     '1: standing.clause: "tag:yaml.org,2002:python/name:os.system": this tag is not used '
     "here; remove it"),
    ("plans.yaml", "{clause: S-suspend}", "!secret {clause: S-suspend}",
     '1: standing: "!secret": this tag is not used here; remove it'),
    ("plans.yaml", "id: default", "[id]: default",
     "3: plans[0]: a key that is not plain text; write a word before the colon"),
    ("protocol.yaml", "[443]", "[443, &x 444]",
     '3: tunnel_ports[1]: "&x": anchors and aliases are not used here; write the value out'),
    ("aup/two.yaml", "Some must go.", r'"\ud800"',
     r"""3: clauses[0].summary: "'\\ud800'": half a character; write it whole"""),
    ("robots.yaml", "mode: enforce", 'mode: enforce\n"\\e[1m": 1',
     "2: a key that is not plain text; write a word before the colon"),
    ("limits.yaml", "burst: 10", "burst: .nan",
     '6: limits[0].burst: ".nan": not a number that can be used; write digits'),
]


def _label(fault: tuple[str, str, str, str]) -> str:
    return f"{fault[0]} {fault[3].split(': ', 1)[1][:50]}"


@pytest.mark.parametrize("name, old, new, expected", FAULTS, ids=map(_label, FAULTS))
def test_a_fault_is_named_with_its_line_and_its_fix(
    folder: Folder, name: str, old: str, new: str, expected: str
) -> None:
    folder.change(name, old, new)
    first = f"config/{name}:{expected}"
    faults = folder.faults()
    assert first in faults
    # what took an id away leaves references to it behind, rightly; anything else is noise
    assert all("unknown " in fault or "plans[0].id: missing" in fault
               for fault in faults if fault != first)


@pytest.mark.parametrize("text, expected", [
    ("a: [1, 2\n", ":2: not YAML: while parsing a flow sequence expected ',' or ']', but got "
                   "'<stream end>'; correct the syntax at column 1"),
    ("", ":1: the file says nothing; `outbounds init DIR` writes one to start from"),
    ("# only a comment\n", ":1: the file says nothing; `outbounds init DIR` writes one to start "
                           "from"),
    ("exceptions: *nowhere\n", ":1: not YAML: found undefined alias 'nowhere'; correct the "
                               "syntax at column 13"),
    ("exceptions: []\n---\nexceptions: []\n",
     ":2: not YAML: expected a single document in the stream but found another document; "
     "correct the syntax at column 1"),
    ("exceptions: []\nx: \x07\n", ":2: a control character; remove it"),
    (b"exceptions: []\n# caf\xe9\n", ":2: \"0xe9\": not UTF-8; save the file as UTF-8"),
    ("[" * 100_000, ": nested too deeply; no value here needs more than five levels"),
    (b"#" * (4 * 1024 * 1024 + 1), ": larger than 4194304 bytes; split it or shorten it"),
], ids=["syntax", "empty", "comment", "alias", "two documents", "control", "latin-1", "deep",
        "large"])
def test_a_file_that_does_not_parse_is_one_fault(
    folder: Folder, text: str | bytes, expected: str
) -> None:
    folder.write("exceptions.yaml", text)
    assert folder.faults() == [f"config/exceptions.yaml{expected}"]


def test_an_alias_bomb_costs_nothing(folder: Folder) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    folder.write("exceptions.yaml", bomb)
    faults = folder.faults()
    assert 'exceptions.yaml:1: a0: "&a0": anchors and aliases are not used here' in faults[0]
    assert len(faults) < 100


def test_nesting_that_parses_is_bounded_as_well(folder: Folder) -> None:
    folder.change("exceptions.yaml", "[]", "[" * 60 + "]" * 60)
    assert folder.faults() == [
        "config/exceptions.yaml:1: exceptions: nested too deeply; no value here needs more than "
        "five levels",
        "config/exceptions.yaml:1: exceptions[0]: not a mapping; write its keys below it, each as "
        "`key: value`"]


def test_missing_and_unreadable_files(folder: Folder) -> None:
    (folder.path / "limits.yaml").unlink()
    (folder.path / "robots.yaml").unlink()
    os.mkfifo(folder.path / "robots.yaml")  # opening one would wait for ever
    assert folder.faults() == [
        "config/limits.yaml: no such file; create it or correct the name",
        "config/robots.yaml: not a regular file; put a text file here",
    ]


def test_a_file_that_does_not_parse_makes_no_reference_to_it_wrong(folder: Folder) -> None:
    folder.write("aup/one.yaml", "clauses: [")
    assert [fault.split(" ")[0] for fault in folder.faults()] == ["config/aup/one.yaml:1:"]


def test_a_clause_has_one_place(folder: Folder) -> None:
    folder.write("aup/zwei.yaml", (folder.path / "aup/two.yaml").read_bytes())
    fault, = folder.faults()
    assert fault.startswith('config/aup/zwei.yaml:3: clauses[0].id: "S-suspend": given twice, '
                            "first at ")
    assert fault.endswith("config/aup/two.yaml:3; choose another id")


def test_no_catalogue_at_all(folder: Folder) -> None:
    for path in (folder.path / "aup").iterdir():
        path.unlink()
    assert folder.faults() == [
        "config/aup: no clause catalogue; put a *.yaml here, as `outbounds init DIR` writes them"]


def test_a_file_that_nobody_reads_is_a_rule_that_somebody_believes_in(folder: Folder) -> None:
    folder.write("limit.yaml", "limits: []\n")
    folder.write(".limits.yaml.swp", "")
    assert folder.faults() == [
        "config/limit.yaml: nothing reads this file; did you mean limits.yaml?"]


def test_a_list_with_a_mistake_shows_its_own_line(folder: Folder) -> None:
    folder.write("lists/blocked.txt", "domain good.example\nnetwork 10.0.0.0/99\n")
    fault, = folder.faults()
    assert fault.startswith('config/lists/blocked.txt:2: network "10.0.0.0/99": ')


def test_a_list_that_is_not_utf_8(folder: Folder) -> None:
    folder.write("lists/blocked.txt", b"# ok\n# caf\xe9\n")
    assert folder.faults() == [
        'config/destinations.yaml:4: lists[0].file: "lists/blocked.txt": line 2: not UTF-8; '
        "save the file as UTF-8"]


def test_no_folder(tmp_path: Path) -> None:
    missing = Folder(tmp_path / "config")
    missing.path = tmp_path / "conf"
    assert missing.faults() == [
        "conf: no such folder; name one with --config, or write one with `outbounds init DIR`"]


def test_ten_faults_in_four_files_are_ten_lines(folder: Folder) -> None:
    folder.change("limits.yaml", "60/min", "60/parsec")
    folder.change("limits.yaml", "burst: 10", "burst: 0")
    folder.change("limits.yaml", "max: 5", "max: five")
    folder.change("plans.yaml", "S-suspend", "S-gone")
    folder.change("plans.yaml", "[requests, tunnels]", "[requests, gone]")
    folder.change("protocol.yaml", "[GET, POST]", "[GET, post]")
    folder.change("protocol.yaml", "action: strip", "action: keep")
    folder.change("robots.yaml", "mode: enforce", "mode: maybe")
    folder.change("robots.yaml", "max_wait: 10s", "max_wait: 10x")
    folder.change("robots.yaml", "fetch: {timeout: 10s}", "fetch: {timeout: 10s, user: me}")
    faults = folder.faults()
    assert [fault.split(": ")[0] for fault in faults] == [
        "config/plans.yaml:1", "config/plans.yaml:4",
        "config/limits.yaml:5", "config/limits.yaml:6", "config/limits.yaml:12",
        "config/protocol.yaml:1", "config/protocol.yaml:7",
        "config/robots.yaml:1", "config/robots.yaml:4", "config/robots.yaml:5"]
