"""Clients that are there before the proxy is: its listeners open a little before the collector."""

from __future__ import annotations

import threading
from pathlib import Path

import requests

from .harness import Proxy, wait_until
from .origin import Origin

NAMES = {"site.test": ["127.0.0.1"]}

# long enough for a password to be checked meanwhile
LATE_COLLECTOR = """
import asyncio
from outbounds.evidence.supervisor import CollectorProcess

async def late(self, start=CollectorProcess.start):
    await asyncio.sleep(1.5)
    await start(self)

CollectorProcess.start = late
"""


def test_a_client_during_the_start_is_refused_and_ends_nothing(
        config: Path, mode: str, origin: Origin) -> None:
    """mitmproxy exits when an error is logged before its start is complete; nor may what failed
    then, the fetch of a robots.txt, be held against the site for half a minute."""
    proxy = Proxy(config, mode, names=NAMES, patch=LATE_COLLECTOR, start=False)
    statuses: list[int] = []
    ready = threading.Event()

    def ask() -> int:
        url = f"http://site.test:{origin.port}/page"
        proxies = {"http": proxy.url_for("bob")}
        return requests.get(url, proxies=proxies, timeout=10).status_code

    def hurry() -> None:
        while not ready.is_set():
            try:
                statuses.append(ask())
            except requests.ConnectionError:
                ready.wait(0.005)

    early = threading.Thread(target=hurry)
    early.start()
    try:
        with proxy:
            proxy.start()
            wait_until(lambda: ask() == 200, seconds=3.0)
            ready.set()
            early.join(10)
            assert proxy.process.poll() is None
    finally:
        ready.set()
        early.join(10)
    assert 503 in statuses, f"no client was early enough: {statuses}"
    assert set(statuses) <= {503, 403, 200}
