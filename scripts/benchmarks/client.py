"""The client: wrk, sending absolute-form requests with credentials, as fast as it is answered."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .tools import find

_SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw. `failed` counts replies of 400 and above, `broken` connections and
    time-outs; latencies in µs."""

    requests: int
    microseconds: int
    failed: int
    broken: int
    p50: int
    p99: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.microseconds * 1e6


@dataclass(frozen=True, slots=True)
class Client:
    """Raises `tools.Missing` where there is no wrk."""

    url: str
    name: str
    password: str
    core: int

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()

    def run(self, port: int, seconds: int, connections: int) -> Load:
        """Keep `connections` busy for `seconds`, through the proxy on `port` of this machine."""
        done = subprocess.run(
            [find("wrk"), "--threads", "1", "--connections", str(connections),
             "--duration", f"{seconds}s", "--timeout", "30s", "--script", str(_SCRIPT),
             f"http://127.0.0.1:{port}", "--", self.url, urlsplit(self.url).netloc,
             self.authorization],
            capture_output=True, text=True, check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.core}))
        figures = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES "))
        return Load(**json.loads(figures.removeprefix("FIGURES ")))
