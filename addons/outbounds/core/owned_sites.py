"""Sites that an account has proved to own: for that account their robots.txt is no bar.

A site's rules bind strangers. Its owner may crawl it at will, but only they: what one account has
proved says nothing about another. A proof by DNS covers a name and everything below it, a proof by
a file the one host that it was found on. Below a name, but no further than its own site: whoever
owns `provider.example` does not own what the public suffix list says is its customers'
(`alice.sites.provider.example`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .destination import Host
from .site import site_of


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

    __slots__ = ("_of", "entries")

    def __init__(self, entries: Iterable[OwnedSite] = ()) -> None:
        self.entries = tuple(entries)
        self._of: dict[str, dict[str, OwnedSite]] = {}
        for each in self.entries:
            self._of.setdefault(each.account, {})[each.host] = each

    def find(self, account_id: str, host: Host, now: float) -> OwnedSite | None:
        """The proof by which `host` is the account's at the Unix time `now`, if there is one."""
        mine = self._of.get(account_id)
        if mine is None:
            return None
        site = site_of(host)
        for name in host.and_above:
            found = mine.get(name)
            if found is not None and now < found.until and (found.below or name == host.text):
                return found
            if name == site:
                break
        return None


NONE = OwnedSites()
