"""Fetching one robots.txt: RFC 9309 section 2.3, under the rules of the house.

This request is the proxy's own, but made for a customer and to a place that the customer, or a
redirect, chose. So on every hop, in this order:

1. the host is resolved and vetted by the same resolver as any destination, IP literals too
   (aiohttp does not ask its resolver about those);
2. there is a place among the few requests that go to one site at a time, and the limits of the
   target let it through, after a wait if need be: a robots.txt is fetched at no site's cost that
   the customer's own request would not be; after which it is vetted once more;
3. the record of the hop is safe: before that, not even a connection is opened;
4. the connection goes to one of the addresses vetted in step 1 and nowhere else, from the address
   that customers' requests leave by: each hop has a session of its own that knows these only, so
   there is no second look-up to rebind, no pooled connection of another account, no cookie, and no
   proxy from the environment.

What a status means (section 2.3.1): 2xx is the file; 4xx says there is none; 304 that the copy
still holds, from the URL that gave it and nobody else; 429, which is a server asking for less and
not the absence of rules, 5xx and everything else is unreachable, and unreachable means no. More
than five redirects MAY be taken for "there is none" (2.3.1.2): that would let a loop switch a
site's rules off, so here it is unreachable.

A page where the file should be (a login, an error sent as 200) has no rules in it, and read as a
robots.txt it would allow everything; so it is unreachable, too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import aiohttp
from yarl import URL

from ..core.destination import parse_host
from ..core.site import site_of
from ..fetching import (
    REDIRECTS,
    Connected,
    check_literal,
    one_connection,
    redirect_target,
)
from . import freshness
from .body import ACCEPT_ENCODING, Body, UnreadableBody
from .charset import in_utf8
from .contract import (
    Admit,
    Egress,
    Fetched,
    NotAsked,
    Origin,
    Recorder,
    Resolve,
    Unreachable,
    Visit,
    uncharged,
)
from .freshness import Known
from .parsing import Parsing
from .site_places import SitePlaces

__all__ = ["Fetched", "Fetcher", "Known", "Origin", "Recorder", "Resolve", "Unreachable"]

MAX_REDIRECTS = 5

_PAGES = frozenset({
    "text/html", "application/xhtml+xml", "application/xml", "text/xml", "application/json",
})


@dataclass(slots=True)
class _Heard:
    """What has come of one request so far."""

    outcome: str = "error"
    status: int = 0
    retry_after: str | None = None
    asked: float = 0.0  # seconds on the loop's clock, as is the next
    latency: float | None = None
    failed: bool = False
    digest: str = ""
    state: str = "unreachable"
    body: Body = field(default_factory=lambda: Body(""))


class Fetcher:
    """Fetches robots.txt files. Holds no connection between fetches."""

    def __init__(
        self,
        resolve: Resolve,
        recorder: Recorder,
        *,
        user_agent: str,
        admit: Admit = uncharged,
        egress: Egress | None = None,
        deadline: float = 10.0,
        at_once_per_site: int = 4,
        parsing: Parsing | None = None,
    ) -> None:
        """`user_agent` names the proxy and a contact URL; `deadline` seconds bound a fetch with
        all its redirects and waits; requests to one site beyond `at_once_per_site` wait in line."""
        self._resolve = resolve
        self._recorder = recorder
        self._admit = admit
        self._parsing = parsing or Parsing()
        self._egress = egress or Egress()
        self._deadline = deadline
        self._places = SitePlaces(at_once_per_site)
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "text/plain, */*;q=0.1",
            "Accept-Encoding": ACCEPT_ENCODING,
        }

    async def fetch(self, origin: Origin, account_id: str, client: str,
                    known: Known | None = None) -> Fetched:
        """Fetch the robots.txt of (scheme, host, port) for `account_id`; `client` goes into the
        record; `known` is the copy that is had already. Raises Unreachable, whatever failed; only
        a fault of `closed` goes through."""
        scheme, host, port = origin
        try:
            async with asyncio.timeout(self._deadline):
                url = URL.build(scheme=scheme, host=host, port=port, path="/robots.txt")
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._hop(url, account_id, client, known)
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

    async def _hop(self, url: URL, account_id: str, client: str,
                   known: Known | None) -> Fetched | URL:
        """One request: an answer, or where to go next."""
        addresses = await self._vetted(url, account_id)
        async with self._places.place(site_of(parse_host(url.raw_host or ""))):
            visit = await self._admitted(url, account_id, client, addresses)
            try:
                # again: it may have been closed while this waited
                addresses = await self._vetted(url, account_id)
                record = await self._opened(url, account_id, client, addresses)
            except BaseException:
                visit.unsent()
                raise
            heard, loop = _Heard(), asyncio.get_running_loop()
            heard.asked = started = loop.time()
            try:
                return await self._ask(url, addresses, known, heard,
                                       partial(self._recorder.connected, record))
            except (aiohttp.ClientError, OSError) as error:
                # one whom we do not believe has answered all the same
                heard.failed = not heard.status and not isinstance(error, aiohttp.ClientSSLError)
                raise
            except asyncio.CancelledError:
                heard.outcome = "cancelled"
                # not the target's fault where most of the time went by before it was asked
                heard.failed = not heard.status and loop.time() - started > self._deadline / 2
                raise
            finally:
                visit.finished(status=heard.status, retry_after=heard.retry_after,
                               latency=heard.latency, failed=heard.failed)
                self._recorder.closed(record, heard.status, heard.body.received, heard.outcome,
                                      digest=heard.digest, state=heard.state)

    async def _admitted(self, url: URL, account_id: str, client: str,
                        addresses: Sequence[str]) -> Visit:
        try:
            return await self._admit(url, account_id, client, addresses)
        except Unreachable:
            raise
        except Exception as error:
            raise NotAsked(f"{url.host} was not asked for its robots.txt: the limits of this "
                           "target cannot be had.") from error

    async def _opened(self, url: URL, account_id: str, client: str, addresses: Sequence[str]
                      ) -> str:
        try:
            return await self._recorder.opened(
                url=str(url), account_id=account_id, client=client, addresses=addresses)
        except Exception as error:
            raise NotAsked(f"{url.host} was not asked for its robots.txt: the request cannot be "
                           "recorded.") from error

    async def _ask(self, url: URL, addresses: Sequence[str], known: Known | None,
                   heard: _Heard, connected: Connected) -> Fetched | URL:
        loop = asyncio.get_running_loop()

        async def sent(*_: object) -> None:
            heard.asked = loop.time()

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(sent)
        if known is not None and known.url != str(url):
            known = None  # validators mean nothing to any other URL
        async with one_connection(
            addresses, connected, trust=self._egress.trust, source=self._egress.address,
            timeout=aiohttp.ClientTimeout(total=None),  # the deadline binds all hops together
            trace_configs=[trace],
        ) as session, session.get(url, headers=self._headers | freshness.conditions(known),
                                  allow_redirects=False) as reply:
            heard.latency = loop.time() - heard.asked
            heard.status = reply.status
            heard.retry_after = reply.headers.get("Retry-After")
            if reply.status in REDIRECTS:
                target = _target(url, reply.headers.get("Location", ""))
                heard.outcome, heard.state = "redirect", ""
                return target
            fetched = await self._read(url, reply, known, heard)
            heard.outcome = "complete"
            return fetched

    async def _read(self, url: URL, reply: aiohttp.ClientResponse, known: Known | None,
                    heard: _Heard) -> Fetched:
        status, fields = reply.status, reply.headers
        cache_control = ",".join(fields.getall("Cache-Control", []))
        lifetime = freshness.lifetime(cache_control, fields.get("Age", ""))
        if status == 304 and known is not None and freshness.conditions(known):
            if not cache_control:
                lifetime = known.lifetime  # what is not said again still holds: RFC 9111 3.2
            heard.digest, heard.state = known.digest, "fresh"
            return Fetched(status, b"", reply.content_type, lifetime,
                           replace(known, lifetime=lifetime))
        if status == 429 or not (200 <= status < 300 or 400 <= status < 500):
            heard.outcome = "unreachable"
            raise Unreachable(f"The robots.txt of {url.host} was answered with status {status}.",
                              freshness.retry(heard.retry_after or ""))
        if status >= 400:
            heard.state = "absent"
            return Fetched(status, b"", reply.content_type, lifetime)
        heard.body = Body(",".join(fields.getall("Content-Encoding", [])))
        async for chunk in reply.content.iter_any():
            heard.body.feed(chunk)
            if heard.body.full:
                break
        body = in_utf8(heard.body.finish(), reply.charset or "")
        if await self._is_page(body, reply.content_type):
            heard.outcome = "unreachable"
            raise Unreachable(f"{url.host} sends a page ({reply.content_type}) where its "
                              "robots.txt should be.")
        heard.digest, heard.state = hashlib.sha256(body).hexdigest(), "fresh"
        validators = freshness.validators(fields.get("ETag", ""), fields.get("Last-Modified", ""))
        return Fetched(status, body, reply.content_type, lifetime,
                       Known(str(url), *validators, lifetime, heard.digest))

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

    async def _is_page(self, body: bytes, media_type: str) -> bool:
        """A site that sends its rules under a wrong media type still has rules; markup has none."""
        if body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            return True
        return media_type in _PAGES and not (await self._parsing.parsed(body)).named


def _target(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises Unreachable if that is no place with a robots.txt."""
    try:
        return redirect_target(url, location)
    except ValueError:
        raise Unreachable(f"The robots.txt of {url.host} redirects to no http or https address."
                          ) from None
