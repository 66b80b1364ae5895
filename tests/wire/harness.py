"""Real proxies and real origins for the wire tests.

`Proxy` runs the product as a user would, in a process of its own: `mitmdump -s addons/enforce.py`
or `outbounds serve`, on a copy of the shipped config/ with free ports, loopback granted to the
test's origins, and known accounts. `Origin` is an HTTP server in a thread of the test process.

Names: no test may depend on the network, so every proxy is given a name server of the test as its
`dns.servers`. A test that needs names gives them as `names`; no other name exists. localhost is
known to the proxy itself. All else is as shipped.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.line import fields
from outbounds.identity import passwords
from outbounds.identity.accounts_file import AccountsFile
from outbounds.lists.rules_file import parse_rules
from outbounds.settings import load

from .dns_server import DnsServer

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "pass:word-with-colon"
PLAIN_PASSWORD = "another-password"


def free_port() -> int:
    """A port that nothing listens on, below those that the system gives to outgoing connections:
    one of them may be bound long after it was chosen, and must not be taken in between."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    while True:
        # each worker of the tests has ports of its own: what one of them found free, another may
        # be about to bind
        port = random.randrange(12_000 + int(worker) % 4, 32_000, 4)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], Any], seconds: float = 10.0, every: float = 0.05) -> Any:
    """The first true value of `condition`; AssertionError when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{condition} was not true within {seconds} s"
        time.sleep(every)


def edit_yaml(path: Path, change: Callable[[Any], None]) -> None:
    """Change a YAML file in place; written anew and renamed, as an editor does."""
    yaml = YAML()
    data = yaml.load(path.read_text())
    change(data)
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        yaml.dump(data, file)
    draft.replace(path)


def make_config(folder: Path, ports: Sequence[int], *, robots: str = "enforce") -> Path:
    """A copy of the shipped configuration for tests.

    127.0.0.0/8 is granted at `ports`, which are also opened to plain requests and tunnels. `alice`
    is inspected, `bob` is not. Metrics on a free port. Targets are not watched for distress, and
    refusals are not counted as strictly as shipped.
    """
    folder.mkdir(parents=True)
    for source in sorted((ROOT / "config").rglob("*")):
        relative = source.relative_to(ROOT / "config")
        if relative.parts[0] == "var" or source.is_dir():
            continue
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(source.read_bytes())

    def destinations(data: Any) -> None:
        data["grants"] = [{"id": "test-origins", "network": "127.0.0.0/8", "ports": list(ports),
                           "reason": "origins of the tests"}]

    def protocol(data: Any) -> None:
        data["ports"] = [*data["ports"], *ports]
        data["tunnel_ports"] = [*data["tunnel_ports"], *ports]

    def service(data: Any) -> None:
        data["metrics"] = {"host": "127.0.0.1", "port": free_port()}

    def limits(data: Any) -> None:
        # what one test makes of an origin must not close it to the next
        del data["adaptive"]
        for limit in data["limits"]:
            if limit["unit"] == "refusals":
                limit.update(rate="60000/min", burst=10_000)

    edit_yaml(folder / "destinations.yaml", destinations)
    edit_yaml(folder / "limits.yaml", limits)
    edit_yaml(folder / "protocol.yaml", protocol)
    edit_yaml(folder / "outbounds.yaml", service)
    edit_yaml(folder / "robots.yaml", lambda data: data.update(mode=robots))
    add_account(folder, "alice", PASSWORD, inspect=True, consent="2026-01-01")
    add_account(folder, "bob", PLAIN_PASSWORD)
    return folder


def set_dns(config: Path, **fields: Any) -> None:
    """Fields of `dns` in outbounds.yaml."""
    edit_yaml(config / "outbounds.yaml", lambda data: data.setdefault("dns", {}).update(fields))


def lift_limits(config: Path) -> None:
    """Room for tests that send many requests and are not about limits."""
    def limits(data: Any) -> None:
        for limit in data["limits"]:
            limit.update({"max": 100_000} if limit["unit"] == "tunnels"
                         else {"rate": "6000000/min", "burst": 100_000})
    edit_yaml(config / "limits.yaml", limits)


def accounts_file(config: Path) -> AccountsFile:
    data = load(config, parse_rules).service.data
    data.mkdir(parents=True, exist_ok=True)
    return AccountsFile(data / "accounts.db")


_hashes: dict[str, str] = {}  # an argon2id hash takes 80 ms, and every test makes accounts


def add_account(config: Path, name: str, password: str, **fields: Any) -> str:
    """Add an account and return its id."""
    if password not in _hashes:
        _hashes[password] = passwords.hash_password(password)
    with closing(accounts_file(config)) as file:
        return file.add(name, _hashes[password], now=time.time(), **fields).id


class Proxy:
    """A running proxy. `mode` is "mitmdump" or "serve".

    `names` maps host names to addresses, which `dns` answers with from the start to the stop of the
    proxy; `patch` is Python code that runs in the proxy process before it starts, for faults that
    cannot be brought about from outside; `options` are mitmproxy options, `words` more arguments of
    `outbounds serve`.
    """

    def __init__(self, config: Path, mode: str = "serve", *,
                 names: Mapping[str, Sequence[str]] | None = None, patch: str = "",
                 options: Mapping[str, str] | None = None, socks: bool = False,
                 env: Mapping[str, str] | None = None, start: bool = True,
                 words: Sequence[str] = ()) -> None:
        self.config, self.mode, self.port, self._words = config, mode, free_port(), tuple(words)
        self.socks_port = free_port() if socks else 0
        self.dns = DnsServer(names)
        self._script = config.parent / f"{config.name}-{mode}-{self.port}.py"
        self._script.write_text(_SCRIPT.format(addons=str(ROOT / "addons"), patch=patch))
        self._options = {"confdir": str(config / "var" / "ca"), **(options or {})}
        self._env = {**os.environ, **(env or {})}
        self.log_path = config.parent / f"{config.name}-{mode}-{self.port}.log"
        self.process: subprocess.Popen[bytes]
        if start:
            self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url_for(self, name: str = "alice", password: str = "") -> str:
        """The proxy URL with credentials, as clients take it."""
        password = password or (PASSWORD if name == "alice" else PLAIN_PASSWORD)
        return f"http://{name}:{password.replace(':', '%3A')}@127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate that inspected clients must trust."""
        return self.config / "var" / "ca" / "mitmproxy-ca-cert.pem"

    def start(self, seconds: float = 20.0) -> None:
        self.dns.start()
        set_dns(self.config, servers=[self.dns.address])
        if self.mode == "mitmdump":
            modes = ["--mode", f"regular@127.0.0.1:{self.port}"]
            if self.socks_port:
                modes += ["--mode", f"socks5@127.0.0.1:{self.socks_port}"]
            sets = [word for name, value in {**self._options,
                                             "outbounds_config": str(self.config)}.items()
                    for word in ("--set", f"{name}={value}")]
            command = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(self._script),
                       *modes, *sets]
        else:
            if self.socks_port:
                edit_yaml(self.config / "outbounds.yaml", lambda data: data["listen"].append(
                    {"mode": "socks5", "host": "127.0.0.1", "port": self.socks_port}))
            sets = [word for name, value in self._options.items() if name != "confdir"
                    for word in ("--set", f"{name}={value}")]
            command = [sys.executable, str(self._script), "serve", "--config", str(self.config),
                       "--port", str(self.port), *self._words, *sets]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=self._env, cwd=self.config.parent)
        wait_until(self._ready, seconds)

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"the proxy ended:\n{self.log}"
        return "enforces policy" in self.log

    def stop(self) -> int:
        self.dns.stop()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the proxy did not stop on SIGTERM:\n{self.log}") from None

    def kill(self) -> None:
        self.dns.stop()
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.dns.stop()
        if self.process.poll() is None:
            self.stop()

    # --- what it leaves behind ------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    @property
    def data(self) -> Path:
        return self.config / "var"

    def records(self) -> list[dict[str, Any]]:
        """Every record on disk, in order."""
        return [fields(each.envelope, each.detail) for each in read_all(self.data / "evidence")]

    def pairs(self, **wanted: Any) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Opening and closing records by id, of the openings that have all `wanted` fields.

        Field names with `_` for `.`: `user_id="…"`.
        """
        ends = {r["event.id"]: r for r in self.records() if r["event.type"] == "end"}
        return [(r, ends.get(r["event.id"])) for r in self.records()
                if r["event.type"] == "start"
                and all(r.get(name.replace("_", ".")) == value for name, value in wanted.items())]

    def metrics(self) -> dict[str, float]:
        """Samples by their text form, such as `outbounds_verdicts_total{control="robots",…}`."""
        port = YAML().load((self.config / "outbounds.yaml").read_text())["metrics"]["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        return {m[1]: float(m[2]) for line in lines if (m := re.match(r"([^#]\S*) (\S+)$", line))}

    def rss(self) -> int:
        """Resident memory of the proxy process, in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert match
        return int(match[1]) * 1024


_SCRIPT = """
import sys
sys.path.insert(0, {addons!r})

{patch}

if __name__ == "__main__":
    from outbounds.cli import main
    main()
else:
    from outbounds.proxy.hooks import Outbounds
    addons = [Outbounds()]
"""


def raw(port: int, data: bytes, *, seconds: float = 5.0, half_close: bool = False) -> bytes:
    """Send octets; all that comes back until the peer closes or nothing comes for a while."""
    with closing(socket.create_connection(("127.0.0.1", port), seconds)) as peer:
        peer.sendall(data)
        if half_close:
            peer.shutdown(socket.SHUT_WR)
        got = b""
        peer.settimeout(seconds)
        try:
            while chunk := peer.recv(65536):
                got += chunk
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass
        return got


def client_context(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


