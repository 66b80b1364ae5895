"""Fetching and caching of robots.txt (RFC 9309 sections 2.3 and 2.4).

`fetch` asks a site, `body` and `freshness` read the reply, `cache` remembers the answer.
"""

from .cache import RobotsCache
from .fetch import Fetched, Fetcher, Recorder, Resolve, Unreachable

__all__ = ["Fetched", "Fetcher", "Recorder", "Resolve", "RobotsCache", "Unreachable"]
