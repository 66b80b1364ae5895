"""How one robots.txt rule is compared with one path: RFC 9309 sections 2.2.2 and 2.2.3.

Both come in one spelling, which `robots_spelling` gives them.

**Greedy is right.** A pattern is cut at its "*" into literal segments, and each is looked for at
the leftmost place after the one before. If any placement of the segments fits, then so does the
one with the first segment moved to its leftmost place, since that only leaves more room for the
rest; by induction leftmost everywhere finds a fit if there is one, so nothing is ever tried twice.
The exception is a last segment anchored by "$": its place is given, the end of the path, so it is
not searched for but compared there, and only has to lie after the segments before it.

**The worst case.** All literal rules together cost one dict look-up per distinct length. Wildcard
rules cost one scan of the path each: rules × path, times the few steps per octet that `str.find`
needs at worst. A file may be 500 KiB and a path 8 KiB, and both are in hostile hands, so that
product is bounded by `BOUND` before the scan begins. Beyond it the answer is a refusal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .robots_spelling import spell, spell_query

# Steps of `str.find`, about 0.25 ns each at worst (CPython 3.13 on a 2020s server core). Reached
# by no path under 1,000 octets with fewer than 1,000 wildcard rules, whatever these say.
BOUND = 100_000_000


@dataclass(frozen=True, slots=True)
class Match:
    """What the rules say: `line` is the 1-based line that decided, 0 where no rule matched.

    Not allowed by line 0 means that the file was too costly to judge (see `BOUND`).
    """

    allowed: bool
    line: int


class Rule(NamedTuple):
    """One allow or disallow line, cut into literal segments at its wildcards.

    It matches a path that starts with `prefix`, then holds each of `middle` in order, and has
    `tail` at its very end unless that is None. `wild` is False where there was no "*": such a rule
    is its prefix, or the whole path where there is a tail.

    `rank` orders rules by the octets of their patterns, wildcards included, and at equal length
    puts allow before disallow: of all rules that match, the highest decides (section 2.2.2).
    `weight` bounds the steps of `str.find` per octet of path.
    """

    match: Match
    rank: int
    prefix: str = ""
    middle: tuple[str, ...] = ()
    tail: str | None = None
    weight: int = 0
    wild: bool = False

    @classmethod
    def of(cls, allow: bool, pattern: str, line: int) -> Rule:
        """From the pattern as it stands in the file: one character per octet, stripped."""
        if "*" not in pattern and "?" not in pattern and not pattern.endswith("$"):
            prefix = spell(pattern)  # nine rules in ten; what follows comes to the same
            return cls(Match(allow, line), 2 * len(prefix) + allow, prefix)
        # wildcards are cut out before the rest is decoded: %2A and %24 in a rule are the
        # characters themselves (section 2.2.3)
        open_ended = pattern.removesuffix("$")
        path, mark, query = open_ended.partition("?")
        segments = [spell(segment) for segment in path.split("*")]
        if mark:
            first, *more = [spell_query(spell(segment)) for segment in query.split("*")]
            segments[-1] += "?" + first
            segments += more
        anchored = len(open_ended) < len(pattern)
        size = sum(map(len, segments)) + len(segments) - 1 + anchored
        wild = len(segments) > 1
        prefix, *rest = segments
        tail = (rest.pop() if wild else "") if anchored else None
        middle = tuple(segment for segment in rest if segment)
        # find() compares up to 100 octets at each place; for longer needles it is linear
        weight = max((max(8, min(len(segment), 100)) for segment in middle), default=0)
        return cls(Match(allow, line), 2 * size + allow, prefix, middle, tail, weight, wild)

    @property
    def everywhere(self) -> bool:
        """Whether it matches every path: an open pattern matches whatever extends a match, every
        path extends "/", and "$" right after a "*" anchors nothing."""
        open_ended = self.tail is None or (self.wild and not self.tail)
        return open_ended and self.prefix + "".join(self.middle) in ("", "/")


_NONE = Rule(Match(True, 0), -1)
_TOO_COSTLY = Rule(Match(False, 0), sys.maxsize)


class Group:
    """All rules that bind one product token, arranged so that the winner is found first.

    `whole_site` is the verdict for a path that nobody has seen: a refusal only where everything
    is disallowed and nothing allowed.
    """

    __slots__ = ("_exact", "_prefixes", "_sizes", "_weight", "_wildcards", "whole_site")

    def __init__(self, rules: Iterable[Rule]) -> None:
        ordered = sorted(rules, key=lambda rule: (-rule.rank, rule.match.line))
        self._prefixes: dict[str, Rule] = {}
        self._exact: dict[str, Rule] = {}
        wildcards: dict[tuple[str, tuple[str, ...], str | None], Rule] = {}
        # the first of equal patterns stays: the allow, and the line that came first
        for rule in ordered:
            if rule.wild:
                wildcards.setdefault((rule.prefix, rule.middle, rule.tail), rule)
            else:
                literals = self._prefixes if rule.tail is None else self._exact
                literals.setdefault(rule.prefix, rule)
        self._sizes = tuple(sorted({len(prefix) for prefix in self._prefixes}, reverse=True))
        self._wildcards = tuple(wildcards.values())
        self._weight = sum(rule.weight for rule in self._wildcards)
        self.whole_site = _NONE.match
        if not any(rule.match.allowed for rule in ordered):
            site = next((rule for rule in ordered if rule.everywhere), _NONE)
            self.whole_site = site.match

    def judge(self, target: str) -> Match:
        """The verdict on a path and query in the one spelling (`origin_form`)."""
        best = self._best(target)
        if "%" in target:
            # a rule whose "?" is behind a "*" is spelt as in a path, any other as in a query
            path, mark, query = target.partition("?")
            other = path + mark + spell_query(query)
            if other != target:
                best = max(best, self._best(other), key=lambda rule: rule.rank)
        return best.match

    def cost(self, size: int) -> int:
        """About how many nanoseconds it takes at worst to judge a path of `size` octets."""
        return 100 * (size + len(self._sizes) + len(self._wildcards)) + size * self._weight // 2

    def steps(self, target: str) -> int:
        """An upper bound of what the wildcard rules cost on this path, in steps of `str.find`."""
        return len(target) * sum(
            rule.weight for rule in self._wildcards if target.startswith(rule.prefix)
        )

    def _best(self, target: str) -> Rule:
        if len(target) * self._weight > BOUND and self.steps(target) > BOUND:
            return _TOO_COSTLY
        best = self._exact.get(target) or self._longest_prefix(target)
        floor = best.rank
        for rule in self._wildcards:
            _, rank, prefix, middle, tail, _, _ = rule
            if rank <= floor:
                break
            if not target.startswith(prefix):
                continue
            at = len(prefix)
            for segment in middle:
                at = target.find(segment, at)
                if at < 0:
                    break
                at += len(segment)
            else:
                if tail is None or (at + len(tail) <= len(target) and target.endswith(tail)):
                    return rule
        return best

    def _longest_prefix(self, target: str) -> Rule:
        prefixes = self._prefixes
        for size in self._sizes:
            rule = prefixes.get(target[:size])
            if rule is not None:
                return rule
        return _NONE
