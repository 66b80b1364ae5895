"""One client connection as the sweep sees it: what its transports say, and what they said last.

Nothing here is written as octets pass: transports keep the size of what waits to be sent, streams
whether a reader waits, and the kernel what the other side has acknowledged.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from mitmproxy import connection

from ..core.pace_of_transfer import LeastPace, Progress
from . import held_reading

_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcpi_bytes_acked of struct tcp_info, since Linux 4.1


def unsent(transport: Any) -> int:
    """Octets that wait for the other side to take what came before them."""
    return int(transport.get_write_buffer_size())


def taken(transport: Any) -> int:
    """Octets that the other side has taken; where the system does not tell, the less there is
    left to be sent, the more."""
    try:
        info = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size)
        return int(_ACKNOWLEDGED.unpack(info)[0])
    except (OSError, AttributeError, struct.error):
        return -unsent(transport)


class Reading:
    """Whether the other end of a transport takes what is sent to it."""

    __slots__ = ("_progress", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self._progress: Progress | None = None

    def too_slow(self, now: float, least: LeastPace) -> bool:
        if not unsent(self.transport):
            self._progress = None
            return False
        octets = taken(self.transport)
        if self._progress is None:
            self._progress = Progress(now, octets)
        return self._progress.too_slow(now, octets, least)


class OpenConnection:
    """`source` is what connections are counted by; `handler` mitmproxy's of this connection."""

    __slots__ = ("bodies", "client", "handler", "reading", "source", "targets", "transport")

    def __init__(self, client: connection.Client, handler: Any, source: str) -> None:
        self.client, self.handler, self.source = client, handler, source
        self.transport = handler.transports[client].writer.transport
        self.reading = Reading(self.transport)
        self.bodies: dict[str, Progress] = {}  # by flow: uploads
        self.targets: dict[str, tuple[float, int]] = {}  # by flow: last progress, and octets then

    def quiet(self) -> float:
        """Seconds since anything has happened; 0 while something is being decided."""
        watchdog = self.handler.timeout_watchdog
        if watchdog.blocker:
            return 0.0
        return max(0.0, time.time() - float(watchdog.last_activity))

    def takes_nothing(self) -> bool:
        return unsent(self.transport) > 0

    def waits_for_client(self) -> bool:
        """Whether we would take more from the client if it sent any: nothing holds it back, and
        its target takes what it is sent."""
        return held_reading.waiting(self.client.id) and not any(
            io.writer is not None and unsent(io.writer.transport)
            for each, io in self.handler.transports.items() if each is not self.client)

    def waits_for_target(self) -> bool:
        """Whether we would take more from targets if they sent any."""
        return not self.takes_nothing() and not any(
            held_reading.held(each.id) for each in self.handler.transports
            if each is not self.client)
