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
from dataclasses import dataclass, field

from .robots_match import Rule

# Section 2.5 asks for at least 500 KiB; what is behind that is not read.
SIZE_LIMIT = 500 * 1024

_USER_AGENT = ("user-agent", "useragent", "user agent")
_ALLOW = ("allow",)
_DISALLOW = ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw")
_CRAWL_DELAY = ("crawl-delay", "crawldelay", "crawl delay")

# Section 2.2.1 has letters, "_" and "-" only. Digits are accepted as well: MJ12bot and 360Spider
# are the names of real crawlers, and cut to letters the first would be bound by rules for "MJ".
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}", re.ASCII)
_SPACE = " \t\v\f\r\n"  # str.strip() by default takes octets such as 0xA0 for spaces too

ANYONE = "*"


type Rules = list[Rule]


@dataclass(frozen=True, slots=True)
class File:
    """What binds each product token (lower case, or `ANYONE`): the rules of every group that
    names it, group by group as they stand in the file, and the longest crawl-delay, in seconds.

    A token without rules has an entry all the same: it is named, so "*" does not bind it.
    """

    rules: dict[str, list[Rules]]
    delays: dict[str, float]

    @property
    def size(self) -> int:
        """An upper bound of the rules that bind any one token."""
        return sum(len(rules) for bound in self.rules.values() for rules in bound)


@dataclass(slots=True)
class _Group:
    """Consecutive user-agent lines, and the rules that follow them."""

    names: list[str] = field(default_factory=list)
    rules: Rules = field(default_factory=list)
    delays: list[tuple[int, float]] = field(default_factory=list)
    closed: bool = False  # a rule was seen: the next user-agent line begins another group

    def spread_delays(self, into: dict[str, float]) -> None:
        """A crawl-delay binds the names above it in its group: to the RFC it is no rule and ends
        no list of names, but "Crawl-delay: 10" between two of them was meant for the first."""
        longest = -1.0
        for place in range(len(self.names) - 1, -1, -1):
            while self.delays and self.delays[-1][0] > place:
                longest = max(longest, self.delays.pop()[1])
            name = self.names[place]
            if longest >= 0:
                into[name] = max(longest, into.get(name, 0.0))


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


def seconds(text: str) -> float | None:
    """A crawl-delay. Digits and at most one point; float() would also take nan, inf and 1e9."""
    return float(text) if _SECONDS.fullmatch(text) else None


def parse(body: bytes) -> File:
    """Read a file. Any octets are a file; what makes no sense in it is skipped."""
    file = File({}, {})
    group = _Group(closed=True)
    for number, line in enumerate(_text(whole_lines(body)).split("\n"), 1):
        key, value = _record(line)
        if not key:
            continue
        if key.startswith(_USER_AGENT):
            if group.closed:
                group.spread_delays(file.delays)
                group = _Group()
            name = _name(value)
            group.names.append(name)
            bound = file.rules.setdefault(name, [])
            if not bound or bound[-1] is not group.rules:
                bound.append(group.rules)
        elif not group.names:
            continue  # before the first user-agent line a rule binds nobody (section 2.2.2)
        elif key.startswith(_ALLOW) or key.startswith(_DISALLOW):
            group.closed = True
            if value:  # "Disallow:" alone disallows nothing
                group.rules.append(Rule.of(key.startswith(_ALLOW), value, number))
        elif key in _CRAWL_DELAY:
            delay = seconds(value)
            if delay is not None:
                group.delays.append((len(group.names), delay))
    group.spread_delays(file.delays)
    file.rules.pop("", None)  # names that are no product token
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
        words = line.split()
        if len(words) != 2:
            return "", ""
        key, value = words
    return key.rstrip(_SPACE).lower(), value.lstrip(_SPACE)


def _name(value: str) -> str:
    if value.startswith(ANYONE) and (len(value) == 1 or value[1] in _SPACE):
        return ANYONE
    return product_token(value)
