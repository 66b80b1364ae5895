"""What a site says about the uses of one path: what the names of a request make of it together."""

from __future__ import annotations

from collections.abc import Iterable

from .robots import Robots
from .robots_terms import PURPOSES, Preference

Said = tuple[str, Preference]
"""A preference, and the name of the asker whose group it stands in."""


def preferences(robots: Robots, paths: Iterable[str], names: Iterable[str]) -> tuple[Said, ...]:
    """What the file says to any of `names` of any of `paths`, at most once for each purpose, in
    the order of `PURPOSES`. Where it is yes in one place and no in another, it is no: `names` are
    one asker, and `paths` what a server may take its one path for."""
    found: dict[str, Said] = {}
    for name in names:
        for path in paths:
            for each in robots.preferences(path, name):
                known = found.get(each.purpose)
                if known is None or (known[1].allowed and not each.allowed):
                    found[each.purpose] = name, each
    return tuple(found[purpose] for purpose in PURPOSES if purpose in found) if found else ()
