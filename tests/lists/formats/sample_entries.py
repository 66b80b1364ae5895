"""What each sample list must give: its entries as `line kind value …`, and its counts."""

from __future__ import annotations

from dataclasses import dataclass

from outbounds.core.list_entry import EVERYONE, Effect, Entry


@dataclass(frozen=True, slots=True)
class Expected:
    """`counts` are lines: comments, kept, unsupported, rejected."""

    format: str
    entries: tuple[str, ...]
    counts: tuple[int, int, int, int]
    reasons: tuple[str, ...] = ()


def shown(entry: Entry) -> str:
    parts = [str(entry.line), entry.kind.value, str(entry.value)]
    if entry.effect is not Effect.DENY:
        parts.append(entry.effect.name)
    if entry.labels:
        parts.append(",".join(entry.labels))
    if entry.scope is not EVERYONE:
        parts.append("scoped")
    return " ".join(parts)


_SITE = "a URL without a path: the whole site, or its front page only"
_SEP = r"(?:[\x00-\x24\x26-\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]|$)"

EXPECTED = {
    "rules.txt": Expected("rules", (
        "2 domain stolen.example", "3 host www.shop.example", "4 below users.example",
        "5 host good.users.example ALLOW scoped", "6 network 203.0.113.0/24 scoped", "7 port 25",
        "8 scheme http scoped", "9 url http://pages.example/private/ adult,country:kp",
        "10 pattern ^https?://[^/]*/wp-login[.]php scoped"), (1, 9, 0, 0)),
    "domains.txt": Expected("domains", (
        "6 domain bad.example", "7 domain tracker.example.net", "8 domain xn--bcher-kva.example",
        "9 domain xn--bcher-kva.example.org", "10 network 192.0.2.66/32",
        "11 domain r3---sn-4g5e.example"), (5, 6, 0, 0)),
    "wildcard.txt": Expected("wildcard", (
        "3 domain ads.example", "4 domain telemetry.example.net", "5 host only.example"),
        (2, 3, 1, 0), ("a wildcard within a name",)),
    "hosts.txt": Expected("hosts", (
        "17 host ads.example", "18 host a.tracker.example", "18 host b.tracker.example",
        "19 host tab.example", "20 host six.example"), (6, 4, 11, 0),
        ("a name of the machine itself", "a name given another address, not a denied one")),
    "adblock.txt": Expected("adblock", (
        "5 domain ads.example", "6 domain tracker.example.net", "7 domain badware.example",
        "8 below users.example", "9 network 198.51.100.7/32",
        "10 domain good.ads.example ALLOW_ALWAYS",
        r"12 pattern (?i)^https?://(?:[^/?#]*\.)?cdn\x2eexample/ads/.*\x2ejs",
        r"13 pattern (?i)^https://pages\x2eexample/banner\x2e",
        "14 pattern (?i)-ad-banner-", r"15 pattern (?i)banner[0-9]+\.gif"), (6, 11, 8, 0),
        ("the option third-party", "the option domain", "a cosmetic rule, about parts of pages",
         "a pattern that the linear-time engine does not take", "the option document",
         "a rule that a badfilter line takes out")),
    "dnsmasq.txt": Expected("dnsmasq", (
        "2 domain ads.example", "3 domain tracker.example", "4 domain six.example",
        "5 domain a.example", "5 domain b.example", "6 domain here.example",
        "7 domain there.example", "8 domain good.ads.example ALLOW"), (1, 7, 4, 0),
        ("names sent to a name server of their own", "a setting of dnsmasq that denies no name",
         "a name given another address, not a denied one")),
    "rpz.txt": Expected("rpz", (
        "7 host bad.example", "8 below bad.example", "9 host nodata.example",
        "10 host drop.example", "11 host good.bad.example ALLOW", "12 host garden.example",
        "13 host garden.example", "15 network 192.0.2.0/24", "16 network 2001:db8::/48"),
        (3, 12, 4, 0),
        ("an answer of another type than CNAME, A and AAAA", "a trigger on name servers",
         "a trigger on clients", "an action for DNS over UDP")),
    "rpz-origin.txt": Expected("rpz", (
        "7 host one.test", "8 host two.test", "10 host three.test", "11 below three.test"),
        (0, 11, 0, 0)),
    "dstdomain.txt": Expected("dstdomain", (
        "2 domain ads.example", "3 host www.shop.example", "4 domain xn--bcher-kva.example",
        "5 network 192.0.2.66/32"), (1, 4, 0, 0)),
    "urls.txt": Expected("urls", (
        "2 url http://192.0.2.7:51234/bin.sh",
        "3 url https://files.example/invoice/Invoice No.7.exe",
        "4 url https://shared.example/~mallory/login.html",
        "5 url http://phish.example/verify?id=1"), (1, 4, 3, 0),
        (_SITE, "a URL of another scheme than http and https")),
    "urlhaus.csv": Expected("urlhaus-csv", (
        "7 url http://192.0.2.7:51234/i malware_download",
        "8 url https://files.example/a,b.exe malware_download"), (6, 2, 1, 0), (_SITE,)),
    "phishtank.csv": Expected("phishtank-csv", (
        "2 url https://login.phish.example/verify?a=1", "3 url https://bank.example/a,b"),
        (1, 2, 2, 0), (_SITE, "a report that is not verified")),
    "drop.txt": Expected("drop-text", (
        "5 network 192.0.2.0/24", "6 network 198.51.100.0/25", "7 network 2001:db8:dead::/48"),
        (4, 3, 0, 0)),
    "drop_v4.json": Expected("drop-json", (
        "1 network 192.0.2.0/24", "2 network 198.51.100.0/25"), (0, 2, 1, 0),
        ("what the file says of itself",)),
    "firehol.netset": Expected("netset", (
        "10 network 0.0.0.0/8", "11 network 10.0.0.0/8", "12 network 192.0.2.7/32",
        "13 network 198.51.100.0/24", "14 network 224.0.0.0/3"), (9, 5, 0, 0)),
    "ranges.txt": Expected("ranges", (
        "2 network 192.0.2.0/24", "3 network 198.51.100.7/32", "4 network 203.0.113.1/32",
        "4 network 203.0.113.2/31", "4 network 203.0.113.4/31", "4 network 203.0.113.6/32",
        "5 network 198.51.100.16/28", "6 network 2001:db8::4/126"), (1, 5, 0, 0)),
}
