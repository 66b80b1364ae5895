"""The Robots Exclusion Protocol, RFC 9309: may this agent fetch this URL?

`robots_parse` reads a file into rules per product token, `robots_spelling` gives rules and paths
one spelling, `robots_match` compares them; here is which rules bind whom, and the interface that
`policy` and the fetcher use.

**Whose rules.** Section 2.2.1 has a crawler look for its own product token. A proxy sees only a
User-Agent, which may hold several words that could be one: "Mozilla/5.0 (compatible; FooBot/1.2;
+https://foo.example/bot)". Each word's leading token is a candidate, URLs and mail addresses are
not. Of the candidates that the file names, the longest is taken as the most specific (the first,
if two are as long), and a word that every browser sends only if no other is named, so that a group
for "Mozilla" never hides the one for FooBot. All groups of that token are merged. "*" binds who is
named nowhere, and nobody else: a token that is named is bound by its own groups alone, even where
these hold no rule.

**Deviations** from google/robotstxt, each shown by a test:

- it leaves the spelling of URLs, dot segments in them, and the choice of a product token to its
  caller;
- it takes "Allow: /index.html" for "/" as well;
- it cuts lines after 16,664 octets, and at an octet 0, where half a rule would be another rule;
- its product tokens end at a digit;
- it reads a file in UTF-16 as octets, and so without rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import batched, chain
from typing import Self

from .robots_match import Group, Match, Rule
from .robots_parse import ANYONE, LINES_PER_PAUSE, File, Rules, parse, product_token
from .robots_spelling import origin_form, size_at_most
from .robots_terms import NO_TERMS, PURPOSES, Preference, Terms
from .robots_usage import Usage

__all__ = ["Match", "Robots"]

_WORD = re.compile(r"[^\s;,()]+")
_BROWSER_WORDS = frozenset({
    "android", "applewebkit", "chrome", "compatible", "edg", "firefox", "gecko", "iphone", "khtml",
    "like", "linux", "macintosh", "mobile", "mozilla", "safari", "version", "windows", "x11",
})

# What is behind this is not looked at: no crawler's name is, and on the event loop a User-Agent as
# long as a request may be would cost milliseconds.
_AGENT_OCTETS = 1024
_AGENTS_REMEMBERED = 2048  # of all files together, none longer than:
_AGENT_REMEMBERED_OCTETS = 512

# Remembered per file, and forgotten together beyond this many, or when they hold more rules than
# the file: a hostile file can give each of 20,000 names a large group.
_GROUPS_REMEMBERED = 16

_ARRANGING = 3_000  # nanoseconds for a rule, or a list of them
_LISTS_COUNTED = 64

_ROBOTS_TXT = "/robots.txt"


def product_tokens(agent: str) -> tuple[str, ...]:
    """The candidates in a User-Agent, lower case, most specific first."""
    if len(agent) > _AGENT_REMEMBERED_OCTETS:
        return _product_tokens(agent[:_AGENT_OCTETS])
    return _remembered_tokens(agent)


def _product_tokens(agent: str) -> tuple[str, ...]:
    words = [word for word in _WORD.findall(agent) if "://" not in word and "@" not in word]
    tokens = dict.fromkeys(token for token in map(product_token, words) if token)
    return tuple(sorted(tokens, key=lambda token: (token in _BROWSER_WORDS, -len(token))))


_remembered_tokens = lru_cache(_AGENTS_REMEMBERED)(_product_tokens)


class Robots:
    """One site's rules. Immutable to the caller; remembers the groups it has arranged."""

    __slots__ = ("_arranged", "_file", "_groups", "_usages")

    def __init__(self, file: File) -> None:
        self._file = file
        self._groups: dict[int, Group] = {}  # by the identity of what `File.rules` holds
        self._arranged = 0  # rules in `_groups`
        self._usages: dict[str, Usage] = {}

    @classmethod
    def parse(cls, body: bytes, pause: Callable[[], object] = lambda: None) -> Self:
        """Read a robots.txt. Never raises: whatever is no rule is skipped (sections 2.2, 2.5).
        `pause` is called now and then, for a thread that has to let others go on."""
        return cls(parse(body, pause))

    @property
    def named(self) -> int:
        """How many product tokens the file has groups for; 0 means that it has no rules at all."""
        return len(self._file.rules)

    def allowed(self, url: str, agent: str, late: Callable[[], bool] | None = None) -> Match:
        """May `agent` (a User-Agent or a product token) fetch `url`?

        `url` is absolute, or a path and query as in a request line. /robots.txt itself is always
        allowed (section 2.2.2). `late` is asked now and then whether the time for it is over; then
        the answer is a refusal by line 0. It may also let other threads go on. Raises
        UnicodeEncodeError for a `url` with a lone surrogate that stands for no octet.
        """
        target = origin_form(url)
        if target.startswith(_ROBOTS_TXT) and target[len(_ROBOTS_TXT):][:1] in ("", "?"):
            return Match(True, 0)
        return self._group(agent, late).judge(target, late)

    def whole_site(self, agent: str) -> Match:
        """May `agent` fetch anything at all? For a tunnel, whose paths nobody sees: refused only
        where the agent's rules disallow every path and allow none."""
        return self._group(agent).whole_site

    def cost(self, url: str, agents: tuple[str, ...]) -> int:
        """Nanoseconds that judging `url` for all `agents` takes at worst, roughly, with what has
        to be arranged first."""
        size = size_at_most(url)
        return sum(self._cost(size, agent) for agent in agents)

    def terms(self, agent: str) -> Terms:
        """What the site asks of `agent` beside its rules; `NO_TERMS` if nothing."""
        terms = self._file.terms
        return terms.get(self.token(agent), NO_TERMS) if terms else NO_TERMS

    def preferences(self, url: str, agent: str) -> tuple[Preference, ...]:
        """What the site says about the uses of `url` by `agent`; what it is silent on is not in
        it. `url` as for `allowed`."""
        file = self._file
        if file.unread:
            return tuple(Preference(purpose, False, file.unread) for purpose in PURPOSES)
        if not file.usage:
            return ()
        token = self.token(agent)
        usage = self._usages.get(token)
        if usage is None:
            if len(self._usages) >= _GROUPS_REMEMBERED:
                self._usages.clear()
            usage = self._usages[token] = Usage(file.usage_of(token))
        return usage.of(origin_form(url))

    def token(self, agent: str) -> str:
        """The product token by which `agent` is bound, lower case, or `ANYONE`."""
        named = self._file.rules
        for token in product_tokens(agent):
            if token in named:
                return token
        return ANYONE

    def _bound(self, agent: str) -> tuple[Rules, ...]:
        return self._file.rules.get(self.token(agent), ())

    def _cost(self, size: int, agent: str) -> int:
        bound = self._bound(agent)
        group = self._groups.get(id(bound))
        if group is not None:
            return group.cost(size)
        # nobody knows yet what is in the rules, so each may be as costly as any
        rules = self._file.size if len(bound) > _LISTS_COUNTED else sum(map(len, bound))
        return rules * (_ARRANGING + size * min(size, 1_250) // 2) + 20 * size

    def _group(self, agent: str, late: Callable[[], bool] | None = None) -> Group:
        """The rules that bind `agent`: those of all groups for its token, as one. Arranged to the
        end even if it gets late, or it would never be."""
        bound = self._bound(agent)
        group = self._groups.get(id(bound))
        if group is None:
            if len(self._groups) >= _GROUPS_REMEMBERED or self._arranged > self._file.size:
                self._groups.clear()
                self._arranged = 0
            self._arranged += sum(map(len, bound))
            group = self._groups[id(bound)] = Group(_rules(bound, late), pause=late)
        return group


def _rules(bound: Iterable[Rules], late: Callable[[], bool] | None) -> Iterator[Rule]:
    for block in batched(chain.from_iterable(bound), LINES_PER_PAUSE):
        if late is not None:
            late()
        for allow, pattern, line in block:
            yield Rule.of(allow, pattern, line)
