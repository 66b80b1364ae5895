"""The house's own list format: a text file, one entry a line.

    domain  example.com                   the name and everything below it
    host    www.example.com               exactly this name
    below   example.com                   everything below the name, and not the name itself
    network 203.0.113.0/24                targets with such an address; a bare address is fine
    port    25                            any target, at this port
    scheme  http                          any target, by http or by https
    url     http://example.com/private/   URLs that begin so; scheme and port may be left out
    pattern ^https?://[^/]*/wp-login      URLs that the regular expression matches

`allow` in front makes an exception from the same list of it. Attributes behind the value say for
whom and when it is in force, and what it is labelled: `accounts=a,b`, `plans=trial`,
`since=2027-01-01`, `until=2027-01-31` (the first and the last day, UTC), `labels=malware`.

`#` begins a comment, at the start of a line or after white space. Reading is strict: an entry that
cannot be understood makes the whole list an error, because the rest of it would look as if it were
all that was asked for. All errors are reported at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network

from ..core.list_entry import EVERYONE, BadEntry, Effect, Entry, Kind, Scope, parse_value
from ..settings import quantity
from .formats.entries import check_name, check_network
from .report import BadLine, Poison, shown

_COMMENT = re.compile(r"(?:^|\s)#.*")
_KINDS = ", ".join(Kind)
_ATTRIBUTE = re.compile(r"([a-z]+)=(\S*)", re.ASCII)
_LABEL = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}", re.ASCII)
_ONE_WORD = {Kind.URL: "write a space as %20", Kind.PATTERN: r"write a space as \x20"}


class BadRule(ValueError):
    """A line that is no entry. Its text: what stands there, what is wrong, and the fix."""


def parse_rules(text: str, name: str) -> tuple[list[Entry], list[str]]:
    """The entries of a list and what is wrong with it, each in the order of the lines.

    `name` is the path shown in errors (`config/lists/x.txt:3: …`). With any error the entries are
    incomplete and must not be used.
    """
    entries: list[Entry] = []
    errors: list[str] = []
    # not splitlines(): form feeds and the like are no line ends to the editor that shows line 3
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        try:
            entries += parse_rule(line, number)
        except BadRule as bad:
            errors.append(f"{name}:{number}: {bad}")
    if not text.strip("\ufeff \t\r\n"):
        errors.append(f"{name}:1: the list is empty; if that is meant, say so in a comment (# …)")
    return entries, errors


def parse_rule(line: str, number: int) -> tuple[Entry, ...]:
    """The entry of a line, or none where it is blank or a comment. Raises BadRule."""
    text = _COMMENT.sub("", line).strip()
    if not text:
        return ()
    word, rest = _first_word(text)
    effect = Effect.DENY
    if word == "allow":
        effect = Effect.ALLOW
        word, rest = _first_word(rest)
    try:
        kind = Kind(word)
    except ValueError:
        raise BadRule(f'"{shown(word)}": unknown kind of entry; begin the line with one of '
                      f"{_KINDS}, or with # for a comment") from None
    value, attributes = _split(kind, rest)
    try:
        parsed = parse_value(kind, value)
        if kind in (Kind.DOMAIN, Kind.BELOW) and isinstance(parsed, str):
            check_name(kind, parsed)
        elif isinstance(parsed, IPv4Network | IPv6Network):
            check_network(parsed)
    except (BadEntry, BadLine, Poison) as bad:
        raise BadRule(f'{kind} "{shown(value)}": {bad}') from None
    scope, labels = _terms(attributes)
    return (Entry(kind, parsed, number, effect, labels, scope),)


def _first_word(text: str) -> tuple[str, str]:
    first, *rest = text.split(None, 1) or [""]
    return first, rest[0] if rest else ""


def _split(kind: Kind, text: str) -> tuple[str, Mapping[str, str]]:
    """The value, and the attributes that stand behind it."""
    words = text.split()
    attributes: dict[str, str] = {}
    while len(words) > 1 and (found := _ATTRIBUTE.fullmatch(words[-1])):
        key, value = found[1], found[2]
        if key not in _ATTRIBUTES:
            close = difflib.get_close_matches(key, _ATTRIBUTES, 1)
            raise BadRule(f'"{shown(words[-1])}": unknown attribute; ' + (
                f"did you mean {close[0]}?" if close else f"use one of {', '.join(_ATTRIBUTES)}"))
        if key in attributes:
            raise BadRule(f'"{shown(words[-1])}": {key} is given twice; keep one')
        attributes[key] = value
        words.pop()
    if len(words) > 1 and kind in _ONE_WORD:
        raise BadRule(f'{kind} "{shown(" ".join(words))}": it contains a space; {_ONE_WORD[kind]}, '
                      "and attributes as in until=2027-01-31")
    return " ".join(words), attributes


def _terms(attributes: Mapping[str, str]) -> tuple[Scope, tuple[str, ...]]:
    if not attributes:
        return EVERYONE, ()
    found = Scope(
        frozenset(_words("plans", attributes)), frozenset(_words("accounts", attributes)),
        _day("since", attributes, float("-inf")), _day("until", attributes, float("inf")))
    if found.since >= found.until:
        raise BadRule(f'"since={attributes["since"]}": it is after until, so the entry is never '
                      "in force; mend the dates")
    labels = _words("labels", attributes)
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise BadRule(f'"labels={shown(attributes["labels"])}": "{shown(label)}" is no label; '
                          "use lower-case letters, digits, '.', ':', '_' and '-'")
    return (EVERYONE if found == EVERYONE else found), labels


def _words(key: str, attributes: Mapping[str, str]) -> tuple[str, ...]:
    if key not in attributes:
        return ()
    words = attributes[key].split(",")
    if "" in words:  # an empty set would mean everyone
        raise BadRule(f'"{key}={shown(attributes[key])}": it has an empty part; write the names '
                      f"with commas between them, as in {key}=a,b")
    return tuple(dict.fromkeys(words))


_DAYS = {"since": quantity.start_of_day, "until": quantity.end_of_day}
_ATTRIBUTES = ("since", "until", "accounts", "plans", "labels")


def _day(key: str, attributes: Mapping[str, str], otherwise: float) -> float:
    if key not in attributes:
        return otherwise
    try:
        return _DAYS[key](attributes[key])
    except ValueError as error:
        raise BadRule(f'"{key}={shown(attributes[key])}": {error}') from None
