"""One event held against one sighting: on what they agree, and whether it may have been it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from ...core.destination import BadHost, parse_host
from ...core.site import site_of
from ..complaints import Moment, Sighting
from .facts import Facts, inside
from .weights import weight

SECOND = 1_000_000
OPEN_END = 1 << 62  # of an event that is not over
_AGREES = ("host", "address", "site")


@dataclass(frozen=True, slots=True)
class Match:
    """`levels` are those of `weights.WEIGHTS`, `gap` the µs between the stated time and the event
    (0: it was going on), `moment` the reading of the time that fits best."""

    sighting: Sighting
    facts: Facts
    levels: dict[str, str]
    moment: Moment
    gap: int

    @property
    def weight(self) -> float:
        return weight(self.levels)

    @property
    def exact(self) -> bool:
        """Whether the very address and port are recorded."""
        return self.levels["egress"] == "endpoint"

    @property
    def against(self) -> bool:
        """Whether the target speaks against it."""
        return self.levels["target"] == "other"


def match(sighting: Sighting, facts: Facts, tolerance: int) -> Match | None:
    """How `facts` agree with `sighting`, with `tolerance` µs for the complainant's clock; None
    where it cannot have been it. Widening `tolerance` never turns a match into None."""
    if not facts.left:
        return None
    egress = _egress(sighting, facts)
    timed = _time(sighting, facts, tolerance)
    if egress is None or timed is None:
        return None
    level, moment, gap = timed
    levels = {
        "egress": egress, "time": level, "target": _target(sighting, facts),
        "target_port": _same(sighting.target_port, facts.target_port),
        "method": _method(sighting, facts), "path": _path(sighting, facts),
        "status": _same(sighting.status, facts.status),
    }
    return Match(sighting, facts, levels, moment, gap) if eligible(levels, sighting) else None


def eligible(levels: dict[str, str], sighting: Sighting) -> bool:
    """With the port, everything else may be wrong. Without it, the target must not be another one;
    and where not even our address is recorded, it must be the same."""
    if levels["egress"] in ("endpoint", "translated"):
        return True
    if levels["egress"] == "address":
        return levels["target"] != "other"
    return levels["target"] in _AGREES


def _egress(sighting: Sighting, facts: Facts) -> str | None:
    if not facts.egress:
        return "unrecorded"
    found = None
    for address, port in facts.egress:
        here = address == sighting.address
        # a stranger never sees an inside address: something in front of us changed it
        changed = inside(address) and not inside(sighting.address)
        if here and sighting.port and port == sighting.port:
            return "endpoint"
        if here and (sighting.port is None or not port):
            found = "address"
        elif changed and sighting.port and port == sighting.port:
            found = "translated"
        elif changed and found is None:
            found = "behind"
    return found


def _time(sighting: Sighting, facts: Facts, tolerance: int) -> tuple[str, Moment, int] | None:
    error = facts.error or 0
    end = OPEN_END if facts.end is None else facts.end
    best: tuple[int, Moment] | None = None
    for moment in sighting.moments:
        gap = max(0, facts.begin - moment.latest, moment.earliest - end)
        if gap <= tolerance + error and (best is None or gap < best[0]):
            best = gap, moment
    if best is None:
        return None
    gap, moment = best
    level = "open" if gap <= error else "seconds" if gap <= error + 2 * SECOND else "margin"
    return level, moment, gap


def _target(sighting: Sighting, facts: Facts) -> str:
    wanted = sighting.target
    if not wanted or (inside(wanted) and wanted not in facts.addresses):
        return "unknown"  # a server behind a load balancer writes down its inside address
    address, host, site = named(wanted)
    if address:
        if address in facts.addresses:
            return "address"
        return "other" if facts.addresses else "unknown"
    if host in facts.names:
        return "host"
    if any(named(name)[2] == site for name in facts.names):
        return "site"
    return "other" if facts.names else "unknown"


@lru_cache(maxsize=4096)
def named(text: str) -> tuple[str, str, str]:
    """(address, "", "") or ("", canonical name, its site) of a host in a complaint."""
    try:
        host = parse_host(text)
    except BadHost:
        return "", text, text
    return (host.text, "", "") if host.address is not None else ("", host.text, site_of(host))


def _same(said: int | None, recorded: int) -> str:
    if said is None or not recorded:
        return "unknown"
    return "equal" if said == recorded else "other"


def _method(sighting: Sighting, facts: Facts) -> str:
    if not sighting.method or not facts.method or facts.method == "CONNECT":
        return "unknown"  # in a tunnel only the two ends know
    return "equal" if sighting.method == facts.method else "other"


def _path(sighting: Sighting, facts: Facts) -> str:
    if not sighting.path or not facts.path:
        return "unknown"
    if sighting.path == facts.path or unquote(sighting.path) == unquote(facts.path):
        return "equal"
    # a long path was cut when it was recorded, and what looks like a secret was hashed
    if len(facts.path) >= 2000 and sighting.path.startswith(facts.path[:2000]):
        return "equal"
    return "unknown" if "h:" in facts.path else "other"
