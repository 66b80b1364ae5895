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

**Deviations** from google/robotstxt: it leaves the spelling of URLs and the choice of a product
token to its caller; it takes "Allow: /index.html" for "/" as well; it cuts lines after 16,664
octets, where half a rule would be another rule; and its product tokens end at a digit.
"""

from __future__ import annotations

import re
from typing import Self

from .robots_match import Group, Match
from .robots_parse import ANYONE, File, parse, product_token
from .robots_spelling import origin_form
from .robots_terms import Preference, Terms

__all__ = ["Match", "Robots"]

_WORD = re.compile(r"[^\s;,()]+")
_BROWSER_WORDS = frozenset({
    "android", "applewebkit", "chrome", "compatible", "edg", "firefox", "gecko", "iphone", "khtml",
    "like", "linux", "macintosh", "mobile", "mozilla", "safari", "version", "windows", "x11",
})

# Remembered per file, and forgotten together beyond this many: an agent is whatever a customer
# sends, and a hostile file can give each of 20,000 names a large group.
_AGENTS_REMEMBERED = 64
_GROUPS_REMEMBERED = 16

_ROBOTS_TXT = "/robots.txt"


def product_tokens(agent: str) -> list[str]:
    """The candidates in a User-Agent, lower case, most specific first."""
    words = [word for word in _WORD.findall(agent) if "://" not in word and "@" not in word]
    tokens = dict.fromkeys(token for token in map(product_token, words) if token)
    return sorted(tokens, key=lambda token: (token in _BROWSER_WORDS, -len(token)))


class Robots:
    """One site's rules. Immutable to the caller; remembers which group binds which agent."""

    __slots__ = ("_file", "_groups", "_tokens")

    def __init__(self, file: File) -> None:
        self._file = file
        self._tokens: dict[str, str] = {}
        self._groups: dict[str, Group] = {}

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a robots.txt. Never raises: whatever is no rule is skipped (sections 2.2, 2.5)."""
        return cls(parse(body))

    @property
    def named(self) -> int:
        """How many product tokens the file has groups for; 0 means that it has no rules at all."""
        return len(self._file.rules)

    def allowed(self, url: str, agent: str) -> Match:
        """May `agent` (a User-Agent or a product token) fetch `url`?

        `url` is absolute, or a path and query as in a request line. /robots.txt itself is always
        allowed (section 2.2.2). Raises UnicodeEncodeError for a `url` with a lone surrogate that
        stands for no octet.
        """
        target = origin_form(url)
        if target.startswith(_ROBOTS_TXT) and target[len(_ROBOTS_TXT):][:1] in ("", "?"):
            return Match(True, 0)
        return self._group(agent).judge(target)

    def whole_site(self, agent: str) -> Match:
        """May `agent` fetch anything at all? For a tunnel, whose paths nobody sees: refused only
        where the agent's rules disallow every path and allow none."""
        return self._group(agent).whole_site

    def cost(self, path: str, agents: tuple[str, ...]) -> int:
        """About how many nanoseconds it takes at worst to judge `path` for all `agents`, with
        what has to be arranged for it first."""
        return sum(self._cost(path, agent) for agent in agents)

    def _cost(self, path: str, agent: str) -> int:
        group = self._groups.get(self.token(agent))
        if group is None:
            return 3_000 * self._file.size + 100 * len(path)
        return group.cost(len(path))

    def terms(self, agent: str) -> Terms:
        """What the site asks of `agent` beside its rules."""
        return Terms(self._file.delays.get(self.token(agent)))

    def preferences(self, url: str, agent: str) -> tuple[Preference, ...]:
        """What the site says about the uses of `url` by `agent`; what it is silent on is not in
        it. `url` as for `allowed`."""
        return ()

    def token(self, agent: str) -> str:
        """The product token by which `agent` is bound, lower case, or `ANYONE`."""
        token = self._tokens.get(agent)
        if token is None:
            named = self._file.rules
            token = next((each for each in product_tokens(agent) if each in named), ANYONE)
            if len(self._tokens) >= _AGENTS_REMEMBERED:
                self._tokens.clear()
            self._tokens[agent] = token
        return token

    def _group(self, agent: str) -> Group:
        """The rules that bind `agent`: those of all groups for its token, as one."""
        token = self.token(agent)
        group = self._groups.get(token)
        if group is None:
            if len(self._groups) >= _GROUPS_REMEMBERED:
                self._groups.clear()
            bound = self._file.rules.get(token, [])
            group = self._groups[token] = Group(rule for rules in bound for rule in rules)
        return group
