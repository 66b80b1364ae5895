"""An origin that speaks HTTP/2 (hypercorn), as most of the web does; HTTP/1.1 to who asks for it.

Like `origin.Origin` it runs in a thread and writes down what it received.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from .harness import wait_until

ENDLESS = "/no-end-of-stream"
"""All octets of the body come at once, and that there are no more only 2 s later."""


@dataclass
class Heard:
    """A request as it arrived; `version` is "2" or "1.1"."""

    version: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: int = 0


@dataclass
class H2Origin:
    """`leaf` is a PEM file with certificate and key; `robots` None means 404; `fields` are more
    header fields of each answer."""

    port: int
    leaf: Path
    robots: str | None = None
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    seen: list[Heard] = field(default_factory=list)

    def start(self) -> H2Origin:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(self._listens)
        return self

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _run(self) -> None:
        config = Config()
        config.bind = [f"127.0.0.1:{self.port}"]
        config.certfile = config.keyfile = str(self.leaf)
        config.alpn_protocols = ["h2", "http/1.1"]
        config.errorlog = logging.getLogger("h2 origin")
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(
            serve(self._app, config, shutdown_trigger=self._stop.wait))  # type: ignore[arg-type]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    async def _app(self, scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]],
                   send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        query = scope["query_string"].decode()
        heard = Heard(scope["http_version"], scope["method"],
                      scope["path"] + (f"?{query}" if query else ""),
                      [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]])
        self.seen.append(heard)
        more = True
        while more:
            message = await receive()
            heard.body += len(message.get("body", b""))
            more = message.get("more_body", False)
        status, text = 200, f"hello from {scope['path']}\n"
        if scope["path"] == "/robots.txt":
            status, text = (404, "") if self.robots is None else (200, self.robots)
        body = text.encode()
        await send({"type": "http.response.start", "status": status, "headers": [
            (b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode()),
            *self.fields]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if scope["path"] == ENDLESS:
            await asyncio.sleep(2.0)
        await send({"type": "http.response.body", "body": b""})

    def paths(self) -> list[str]:
        """Paths asked for, without the proxy's own look at robots.txt."""
        return [heard.path for heard in self.seen if heard.path != "/robots.txt"]

    def __enter__(self) -> H2Origin:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
