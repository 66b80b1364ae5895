"""The list file: what is read, and every error at once with its line and its fix."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from outbounds.core.denylist import Denylist
from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms
from outbounds.core.list_entry import Effect, Entry, Kind, Scope
from outbounds.core.url_prefix import parse_url_prefix
from outbounds.lists.rules_file import parse_rules

SHIPPED = Path(__file__).parents[2] / "config" / "lists"


def test_every_kind_with_comments_blank_lines_and_odd_spacing() -> None:
    text = "\n".join([
        "\ufeff# a list",                              # 1, after a byte order mark
        "",                                            # 2
        "domain Example.COM.",                         # 3
        "  host\twww.example.com   # a note",          # 4
        "network 203.0.113.0/24\r",                    # 5, from Windows
        "network 2001:db8::1",                         # 6
        "port 25 # mail",                              # 7
        "url http://example.com/a%20b?x=1 # note",     # 8
        "#domain off.example",                         # 9
        "domain form.example\f",                       # 10
        "below example.com",                           # 11
        "scheme http",                                 # 12
        "pattern ^https?://[^/]*/a[#]b=c",             # 13
        "domain last.example",                         # 14
    ])
    found, errors = parse_rules(text, "config/lists/house.txt")
    assert errors == []
    assert found == [
        Entry(kind, value, line)
        for line, kind, value in [
            (3, Kind.DOMAIN, "example.com"),
            (4, Kind.HOST, "www.example.com"),
            (5, Kind.NETWORK, ip_network("203.0.113.0/24")),
            (6, Kind.NETWORK, ip_network("2001:db8::1/128")),
            (7, Kind.PORT, 25),
            (8, Kind.URL, parse_url_prefix("http://example.com/a%20b?x=1")),
            (10, Kind.DOMAIN, "form.example"),
            (11, Kind.BELOW, "example.com"),
            (12, Kind.SCHEME, "http"),
            (13, Kind.PATTERN, "^https?://[^/]*/a[#]b=c"),
            (14, Kind.DOMAIN, "last.example"),
        ]
    ]


_JANUARY = 1798761600.0  # 2027-01-01T00:00:00Z


@pytest.mark.parametrize(("line", "entry"), [
    ("allow host a.example", Entry(Kind.HOST, "a.example", 1, Effect.ALLOW)),
    ("allow\tport 25 # mail", Entry(Kind.PORT, 25, 1, Effect.ALLOW)),
    ("domain a.example labels=b,a,b,country:kp",
     Entry(Kind.DOMAIN, "a.example", 1, labels=("b", "a", "country:kp"))),
    ("domain a.example accounts=x,y plans=trial", Entry(
        Kind.DOMAIN, "a.example", 1,
        scope=Scope(plans=frozenset({"trial"}), accounts=frozenset({"x", "y"})))),
    ("host a.example until=2027-01-31 since=2027-01-01", Entry(
        Kind.HOST, "a.example", 1,
        scope=Scope(since=_JANUARY, until=_JANUARY + 31 * 86400))),
    ("pattern ^http://a/[?]x=1 until=2027-01-31", Entry(
        Kind.PATTERN, "^http://a/[?]x=1", 1, scope=Scope(until=_JANUARY + 31 * 86400))),
    ("pattern until=2027-01-31", Entry(Kind.PATTERN, "until=2027-01-31", 1)),
    ("url a.example/?until=x", Entry(Kind.URL, parse_url_prefix("a.example/?until=x"), 1)),
])
def test_exceptions_and_attributes(line: str, entry: Entry) -> None:
    assert parse_rules(line, "x.txt") == ([entry], [])


def test_all_errors_at_once_each_with_file_line_value_and_fix() -> None:
    kinds = ", ".join(Kind)
    cases = [
        ("domain exa mple", 'domain "exa mple": it contains a space; write it as in: domain '
                            "example.com"),
        ("domain com", 'domain "com": it would deny every name under com, a whole top-level '
                       "domain; name the domains that are meant, or write: host com"),
        ("below co.uk", 'below "co.uk": it means every name under co.uk, a public suffix; take '
                        "the line out, or name the domains that are meant"),
        ("network 0.0.0.0/0", 'network "0.0.0.0/0": it would deny every IPv4 address; name the '
                              "networks that are meant"),
        ("network ::/1", 'network "::/1": ::/1 holds more than a /12 of the public IPv6 addresses; '
                         "take the line out, or name the networks that are meant"),
        ("deny x.example", f'"deny": unknown kind of entry; begin the line with one of {kinds}, or '
                           "with # for a comment"),
        ("allow", f'"": unknown kind of entry; begin the line with one of {kinds}, or with # for a '
                  "comment"),
        ("port", 'port "": it is not a port number from 1 to 65535; write it as in: port 25'),
        ("scheme ftp", 'scheme "ftp": it is none of http, https; write it as in: scheme http'),
        ("url http://example.com/x#y", 'url "http://example.com/x#y": it has a fragment (#…), '
         "which no request carries; write it as in: url http://example.com/private/ (a whole host: "
         "host example.com)"),
        ("url http://example.com/a b", 'url "http://example.com/a b": it contains a space; write a '
         "space as %20, and attributes as in until=2027-01-31"),
        ("pattern a b", 'pattern "a b": it contains a space; write a space as \\x20, and '
                        "attributes as in until=2027-01-31"),
        ("host \x1b[31m", 'host "\\x1b[31m": it contains the character \'\\x1b\'; write it as in: '
                          "host www.example.com"),
        ("host a.example untl=2027-01-31", '"untl=2027-01-31": unknown attribute; did you mean '
                                           "until?"),
        ("host a.example colour=red", '"colour=red": unknown attribute; use one of since, until, '
                                      "accounts, plans, labels"),
        ("host a.example plans=a plans=b", '"plans=a": plans is given twice; keep one'),
        ("host a.example plans=", '"plans=": it has an empty part; write the names with commas '
                                  "between them, as in plans=a,b"),
        ("host a.example labels=A", '"labels=A": "A" is no label; use lower-case letters, digits, '
                                    "'.', ':', '_' and '-'"),
        ("host a.example until=soon", '"until=soon": not a date; write the last day as YYYY-MM-DD'),
        ("host a.example since=2027-02-01 until=2027-01-31", '"since=2027-02-01": it is after '
         "until, so the entry is never in force; mend the dates"),
    ]
    found, errors = parse_rules("\n".join(line for line, _ in cases) + "\ndomain ok.example", "x")
    assert errors == [f"x:{number}: {text}" for number, (_, text) in enumerate(cases, 1)]
    assert [entry.line for entry in found] == [len(cases) + 1]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", " \r\n"])
def test_an_empty_list_has_to_say_so(text: str) -> None:
    found, errors = parse_rules(text, "x.txt")
    assert found == [] and len(errors) == 1 and "x.txt:1: the list is empty" in errors[0]


def test_a_list_of_comments_only_is_empty_on_purpose() -> None:
    assert parse_rules("# nothing yet\n", "x.txt") == ([], [])


def test_duplicate_lines_are_fine() -> None:
    found, errors = parse_rules("domain x.example\ndomain x.example\n", "x.txt")
    assert errors == [] and Denylist.build([(Terms("x"), found)]).size == 1


def test_the_shipped_lists_are_valid_and_deny_only_reserved_names() -> None:
    entries: list[Entry] = []
    files = sorted(SHIPPED.glob("*.txt"))
    assert [path.name for path in files] == ["blocked.txt", "legal.txt"]
    for path in files:
        found, errors = parse_rules(path.read_text("utf-8"), path.name)
        assert errors == [] and found
        entries += found
    deny = Denylist.build([(Terms("x"), entries)])
    assert deny.match(parse_host("www.denied.example"), 443, "https", "")
    assert deny.match(parse_host("withheld.example"), 80, "http", "/case/2026-001/page")
    assert not deny.match(parse_host("withheld.example"), 80, "http", "/")
    for entry in entries:  # RFC 2606 section 2: .example never resolves
        host = entry.value if isinstance(entry.value, str) else str(entry.value).split("/")[2]
        assert host.endswith(".example")


def test_the_format_described_in_the_readme_is_the_format() -> None:
    readme = (SHIPPED / "README.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")]
    attributes = [row for row in rows if "=" in row.split()[0]]
    assert {row.split("=")[0] for row in attributes} == \
        {"accounts", "plans", "since", "until", "labels"}
    kinds = [row for row in rows if row not in attributes]
    assert {row.split()[0] for row in kinds} == {*Kind, "allow"}
    examples = [line for block in readme.split("```\n")[1::2] for line in block.splitlines()]
    text = [*kinds, f"host a.example {' '.join(attributes)}", *examples]
    found, errors = parse_rules("\n".join(text), "README.md")
    assert errors == [] and len(found) == len(text)
