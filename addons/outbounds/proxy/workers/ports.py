"""The ports that the workers share, held for them as long as the supervisor lives.

A socket that is bound and does not listen gets no connection, but while there is one, nobody else
can take the port (only sockets of the same user that ask for it too, which the workers do), and
port 0 has become a number that all workers know. Between the death of one worker and its successor
the port stays ours.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress

from ...settings.service import Listen
from ..prerequisites import StartError


class PortTaken(StartError):
    """A listener's port cannot be had. The message says which, and why."""


class Ports:
    """`listeners` are those given, with the ports that were found for 0."""

    def __init__(self, listeners: Iterable[Listen]) -> None:
        """Raises `PortTaken`."""
        self.listeners: list[Listen] = []
        self._held: list[socket.socket] = []
        for each in listeners:
            try:
                held = _hold(each.host, each.port)
            except OSError as error:
                self.close()
                raise PortTaken(f"cannot listen on {each.host}:{each.port}: "
                                f"{error.strerror or error}; choose a free port (0 takes any)"
                                ) from error
            self._held.append(held)
            self.listeners.append(each.model_copy(update={"port": held.getsockname()[1]}))

    def close(self) -> None:
        for each in self._held:
            with suppress(OSError):
                each.close()
        self._held.clear()


def _hold(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                             flags=socket.AI_PASSIVE)[0]
    if port:
        # without SO_REUSEPORT: another proxy of the same user that serves here already would
        # otherwise share its clients with us, unnoticed by either
        with _socket(family) as alone:
            alone.bind(address)
    held = _socket(family)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError:
        held.close()
        raise
    return held


def _socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio's servers do
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
