"""What a decision cannot know by itself, as questions, each with the form of its answer.

Questions are tuples, because each request asks seven of them: a frozen dataclass takes three times
as long to make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .account import Account
from .destination import Host
from .limits import Charge
from .request import Credentials, Source, Way
from .robots import Match, Robots


class WhoIs(NamedTuple):
    """Answer: `Account` or `Unidentified`."""

    credentials: Credentials | None
    source: Source
    way: Way


class AddressesOf(NamedTuple):
    """Answer: every address the name resolves to (tuple of `Address`), or `NoSuchHost`."""

    host: Host
    account: Account


@dataclass(frozen=True, slots=True)
class NoSuchHost:
    detail: str


class RobotsOf(NamedTuple):
    """Answer: `RobotsAnswer`."""

    origin: tuple[str, str, int]
    account: Account
    source: Source


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """A site's rules. `robots` is None where none can be had and the request must be refused.

    `state`: "fresh", "stale" (the last good copy: its refresh failed, or is under way), "absent"
    (4xx: no rules, RFC 9309 section 2.3.1.3) or "unreachable" (section 2.3.1.4). `body` is the file
    as far as it is read, `digest` its hex SHA-256; `fetched` the Unix time at which the site last
    said so, 0 if it never did; `retry_after` seconds until the next attempt to fetch.
    """

    robots: Robots | None
    state: str
    digest: str = ""
    detail: str = ""
    retry_after: float | None = None
    body: bytes = field(default=b"", repr=False)
    fetched: float = 0.0


class JudgeRobots(NamedTuple):
    """Answer: a tuple of `Match`, for `agents` in their order, up to and with the first refusal.

    `answer.robots` is not None. `path` is path and query as requested; `whole_site` asks about
    every path at once instead (`Robots.whole_site`).
    """

    answer: RobotsAnswer
    origin: tuple[str, str, int]
    path: str
    agents: tuple[str, ...]
    whole_site: bool = False


def judged(question: JudgeRobots, late: Callable[[], bool] | None = None) -> tuple[Match, ...]:
    """The answer, by our own matcher, here and now; `late` as for `Robots.allowed`."""
    robots = question.answer.robots
    assert robots is not None
    found: list[Match] = []
    for agent in question.agents:
        found.append(robots.whole_site(agent) if question.whole_site
                     else robots.allowed(question.path, agent, late))
        if not found[-1].allowed:
            break
    return tuple(found)


class TargetCharges(NamedTuple):
    """Answer: what a request to this host is charged so that a target in distress is spared, a
    tuple of `Charge`; () where nothing is known against it. `tunnel`: it is to open one."""

    host: Host
    tunnel: bool


class Take(NamedTuple):
    """Answer: `Taken` or `Exceeded`. All charges together or none.

    `account` and its plan's `weight` say whose turn it is where requests have to wait. `report`:
    the state of the limit closest to its edge is wanted. `patient` False: nobody waits for this.
    """

    charges: tuple[Charge, ...]
    account: str = ""
    weight: int = 1
    report: bool = False
    patient: bool = True


Question = WhoIs | AddressesOf | RobotsOf | JudgeRobots | TargetCharges | Take
