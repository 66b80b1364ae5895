"""Claims of accounts to own sites, and what became of looking for the proof.

A claim is proved while its token was found not longer ago than `lapse`. That is reckoned from the
claim itself and the time at every use, so a proof that nobody has confirmed ends without anybody
doing anything, and a claim that was written down before a restart stands as it stood.

Where a look finds nothing, the next ones come soon and then at growing pauses, up to the interval
of a proof that was found: a name server that is down for a minute should not cost a day, and a
claim that nobody ever proves should not be looked for all the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from .destination import BadHost, Host, parse_host
from .owned_sites import OwnedSite, OwnedSites
from .site import is_public_suffix

TXT_LABEL = "_outbounds"  # RFC 8552: such a name is nobody's host
TXT_PREFIX = "outbounds-site="
FILE_PATH = "/.well-known/outbounds-site.txt"  # RFC 8615: a place for the owner alone

FIRST_PAUSE = 5.0  # seconds after the first look that found nothing
_DOUBLINGS = 20  # more than any interval needs
_LONGEST = 253 - len(TXT_LABEL) - 1  # octets of a name that has room for the label before it


class Proof(StrEnum):
    """Where the token is published, and so what it covers."""

    DNS = "dns"
    FILE = "file"


class State(StrEnum):
    """`PENDING`: never found yet. `FAILING`: not found at the last look, and still in force.
    `LAPSED`: not found for too long. A proof is in force while `PROVED` or `FAILING`."""

    PENDING = "pending"
    PROVED = "proved"
    FAILING = "failing"
    LAPSED = "lapsed"

    @property
    def in_force(self) -> bool:
        return self in (State.PROVED, State.FAILING)


@dataclass(frozen=True, slots=True)
class SiteClaim:
    """`host` is canonical (`parse_site`), `by` the operator who wrote the claim down. Unix times:
    `claimed`; `since`, when it was first found of all the times without a lapse in between;
    `found`, when last; `looked`, when it was looked for last; None for never. `failures` counts
    looks since it was found, `failure` is a sentence of the last one."""

    account: str
    host: str
    proof: Proof
    token: str
    claimed: float
    by: str = ""
    since: float | None = None
    found: float | None = None
    looked: float | None = None
    failures: int = 0
    failure: str = ""

    @property
    def txt_name(self) -> str:
        return f"{TXT_LABEL}.{self.host}"

    @property
    def txt(self) -> str:
        return TXT_PREFIX + self.token

    def until(self, lapse: float) -> float | None:
        """When the proof ends, or has ended, unless it is found again; None for one that never
        was found."""
        return None if self.found is None else self.found + lapse

    def state(self, now: float, lapse: float) -> State:
        until = self.until(lapse)
        if until is None:
            return State.PENDING
        if now >= until:
            return State.LAPSED
        return State.FAILING if self.failures else State.PROVED

    def next_look(self, now: float, check: float) -> float:
        """When to look for it again, as a Unix time that may have passed."""
        if self.looked is None or self.looked > now:  # a clock that was set back, perhaps by years
            return now
        if not self.failures:
            return self.looked + check
        pause: float = FIRST_PAUSE * 2 ** min(self.failures - 1, _DOUBLINGS)
        return self.looked + min(check, pause)

    def after_look(self, failure: str, now: float, lapse: float) -> SiteClaim:
        """The claim after a look at `now` that found it, or did not because of `failure`."""
        if failure:
            found = None if self.found is None else min(self.found, now)
            return replace(self, found=found, looked=now, failures=self.failures + 1,
                           failure=failure)
        unbroken = self.since is not None and self.state(now, lapse).in_force
        return replace(self, since=self.since if unbroken else now, found=now, looked=now,
                       failures=0, failure="")

    def site(self, lapse: float) -> OwnedSite | None:
        """What decides about requests; None for a claim that was never proved."""
        until = self.until(lapse)
        if until is None:
            return None
        return OwnedSite(self.account, self.host, self.proof is Proof.DNS, until)


def in_force(claims: Iterable[SiteClaim], lapse: float) -> OwnedSites:
    """What decides about requests; each proof with its own end."""
    return OwnedSites(site for each in claims if (site := each.site(lapse)) is not None)


def parse_site(text: str, proof: Proof) -> Host:
    """The host that a claim is for. Raises BadHost, also for one that cannot be proved so."""
    host = parse_host(text)
    if proof is Proof.FILE:
        return host
    if host.address is not None:
        raise BadHost(text, "an address has no TXT record of its owner's; prove it by a file")
    if is_public_suffix(host):
        raise BadHost(text, "what lies below it belongs to many (publicsuffix.org), and a TXT "
                            "record would cover it; claim a name below it, or prove it by a file")
    if len(host.text) > _LONGEST:
        raise BadHost(text, f"{TXT_LABEL}.… would be longer than a name may be; prove it by a file")
    return host
