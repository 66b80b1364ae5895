"""One spelling for every path that names the same thing: RFC 9309 section 2.2.2, RFC 3986.

Rule and path are brought to the same spelling before they are compared, so that neither a site
nor a customer can hide behind another way to write the same URI:

- an encoded unreserved character is decoded (%7E is ~, table in section 2.2.2);
- octets that no URI may hold as they are (non-ASCII, space, ", <, >, …) are encoded, in upper case;
- a reserved character that delimits nothing equals its encoding ("!$'()*,:@" and %21 …), which is
  what the section's two MUSTs say together; those that do delimit (/ ? # & = + ;) stay apart from
  theirs, or /a%2Fb would be /a/b. Inside a query "/" and "?" delimit nothing either, hence the
  section's example in which ?baz=https://foo.bar is ?baz=https%3A%2F%2Ffoo.bar;
- dot segments are removed from the path (RFC 3986 section 6.2.2.3), or /open/../closed would be
  judged by the rules for /open.
"""

from __future__ import annotations

import re

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_DATA = "!$'()*,:@"  # reserved, but delimit nothing in a path or query that a server would split
_DELIMITERS = "/?&=+;"
_FOREIGN = re.compile(r"[^A-Za-z0-9\-._~!$'()*,:@/?&=+;]")
_UNIT = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$'()*,:@/?&=+;]")


def _spellings() -> dict[str, str]:
    """Every unit that `_UNIT` can find, to its one spelling."""
    table = {}
    for octet in range(256):
        character, encoded = chr(octet), f"%{octet:02X}"
        plain = character in _UNRESERVED or character in _DATA
        for high in {encoded[1], encoded[1].lower()}:
            for low in {encoded[2], encoded[2].lower()}:
                table[f"%{high}{low}"] = character if plain else encoded
        if not plain and character not in _DELIMITERS:
            table[character] = encoded  # "%" too: one that encodes nothing is itself an octet
    return table


_SPELLING = _spellings()


def is_spelt(text: str) -> bool:
    """Whether nothing in `text` has another spelling."""
    return _FOREIGN.search(text) is None


def spell(text: str) -> str:
    """`text`, whose characters stand for octets (latin-1), in the one spelling: ASCII."""
    if is_spelt(text):
        return text
    return _UNIT.sub(lambda unit: _SPELLING[unit[0]], text)


def octets(text: str) -> str:
    """`text` with one character per octet of its UTF-8 form. Raises UnicodeEncodeError for a lone
    surrogate that stands for no octet (PEP 383)."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def spell_query(query: str) -> str:
    """What `spell` returned, where it is known to be behind the "?"."""
    return query.replace("%2F", "/").replace("%3F", "?") if "%" in query else query


def size_at_most(url: str) -> int:
    """An upper bound of the octets of `origin_form(url)`, found without spelling it."""
    return len(url) + 1 if is_spelt(url) else (3 if url.isascii() else 12) * len(url)


def origin_form(url: str) -> str:
    """Path and query of `url`, no fragment, in the one spelling; never empty.

    What starts with "/" is a path ("//a/b" too: a request target holds no authority there);
    anything else starts with an authority, with or without a scheme.
    """
    if "#" in url:
        url = url.partition("#")[0]
    if not url.startswith("/"):
        scheme, separator, rest = url.partition("://")
        if separator and "/" not in scheme and "?" not in scheme:
            url = rest
        path, mark, query = url.partition("?")
        url = "/" + path.partition("/")[2] + mark + query
    path = spell(octets(url))
    return _without_dots(path) if "/." in path else path


def _without_dots(target: str) -> str:
    path, mark, query = target.partition("?")
    parts = path.split("/")
    if not {".", ".."}.isdisjoint(parts):
        kept: list[str] = []
        for part in parts[1:]:
            if part == "..":
                del kept[-1:]
            elif part != ".":
                kept.append(part)
        if parts[-1] in (".", ".."):
            kept.append("")
        path = "/" + "/".join(kept)
    return path + mark + query
