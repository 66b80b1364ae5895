"""Listening on ports that other workers listen on, too.

mitmproxy opens its listeners without SO_REUSEPORT. With it the kernel spreads new connections over
all sockets that listen on the port, and stops giving any to one whose process has ended.
"""

from __future__ import annotations

import asyncio
from typing import Any

from mitmproxy.proxy.mode_servers import AsyncioServerInstance


async def listen_shared(self: AsyncioServerInstance[Any], host: str,
                        port: int) -> list[asyncio.Server]:
    """In place of mitmproxy's `listen`: for TCP, and never with port 0, which the supervisor has
    made a number that all workers share."""
    assert port and self.mode.transport_protocol == "tcp", (self.mode, port)
    return [await asyncio.start_server(self.handle_stream, host, port, reuse_port=True)]


def share_ports() -> None:
    """From now on, in this process. Idempotent."""
    AsyncioServerInstance.listen = listen_shared  # type: ignore[assignment,method-assign]
