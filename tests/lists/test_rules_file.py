"""The list file: what is read, and every error at once with its line and its fix."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from outbounds.core.denylist import Denylist
from outbounds.core.destination import parse_host
from outbounds.core.list_entry import Entry, Kind
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
        "domain last.example",                         # 11
    ])
    found, errors = parse_rules(text, "config/lists/house.txt", clause="P-content",
                                blocked_by="https://court.example")
    assert errors == []
    assert found == [
        Entry(kind, value, "house", line, "P-content", "https://court.example")
        for line, kind, value in [
            (3, Kind.DOMAIN, "example.com"),
            (4, Kind.HOST, "www.example.com"),
            (5, Kind.NETWORK, ip_network("203.0.113.0/24")),
            (6, Kind.NETWORK, ip_network("2001:db8::1/128")),
            (7, Kind.PORT, 25),
            (8, Kind.URL, parse_url_prefix("http://example.com/a%20b?x=1")),
            (10, Kind.DOMAIN, "form.example"),
            (11, Kind.DOMAIN, "last.example"),
        ]
    ]


def test_all_errors_at_once_each_with_file_line_value_and_fix() -> None:
    text = "\n".join([
        'domain exa mple', "domain ok.example", "domain com", "network 0.0.0.0/0", "network ::/0",
        "deny x.example", "port", "Domain x.example", "url http://example.com/x#y", "host \x1b[31m",
    ])
    found, errors = parse_rules(text, "config/lists/x.txt")
    assert [entry.line for entry in found] == [2]
    assert errors == [
        'config/lists/x.txt:1: domain "exa mple": it contains a space; '
        "write it as in: domain example.com",
        'config/lists/x.txt:3: domain "com": it would deny every name under com, a whole top-level '
        "domain; name the domains that are meant, or write: host com",
        'config/lists/x.txt:4: network "0.0.0.0/0": it would deny every IPv4 address; '
        "name the networks that are meant",
        'config/lists/x.txt:5: network "::/0": it would deny every IPv6 address; '
        "name the networks that are meant",
        'config/lists/x.txt:6: "deny": unknown kind of entry; begin the line with one of domain, '
        "host, network, port, url, or with # for a comment",
        'config/lists/x.txt:7: port "": it is not a port number from 1 to 65535; '
        "write it as in: port 25",
        'config/lists/x.txt:8: "Domain": unknown kind of entry; begin the line with one of domain, '
        "host, network, port, url, or with # for a comment",
        'config/lists/x.txt:9: url "http://example.com/x#y": it has a fragment (#…), which no '
        "request carries; write it as in: url http://example.com/private/ (a whole host: host "
        "example.com)",
        'config/lists/x.txt:10: host "\\x1b[31m": it contains the character \'\\x1b\'; '
        "write it as in: host www.example.com",
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", " \r\n"])
def test_an_empty_list_has_to_say_so(text: str) -> None:
    found, errors = parse_rules(text, "x.txt")
    assert found == [] and len(errors) == 1 and "x.txt:1: the list is empty" in errors[0]


def test_a_list_of_comments_only_is_empty_on_purpose() -> None:
    assert parse_rules("# nothing yet\n", "x.txt") == ([], [])


def test_duplicate_lines_are_fine() -> None:
    found, errors = parse_rules("domain x.example\ndomain x.example\n", "x.txt")
    assert errors == [] and Denylist.build(found).size == 1


def test_the_id_of_a_list_is_its_file_name_unless_told() -> None:
    assert parse_rules("port 25", "a/b/mail.txt")[0][0].list_id == "mail"
    assert parse_rules("port 25", "a/b/mail.txt", list_id="m")[0][0].list_id == "m"


def test_the_shipped_lists_are_valid_and_deny_only_reserved_names() -> None:
    entries: list[Entry] = []
    files = sorted(SHIPPED.glob("*.txt"))
    assert [path.name for path in files] == ["blocked.txt", "legal.txt"]
    for path in files:
        found, errors = parse_rules(path.read_text("utf-8"), path.name)
        assert errors == [] and found
        entries += found
    deny = Denylist.build(entries)
    assert deny.match(parse_host("www.denied.example"), 443, "https", "")
    assert deny.match(parse_host("withheld.example"), 80, "http", "/case/2026-001/page")
    assert not deny.match(parse_host("withheld.example"), 80, "http", "/")
    for entry in entries:  # RFC 2606 section 2: .example never resolves
        host = entry.value if isinstance(entry.value, str) else str(entry.value).split("/")[2]
        assert host.endswith(".example")


def test_the_format_described_in_the_readme_is_the_format() -> None:
    readme = (SHIPPED / "README.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")]
    assert {row.split()[0] for row in rows} == set(Kind)
    assert parse_rules("\n".join(rows), "README.md")[1] == []
