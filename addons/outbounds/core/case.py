"""A decision under way, and afterwards what it went by: for the record and for `explain`."""

from __future__ import annotations

from dataclasses import dataclass, field

from .account import Account
from .destination import Address
from .limits import Charge, Limit, Taken
from .questions import RobotsAnswer
from .request import Request
from .robots import Match
from .robots_terms import Preference
from .rules import Policy
from .verdict import ALLOW, Verdict


@dataclass(slots=True)
class Case:
    """A decision under way, and afterwards: what was found, for the record and for `explain`."""

    request: Request
    policy: Policy
    now: float
    account: Account | None = None
    addresses: tuple[Address, ...] = ()
    labels: tuple[str, ...] = ()  # categories and countries of the list entry that denied
    robots: RobotsAnswer | None = None
    robots_match: Match | None = None
    robots_agent: str = ""  # the name of the asker that `robots_match` is about
    robots_scope: str = ""  # "path": the rule for this very path; "site": the whole-site rule only
    robots_exempt: str = ""  # why the rules do not bind: "mode:ID" of an entry, or "owner:HOST"
    preferences: tuple[Preference, ...] = ()  # what the site says about uses of this very path
    site_limits: tuple[Limit, ...] = ()  # what the site's robots.txt asks for, as limits
    charges: tuple[Charge, ...] = ()
    taken: Taken | None = None
    lifted: tuple[str, ...] = ()  # ids of the exceptions that were used
    hang_up: bool = False  # so much was refused that the connection is to be closed
    observed: str = ""  # what `observe` would have refused
    trail: list[tuple[str, Verdict | None]] = field(default_factory=list)
    verdict: Verdict = ALLOW
    fault: BaseException | None = None

    def lift(self, rule: str) -> bool:
        """Whether a dated exception lifts `rule` here; remembers which, for the record."""
        for grant in self.policy.grants:
            account = self.account.id if self.account else ""
            if grant.lifts(rule, account, self.request.host, self.now):
                self.lifted += (grant.id,)
                return True
        return False
