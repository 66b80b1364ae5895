"""Lists of URLs: plain text, URLhaus' CSV and PhishTank's CSV.

An entry denies the URLs that begin so, at exactly that host and port, and nothing else of the host:
one phishing page on a shared host must not take the host away. So a URL without a path is not
honoured. It would mean either the whole site or nothing but its front page, and the publisher says
neither; a list of domains is the place for sites.

What no request carries is taken off: credentials before the host, and the fragment.

    urls           https://urlhaus.abuse.ch/downloads/text/, openphish.com/feed.txt
    urlhaus-csv    urlhaus.abuse.ch/api: id,dateadded,url,url_status,last_online,threat,tags,…
                   with the threat as the entry's label
    phishtank-csv  phishtank.org/developer_info.php: phish_id,url,…,verified,…,online,target
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from ...core.list_entry import Entry, Kind
from ...core.url_prefix import canonical_path, parse_url_prefix
from ..report import BadLine, Unsupported
from .lines import LineFormat

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[^/?#]*@)?([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}", re.ASCII)


def url(text: str, number: int, labels: tuple[str, ...] = ()) -> Entry:
    """The entry of a URL. Raises Unsupported and BadLine."""
    parts = _URL.fullmatch(text)
    if parts is None:
        raise BadLine("it is no URL")
    if parts[1].lower() not in ("http", "https"):
        raise Unsupported("a URL of another scheme than http and https")
    path = parts[3] if parts[3].startswith("/") else "/" + parts[3]
    return prefix(f"{parts[1]}://{parts[2]}", path, number, labels)


def prefix(origin: str, path: str, number: int, labels: tuple[str, ...] = ()) -> Entry:
    """The entry of `origin` ([scheme://]host[:port]) and a path with its query."""
    whole_site = canonical_path(path) == b"/"
    try:
        found = parse_url_prefix(origin + ("/x" if whole_site else path))
    except ValueError as error:
        raise BadLine(str(error)) from None
    if whole_site:
        raise Unsupported("a URL without a path: the whole site, or its front page only")
    return Entry(Kind.URL, found, number, labels=labels)


def _text(line: str, number: int) -> Iterable[Entry]:
    return (url(line, number),)


def _row(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration):
        raise BadLine("it is no line of CSV") from None


def _urlhaus(line: str, number: int) -> Iterable[Entry]:
    row = _row(line)
    if len(row) not in (8, 9):
        raise BadLine("it has not the 8 or 9 columns of URLhaus")
    threat = row[-4].lower()
    return (url(row[2], number, (threat,) if _LABEL.fullmatch(threat) else ()),)


def _phishtank(line: str, number: int) -> Iterable[Entry]:
    row = _row(line)
    if len(row) != 8:
        raise BadLine("it has not the 8 columns of PhishTank")
    if row[4] != "yes":
        raise Unsupported("a report that is not verified")
    return (url(row[1], number),)


URLS = LineFormat(_text)
URLHAUS_CSV = LineFormat(_urlhaus)
PHISHTANK_CSV = LineFormat(_phishtank, comment="#|phish_id,")
