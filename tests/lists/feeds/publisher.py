"""A publisher of lists on loopback, and the two collaborators that the fetcher is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Publisher:
    """Answers `/path` with what `pages` holds: (status, fields, body), or a function of the
    request. `arrived` are the requests, in order."""

    port: int = 0
    pages: dict[str, object] = field(default_factory=dict)
    arrived: list[web.Request] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/list", host: str = "lists.test") -> str:
        return f"http://{host}:{self.port}{path}"

    def say(self, body: str | bytes = b"", status: int = 200, path: str = "/list",
            **fields: str) -> None:
        """Keyword `Content_Type=` is the field Content-Type, and so on."""
        raw = body.encode() if isinstance(body, str) else body
        self.pages[path] = (status, {name.replace("_", "-"): value
                                     for name, value in fields.items()}, raw)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.arrived.append(request)
        page = self.pages[request.path]
        if callable(page):
            return await page(request)
        assert isinstance(page, tuple)
        status, fields, body = page
        tag = fields.get("ETag")
        if tag and request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=fields)
        return web.Response(status=status, headers=fields, body=body)


@dataclass
class Recorded:
    """Evidence kept in memory, in order."""

    publisher: Publisher
    events: list[tuple[object, ...]] = field(default_factory=list)
    connections_at_opening: list[int] = field(default_factory=list)
    fails: bool = False
    connected_from: list[tuple[str, tuple[str, int], tuple[str, int]]] = field(
        default_factory=list)

    async def opened(self, *, url: str, addresses: Sequence[str]) -> str:
        if self.fails:
            raise OSError("the disk is full")
        self.connections_at_opening.append(self.publisher.connections)
        self.events.append(("opened", url, tuple(addresses)))
        return f"record-{len(self.events)}"

    def connected(self, record_id: str, egress: tuple[str, int], dialled: tuple[str, int]) -> None:
        self.connected_from.append((record_id, egress, dialled))

    def closed(self, record_id: str, status: int, octets: int, outcome: str) -> None:
        self.events.append(("closed", record_id, status, octets, outcome))

    @property
    def outcomes(self) -> list[tuple[object, object]]:
        return [(event[2], event[4]) for event in self.events if event[0] == "closed"]


class Refused(Exception):
    """An address that nobody may reach."""


@dataclass
class Names:
    """Every name is on loopback; `inside.test`, and addresses but 127.0.0.1, are refused."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        if host == "inside.test" or ":" in host or (host[0].isdigit() and host != "127.0.0.1"):
            raise Refused("that is not a public destination")
        return ["127.0.0.1"]
