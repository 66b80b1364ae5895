"""A small, good configuration, for tests to break one line of."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbounds.lists.rules_file import parse_rules
from outbounds.settings import Settings, SettingsError, load

GOOD = {
    "outbounds.yaml": """\
name: outbounds
listen:
  - {mode: http, host: 127.0.0.1, port: 8080}
data: var
""",
    "identity.yaml": """\
realm: outbounds
accounts: accounts.db
cache: 5min
failures: {per_source: 30/min, per_name: 10/min}
networks: {identify: true, restrict: true}
clause: P-robots
""",
    "plans.yaml": """\
standing: {clause: S-suspend}
plans:
  - id: default
    limits: [requests, tunnels]
""",
    "limits.yaml": """\
limits:
  - id: requests
    unit: requests
    per: account
    rate: 60/min
    burst: 10
    over: refuse
    clause: P-robots
  - id: tunnels
    unit: tunnels
    per: account
    max: 5
    clause: P-robots
  - id: target
    unit: requests
    per: host
    rate: 20/s
    burst: 5
    over: pace
    max_wait: 1.5s
    clause: P-robots
""",
    "destinations.yaml": """\
clauses: {own: P-robots, special: P-robots}
lists:
  - id: blocked
    file: lists/blocked.txt
    clause: P-robots
grants: []
""",
    "protocol.yaml": """\
methods: [GET, POST]
ports: [80, 8000-8002]
tunnel_ports: [443]
clauses: {method: P-robots, port: P-robots}
port_clauses:
  - {ports: [25, 587], clause: S-suspend}
forged_headers: {action: strip, names: [Via, X-Forwarded-*], clause: P-robots}
""",
    "robots.yaml": """\
mode: enforce
clause: P-robots
max_delay: 1min
max_wait: 10s
fetch: {timeout: 10s}
cache: {memory: 1MiB}
""",
    "evidence.yaml": """\
directory: evidence
collector: spawn
socket: c.sock
ack_timeout: 2s
segment_size: 64MiB
""",
    "exceptions.yaml": "exceptions: []\n",
    "aup/one.yaml": """\
policy: The first policy
clauses:
  - {id: P-robots, title: Robots, summary: Robots are obeyed., how: [enforced], controls: [robots]}
""",
    "aup/two.yaml": """\
policy: The second policy
clauses:
  - {id: S-suspend, title: Out, summary: Some must go., how: [enforced], controls: [standing]}
""",
    "lists/blocked.txt": "# one\ndomain denied.example\n",
}


class Folder:
    """The good configuration in a folder named `config`, with what a test changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name, text in GOOD.items():
            self.write(name, text)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert text.count(old) == 1, f"{old!r} must be in {name} once"
        self.write(name, text.replace(old, new))

    def load(self, now: float | None = None) -> Settings:
        return load(self.path, parse_rules, now)

    def faults(self) -> list[str]:
        """The error's lines, from the folder's name on."""
        with pytest.raises(SettingsError) as caught:
            self.load()
        return str(caught.value).replace(f"{self.path.parent}/", "").splitlines()
