"""What the fetcher is given by the proxy, and what it gives back."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from yarl import URL

from . import freshness
from .freshness import Known

type Origin = tuple[str, str, int]
"""Scheme, host and port: what rules bind (RFC 9309 section 2.3)."""


class Resolve(Protocol):
    """Returns the addresses that `account_id` may dial for this host (a name or an IP literal)
    and port, or raises; never returns one that was not vetted. What it raises is not shown to
    the customer, unless it is `Unreachable`."""

    async def __call__(self, host: str, port: int, account_id: str) -> Sequence[str]: ...


class Visit(Protocol):
    """What was taken for one request to a target. One of the two is called, once; neither
    raises."""

    def unsent(self) -> None:
        """The request was never made: as if nothing had been taken."""

    def finished(self, *, status: int, retry_after: str | None, latency: float | None,
                 failed: bool) -> None:
        """It is over: `status` 0 without a reply; `retry_after` the field as it came; `latency`
        seconds from the request to the head of the reply; `failed`, if it could not be reached or
        did not answer in time."""


class Admit(Protocol):
    """Takes what a request to a target costs under the limits of that target, after a wait if
    there has to be one. Raises `NotAsked` where they do not let it through."""

    async def __call__(self, url: URL, account_id: str, client: str, addresses: Sequence[str]
                       ) -> Visit: ...


class Recorder(Protocol):
    """Evidence of each hop."""

    async def opened(
        self, *, url: str, account_id: str, client: str, addresses: Sequence[str]
    ) -> str:
        """Returns the record's id once the record is safe; raises if it cannot be made so."""

    def connected(self, record_id: str, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        """The request goes out on this connection: our address and port, and the target's."""

    def closed(self, record_id: str, status: int, octets: int, outcome: str, *,
               digest: str = "", state: str = "") -> None:
        """`status` is 0 without a reply; `octets` of body as received; `outcome` is "complete",
        "redirect", "unreachable" (a reply that is no answer), "error" or "cancelled". `digest` is
        that of the file that was read, or found unchanged; `state` as in `RobotsAnswer`."""


@dataclass(frozen=True, slots=True)
class Egress:
    """How the requests of customers leave, and so these: from which address of this machine, and
    whom they believe that a site is what it says (None: the system's authorities)."""

    trust: ssl.SSLContext | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer from the site: the file (2xx), that there is none (4xx), or that what is `known`
    has not changed (304).

    `body` is the file as it is parsed: decoded, in UTF-8 and cut to whole lines; `lifetime` is in
    seconds; `known` is what to hand in when it is asked for again.
    """

    status: int
    body: bytes
    media_type: str
    lifetime: float
    known: Known | None = None

    @property
    def digest(self) -> str:
        return self.known.digest if self.known else hashlib.sha256(self.body).hexdigest()


class Unreachable(Exception):
    """No answer. The message is a sentence for the customer; `retry` is in seconds."""

    def __init__(self, detail: str, retry: float = freshness.RETRY_SHORTEST) -> None:
        super().__init__(detail)
        self.retry = retry


class NotAsked(Unreachable):
    """No answer, because the site was not asked: a limit, a bound, or trouble of our own."""

    def __init__(self, detail: str, retry: float = freshness.RETRY_UNASKED) -> None:
        super().__init__(detail, max(retry, freshness.RETRY_UNASKED))


class _Uncharged:
    def unsent(self) -> None:
        """Nothing was taken."""

    def finished(self, *, status: int, retry_after: str | None, latency: float | None,
                 failed: bool) -> None:
        """Nobody is told."""


async def uncharged(url: URL, account_id: str, client: str, addresses: Sequence[str]) -> Visit:
    """An `Admit` for where there are no limits."""
    return _Uncharged()
