"""The house's own list format: a text file, one entry a line.

    domain  example.com                   the name and everything below it
    host    www.example.com               exactly this name
    network 203.0.113.0/24                targets with such an address; a bare address is fine
    port    25                            any target, at this port
    url     http://example.com/private/   URLs that begin so; scheme and port may be left out

`#` begins a comment, at the start of a line or after white space. Reading is strict: an entry that
cannot be understood makes the whole list an error, because the rest of it would look as if it were
all that was asked for. All errors are reported at once.
"""

from __future__ import annotations

import re

from ..core.list_entry import BadEntry, Entry, Kind, parse_value

_COMMENT = re.compile(r"(?:^|\s)#.*")
_KINDS = ", ".join(Kind)


def parse_rules(text: str, name: str) -> tuple[list[Entry], list[str]]:
    """The entries of a list and what is wrong with it, each in the order of the lines.

    `name` is the path shown in errors (`config/lists/x.txt:3: …`). With any error the entries are
    incomplete and must not be used.
    """
    entries: list[Entry] = []
    errors: list[str] = []
    # not splitlines(): form feeds and the like are no line ends to the editor that shows line 3
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        words = _COMMENT.sub("", line).strip().split(None, 1)
        if not words:
            continue
        try:
            kind = Kind(words[0])
        except ValueError:
            errors.append(f'{name}:{number}: "{_shown(words[0])}": unknown kind of entry; '
                          f"begin the line with one of {_KINDS}, or with # for a comment")
            continue
        value = words[1] if len(words) > 1 else ""
        try:
            parsed = parse_value(kind, value)
        except BadEntry as bad:
            errors.append(f'{name}:{number}: {kind} "{_shown(value)}": {bad}')
            continue
        entries.append(Entry(kind, parsed, number))
    if not text.strip("\ufeff \t\r\n"):
        errors.append(f"{name}:1: the list is empty; if that is meant, say so in a comment (# …)")
    return entries, errors


def _shown(text: str) -> str:
    """Text fit for one line of a terminal."""
    shown = text if len(text) <= 80 else text[:80] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
