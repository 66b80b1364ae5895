"""From matches to accounts, in the order of how likely each is, with a word for how sure that is.

An account's weight is the sum, over the sightings, of its best match for each: a log of twenty
lines that all lead to one account says more than one line. A match never counts against (the sum
takes 0 for it), so that an account is not pushed down by a further sighting that it also fits.

The word is decided for each sighting by itself, against the other accounts that fit the same one;
the account gets the best of them. `weights.RULES` says the rules in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .matching import Match
from .weights import ALONE, CERTAIN, LIKELY, ORDER, POSSIBLE

KEPT = 200
"""Matches that are kept of an account, the best: the rest are counted."""
HOUR = 3600 * 1_000_000


@dataclass(slots=True)
class Candidate:
    """`account` is "" for the proxy itself. `matches` are the best, best first; `events` counts
    all that fit, `sightings` those of the complaint that one of them fits."""

    account: str
    confidence: str = POSSIBLE
    weight: float = 0.0
    matches: list[Match] = field(default_factory=list)
    events: int = 0
    sightings: int = 0
    rivals: int = 0
    """Other accounts with the same address and port, or without a port the same target, for the
    sighting that it fits best."""


class Ranking:
    """Takes matches in any order; keeps what is needed."""

    def __init__(self) -> None:
        self._best: dict[str, dict[int, Match]] = {}   # account: sighting: its best
        self._kept: dict[str, dict[str, Match]] = {}
        # who had the very address and port, even where something else of theirs fits better
        self._exact: dict[int, set[str]] = {}
        self._events: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()

    def take(self, number: int, found: Match) -> None:
        """`found` fits sighting `number`."""
        account = found.facts.account
        best = self._best.setdefault(account, {})
        if number not in best or _order(found) < _order(best[number]):
            best[number] = found
        if found.exact:
            self._exact.setdefault(number, set()).add(account)
        id = found.facts.event.id
        if (account, id) not in self._seen:
            self._seen.add((account, id))
            self._events[account] += 1
        kept = self._kept.setdefault(account, {})
        if id not in kept or _order(found) < _order(kept[id]):
            kept[id] = found
        if len(kept) > 2 * KEPT:
            self._kept[account] = {each.facts.event.id: each for each in
                                   sorted(kept.values(), key=_order)[:KEPT]}

    def candidates(self) -> list[Candidate]:
        found = [self._candidate(account) for account in self._best]
        return sorted(found, key=lambda each: (ORDER.index(each.confidence), -each.weight,
                                               _order(each.matches[0])))

    def _candidate(self, account: str) -> Candidate:
        best = self._best[account]
        words = {number: self._confidence(account, number) for number in best}
        foremost = min(best, key=lambda number: (ORDER.index(words[number]), _order(best[number])))
        kept = sorted(self._kept[account].values(), key=_order)[:KEPT]
        kept.sort(key=lambda each: each is not best[foremost])
        return Candidate(
            account=account, confidence=words[foremost],
            weight=sum(max(0.0, each.weight) for each in best.values()), matches=kept,
            events=self._events[account], sightings=len(best),
            rivals=sum(1 for _ in self._rivals(account, foremost)))

    def _rivals(self, account: str, number: int) -> Iterable[Match]:
        mine = self._best[account][number]
        for other, best in self._best.items():
            theirs = best.get(number)
            if other != account and theirs is not None and (
                    not mine.exact or other in self._exact[number]):
                yield theirs

    def _confidence(self, account: str, number: int) -> str:
        mine = self._best[account][number]
        if mine.against:
            return POSSIBLE
        rivals = list(self._rivals(account, number))
        agrees = mine.levels["target"] != "unknown"
        narrow = mine.moment.latest - mine.moment.earliest <= HOUR
        if mine.exact and mine.levels["time"] == "open" and not rivals and (agrees or narrow):
            return CERTAIN
        known = mine.levels["egress"] in ("endpoint", "translated")
        alone = all(mine.weight >= theirs.weight + ALONE for theirs in rivals)
        if alone and (known or (agrees and mine.levels["egress"] != "unrecorded")):
            return LIKELY
        return POSSIBLE


def _order(found: Match) -> tuple[float, int, str]:
    """Best first; what has the same weight, by how near it is."""
    return -found.weight, found.gap, found.facts.event.id
