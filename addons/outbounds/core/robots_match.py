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
needs at worst. A file may be 500 KiB and a path longer than 8 KiB, and both are in hostile hands,
so that product is bounded by `BOUND` before the scan begins, and the rules of a group by
`MOST_WILDCARDS`, which makes the same question get the
same answer on every machine. The time that is really spent is bounded by the caller's `late`,
should a machine be so busy that the bound is worth more than its milliseconds. Beyond either the
answer is a refusal.

**What is kept** of thousands of files is looked at by every full run of the garbage collector,
during which nothing else runs. So rules are kept as strings, integers and plain tuples of these,
which the collector stops tracking when it has seen them once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import batched
from typing import NamedTuple

from .robots_spelling import is_spelt, spell, spell_query

# Steps of `str.find`, about 0.5 ns each at worst (CPython 3.13 on a 2020s server core). Reached
# by no path under 1,000 octets with fewer than 1,000 wildcard rules of up to 50 octets.
BOUND = 50_000_000

# A group with more of them is refused unread: arranging alone would take as long as judging may.
MOST_WILDCARDS = 5_000

_STEPS_OF_SEARCH = 160  # what calling it costs, and the loop around it
_STEPS_OF_RULE = 400

# `str.find` compares the needle at each place of a short text; in a long one it does so for
# needles under 100 octets only, and is linear for others.
_SHORT_PATH = 2_500
_LONG_NEEDLE = 100

# wildcard rules between two looks at the clock; the costliest takes under a millisecond
_BLOCK = 4
_PAUSE = 256  # and those that are only put in order


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
    `mark` is twice the line, and one more if it allows. `longest` is the octets of the longest
    segment in `middle`.
    """

    rank: int
    mark: int
    prefix: str = ""
    middle: tuple[str, ...] = ()
    tail: str | None = None
    wild: bool = False
    longest: int = 0

    @classmethod
    def of(cls, allow: bool, pattern: str, line: int) -> Rule:
        """From the pattern as it stands in the file: one character per octet, stripped."""
        mark = 2 * line + allow
        wild, anchored = "*" in pattern, pattern.endswith("$")
        # wildcards are cut out before the rest is decoded: %2A and %24 in a rule are the
        # characters themselves (section 2.2.3)
        open_ended = pattern[:-1] if anchored else pattern
        if is_spelt(pattern):
            segments, size = open_ended.split("*"), len(pattern)
        else:
            path, question, query = open_ended.partition("?")
            segments = [spell(segment) for segment in path.split("*")]
            if question:
                first, *more = [spell_query(spell(segment)) for segment in query.split("*")]
                segments[-1] += "?" + first
                segments += more
            size = sum(map(len, segments)) + len(segments) - 1 + anchored
        rank = 2 * size + allow
        if not wild:
            return cls(rank, mark, segments[0], (), "" if anchored else None)
        prefix, *rest = segments
        tail = rest.pop() if anchored else None
        middle = tuple([segment for segment in rest if segment])
        longest = len(max(middle, key=len, default=""))
        return cls(rank, mark, prefix, middle, tail, True, longest)

    @property
    def everywhere(self) -> bool:
        """Whether it matches every path: an open pattern matches whatever extends a match, every
        path extends "/", and "$" right after a "*" anchors nothing."""
        open_ended = self.tail is None or (self.wild and not self.tail)
        return open_ended and self.prefix + "".join(self.middle) in ("", "/")


_NONE = Rule(-1, 1)
_TOO_COSTLY = Rule(sys.maxsize, 0)

type _Found = tuple[int, int]  # rank and mark
type _Pattern = tuple[str, tuple[str, ...], str | None, int]  # as in Rule, with `longest`
type _Wildcard = tuple[int, int, _Pattern]  # with rank and mark


def _match(mark: int) -> Match:
    return Match(mark % 2 == 1, mark // 2)


class Group:
    """All rules that bind one product token, arranged so that the winner is found first.

    `whole_site` is the verdict for a path that nobody has seen: a refusal only where everything
    is disallowed and nothing allowed.
    """

    __slots__ = ("_blocks", "_bound", "_exact", "_fixed", "_long", "_prefixes", "_short", "_sizes",
                 "whole_site")

    def __init__(self, rules: Iterable[Rule], bound: int = BOUND,
                 pause: Callable[[], object] | None = None) -> None:
        """`rules` in the order of their lines. `bound` in steps (`steps`). `pause` is called now
        and then, for a thread that has to let others go on."""
        self._bound = bound
        self._prefixes: dict[str, int] = {}  # marks
        self._exact: dict[str, int] = {}
        wildcards: dict[int, dict[_Pattern, int]] = {}  # marks, by the octets of their patterns
        allowing, site, count = False, _NONE, 0
        # so that for nearly all files and paths one multiplication shows that they are cheap
        self._fixed = self._short = self._long = 0
        for rule in rules:
            rank, mark, prefix, middle, tail, wild, longest = rule
            if wild:
                new = _enter(wildcards.setdefault(rank // 2, {}), (prefix, middle, tail, longest),
                             mark)
                if new:
                    count += 1
                    if count > MOST_WILDCARDS:
                        self._bound = -1  # any path is beyond it
                        wildcards.clear()
                        break
                    self._fixed += _STEPS_OF_RULE + _STEPS_OF_SEARCH * len(middle)
                    self._short += 8 if longest < 8 else min(longest, _SHORT_PATH)
                    self._long += 8 if longest < 8 else min(longest, _LONG_NEEDLE)
            else:
                _enter(self._prefixes if tail is None else self._exact, prefix, mark)
            if mark % 2:
                allowing = True
            elif rank > site.rank and longest <= 1 and rule.everywhere:
                site = rule
        if count > MOST_WILDCARDS:
            site, allowing = _TOO_COSTLY, False
        self.whole_site = _match(_NONE.mark if allowing else site.mark)
        self._sizes = tuple(sorted({len(prefix) for prefix in self._prefixes}, reverse=True))
        self._blocks = tuple(batched(_highest_first(wildcards, pause), _BLOCK))

    def judge(self, target: str, late: Callable[[], bool] | None = None) -> Match:
        """The verdict on a path and query in the one spelling (`origin_form`). `late`: is the
        time for it over?"""
        other = target
        if "%" in target:
            # a rule whose "?" is behind a "*" is spelt as in a path, any other as in a query
            path, question, query = target.partition("?")
            other = path + question + spell_query(query)
        spellings = (target,) if other == target else (target, other)
        if len(spellings) * self._at_most(len(target)) > self._bound \
                and sum(map(self.steps, spellings)) > self._bound:
            return _match(_TOO_COSTLY.mark)
        rank, mark = self._best(target, late)
        if other != target:
            other_rank, other_mark = self._best(other, late)
            if other_rank > rank:
                mark = other_mark
        return _match(mark)

    def steps(self, target: str) -> int:
        """An upper bound of what the wildcard rules cost on this path, in steps of `str.find`."""
        size = len(target)
        # segments are looked for one behind the other, so that together they scan the path once
        most = size if size < _SHORT_PATH else _LONG_NEEDLE
        return sum(
            _STEPS_OF_RULE + _STEPS_OF_SEARCH * len(middle) + size * max(8, min(longest, most))
            for block in self._blocks for _, _, (prefix, middle, _, longest) in block
            if target.startswith(prefix))

    def cost(self, size: int) -> int:
        """Nanoseconds that it takes at worst to judge a path of `size` octets, roughly."""
        return self._at_most(size) // 2 + 20 * size + 200 * len(self._sizes) + 2_000

    def _at_most(self, size: int) -> int:
        """`steps` of any path of `size` octets."""
        return self._fixed + size * (self._short if size < _SHORT_PATH else self._long)

    def _best(self, target: str, late: Callable[[], bool] | None) -> _Found:
        best = self._literal(target)
        floor = best[0]
        for block in self._blocks:
            if late is not None and late():
                return _TOO_COSTLY.rank, _TOO_COSTLY.mark
            for rank, mark, (prefix, middle, tail, _) in block:
                if rank <= floor:
                    return best
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
                        return rank, mark
        return best

    def _literal(self, target: str) -> _Found:
        mark = self._exact.get(target)
        if mark is not None:
            return 2 * (len(target) + 1) + mark % 2, mark
        prefixes = self._prefixes
        for size in self._sizes:
            prefix = target[:size]  # of a target that is shorter: all of it
            mark = prefixes.get(prefix)
            if mark is not None:
                return 2 * len(prefix) + mark % 2, mark
        return _NONE.rank, _NONE.mark


def _enter[P](into: dict[P, int], pattern: P, mark: int) -> bool:
    """Of equal patterns the allow counts, and then the line that came first. Whether it is new."""
    known = into.get(pattern)
    if known is None or mark % 2 > known % 2:
        into[pattern] = mark
    return known is None


def _mark(entry: tuple[int, _Pattern]) -> int:
    return entry[0]


def _highest_first(wildcards: dict[int, dict[_Pattern, int]],
                   pause: Callable[[], object] | None) -> Iterator[_Wildcard]:
    """By rank, and of equal rank by line. Sorting all that a hostile file can hold at once would
    keep the interpreter lock for too long; there are a thousand sizes at most, and the lines of
    each are nearly in order."""
    for size in sorted(wildcards, reverse=True):
        for allow in (1, 0):
            of_rank = [(mark, pattern) for pattern, mark in wildcards[size].items()
                       if mark % 2 == allow]
            of_rank.sort(key=_mark)
            for place, (mark, pattern) in enumerate(of_rank):
                if pause is not None and not place % _PAUSE:
                    pause()
                yield 2 * size + allow, mark, pattern
