"""How much each thing that a record and a complaint agree on says, as one table.

The weights are bits: how many times (as a power of two) likelier the agreement is if this was the
event than if it was another one of the same minutes. They are set by reasoning, not fitted; what
matters is their order, and that agreement on more never weighs less.

- egress: the system gives out some 28,000 ports (ip_local_port_range), unevenly: 12 bits.
- target: a few dozen sites are busy at a time on a busy proxy: 6 bits; its address may be shared
  by many sites, and another name of the same site is a guess.
- time: to be open at the very second says more than to have been near it.
- path: few requests of a minute share one; "/" and a method nearly all do, a status most.
- What contradicts weighs against, and never excludes by itself: complainants name themselves by
  another name, count redirects, and quote the wrong line. But see `matching.eligible`.
"""

from __future__ import annotations

from collections.abc import Mapping

# from what says most to what speaks against
WEIGHTS: dict[str, dict[str, float]] = {
    "egress": {"endpoint": 12, "translated": 9, "address": 3, "behind": 0, "unrecorded": 0},
    "time": {"open": 3, "seconds": 2, "margin": 1},
    "target": {"host": 6, "address": 5, "site": 4, "unknown": 0, "other": -8},
    "target_port": {"equal": 1, "unknown": 0, "other": -2},
    "method": {"equal": 1, "unknown": 0, "other": -2},
    "path": {"equal": 6, "unknown": 0, "other": -3},
    "status": {"equal": 1, "unknown": 0, "other": -1},
}
ALONE = 3.0
"""Bits by which a candidate must outweigh every other for it to be likely that it is the one."""

CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"
ORDER = (CERTAIN, LIKELY, POSSIBLE)
RULES = {
    CERTAIN: "the address and port are those of a connection of this account that was open at the "
             "stated time; no other account had them within the margins; and the target does not "
             "speak against it (it agrees, where the stated time is vaguer than an hour)",
    LIKELY: "either the port fits within the margins, or without a port the target does; no other "
            f"account fits within {ALONE:g} bits as well; and the target does not speak against it",
    POSSIBLE: "it fits within the margins, and so do others, or something speaks against it",
}


def weight(levels: Mapping[str, str]) -> float:
    """The sum over all levels: name of the row to the level reached."""
    return sum(WEIGHTS[name][level] for name, level in levels.items())
