"""What a site says about the uses of one path: what the names of a request make of it together."""

from __future__ import annotations

from collections.abc import Iterable

from .robots import Robots
from .robots_terms import PURPOSES, Preference

Said = tuple[str, Preference]
"""A preference, and the name of the asker whose group it stands in."""


def preferences(robots: Robots, path: str, names: Iterable[str]) -> tuple[Said, ...]:
    """What the file says of `path` to any of `names`, at most once for each purpose, in the order
    of `PURPOSES`. Where it tells one of them yes and another no, it is no: `names` are one asker.
    """
    found: dict[str, Said] = {}
    for name in names:
        for each in robots.preferences(path, name):
            known = found.get(each.purpose)
            if known is None or (known[1].allowed and not each.allowed):
                found[each.purpose] = name, each
    return tuple(found[purpose] for purpose in PURPOSES if purpose in found) if found else ()
