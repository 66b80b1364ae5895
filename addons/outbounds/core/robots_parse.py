"""What a robots.txt file says: lines, records, groups. RFC 9309 sections 2.1 and 2.2.

The grammar is read as its authors' own parser reads it (google/robotstxt), because site owners
test their files against that one: a record needs no colon if it is two words, a key counts when
it begins with a known one ("user-agents: …" names an agent), and common misspellings count too.
What is unknown is skipped and ends nothing: "Sitemap" between a user-agent line and its rules
does not part them (section 2.2.4).

A file is hostile input. Parsing is one pass, and a group holds on to its rules by reference: a
file of 20,000 user-agent lines followed by 20,000 rules costs 40,000 steps, not their product.
Nothing here raises, whatever the octets are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from . import robots_terms, robots_usage
from .robots_terms import Terms
from .robots_usage import UsageRule, usage_rules

# Section 2.5 asks for at least 500 KiB; what is behind that is not read.
SIZE_LIMIT = 500 * 1024

_USER_AGENT = ("user-agent", "useragent", "user agent")
_ALLOW = ("allow",)
_DISALLOW = ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw")

# Section 2.2.1 has letters, "_" and "-" only. Digits are accepted as well: MJ12bot and 360Spider
# are the names of real crawlers, and cut to letters the first would be bound by rules for "MJ".
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = " \t\v\f\r\n"  # str.strip() by default takes octets such as 0xA0 for spaces too
_TWO_WORDS = re.compile(r"([^ \t]+)[ \t]+([^ \t]+)")

LINES_PER_PAUSE = 256

ANYONE = "*"


# of a group: whether each allows, its pattern as written, its line. Made into `Rule` when they
# are first asked about, which most groups of a file never are.
type Rules = list[tuple[bool, str, int]]


@dataclass(slots=True)
class File:
    """What binds each product token (lower case, or `ANYONE`).

    `rules`: those of every group that names it, group by group as they stand in the file. A token
    without rules has an entry all the same: it is named, so "*" does not bind it. Tokens with the
    same groups share one tuple. `terms` and `usage` have entries only where there is something in
    them; a usage entry is a group's list, and how many at its beginning do not count. `size`
    bounds the rules and groups of any one token. `unread` is the first line with a usage record
    that is beyond their limit, or 0.
    """

    rules: dict[str, tuple[Rules, ...]] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)
    usage: dict[str, list[tuple[list[UsageRule], int]]] = field(default_factory=dict)
    size: int = 0
    unread: int = 0

    def usage_of(self, token: str) -> Iterator[UsageRule]:
        """The usage records that bind `token`, in the order of their lines."""
        return chain.from_iterable(
            islice(rules, start, None) for rules, start in self.usage.get(token, ()))


@dataclass(slots=True)
class _Group:
    """Consecutive user-agent lines, and what follows them.

    A crawl-delay and its like bind the names above them in their group: to the RFC they are no
    rules and end no list of names, but "Crawl-delay: 10" between two of them was meant for the
    first. So of each it is known how many names were above it.
    """

    names: list[str] = field(default_factory=list)
    rules: Rules = field(default_factory=list)
    terms: list[tuple[int, Terms]] = field(default_factory=list)
    usage: list[UsageRule] = field(default_factory=list)
    usage_places: list[int] = field(default_factory=list)
    closed: bool = False  # a rule was seen: the next user-agent line begins another group

    def spread(self, file: File) -> None:
        """Enter terms and usage under the names that they bind, from the last name to the first:
        each is bound by what the one after it is bound by, and more."""
        bound = robots_terms.NO_TERMS
        for place in range(len(self.names) - 1, -1, -1):
            name = self.names[place]
            while self.terms and self.terms[-1][0] > place:
                bound = bound.and_also(self.terms.pop()[1])
            if bound is not robots_terms.NO_TERMS:
                known = file.terms.get(name)
                file.terms[name] = bound if known is None else known.and_also(bound)
            start = bisect_right(self.usage_places, place)
            if start < len(self.usage):
                into = file.usage.setdefault(name, [])
                if into and into[-1][0] is self.usage:
                    into.pop()  # named twice in this group: the upper place binds it more
                into.append((self.usage, start))


def whole_lines(body: bytes) -> bytes:
    """The first 500 KiB of `body`, without the line that this cuts in two.

    Half a rule is another rule: "Disallow: /" of "Disallow: /private", or "Allow: /" of
    "Allow: /public".
    """
    if len(body) <= SIZE_LIMIT:
        return body
    head = body[: SIZE_LIMIT + 1]
    return body[: min(SIZE_LIMIT, max(head.rfind(b"\n"), head.rfind(b"\r")) + 1)]


def product_token(text: str) -> str:
    """The product token that `text` begins with, in lower case; "" if it begins with none."""
    found = _TOKEN.match(text)
    return found[0].lower() if found else ""


def parse(body: bytes, pause: Callable[[], object] = lambda: None) -> File:
    """Read a file. Any octets are a file; what makes no sense in it is skipped. `pause` is called
    now and then, for a thread that has to let others go on."""
    file = File()
    named: dict[str, list[Rules]] = {}
    group = _Group(closed=True)
    usage_records = 0
    for number, line in enumerate(_text(whole_lines(body)).split("\n"), 1):
        if not number % LINES_PER_PAUSE:
            pause()
        if not line:
            continue
        key, value = _record(line)
        if not key:
            continue
        if key.startswith(_USER_AGENT):
            if group.closed:
                group.spread(file)
                group = _Group()
                file.size += 1
            name = _name(value)
            group.names.append(name)
            bound = named.setdefault(name, [])
            if not bound or bound[-1] is not group.rules:
                bound.append(group.rules)
        elif not group.names:
            continue  # before the first user-agent line a rule binds nobody (section 2.2.2)
        elif key.startswith(_ALLOW) or key.startswith(_DISALLOW):
            group.closed = True
            if value:  # "Disallow:" alone disallows nothing
                group.rules.append((key.startswith(_ALLOW), value, number))
                file.size += 1
        elif key in robots_terms.READ:
            terms = robots_terms.READ[key](value)
            if terms is not None:
                group.terms.append((len(group.names), terms))
        elif key in robots_usage.READ:
            usage_records += 1
            if usage_records > robots_usage.LIMIT:
                file.unread = file.unread or number
                continue
            for rule in usage_rules(key, value, number):
                group.usage.append(rule)
                group.usage_places.append(len(group.names))
    group.spread(file)
    named.pop("", None)  # names that are no product token
    same: dict[tuple[int, ...], tuple[Rules, ...]] = {}
    for name, lists in named.items():
        file.rules[name] = same.setdefault(tuple(map(id, lists)), tuple(lists))
    return file


def _text(body: bytes) -> str:
    """One character per octet, lines parted by LF, no byte order mark (nor the rest of a torn
    one). UTF-16 is bridged to UTF-8, as section 2.2.2 permits: Windows editors write it, and read
    as octets it would have no rules, which would allow everything."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        body = body.decode("utf-16", "replace").encode()
    for mark in (b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"):
        if body.startswith(mark):
            body = body[len(mark):]
            break
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("latin-1")


def _record(line: str) -> tuple[str, str]:
    """Key in lower case and value of a line; ("", "") if it is none."""
    line = line.partition("#")[0].strip(_SPACE)
    key, colon, value = line.partition(":")
    if not colon:
        # a forgotten colon is forgiven where there are two words and so no doubt
        words = _TWO_WORDS.fullmatch(line)
        if words is None:
            return "", ""
        key, value = words.groups()
    return key.rstrip(_SPACE).lower(), value.lstrip(_SPACE)


def _name(value: str) -> str:
    if value.startswith(ANYONE) and (len(value) == 1 or value[1] in _SPACE):
        return ANYONE
    return product_token(value)
