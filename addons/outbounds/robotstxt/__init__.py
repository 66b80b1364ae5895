"""Fetching and caching of robots.txt (RFC 9309 sections 2.3 and 2.4).

`fetch` asks a site, `body`, `charset` and `freshness` read the reply, `cache` remembers the answer
in the bounds of `remembered`, and `snapshots` keeps what was read as evidence.
"""

from .cache import Entry, RobotsCache
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
)
from .fetch import Fetcher
from .freshness import Known
from .snapshots import Snapshots

__all__ = [
    "Admit", "Egress", "Entry", "Fetched", "Fetcher", "Known", "NotAsked", "Origin", "Recorder",
    "Resolve", "RobotsCache", "Snapshots", "Unreachable", "Visit",
]
