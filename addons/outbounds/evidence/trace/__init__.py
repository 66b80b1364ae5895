"""From a complaint to accounts: which of the events in the log the complaint may be about.

Pure but for the search that it is given. Nothing is decided that the records do not carry: every
event that fits is held against every reading of the complaint, and what speaks for and against it
is counted by one table (`weights`), ranked (`ranking`), and said (`reasons`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..complaints import Moment, Sighting
from ..search import Event, Query
from .facts import facts_of
from .matching import Match, match
from .plan import Step, by_port, by_target
from .ranking import Candidate, Ranking

__all__ = ["Candidate", "Match", "Search", "Traced", "trace"]

Search = Callable[[Query], Iterable[Event]]
MAX_SEARCHES = 200
HALF_A_DAY = 14 * 3600 * 1_000_000  # the farthest that a zone is from UTC


@dataclass(frozen=True, slots=True)
class Traced:
    """`candidates` in order; `queries` what was searched for; `unsearched` how many sightings were
    not, since there were too many; `unmatched` the numbers of those that no event fits;
    `elsewhere` the µs by which a connection with the very address
    and port was found away from the stated time, where none was found at it."""

    candidates: list[Candidate]
    queries: list[Query]
    unsearched: int = 0
    unmatched: tuple[int, ...] = ()
    elsewhere: tuple[int, ...] = ()


def trace(sightings: Sequence[Sighting], search: Search, *, tolerance: int,
          translated: bool = True) -> Traced:
    """Who may have been seen. Sightings without a moment are left out. `tolerance` is µs: how far
    the complainant's clock may be off. `translated`: something in front of the proxy may have
    changed addresses and ports, so that a port that is not in the log proves nothing, and the
    target is searched for, too. Raises what `search` raises."""
    ranking, queries = Ranking(), list[Query]()
    timed = [number for number, each in enumerate(sightings) if each.moments]
    matched: set[int] = set()

    def run(steps: Iterable[Step]) -> int:
        left_out = 0
        for step in steps:
            if len(queries) >= MAX_SEARCHES:
                left_out += len(step.sightings)
                continue
            queries.append(step.query)
            for event in search(step.query):
                facts = facts_of(event)
                for number in step.sightings:
                    found = match(sightings[number], facts, tolerance)
                    if found is not None:
                        matched.add(number)
                        ranking.take(number, found)
        return left_out

    unsearched = run(by_port(sightings, timed, tolerance))
    # decided without a look at what was found: or else a wider tolerance, which finds more by
    # the port, would hide what the target leads to
    unsearched += run(by_target(sightings, [
        number for number in timed if not sightings[number].port
        or (translated and sightings[number].target)], tolerance))
    candidates = ranking.candidates()
    elsewhere = () if candidates else _elsewhere(sightings, timed, search, queries)
    unmatched = tuple(number for number in timed if number not in matched)
    return Traced(candidates, queries, unsearched, unmatched, elsewhere)


def _elsewhere(sightings: Sequence[Sighting], timed: Sequence[int], search: Search,
               queries: list[Query]) -> tuple[int, ...]:
    """How far from the stated time the very address and port were in use, nearest first: a whole
    number of hours says that a zone was not written, or wrongly."""
    found: set[int] = set()
    number = next((each for each in timed if sightings[each].port), None)
    if number is None:
        return ()
    said = sightings[number]
    wide = replace(said, moments=tuple(
        Moment(each.earliest - HALF_A_DAY, each.latest + HALF_A_DAY) for each in said.moments))
    for step in by_port([wide], [0], 0):
        queries.append(step.query)
        for event in search(step.query):
            facts = facts_of(event)
            near = match(wide, facts, 0)
            if near is None or not near.exact:
                continue
            for moment in said.moments:
                end = facts.begin if facts.end is None else facts.end
                found.add((facts.begin if facts.begin > moment.latest else end) - moment.earliest)
    return tuple(sorted(found, key=abs))[:5]
