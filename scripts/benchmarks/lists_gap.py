"""How long a proxy answers nobody: a client that asks for a denied name, again and again."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Self

EVERY = 0.005  # s between two requests


def answered(port: int, host: str, seconds: float = 120.0) -> bool:
    """Whether a request for `host`, on a new connection, gets a reply."""
    request = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), seconds)) as line:
        line.sendall(request.encode())
        return line.recv(4096).startswith(b"HTTP/1.")
    return False


def first_answer(port: int, host: str, seconds: float = 600.0) -> float:
    """Seconds from now until a request is answered. Raises RuntimeError after `seconds`."""
    started = time.perf_counter()
    while not answered(port, host):
        if time.perf_counter() - started > seconds:
            raise RuntimeError(f"the proxy on port {port} answers nobody within {seconds:g} s")
        time.sleep(EVERY)
    return time.perf_counter() - started


@dataclass
class Probe:
    """Asks while the `with` lasts, one request after another."""

    port: int
    host: str
    _replies: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            if answered(self.port, self.host):
                self._replies.append(time.perf_counter())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def longest(self) -> float:
        """Seconds between two replies, the longest time; the first and last are bounds."""
        return max(after - before for before, after in zip(
            self._replies, self._replies[1:], strict=False))
