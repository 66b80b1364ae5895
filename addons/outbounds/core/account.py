"""Accounts and plans: who a customer is, and what they have been sold."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Standing(StrEnum):
    """May the account use the service? Only the first two may."""

    GOOD = "good"
    WARNED = "warned"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"

    @property
    def may_use(self) -> bool:
        return self in (Standing.GOOD, Standing.WARNED)


@dataclass(frozen=True, slots=True)
class Account:
    """A customer. Credentials are kept apart from it, so that no record can carry them.

    `id` never changes; `name` is what the customer logs in with. `inspect` says whether TLS is
    opened for this account, and `consent` the date (YYYY-MM-DD) on which the customer agreed to
    that. `crawler` is the product token the account declared, "" if none; `purposes` what it
    declared to use what it fetches for (`robots_terms.PURPOSES`). `revision` grows with each
    change, so that caches can tell an old copy from a new one.
    """

    id: str
    name: str
    plan: str = "default"
    standing: Standing = Standing.GOOD
    reason: str = ""
    inspect: bool = False
    consent: str = ""
    crawler: str = ""
    networks: tuple[str, ...] = ()
    revision: int = 0
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Named entitlements. `limits` are ids from config/limits.yaml, in the order they are shown.

    `weight` is the plan's share where requests of several accounts wait for one target: an account
    of weight 2 gets two turns for one of weight 1. `announce`: every reply carries RateLimit
    fields, not only a refusal.
    """

    id: str
    limits: tuple[str, ...] = field(default=())
    weight: int = 1
    announce: bool = False


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Why nobody could be recognised. `retry_after` seconds where guessing is being slowed."""

    detail: str
    retry_after: float | None = None
