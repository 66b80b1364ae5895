"""A robots.txt for people: what each of its lines means to the parser, and what the rules are that
bind each product token.

`robots_parse` keeps what decides, as fast as it can. A site owner who asks "why" needs the rest as
well: which lines were not understood, which came too early to bind anybody, and which of several
rules that match a path was the longest. Lines are cut into records by the parser's own function,
and rules are its own, so nothing here can disagree with what decides.

A hostile file may name 20,000 tokens that share 20,000 rules: what is shared is listed once, for
all the tokens that share it, and a reading ends at `MOST` rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, starmap

from . import robots_parse, robots_terms, robots_usage
from .robots_match import Group, Rule
from .robots_parse import File
from .robots_spelling import origin_form

MOST = 10_000
"""Rules that a reading lists."""

_ELSEWHERE = ("sitemap", "site-map", "host", "clean-param", "noindex", "noarchive", "nofollow")


@dataclass(frozen=True, slots=True)
class Line:
    """`number` from 1; `text` with one character per octet, stripped. `meaning` is the record
    that it is, such as "disallow", or "" where it is none; `trouble` is why it has no effect."""

    number: int
    text: str
    meaning: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ReadRule:
    """`pattern` is as it is compared with a path (one spelling for all); `length` its octets, by
    which the longest match is found (RFC 9309 section 2.2.2)."""

    line: int
    allow: bool
    pattern: str
    length: int


@dataclass(frozen=True, slots=True)
class Bound:
    """What binds `tokens`. `other` are the lines with what is asked beside the rules."""

    tokens: tuple[str, ...]
    rules: tuple[ReadRule, ...]
    terms: robots_terms.Terms
    other: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """`cut`: there are more rules than are listed."""

    bound: tuple[Bound, ...]
    cut: bool


def read_lines(body: bytes) -> list[Line]:
    """Every line that says something or tries to; empty lines and comments are left out."""
    found = []
    named = False
    text = robots_parse._text(robots_parse.whole_lines(body))
    for number, line in enumerate(text.split("\n"), 1):
        said = line.partition("#")[0].strip(robots_parse._SPACE)
        if not said:
            continue
        key, value = robots_parse._record(line)
        meaning = _meaning(key)
        found.append(Line(number, said, meaning, _trouble(key, value, meaning, named)))
        named = named or meaning == "user-agent"
    return found


def read(body: bytes) -> Reading:
    """Whom the file binds by what, in the order in which it first names them."""
    file = robots_parse.parse(body)
    together: dict[tuple[object, ...], list[str]] = {}
    for token, lists in file.rules.items():
        usage = tuple((id(records), start) for records, start in file.usage.get(token, ()))
        same = (id(lists), file.terms.get(token), usage)
        together.setdefault(same, []).append(token)
    bound, left = [], MOST
    for tokens in together.values():
        rules = [_read(rule) for rule in _first(file, tokens[0], left)]
        left -= len(rules)
        bound.append(Bound(tuple(tokens), tuple(rules),
                           file.terms.get(tokens[0], robots_terms.NO_TERMS),
                           tuple(dict.fromkeys(_other(file, tokens[0])))))
        if left <= 0:
            break
    return Reading(tuple(bound), left <= 0)


def competing(body: bytes, token: str, target: str) -> list[ReadRule]:
    """The rules for `token` that match `target` (a path and query), the one that decides first."""
    path = origin_form(target)
    found = [rule for rule in _rules(robots_parse.parse(body), token)
             if Group((rule,)).judge(path).line]
    found.sort(key=lambda rule: (-rule.rank, rule.mark // 2))
    return [_read(rule) for rule in found]


def _rules(file: File, token: str) -> Iterator[Rule]:
    return starmap(Rule.of, chain.from_iterable(file.rules.get(token, ())))


def _first(file: File, token: str, most: int) -> list[Rule]:
    return [rule for rule, _ in zip(_rules(file, token), range(most), strict=False)]


def _read(rule: Rule) -> ReadRule:
    """The pattern is put together again from the segments that it was cut into."""
    pattern = rule.prefix
    if rule.wild:
        pattern = "*".join((rule.prefix, *rule.middle, rule.tail or ""))
    if rule.tail is not None:
        pattern += "$"
    return ReadRule(rule.mark // 2, rule.mark % 2 == 1, pattern, rule.rank // 2)


def _other(file: File, token: str) -> Iterator[int]:
    return (each.rule.mark // 2 for each in file.usage_of(token))


def _meaning(key: str) -> str:
    for name, spellings in (("user-agent", robots_parse._USER_AGENT),
                            ("allow", robots_parse._ALLOW), ("disallow", robots_parse._DISALLOW)):
        if key.startswith(spellings):
            return name
    if key in robots_terms.READ:
        # the several spellings of a record are read by one function
        return robots_terms.READ[key].__name__.replace("_", "-")
    if key in robots_usage.READ:
        return key
    return key if key.startswith(_ELSEWHERE) else ""


def _trouble(key: str, value: str, meaning: str, named: bool) -> str:
    if not key:
        return "no record: there is no colon"
    if not meaning:
        return f"no record that is known: {key[:40]!r}"
    if meaning == "user-agent":
        return "" if robots_parse._name(value) else "names no product token"
    if key.startswith(_ELSEWHERE):
        return ""
    if not named:
        return "binds nobody: no user-agent line is above it"
    if meaning in ("allow", "disallow"):
        if value and not value.startswith(("/", "*", "$")):
            return "matches no path: these begin with a slash"
        return "" if value or meaning == "disallow" else "allows nothing: it has no path"
    read = robots_terms.READ.get(key)
    if (read(value) is None) if read else (not robots_usage.usage_rules(key, value, 1)):
        return f"its value is none of a {meaning}"
    return ""
