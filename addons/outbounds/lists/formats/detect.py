"""Which format a list looks like, from its first lines.

Every line that is no comment votes for the first row of the table that it fits. Nearly all votes
must be for one format or for what may stand in it as well; a list that looks like none, or halfway
like two, is not guessed at. Two formats that differ only in what a bare name means (`domains`
denies what is below it, `dstdomain` does not) are told apart by the lines that only one has, if
those are at least half.
"""

from __future__ import annotations

import re
from collections import Counter

_IP = r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]*)"
_NAME = r"(?!-)[\w\-]+(?:\.[\w\-]+)+\.?"
_END = r"\s*(?:#.*)?"

_LINES = tuple((name, re.compile(pattern)) for name, pattern in (
    ("drop-json", r'\{.*"(?:cidr|asn|type)".*\}'),
    ("urlhaus-csv", r'"?[0-9]+"?,"?[0-9]{4}-[0-9]{2}-[0-9]{2} .*'),
    ("phishtank-csv", r"phish_id,url,.*|[0-9]+,\S+phishtank\S+,.*"),
    ("rules", r"(?:allow\s+)?(?:domain|host|below|network|port|scheme|url|pattern)\s+\S.*"),
    ("rpz", r"(?i:\$(?:TTL|ORIGIN)\s.*|\S+\s+(?:[0-9]+\s+)?(?:IN\s+)?(?:SOA|CNAME|NS|A)\s+\S.*)"),
    ("dnsmasq", r"(?:address|server|local)\s*=\s*/.*"),
    ("adblock", r"!.*|\[Adblock.*\]|\|\|.*|@@.*|\|https?:.*|/\S+/(?:\$\S+)?|.*#@?[?$%]?#.*"),
    ("hosts", rf"{_IP}(?:%\w+)?\s+[^\s;/\-]\S*(?:\s.*)?"),
    ("drop-text", rf"{_IP}/[0-9]+\s*;.*"),
    ("ranges", rf".*[0-9a-fA-F:]\s*-\s*{_IP}{_END}"),
    ("urls", r"[A-Za-z][A-Za-z0-9+.-]*://\S+"),
    ("netset", rf"{_IP}(?:/[0-9]+)?{_END}"),
    ("wildcard", rf"\*\.?{_NAME}{_END}"),
    ("dstdomain", rf"\.{_NAME}{_END}"),
    ("domains", rf"{_NAME}{_END}"),
))
# What may stand in a format beside its own lines. With the share of its own that it needs.
_BESIDE: dict[str, tuple[tuple[str, ...], float]] = {
    "wildcard": (("domains", "netset"), 0.5),
    "dstdomain": (("domains", "netset"), 0.5),
    "domains": (("netset",), 0.5),
    "ranges": (("netset",), 0.0),
    "adblock": (("", "domains", "urls"), 0.5),  # patterns may look like anything
    "rpz": (("", "netset"), 0.3),               # and so may the lines of a SOA
    "dnsmasq": (("",), 0.5),
}
_ENOUGH = 0.9
_LOOKED_AT = 2000
_MOST = 2048  # characters of a line; some of the expressions take quadratic time
_MARKUP = re.compile(r"<(?:!doctype\s+html|html|head|\?xml)", re.IGNORECASE)


def looks_like(text: str, is_tar: bool = False) -> str:
    """The format of a list that begins with `text`: a name of `table.FORMATS`, "" for none."""
    if is_tar:
        return "ut1"
    lines = [line for line in map(str.strip, text.split("\n")[:_LOOKED_AT])
             if line and not line.startswith(("#", ";"))]
    if any(line.startswith("phish_id,url,") for line in lines[:1]):
        return "phishtank-csv"
    votes = Counter(_vote(line) for line in lines)
    total = votes.total()
    best, most = "", 0.0
    for name, _ in _LINES:
        beside, share = _BESIDE.get(name, ((), 0.0))
        fitting = votes[name] + sum(votes[each] for each in beside)
        if votes[name] and votes[name] >= share * total and fitting >= _ENOUGH * total \
                and votes[name] > most:
            best, most = name, votes[name]
    return best


def belies(found: str, named: str) -> bool:
    """Whether a list that looks like `found` must not be read as the format that was named for it.

    Most formats reject the lines of another. Two take them: in AdBlock almost any line is a
    pattern, and names without a star mean less in a list of wildcards than in one of domains.
    """
    return (named == "adblock" and found not in ("", "adblock")) or \
        (named, found) == ("wildcard", "domains")


def is_web_page(text: str) -> bool:
    """Whether it is HTML or XML: what a publisher's site answers when the list has moved."""
    return _MARKUP.match(text.lstrip()) is not None


def _vote(line: str) -> str:
    for name, pattern in _LINES:
        if pattern.fullmatch(line, 0, _MOST):
            return name
    return ""
