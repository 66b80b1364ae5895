"""Sites that an account has proved to own: for that account their robots.txt is no bar.

A site's rules bind strangers. Its owner may crawl it at will, but only they: what one account has
proved says nothing about another. A proof by DNS covers a name and everything below it, a proof by
a file the one host that it was found on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .destination import Host


@dataclass(frozen=True, slots=True)
class OwnedSite:
    """`host` is canonical (`parse_host`); `below`: with every name below it. `until` is the Unix
    time at which the proof lapses unless it is found again before."""

    account: str
    host: str
    below: bool
    until: float


class OwnedSites:
    """Immutable."""

    __slots__ = ("_sites", "entries")

    def __init__(self, entries: Iterable[OwnedSite] = ()) -> None:
        self.entries = tuple(entries)
        self._sites = {(each.account, each.host): each for each in self.entries}

    def find(self, account_id: str, host: Host, now: float) -> OwnedSite | None:
        """The proof by which `host` is the account's at the Unix time `now`, if there is one."""
        if not self._sites:
            return None
        for name in host.and_above:
            found = self._sites.get((account_id, name))
            if found is not None and now < found.until and (found.below or name == host.text):
                return found
        return None


NONE = OwnedSites()
