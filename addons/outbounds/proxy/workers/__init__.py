"""`outbounds serve --workers N`: one supervisor, N processes that are each the whole proxy.

    supervisor    reserves the ports, keeps the collector and the workers running, stops them in
                  order, and serves one metrics page for all; no traffic passes through it, and it
                  loads no mitmproxy
    worker i/N    the proxy, on the same ports as the others (SO_REUSEPORT: the kernel spreads the
                  connections); has no collector and no metrics page of its own

A worker is started by the very command an operator types, with hidden options, so that there is
one way to run the proxy. Between the supervisor and each worker lies a socket pair (`channel`).
Its end of file is how each learns that the other is gone, kill -9 included: a worker without its
supervisor stops serving, because nobody would start its collector again, or itself.

What the workers share: limits (`proxy.limit_store`), accounts, configuration and compiled lists
(files, which each watches), evidence (one collector, a session for each worker). What each has for
itself: look-ups, robots.txt files, verified passwords.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACE = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,2})")


@dataclass(frozen=True, slots=True)
class Place:
    """Which worker of how many; the first is 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """`2/4`. Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if found is None or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r}: not a worker's place; it is INDEX/COUNT, such as 1/2")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
