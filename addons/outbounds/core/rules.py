"""What a policy is: everything that decides, immutable, as the controls read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .account import Account, Plan
from .closed_targets import NOTHING, ClosedTargets
from .destination import AddressRules, Host
from .hit import Matcher
from .limits import Limit
from .owned_sites import NONE, OwnedSites
from .tariff import Tariff


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which methods and ports may be used, and the clause each refusal cites.

    `refuse_route_fields`: a request that claims a route is refused, not only cleaned.
    `refused_in_tunnels`: names of protocols (smtp, ssh, …) that end a tunnel which turns out to
    carry them, each with its clause.
    """

    methods: frozenset[str]
    ports: frozenset[int]
    tunnel_ports: frozenset[int]
    port_clauses: Mapping[int, str] = field(default_factory=dict)
    method_clause: str = ""
    port_clause: str = ""
    forge_clause: str = ""
    refuse_route_fields: bool = False
    refused_in_tunnels: Mapping[str, str] = field(default_factory=dict)


class Identity(StrEnum):
    """By which names a customer is bound: what it says it is, what it declared, or both."""

    USER_AGENT = "user-agent"
    ACCOUNT = "account"
    STRICTEST = "strictest"


HONOURED = ("crawl-delay", "request-rate", "visit-time", "content-signals")
"""What a robots.txt may ask beside its rules."""


@dataclass(frozen=True, slots=True)
class RobotsMode:
    """Another mode for some: for `plans`, `accounts` and `hosts` (each with everything below it),
    each of which counts only if it is not empty; until a Unix time."""

    id: str
    mode: str
    plans: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    until: float = float("inf")

    def is_for(self, account: Account, host: Host, now: float) -> bool:
        return (now < self.until
                and (not self.plans or account.plan in self.plans)
                and (not self.accounts or account.id in self.accounts)
                and (not self.hosts or not self.hosts.isdisjoint(host.and_above)))


@dataclass(frozen=True, slots=True)
class RobotsPolicy:
    """`enforce` refuses, `observe` only records, `off` does not ask; of `modes` the first that is
    for a request holds instead.

    `max_delay` seconds caps the pace that a site asks for, from one request to the next; `max_wait`
    is how long that may hold a request before it is refused with 429 instead. `honour` is what is
    followed beside the rules, of `HONOURED`.
    """

    mode: str = "enforce"
    clause: str = ""
    max_delay: float = 60.0
    max_wait: float = 10.0
    identity: Identity = Identity.STRICTEST
    honour: frozenset[str] = frozenset(HONOURED)
    modes: tuple[RobotsMode, ...] = ()

    def mode_for(self, account: Account, host: Host, now: float) -> tuple[str, str]:
        """(mode, id of the entry of `modes` that says so or "")."""
        for each in self.modes:
            if each.is_for(account, host, now):
                return each.mode, each.id
        return self.mode, ""


@dataclass(frozen=True, slots=True)
class QueueTerms:
    """How many requests may be held at once, waiting their turn: of one account, and in all."""

    per_account: int = 100
    total: int = 10_000


@dataclass(frozen=True, slots=True)
class AdaptiveTerms:
    """How a target that shows distress is spared (`core.adaptive`).

    `start`, `least` and `most` bound how many requests may be under way to one host at a time;
    `max_wait` seconds is how long a request may be held for a place; `most_pause` seconds caps the
    Retry-After of a target's 429 or 503 that everybody here then respects.
    """

    start: int = 20
    least: int = 1
    most: int = 1000
    max_wait: float = 10.0
    most_pause: float = 300.0
    clause: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A dated exception: lifts one rule, for some accounts and some targets, until a moment.

    `until` is a Unix time. Empty `accounts` means all; an empty `host` means every target of the
    rule. Deny wins over allow everywhere else.
    """

    rule: str
    until: float
    accounts: frozenset[str] = frozenset()
    host: str = ""
    id: str = ""

    def lifts(self, rule: str, account: str, host: Host, now: float) -> bool:
        return (
            self.rule == rule
            and now < self.until
            and (not self.accounts or account in self.accounts)
            and (not self.host or host.text == self.host or host.text.endswith("." + self.host))
        )


# Rules that no dated exception lifts: the first would let customers into the proxy itself, the
# second hands out this machine's credentials (a network grant of that one address can).
NEVER_LIFTED = frozenset({"own-listener", "cloud-metadata"})


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides, immutable; `version` is the hash that each record carries."""

    version: str
    plans: Mapping[str, Plan]
    limits: Mapping[str, Limit]
    protocol: Protocol
    denylist: Matcher
    addresses: AddressRules
    robots: RobotsPolicy
    grants: tuple[Grant, ...] = ()
    queue: QueueTerms = QueueTerms()
    adaptive: AdaptiveTerms | None = None  # None: targets are not watched for distress
    identity_clause: str = ""
    suspended_clause: str = ""
    drop_bad_addresses: bool = False  # of a name's addresses: dial the good ones, else refuse all
    # lists that were never read, or are too old for an operator who wants them fresh: without
    # them nobody can say what is denied, so everything is
    unusable_lists: tuple[str, ...] = ()
    # no file of the configuration closes a target: what is closed comes and goes by itself, and
    # is no part of `version`
    closed: ClosedTargets = NOTHING
    owned: OwnedSites = NONE  # the same goes for what accounts have proved to own
    _tariffs: dict[str, Tariff] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def versions(self) -> dict[str, str]:
        """What a record says about the policy it went by."""
        return {"policy_version": self.version, "lists_version": self.denylist.version}

    def tariff_of(self, account: Account) -> Tariff:
        """What the limits of the account's plan come to. Raises KeyError as `limits_of`."""
        tariff = self._tariffs.get(account.plan)
        if tariff is None:
            tariff = self._tariffs[account.plan] = Tariff(self.limits_of(account))
        return tariff

    def limits_of(self, account: Account) -> tuple[Limit, ...]:
        """The limits of the account's plan. A plan that is gone is an error, not "no limits"."""
        return tuple(self.limits[i] for i in self.plans[account.plan].limits)
