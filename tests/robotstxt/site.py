"""A real site on loopback, and the two collaborators that the fetcher is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from outbounds.robotstxt.fetch import Origin

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """Serves what `replies` says, by host name and path; counts every request that arrives."""

    port: int = 0
    replies: dict[tuple[str, str], Handler] = field(default_factory=dict)
    arrived: list[web.Request] = field(default_factory=list)
    connections: int = 0

    def origin(self, host: str = "foo.test") -> Origin:
        return ("http", host, self.port)

    def on(self, handler: Handler, host: str = "foo.test", path: str = "/robots.txt") -> None:
        self.replies[host, path] = handler

    def say(
        self, body: str | bytes = b"", status: int = 200, host: str = "foo.test",
        path: str = "/robots.txt", **fields: str,
    ) -> None:
        """Answer with `body`; keyword `Content_Type=` is the field Content-Type, and so on."""
        raw = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "text/plain"}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}

        async def handler(request: web.Request) -> web.StreamResponse:
            return web.Response(body=raw, status=status, headers=headers)

        self.on(handler, host, path)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.arrived.append(request)
        host = request.host.rsplit(":", 1)[0]
        return await self.replies[host, request.path](request)


@dataclass
class Recorded:
    """Evidence kept in memory, in order."""

    events: list[tuple[object, ...]] = field(default_factory=list)
    fails: bool = False
    connected_from: list[tuple[str, tuple[str, int], tuple[str, int]]] = field(
        default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)
    seen_at_opening: list[int] = field(default_factory=list)
    site: Site | None = None

    async def opened(
        self, *, url: str, account_id: str, client: str, addresses: Sequence[str]
    ) -> str:
        if self.fails:
            raise OSError("the disk is full")
        if self.site is not None:
            self.seen_at_opening.append(self.site.connections)
        self.events.append(("opened", url, account_id, client, tuple(addresses)))
        return f"record-{len(self.events)}"

    def connected(self, record_id: str, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        self.connected_from.append((record_id, egress, dialled))

    def closed(self, record_id: str, status: int, octets: int, outcome: str, *,
               digest: str = "", state: str = "") -> None:
        self.events.append(("closed", record_id, status, octets, outcome))
        self.read.append((digest, state))

    @property
    def outcomes(self) -> list[tuple[object, object]]:
        return [(event[2], event[4]) for event in self.events if event[0] == "closed"]


class Refused(Exception):
    """The resolver found an address that policy does not allow."""


@dataclass
class Resolver:
    """Every name is on loopback; `bad.test`, and addresses but 127.0.0.1, are refused."""

    asked: list[tuple[str, int, str]] = field(default_factory=list)

    async def __call__(self, host: str, port: int, account_id: str) -> list[str]:
        self.asked.append((host, port, account_id))
        if host == "bad.test" or (":" in host) or (host[0].isdigit() and host != "127.0.0.1"):
            raise Refused(host)
        if host == "elsewhere.test":
            return ["127.0.0.9"]
        return ["127.0.0.1"]


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wall(Clock):
    """Unix time."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
