"""Fetching one robots.txt: RFC 9309 section 2.3, under the rules of the house.

This request is the proxy's own, but made for a customer and to a place that the customer, or a
redirect, chose. So on every hop, in this order:

1. the host is resolved and vetted by the same resolver as any destination, IP literals too
   (aiohttp does not ask its resolver about those);
2. the record of the hop is safe: before that, not even a connection is opened;
3. the connection goes to one of the addresses vetted in step 1 and nowhere else: each hop has a
   session of its own that knows these only, so there is no second look-up to rebind, no pooled
   connection of another account, no cookie, and no proxy from the environment.

What a status means (section 2.3.1): 2xx is the file; 4xx says there is none; 429, which is a
server asking for less and not the absence of rules, 5xx and everything else is unreachable, and
unreachable means no. More than five redirects MAY be taken for "there is none" (2.3.1.2): that
would let a loop switch a site's rules off, so here it is unreachable.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from yarl import URL

from ..fetching import REDIRECTS, Pinned, check_literal, redirect_target
from . import freshness
from .body import ACCEPT_ENCODING, Body, UnreadableBody

MAX_REDIRECTS = 5

type Origin = tuple[str, str, int]


class Resolve(Protocol):
    """Returns the addresses that `account_id` may dial for this host (a name or an IP literal)
    and port, or raises; never returns one that was not vetted. What it raises is not shown to
    the customer, unless it is `Unreachable`."""

    async def __call__(self, host: str, port: int, account_id: str) -> Sequence[str]: ...


class Recorder(Protocol):
    """Evidence of each hop."""

    async def opened(
        self, *, url: str, account_id: str, client: str, addresses: Sequence[str]
    ) -> str:
        """Returns the record's id once the record is safe; raises if it cannot be made so."""

    def closed(self, record_id: str, status: int, octets: int, outcome: str) -> None:
        """`status` is 0 without a reply; `octets` of body as received; `outcome` is "complete",
        "redirect", "unreachable" (a status that is no answer), "error" or "cancelled"."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer from the site: the file (2xx), or that there is none (4xx).

    `body` is decoded, at most 500 KiB and one octet; `lifetime` is in seconds.
    """

    status: int
    body: bytes
    media_type: str
    lifetime: float


class Unreachable(Exception):
    """No answer. The message is a sentence for the customer; `retry` is in seconds."""

    def __init__(self, detail: str, retry: float = freshness.RETRY_SHORTEST) -> None:
        super().__init__(detail)
        self.retry = retry


class Fetcher:
    """Fetches robots.txt files. Holds no connection between fetches."""

    def __init__(
        self,
        resolve: Resolve,
        recorder: Recorder,
        *,
        user_agent: str,
        ssl_context: ssl.SSLContext | None = None,
        deadline: float = 10.0,
    ) -> None:
        """`user_agent` names the proxy and a contact URL; `ssl_context` None verifies against the
        system's authorities; `deadline` seconds bound a fetch with all its redirects."""
        self._resolve = resolve
        self._recorder = recorder
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._deadline = deadline
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "text/plain, */*;q=0.1",
            "Accept-Encoding": ACCEPT_ENCODING,
        }

    async def fetch(self, origin: Origin, account_id: str, client: str) -> Fetched:
        """Fetch the robots.txt of (scheme, host, port) for `account_id`; `client` goes into the
        record. Raises Unreachable, whatever failed; only a fault of `closed` goes through."""
        scheme, host, port = origin
        try:
            async with asyncio.timeout(self._deadline):
                url = URL.build(scheme=scheme, host=host, port=port, path="/robots.txt")
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._hop(url, account_id, client)
                    if isinstance(answer, Fetched):
                        return answer
                    url = answer
        except Unreachable:
            raise
        except TimeoutError:
            raise Unreachable(
                f"The robots.txt of {host} did not arrive within {self._deadline:g} s."
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(error) if isinstance(error, UnreadableBody) else "the connection failed"
            raise Unreachable(f"The robots.txt of {host} cannot be read: {reason}.") from error
        raise Unreachable(f"The robots.txt of {host} redirects more than {MAX_REDIRECTS} times.")

    async def _hop(self, url: URL, account_id: str, client: str) -> Fetched | URL:
        """One request: an answer, or where to go next."""
        addresses = await self._vetted(url, account_id)
        try:
            record = await self._recorder.opened(
                url=str(url), account_id=account_id, client=client, addresses=addresses
            )
        except Exception as error:
            raise Unreachable(
                f"{url.host} was not asked for its robots.txt: the request cannot be recorded.",
                freshness.RETRY_UNASKED,
            ) from error
        status, body, outcome = 0, Body(""), "error"
        connector = aiohttp.TCPConnector(
            resolver=Pinned(addresses), ssl=self._ssl, use_dns_cache=False, force_close=True
        )
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),  # the deadline binds all hops together
                auto_decompress=False,
                trust_env=False,
            ) as session, session.get(url, headers=self._headers, allow_redirects=False) as reply:
                status = reply.status
                if status in REDIRECTS:
                    target = _target(url, reply.headers.get("Location", ""))
                    outcome = "redirect"
                    return target
                if status == 429 or not (200 <= status < 300 or 400 <= status < 500):
                    outcome = "unreachable"
                    raise Unreachable(
                        f"The robots.txt of {url.host} was answered with status {status}.",
                        freshness.retry(reply.headers.get("Retry-After", "")),
                    )
                if status < 300:
                    body = Body(reply.headers.get("Content-Encoding", ""))
                    async for chunk in reply.content.iter_any():
                        body.feed(chunk)
                        if body.full:
                            break
                held = body.finish()
                outcome = "complete"
                return Fetched(status, held, reply.content_type, freshness.lifetime(
                    ",".join(reply.headers.getall("Cache-Control", [])),
                    reply.headers.get("Age", "")))
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._recorder.closed(record, status, body.received, outcome)

    async def _vetted(self, url: URL, account_id: str) -> Sequence[str]:
        host, port = url.raw_host or "", url.port or 0
        try:
            addresses = await self._resolve(host, port, account_id)
        except Unreachable:
            raise
        except Exception as error:
            raise Unreachable(
                f"{host} was not asked for its robots.txt: "
                "it does not resolve, or to an address that may not be reached."
            ) from error
        try:
            check_literal(host, addresses)
        except ValueError as error:
            raise Unreachable(f"{error}.") from None
        return addresses


def _target(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises Unreachable if that is no place with a robots.txt."""
    try:
        return redirect_target(url, location)
    except ValueError:
        raise Unreachable(f"The robots.txt of {url.host} redirects to no http or https address."
                          ) from None
