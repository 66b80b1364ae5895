"""HTTP/2 connections that wait for the client: for the rest of a frame, or for window.

In HTTP/2 a client need not stop reading to stop an answer: it withholds window (RFC 9113 section
5.2), and what the target sends is kept for it. And a frame that has begun is waited for to its end;
one with octets of a body is left to the pace of bodies.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from ..core.pace_of_transfer import Progress
from ..settings.clients import ClientLimits
from .http2_guard import GuardedHttp2Server


class HalfFrames:
    def __init__(self) -> None:
        # since when a connection waits, and how many frames had come by then
        self._half: WeakKeyDictionary[GuardedHttp2Server, tuple[float, int]] = WeakKeyDictionary()
        self._windows: WeakKeyDictionary[GuardedHttp2Server, Progress] = WeakKeyDictionary()

    def look(self, now: float, limits: ClientLimits) -> Iterator[tuple[str, str, str]]:
        """(client id, metric, reason) of each connection that is to end."""
        for server in list(GuardedHttp2Server.open):
            if self._half_too_long(server, now, limits.handshake):
                yield (server.conn.id, "handshake",
                       f"The HTTP/2 frame took longer than {limits.handshake:g} s.")
            elif self._window_too_slow(server, now, limits):
                yield (server.conn.id, "slow-read",
                       "the client gave no window for what was to be sent to it")

    def _half_too_long(self, server: GuardedHttp2Server, now: float, patience: float) -> bool:
        if not server.half_frame():
            self._half.pop(server, None)
            return False
        since, frames = self._half.get(server, (now, -1))
        if frames != server.frames:
            self._half[server] = now, server.frames
            return False
        return now - since > patience

    def _window_too_slow(self, server: GuardedHttp2Server, now: float,
                         limits: ClientLimits) -> bool:
        if not server.unsent():
            self._windows.pop(server, None)
            return False
        progress = self._windows.get(server)
        if progress is None:
            progress = self._windows[server] = Progress(now, server.granted)
        return progress.too_slow(now, server.granted, limits.slow_reads.least)
