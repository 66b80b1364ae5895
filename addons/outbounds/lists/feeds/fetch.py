"""Fetching one published list, under the rules of the house.

The proxy asks in its own name, but where a redirect leads is for somebody else to say. So on every
hop, in this order, and as for a robots.txt:

1. the host is resolved and vetted as any destination, IP literals too (aiohttp does not ask its
   resolver about those);
2. the record of the hop is safe: before that, not even a connection is opened;
3. the connection goes to one of the addresses vetted in step 1 and nowhere else: each hop has a
   session of its own that knows these only; no proxy from the environment, no cookie.

A list decides what customers may reach, so it must come from whom it is asked of: TLS is verified
against the system's authorities, and a redirect from https to http is not followed.

Asking again is cheap: the ETag and the date of the copy that is held go along (RFC 9110 section
13.1), and 304 says that nothing has changed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import aiohttp
from yarl import URL

from ...fetching import REDIRECTS, check_literal, one_connection, redirect_target
from .body import ACCEPT_ENCODING, Body, UnusableBody
from .retry import retry_after

MAX_REDIRECTS = 5


class Resolve(Protocol):
    """Returns the addresses that may be dialled for this host (a name or an IP literal) and port,
    or raises an exception whose message says why there are none; never one that was not vetted."""

    async def __call__(self, host: str, port: int) -> Sequence[str]: ...


class Recorder(Protocol):
    """Evidence of each hop."""

    async def opened(self, *, url: str, addresses: Sequence[str]) -> str:
        """Returns the record's id once the record is safe; raises if it cannot be made so."""

    def connected(self, record_id: str, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        """The request goes out on this connection: our address and port, and the target's."""

    def closed(self, record_id: str, status: int, octets: int, outcome: str) -> None:
        """`status` is 0 without a reply; `octets` of body as received; `outcome` is "complete",
        "unchanged", "redirect", "refused" (a status that is no list), "error" or "cancelled"."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of a reply, and for all hops together."""

    connect: float = 15.0
    silence: float = 30.0
    total: float = 900.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A new copy was written. `sha256` is the hex digest of it."""

    sha256: str
    octets: int
    etag: str
    last_modified: str


class Unchanged:
    """304: what is held is what is published."""


class FetchFailed(Exception):
    """No list. The message is one phrase; `retry` seconds is how long the site asked to be left
    alone, 0 if it did not say."""

    def __init__(self, problem: str, retry: float = 0.0) -> None:
        super().__init__(problem)
        self.retry = retry


class Fetcher:
    """Fetches lists. Holds no connection between two fetches."""

    def __init__(
        self, resolve: Resolve, recorder: Recorder, *, user_agent: str,
        ssl_context: ssl.SSLContext | None = None, timeouts: Timeouts | None = None,
    ) -> None:
        """`user_agent` names the proxy and a contact; `ssl_context` None verifies against the
        system's authorities."""
        self._resolve = resolve
        self._recorder = recorder
        self._trust = ssl_context
        self._timeouts = timeouts or Timeouts()
        self._headers = {
            "User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": ACCEPT_ENCODING}

    async def fetch(
        self, url: str, to: Path, *, max_octets: int, etag: str = "", last_modified: str = "",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Fetched | Unchanged:
        """Fetch `url` into the file `to`, unless it is as `etag` and `last_modified` say.

        `progress` is called with octets that came and octets expected (0: unknown). Raises
        FetchFailed, whatever failed; then `to` may be there and holds nothing of use.
        """
        headers = dict(self._headers)
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        place = URL(url)
        try:
            async with asyncio.timeout(self._timeouts.total):
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._hop(place, headers, to, max_octets, progress)
                    if not isinstance(answer, URL):
                        return answer
                    place = answer
        except FetchFailed:
            raise
        except TimeoutError as error:
            raise FetchFailed(str(error) if isinstance(error, aiohttp.ServerTimeoutError)
                              else f"it took longer than {self._timeouts.total:g} s") from error
        except UnusableBody as error:
            raise FetchFailed(str(error)) from None
        except aiohttp.ClientPayloadError as error:
            raise FetchFailed("it is cut off: the connection ended before the list did") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(f"{place.host} could not be asked: {error}") from error
        raise FetchFailed(f"it redirects more than {MAX_REDIRECTS} times")

    async def _hop(self, url: URL, headers: dict[str, str], to: Path, max_octets: int,
                   progress: Callable[[int, int], None]) -> Fetched | Unchanged | URL:
        """One request: an answer, or where to go next."""
        addresses = await self._vetted(url)
        try:
            record = await self._recorder.opened(
                url=str(url.with_user(None)), addresses=addresses)
        except Exception as error:
            raise FetchFailed(f"{url.host} was not asked: the request cannot be recorded "
                              f"({error})") from error
        status, body, outcome = 0, None, "error"
        limits = self._timeouts
        try:
            async with one_connection(
                addresses, partial(self._recorder.connected, record), trust=self._trust,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=limits.connect, sock_read=limits.silence),
            ) as session, session.get(url, headers=headers, allow_redirects=False) as reply:
                status = reply.status
                if status in REDIRECTS:
                    target = _target(url, reply.headers.get("Location", ""))
                    outcome = "redirect"
                    return target
                if status == 304 and len(headers) > len(self._headers):
                    outcome = "unchanged"
                    return Unchanged()
                if status != 200:  # 206 or 204 would be half a list or none
                    outcome = "refused"
                    raise FetchFailed(f"{url.host} answered with status {status}",
                                      retry_after(reply.headers.get("Retry-After", "")))
                expected = reply.content_length or 0
                if expected > max_octets:
                    raise UnusableBody(f"it is larger than max_size: {expected} bytes instead of "
                                       f"{max_octets}; raise max_size if it may be")
                with to.open("wb") as file:
                    body = Body(file, reply.headers.get("Content-Encoding", ""), max_octets)
                    async for chunk in reply.content.iter_any():
                        body.feed(chunk)
                        progress(body.received, expected)
                    body.finish()
                outcome = "complete"
                return Fetched(body.sha256, body.octets, reply.headers.get("ETag", ""),
                               reply.headers.get("Last-Modified", ""))
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._recorder.closed(record, status, body.received if body else 0, outcome)

    async def _vetted(self, url: URL) -> Sequence[str]:
        host, port = url.raw_host or "", url.port or 0
        try:
            addresses = await self._resolve(host, port)
        except Exception as error:
            raise FetchFailed(f"{host} was not asked: {error}") from error
        try:
            check_literal(host, addresses)
        except ValueError as error:
            raise FetchFailed(str(error)) from None
        return addresses


def _target(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises FetchFailed if that is no place for a list."""
    try:
        target = redirect_target(url, location)
    except ValueError as error:
        raise FetchFailed(str(error)) from None
    if url.scheme == "https" and target.scheme == "http":
        raise FetchFailed(f"{url.host} redirects from https to http, where anybody on the way "
                          "could change the list")
    return target
