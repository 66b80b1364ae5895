"""Looking for a proof of ownership in a file of the site: `core.site_claims.FILE_PATH`.

What stands there must be the site's own word and nobody else's, so this is stricter than fetching
a robots.txt:

- only `PLACES` are asked, as any user of a machine may listen at other ports: https, and http where
  no https connection can be had (RFC 8555 section 8.3 has the same place for the same reason);
- a redirect may only lead to the same host: a site that redirects to wherever its visitors like,
  or to a place for uploads, would otherwise prove what it never said;
- the status is 200, the page is not HTML, the file has at most `MAX_SIZE` octets, and the token is
  a line of its own. Nothing of the token is in the request, so no echo of one can pass.

As for any fetch in the proxy's own name, each hop is vetted, recorded before anything is opened,
and goes to the addresses that were vetted for it and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import aiohttp
from yarl import URL

from ..core.site_claims import FILE_PATH
from ..fetching import REDIRECTS, check_literal, one_connection, redirect_target
from .contract import Egress

PLACES = (("https", 443), ("http", 80))
MAX_SIZE = 4096  # octets
MAX_REDIRECTS = 5

_HTML = frozenset({"text/html", "application/xhtml+xml"})


class NotFound(Exception):
    """The proof was not found. The message is a sentence for the operator."""


class Access(Protocol):
    """What a fetch needs of the proxy."""

    async def resolve(self, host: str, port: int, account_id: str) -> Sequence[str]:
        """The addresses that `account_id` may dial; raises, never returns one not vetted."""

    async def opened(self, *, url: str, account_id: str, addresses: Sequence[str]) -> str:
        """Returns the record's id once the record is safe; raises if it cannot be made so."""

    def connected(self, record_id: str, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        """The request goes out on this connection: our address and port, and the target's."""

    def closed(self, record_id: str, status: int, octets: int, failure: str) -> None:
        """`status` is 0 without a reply; `failure` is "" for what was found, and a redirect."""


class _NoConnection(NotFound):
    """There was no reply at all."""


class ProofFile:
    """`deadline` seconds bound a look with all its redirects; `egress` None leaves from any address
    and believes the system's authorities."""

    def __init__(self, access: Access, *, user_agent: str, deadline: float,
                 egress: Egress | None = None) -> None:
        self._access = access
        self._deadline = deadline
        self._egress = egress or Egress()
        self._headers = {"User-Agent": user_agent, "Accept": "text/plain",
                         "Accept-Encoding": "identity"}

    async def look(self, host: str, token: str, account_id: str) -> None:
        """Returns if the token stands in the file of `host`, a canonical one. Raises NotFound,
        whatever failed."""
        first, *others = (URL.build(scheme=scheme, host=host, port=port, path=FILE_PATH)
                          for scheme, port in PLACES)
        try:
            try:
                await self._at(first, token, account_id)
            except _NoConnection as no_connection:
                await self._others(others, token, account_id, no_connection)
        except NotFound:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotFound(f"The file of {host} cannot be read: {type(error).__name__}."
                           ) from error

    async def _others(self, urls: Sequence[URL], token: str, account_id: str,
                      first: _NoConnection) -> None:
        for url in urls:
            try:
                return await self._at(url, token, account_id)
            except _NoConnection:
                continue
        raise first

    async def _at(self, url: URL, token: str, account_id: str) -> None:
        """From `url` on, wherever it redirects to."""
        try:
            async with asyncio.timeout(self._deadline / len(PLACES)):
                for _ in range(MAX_REDIRECTS + 1):
                    target = await self._hop(url, token, account_id)
                    if target is None:
                        return
                    url = target
        except TimeoutError:  # mostly a port that drops what is sent to it
            raise _NoConnection(f"{url} did not answer in time.") from None
        raise NotFound(f"{url} redirects more than {MAX_REDIRECTS} times.")

    async def _hop(self, url: URL, token: str, account_id: str) -> URL | None:
        """One request: where to go next, or None where the token was found."""
        addresses = await self._vetted(url, account_id)
        try:
            record = await self._access.opened(url=str(url), account_id=account_id,
                                               addresses=addresses)
        except Exception as error:
            raise NotFound(f"{url} was not asked for: the request cannot be recorded.") from error
        status, octets, failure = 0, 0, "no reply in time"
        try:
            async with one_connection(
                addresses, partial(self._access.connected, record), trust=self._egress.trust,
                source=self._egress.address, timeout=aiohttp.ClientTimeout(total=None),
            ) as session, session.get(url, headers=self._headers, allow_redirects=False) as reply:
                status = reply.status
                if status in REDIRECTS:
                    target = _same_host(url, reply.headers.get("Location", ""))
                    failure = ""
                    return target
                body = await self._body(url, reply)
                octets = len(body)
                check_body(url, body, token)
                failure = ""
                return None
        except NotFound as missing:
            failure = str(missing)
            raise
        except (aiohttp.ClientConnectionError, OSError) as error:
            failure = "no connection"
            raise _NoConnection(f"{url} cannot be connected to ({type(error).__name__})."
                                ) from error
        except (aiohttp.ClientError, ValueError):
            failure = "no reply that can be used"
            raise
        finally:
            self._access.closed(record, status, octets, failure)

    async def _body(self, url: URL, reply: aiohttp.ClientResponse) -> bytes:
        """Raises NotFound for what cannot be the file."""
        if reply.status != 200:
            raise NotFound(f"{url} was answered with status {reply.status}.")
        if reply.content_type in _HTML:
            raise NotFound(f"{url} is a page of HTML.")
        if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise NotFound(f"{url} was sent compressed, which nobody asked for.")
        body = bytearray()
        async for chunk in reply.content.iter_any():
            body += chunk
            if len(body) > MAX_SIZE:
                raise NotFound(f"{url} has more than {MAX_SIZE} octets.")
        return bytes(body)

    async def _vetted(self, url: URL, account_id: str) -> Sequence[str]:
        host = url.raw_host or ""
        try:
            addresses = await self._access.resolve(host, url.port or 0, account_id)
            check_literal(host, addresses)
        except Exception as error:
            raise NotFound(f"{host} was not asked: it does not resolve, or to an address that may "
                           "not be reached.") from error
        return addresses


def _same_host(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises NotFound where the file there would be no proof."""
    try:
        target = redirect_target(url, location)
    except ValueError:
        raise NotFound(f"{url} redirects to no http or https address.") from None
    if (target.raw_host, (target.scheme, target.port)) not in [
            (url.raw_host, place) for place in PLACES]:
        raise NotFound(f"{url} redirects to {target.origin()}, which is another place; the file "
                       "must be at the host itself.")
    return target


def check_body(url: URL, body: bytes, token: str) -> None:
    """Raises NotFound where no line of `body` is the token."""
    text = body.decode("utf-8-sig", "replace")
    if text.lstrip().startswith("<"):  # whatever type it was sent as
        raise NotFound(f"{url} is a page of HTML.")
    if token not in (line.strip() for line in text.splitlines()):
        raise NotFound(f"{url} does not hold the token on a line of its own.")
