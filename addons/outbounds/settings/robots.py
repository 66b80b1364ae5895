"""config/robots.yaml: whose robots.txt rules bind whom, how the files are had and what is kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .fields import (
    ClauseRef,
    Duration,
    Host,
    Id,
    OptionalHeaderText,
    PlanRef,
    PositiveDuration,
    PositiveSize,
    Strict,
    Text,
    Until,
)

Mode = Literal["enforce", "observe", "off"]
Honoured = Literal["crawl-delay", "request-rate", "visit-time", "content-signals"]


class ModeEntry(Strict):
    """Another mode for some plans, accounts and hosts (each with everything below it), which all
    must fit where they are given. `until` is the last day that it holds, in UTC."""

    id: Id
    mode: Mode
    plans: tuple[PlanRef, ...] = ()
    accounts: tuple[Text, ...] = ()
    hosts: tuple[Host, ...] = ()
    until: Until | None = None
    reason: Text

    @model_validator(mode="after")
    def _is_narrow(self) -> ModeEntry:
        if "" in self.hosts:
            raise ValueError("has an empty host, which no target fits; name one, or leave hosts "
                             "out")
        if not (self.plans or self.accounts or self.hosts):
            raise ValueError("is for everyone everywhere; name plans, accounts or hosts, or set "
                             "the file's own mode")
        return self


class Fetch(Strict):
    """`timeout` seconds bound one fetch with all its redirects; `user_agent` "" is the default: the
    product, its version and the contact. How many files are fetched at the same time is bounded
    in all, for each account that asks, and for each site (registrable domain, or address)."""

    timeout: PositiveDuration
    user_agent: OptionalHeaderText = ""
    at_once: int = Field(default=512, ge=1, le=10_000)
    at_once_per_account: int = Field(default=256, ge=1, le=10_000)
    at_once_per_site: int = Field(default=4, ge=1, le=1000)


class Cache(Strict):
    """`memory` bytes bound all copies together."""

    memory: PositiveSize


class Snapshots(Strict):
    """Every file that decided anything, kept once for each content until it has not been seen at
    any site for `keep` seconds."""

    keep: PositiveDuration = 400 * 86_400.0


class Ownership(Strict):
    """A proof of ownership is looked for again every `check` seconds, and lapses when it has not
    been found for `lapse`."""

    check: PositiveDuration = 86_400.0
    lapse: PositiveDuration = 3 * 86_400.0

    @model_validator(mode="after")
    def _survives_one_failure(self) -> Ownership:
        if self.lapse < 2 * self.check:
            raise ValueError("lapse is less than two times check, so that one failed look-up ends "
                             "a proof; raise lapse")
        return self


class RobotsFile(Strict):
    """`identity`: by which names a customer is bound. `engine`: whose matcher judges. `honour`:
    what is followed beside the rules. `modes`: the first that fits holds instead of `mode`.
    `max_delay` seconds caps the pace a site may ask for, 0 keeps none; `max_wait` seconds is how
    long that may hold a request."""

    mode: Mode
    clause: ClauseRef
    identity: Literal["user-agent", "account", "strictest"] = "strictest"
    engine: Literal["built-in", "reppy"] = "built-in"
    honour: tuple[Honoured, ...] = ("crawl-delay", "request-rate", "visit-time", "content-signals")
    max_delay: Duration
    max_wait: Duration
    modes: tuple[ModeEntry, ...] = ()
    fetch: Fetch
    cache: Cache
    snapshots: Snapshots = Snapshots()
    ownership: Ownership = Ownership()
