"""What single lines mean in each format, after the publishers' own descriptions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from list_text import read
from sample_entries import shown

from outbounds.core.denylist import Denylist
from outbounds.core.destination import parse_host
from outbounds.core.hit import Terms, denials
from outbounds.core.list_entry import Kind


@pytest.mark.parametrize(("format", "line", "denied", "free"), [
    # Hagezi, "Syntax: Domains (including possible subdomains)"
    ("domains", "x.example", ["x.example", "a.b.x.example"], ["example", "ax.example"]),
    # blocky's documentation, "Wildcard support"
    ("wildcard", "*.x.example", ["x.example", "a.x.example"], ["ax.example"]),
    ("wildcard", "*.y.example\nx.example", ["x.example"], ["a.x.example"]),
    # hosts(5): no wildcards, a name is that name
    ("hosts", "0.0.0.0 x.example", ["x.example"], ["a.x.example"]),
    # help.adblockplus.org, "How to write filters": || is the beginning of a domain name
    ("adblock", "||x.example^", ["x.example", "a.x.example"], ["ax.example"]),
    ("adblock", "||*.x.example^", ["a.x.example"], ["x.example"]),
    ("adblock", "||x.example^\n@@||a.x.example^", ["x.example", "b.x.example"],
     ["a.x.example", "c.a.x.example"]),
    # dnsmasq(8), --address: "queries in the domains", --server: "more specific domains take
    # precedence", and the special server address # for the standard servers
    ("dnsmasq", "address=/x.example/", ["x.example", "a.x.example"], ["ax.example"]),
    ("dnsmasq", "address=/x.example/\nserver=/a.x.example/#", ["x.example"],
     ["a.x.example", "b.a.x.example"]),
    # draft-vixie-dnsop-dns-rpz section 4.1: *.x leaves the apex out, x is that name alone
    ("rpz", "x.example CNAME .", ["x.example"], ["a.x.example"]),
    ("rpz", "*.x.example CNAME .", ["a.x.example", "b.a.x.example"], ["x.example"]),
    ("rpz", "*.x.example CNAME .\na.x.example CNAME rpz-passthru.", ["b.x.example"],
     ["a.x.example"]),
    # RFC 1034 section 4.3.3 by way of the draft: the closest name decides, so not every denial
    # below a passthru is lifted
    ("rpz", "a.x.example CNAME .\n*.x.example CNAME rpz-passthru.", ["a.x.example"],
     ["b.x.example"]),
    # wiki.squid-cache.org/SquidFaq/SquidAcl: the leading dot
    ("dstdomain", ".x.example", ["x.example", "a.x.example"], ["ax.example"]),
    ("dstdomain", "x.example", ["x.example"], ["a.x.example"]),
    # a URL on a shared host never becomes the host
    ("urls", "https://x.example/~mallory/\nhttps://y.example/", [], ["x.example", "y.example"]),
])
def test_which_names_a_line_denies(format: str, line: str, denied: list[str], free: list[str],
                                   tmp_path: Path) -> None:
    entries, _ = read(tmp_path, format, line if format != "urls" else line + "/\n")
    deny = Denylist.build([(Terms("x"), entries)])

    def denies(name: str) -> bool:
        hits = deny.match(parse_host(name), 443, "https", "/")
        return bool(denials(hits, "a", "p", 0.0))

    assert [name for name in denied + free if denies(name)] == denied


@pytest.mark.parametrize(("format", "line", "entry"), [
    ("domains", "192.0.2.7", "network 192.0.2.7/32"),
    ("domains", "0xc0.0.2.7", "network 192.0.2.7/32"),
    ("domains", "[2001:db8::1]", "network 2001:db8::1/128"),
    ("domains", "Straße.EXAMPLE.", "domain xn--strae-oqa.example"),
    ("domains", "a。example．com", "domain a.example.com"),
    ("hosts", "127.0.0.1 192.0.2.7", "network 192.0.2.7/32"),
    ("adblock", "||[2001:db8::1]^", "network 2001:db8::1/128"),
    ("adblock", "||x.example^$document,important", "domain x.example"),
    ("adblock", "||x.example^|", "domain x.example"),
    ("adblock", "||x.example/", "domain x.example"),
    ("adblock", "||x.example", "domain x.example"),
    ("rpz", "128.1.zz.db8.2001.rpz-ip CNAME .", "network 2001:db8::1/128"),
    ("rpz", "32.zz.db8.2001.rpz-ip CNAME .", "network 2001:db8::/32"),
    ("rpz", "X.Example 300 IN CNAME .", "host x.example"),
    ("ranges", "192.0.2.0-192.0.2.255", "network 192.0.2.0/24"),
    ("ranges", "a:b: 192.0.2.4 - 192.0.2.7", "network 192.0.2.4/30"),
    ("netset", "::ffff:192.0.2.0/120", "network 192.0.2.0/24"),
    ("drop-json", '{"cidr":"2a06:e480::\\/29"}', "network 2a06:e480::/29"),
    ("urls", "HTTP://X.example:8080/a/../b#c", "url http://x.example:8080/b"),
    ("urls", "http://u:p@x.example/a", "url http://x.example/a"),
    ("urls", "http://[2001:db8::1]/a", "url http://[2001:db8::1]/a"),
])
def test_the_canonical_entry_of_a_line(format: str, line: str, entry: str, tmp_path: Path) -> None:
    assert [shown(each) for each in read(tmp_path, format, line)[0]] == [f"1 {entry}"]


@pytest.mark.parametrize(("rule", "matching", "other"), [
    # help.adblockplus.org: * is any run of characters, ^ a separator or the end, | an end
    ("||x.example/ads/*.js", ["http://x.example/ads/a/b.js?c", "https://w.x.example/ads/.js",
                              "https://x.example/ADS/a.js"],
     ["https://ax.example/ads/a.js", "https://x.example/a/ads/a.js", "https://y.example/?x.example"
      "/ads/a.js"]),
    ("||x.example/a^", ["http://x.example/a", "http://x.example/a/b", "http://x.example/a?b"],
     ["http://x.example/ab", "http://x.example/a-b", "http://x.example/a%b"]),
    ("|https://x.example/end|", ["https://x.example/end"],
     ["http://x.example/end", "https://x.example/ends", "https://y.example/https://x.example/end"]),
    ("&ad_box_", ["http://x.example/?a&ad_box_1"], ["http://x.example/?a"]),
    ("||x.example//b//%63$match-case", ["http://x.example/b/c"], ["http://x.example/B/c"]),
    ("||b\u00fccher.example/\u00e4", ["http://xn--bcher-kva.example/\u00e4"],
     ["http://xn--bcher-kva.example/a"]),
    (r"/x[0-9]{3}\.gif$/", ["http://a.example/x123.gif"], ["http://a.example/x123.gifs"]),
])
def test_adblock_patterns_over_canonical_urls(
        rule: str, matching: list[str], other: list[str], tmp_path: Path) -> None:
    entry, = read(tmp_path, "adblock", rule)[0]
    assert entry.kind is Kind.PATTERN and isinstance(entry.value, str)
    pattern = re.compile(entry.value.encode())
    assert [url for url in matching + other if pattern.search(url.encode())] == matching


@pytest.mark.parametrize(("format", "line", "reason"), [
    ("domains", "*.x.example", "it contains a wildcard"),
    ("domains", "x..example", "it has an empty label (two dots in a row, or one in front)"),
    ("hosts", "x.example", "it does not begin with an address"),
    ("hosts", "0.0.0.0", "an address without a name"),
    ("adblock", "x.example", "a bare name, which AdBlock looks for anywhere in a URL"),
    ("adblock", "0.0.0.0 x.example", "white space within a rule"),
    ("dnsmasq", "address=x.example", "it is not of the form address=/example.com/"),
    ("rpz", "x.example", "it is no record: name, type and data"),
    ("rpz", "$INCLUDE other", "a directive that is not read here, which are $TTL and $ORIGIN"),
    ("rpz", "x.example. CNAME .",
     "a name with a final dot, and nothing says what the zone is called"),
    ("rpz", "24.zz.zz.rpz-ip CNAME .", "an address with zz in it twice"),
    ("urls", "x.example/a", "it is no URL"),
    ("urls", "http:///a", "in its host, it is empty"),
    ("urls", "http://x.example:99999/a", "port 99999 does not exist"),
    ("urlhaus-csv", '"1","2","http://x.example/a', "it is no line of CSV"),
    ("phishtank-csv", "1,http://x.example/a", "it has not the 8 columns of PhishTank"),
    ("netset", "192.0.2.1/24", "it has bits set after its prefix"),
    ("netset", "x.example", "it is not an IPv4 or IPv6 network"),
    ("ranges", "192.0.2.9-192.0.2.1", "it is no range of addresses, lowest first"),
    ("ranges", "192.0.2.9-2001:db8::1", "it is no range of addresses, lowest first"),
    ("drop-json", "[" * 50_000, "it is no JSON object"),
    ("drop-json", '{"cidr":7}', 'it has no "cidr"'),
])
def test_lines_that_are_not_of_the_format(
        format: str, line: str, reason: str, tmp_path: Path) -> None:
    good = {"adblock": "||g.example^", "hosts": "0.0.0.0 g.example", "domains": "g.example",
            "dnsmasq": "address=/g.example/", "rpz": "g.example CNAME .",
            "urls": "http://g.example/a", "netset": "192.0.2.7", "ranges": "192.0.2.7",
            "drop-json": '{"cidr":"192.0.2.0/24"}',
            "urlhaus-csv": '"1","d","http://g.example/a","on","d","t","x","l","r"',
            "phishtank-csv": "1,http://g.example/a,d,t,yes,t,yes,o"}[format]
    entries, report = read(tmp_path, format, f"{good}\n{line}\n{good}\n")
    assert len(entries) == 2
    assert [(each.line, each.reason) for each in report.samples] == [(2, reason)]
    assert len(report.samples[0].text) <= 81


def test_the_good_names_of_a_line_in_a_hosts_file_are_kept(tmp_path: Path) -> None:
    entries, report = read(tmp_path, "hosts", "0.0.0.0 a.example b..example c.example\n")
    assert [entry.value for entry in entries] == ["a.example", "c.example"]
    assert (report.kept, report.rejected, report.entries) == (0, 1, 2)


def test_badfilter_takes_out_the_same_rule_only(tmp_path: Path) -> None:
    entries, _ = read(tmp_path, "adblock", "||a.example^\n||b.example^$important\n||b.example^\n"
                      "||b.example^$badfilter\n@@||a.example^$badfilter\n")
    assert [shown(entry) for entry in entries] == ["1 domain a.example", "2 domain b.example"]


def test_a_record_over_several_lines_shares_its_fate(tmp_path: Path) -> None:
    _, report = read(tmp_path, "rpz", "a.example CNAME .\nb.example TXT (\n \"x\" ; (\n )\n")
    assert (report.lines, report.kept, report.unsupported) == (4, 1, 3)
    for cut in ("a.example CNAME .\n@ SOA a. b. (\n 1 2\n",
                "a.example CNAME .\n@ SOA a. b. (\n" + "1\n" * 300):
        with pytest.raises(ValueError, match=r"x\.txt:2: the parenthesis is"):
            read(tmp_path, "rpz", cut)


def test_drop_counts_its_records(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it says that it has 2 records and has 1"):
        read(tmp_path, "drop-json", '{"cidr":"192.0.2.0/24"}\n{"type":"metadata","records":2}\n')
