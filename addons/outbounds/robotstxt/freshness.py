"""How long a robots.txt may be used, and when to ask again: RFC 9309 section 2.4, RFC 9111.

A site says so by Cache-Control, within bounds: at most 24 hours (section 2.4), and at least one
minute even for `no-store`, or each of a customer's requests would cost the site a second one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT = 3600.0
SHORTEST = 60.0
LONGEST = 86_400.0

RETRY_SHORTEST = 30.0
RETRY_LONGEST = 600.0
RETRY_UNASKED = 1.0  # the site was not even asked, because of a trouble of our own

# What a site sends us we send back to it: nothing that is longer, or could be more than a field.
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"', re.ASCII)
_DATE = re.compile(r"[A-Za-z0-9,: +-]{1,64}", re.ASCII)

_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_UNCACHED = frozenset({"no-store", "no-cache", "private"})


@dataclass(frozen=True, slots=True)
class Known:
    """The copy that is had already: the URL that gave it after all redirects, its validators
    there ("" if none), its `lifetime` in seconds, and its digest."""

    url: str
    etag: str = ""
    last_modified: str = ""
    lifetime: float = DEFAULT
    digest: str = ""


def lifetime(cache_control: str, age: str) -> float:
    """Seconds of use left in a reply, from its Cache-Control and Age fields ("" if absent).

    `s-maxage` goes before `max-age`, because this cache is shared (RFC 9111 section 5.2.2.10).
    """
    directives: dict[str, str] = {}
    for directive in cache_control.lower().split(","):
        name, _, value = directive.partition("=")
        directives.setdefault(name.strip(), value.strip().strip('"'))
    if not _UNCACHED.isdisjoint(directives):
        return SHORTEST
    stated = directives.get("s-maxage", directives.get("max-age", ""))
    if not _NUMBER.fullmatch(stated):
        return DEFAULT
    spent = float(age) if _NUMBER.fullmatch(age) else 0.0
    return min(max(float(stated) - spent, SHORTEST), LONGEST)


def retry(retry_after: str) -> float:
    """Seconds until the next attempt after a failed one, from its Retry-After field ("" if
    absent). Bounded: a site may slow us down, but not shut itself off for a day by mistake."""
    if not _NUMBER.fullmatch(retry_after):
        return RETRY_SHORTEST
    return min(max(float(retry_after), RETRY_SHORTEST), RETRY_LONGEST)


def validators(etag: str, last_modified: str) -> tuple[str, str]:
    """The two as they may be sent back, "" for what is no validator (RFC 9110 section 8.8)."""
    return (etag if _ETAG.fullmatch(etag) else "",
            last_modified if _DATE.fullmatch(last_modified) else "")


def conditions(known: Known | None) -> dict[str, str]:
    """The fields that ask for the file only if it is another than the copy (RFC 9110 section 13.1).
    """
    if known is None:
        return {}
    fields = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in fields.items() if value}
