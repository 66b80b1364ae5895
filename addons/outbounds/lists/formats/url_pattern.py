"""AdBlock's patterns as regular expressions for the linear-time engine.

The expressions are matched against `scheme://host[:port]/path?query` with the path in its canonical
form (`core.url_prefix.canonical_path`), as octets. So percent-encoding is undone here as well, and
slashes in a row are one. Of AdBlock's own signs (help.adblockplus.org, "How to write filters"):

    *    anything                       ||  the beginning of the host or of a label of it
    ^    a separator: no letter, digit or one of _ - . %, or the end
    |    at the beginning or the end: the beginning or the end of the URL

Letters match in either case unless the rule says match-case.
"""

from __future__ import annotations

import re

import hyperscan

from ..report import BadLine, Poison, Unsupported
from . import entries

_HOST = r"^https?://(?:[^/?#]*\.)?"
_SEPARATOR = r"(?:[\x00-\x24\x26-\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]|$)"
_PARTS = re.compile(rb"\*+|\^|%[0-9A-Fa-f]{2}|.", re.DOTALL)
_SLASHES = re.compile(rb"(?<=[^:/])/{2,}")
_FIRST_HOST = re.compile(r"([^/^*:|?]*[^/^*:|?.])([/^:?].*)", re.DOTALL)
_LETTER = re.compile(rb"[A-Za-z0-9]")
_SCHEME = re.compile(r"^\|?https?://", re.IGNORECASE)

_LEAST = 3  # letters and digits that a pattern must name for anybody to know what it is about

# What the engine compiles in milliseconds. Longer ones are compiled in seconds each, at will of
# whoever wrote the list.
_MOST_WILDCARDS = 16
_MOST_CHARACTERS = 1024

# Front pages of sites that nobody listed: what matches one of them is about every site.
_PROBES = tuple(f"{scheme}://{host}/" for scheme in ("http", "https") for host in (
    "www.qz5kx.com", "qz5kx.org", "a.b.qz5kx.net", "qz5kx.de", "www.qz5kx.co.uk", "qz5kx.example",
    "203.0.113.251"))


def from_rule(rule: str, match_case: bool) -> str:
    """The expression of an AdBlock pattern. Raises Poison, Unsupported, BadLine."""
    letters = len(_LETTER.findall(_SCHEME.sub("", rule).encode()))
    if not letters:
        raise entries.everything()
    if letters < _LEAST:
        raise Unsupported("a pattern too short to be about anything")
    if rule.count("*") > _MOST_WILDCARDS:
        raise Unsupported(f"a pattern with more than {_MOST_WILDCARDS} wildcards")
    body = rule
    front = ""
    if body.startswith("||"):
        front, body = _HOST, _with_canonical_host(body[2:])
    elif body.startswith("|"):
        front, body = "^", body[1:]
    back = "$" if body.endswith("|") else ""
    body = body.removesuffix("|") if back else body.rstrip("*")
    if not front:
        body = body.lstrip("*")
    pattern = ("" if match_case else "(?i)") + front + _translated(body) + back
    # one wildcard takes re quadratic time at worst, on short probes; more are for the engine
    if body.count("*") > 1:
        return _checked(pattern)
    if any(re.search(pattern, probe) for probe in _PROBES):
        raise _about_everything()
    return pattern


def _about_everything() -> Poison:
    return Poison("it matches the front page of any site; take the line out, or name what is meant")


def _with_canonical_host(body: str) -> str:
    found = _FIRST_HOST.fullmatch(body)
    return entries.host_of(found[1]).uri + found[2] if found else body


def _translated(body: str) -> str:
    found: list[str] = []
    for part in _PARTS.findall(_SLASHES.sub(b"/", body.encode())):
        if part.startswith(b"*"):
            found.append(".*")
        elif part == b"^":
            found.append(_SEPARATOR)
        else:
            octet = int(part[1:], 16) if len(part) == 3 else part[0]
            char = chr(octet)
            found.append(char if char.isascii() and (char.isalnum() or char in "/_-:&=,~%!@;")
                         else f"\\x{octet:02x}")
    return "".join(found)


def from_expression(expression: str, match_case: bool) -> str:
    """The expression itself, if the engine takes it. Raises Poison, Unsupported, BadLine."""
    if any(char.isspace() for char in expression):
        raise BadLine("white space within a rule")
    if len(expression) > _MOST_CHARACTERS:
        raise Unsupported(f"a regular expression of more than {_MOST_CHARACTERS} characters")
    return _checked(expression if match_case else f"(?i){expression}")


def _checked(pattern: str) -> str:
    database = hyperscan.Database()
    try:
        database.compile(expressions=[pattern.encode()], flags=[hyperscan.HS_FLAG_SINGLEMATCH])
    except hyperscan.error as error:
        if "empty buffer" in str(error):
            raise _about_everything() from None
        raise Unsupported("a pattern that the linear-time engine does not take") from None
    matched: list[int] = []
    for probe in _PROBES:
        database.scan(probe.encode(), match_event_handler=lambda *found: matched.append(found[0]))
    if matched:
        raise _about_everything()
    return pattern
