"""What a look-up found, before anyone decides how long to keep it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..core.destination import Address


class Outcome(StrEnum):
    """How a name was answered; the values are labels of a metric, so the set is fixed.

    `PARTIAL`: one address family answered, the other did not. `FAILED` and `TIMED_OUT` say nothing
    about the name: to take them for "no such name" would let one lost packet block a site.
    """

    ANSWERED = "answered"
    PARTIAL = "partial"
    LOCAL = "local"
    NO_ADDRESS = "no-address"
    NO_SUCH_NAME = "no-such-name"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CACHED = "cached"

    @property
    def authoritative(self) -> bool:
        """Whether it is the zone's own word that there is nothing: RFC 2308 section 5."""
        return self in (Outcome.NO_ADDRESS, Outcome.NO_SUCH_NAME)


@dataclass(frozen=True, slots=True)
class Found:
    """`addresses` in the order of trying them, none where there are none; then `detail` is a
    sentence for the customer. `ttl` in seconds, as the zone says: the least of the chain, or of
    the SOA for what does not exist (RFC 2308 section 5)."""

    addresses: tuple[Address, ...]
    ttl: float
    outcome: Outcome
    detail: str = ""
