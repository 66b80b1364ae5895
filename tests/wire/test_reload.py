"""A change of the configuration is live within two seconds, or changes nothing; a start is refused
with every fault, in both ways the proxy is run."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ruamel.yaml import YAML

from .harness import (
    PLAIN_PASSWORD,
    ROOT,
    Proxy,
    edit_yaml,
    free_port,
    lift_limits,
    make_config,
    wait_until,
)
from .origin import Origin
from .sockets import TcpOrigin, ask, connect, dial, get

FAILED = "outbounds_policy_reload_failed"
LIVE = 2.0  # seconds in which a change must be in force


class Bench:
    def __init__(self, proxy: Proxy, origin: Origin, raw_port: int) -> None:
        self.proxy, self.origin, self.raw_port = proxy, origin, raw_port

    def status(self, host: str = "site.test", path: str = "/") -> int:
        return ask(self.proxy, f"http://{host}:{self.origin.port}{path}").status

    def failed(self) -> float:
        return self.proxy.metrics()[FAILED]

    def file(self, name: str) -> Path:
        return self.proxy.config / name

    def shouts(self) -> int:
        return self.proxy.log.count("The configuration was changed and cannot be used")

    def live(self, condition: Callable[[], Any]) -> None:
        wait_until(condition, LIVE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("reload")
    names = {name: ["127.0.0.1"] for name in ("site.test", "other.test")}
    with Origin(free_port()) as origin:
        raw_port = free_port()
        config = make_config(folder / "config", [origin.port, raw_port], robots="off")
        lift_limits(config)
        with Proxy(config, names=names) as proxy:
            yield Bench(proxy, origin, raw_port)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """Whatever a test did to the files is undone after it, and the proxy is as before."""
    kept = running.proxy.config.parent / "kept"
    shutil.copytree(running.proxy.config, kept, ignore=shutil.ignore_patterns("var"))
    yield running
    for source in kept.rglob("*"):
        if source.is_file():
            target = running.proxy.config / source.relative_to(kept)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.write_bytes(source.read_bytes())
    shutil.rmtree(kept)
    wait_until(lambda: running.failed() == 0 and running.status() == 200)


def test_who_is_known_changes_live(bench: Bench) -> None:
    """identity.yaml, too: another realm, and accounts from an htpasswd file that is added."""
    url = f"http://site.test:{bench.origin.port}/"
    carol = bcrypt.hashpw(PLAIN_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    assert ask(bench.proxy, url, "carol").status == 407
    bench.file("carol.htpasswd").write_text(f"carol:{carol}\n")
    edit_yaml(bench.file("identity.yaml"), lambda data: data.update(
        realm="another", htpasswd=[{"file": "carol.htpasswd", "plan": "default"}]))
    bench.live(lambda: ask(bench.proxy, url, "carol").status == 200)
    refused = ask(bench.proxy, url, "nobody")
    assert refused.status == 407 and 'realm="another"' in refused.headers["proxy-authenticate"]
    assert bench.status() == 200  # who was known before still is


def test_a_change_is_live_without_dropping_what_is_open(bench: Bench) -> None:
    """A download and a tunnel go on across the change; the next request meets the new policy."""
    def slowly(origin: TcpOrigin, peer: socket.socket) -> None:
        origin.head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst")
        origin.read(peer)  # for the tunnel: one more word; for the download: its end

    with TcpOrigin(slowly, port=bench.raw_port) as slow, ExitStack() as stack:
        download = stack.enter_context(dial(bench.proxy.port))
        where = f"site.test:{slow.port}"
        download.sendall(get(f"http://{where}/", where))
        # the download first, so that it is the target's first connection
        wait_until(lambda: slow.received and b"\r\n\r\n" in slow.received[0])
        tunnel, answer = connect(bench.proxy, where, "bob")
        stack.enter_context(tunnel)
        assert answer.status == 200
        before = bench.proxy.metrics()
        edit_yaml(bench.file("protocol.yaml"), lambda data: data["methods"].remove("GET"))
        bench.live(lambda: bench.status() == 403)
        got = b""
        while b"first" not in got:
            got += download.recv(4096)
        tunnel.sendall(b"POST / HTTP/1.1\r\n\r\n")
        tunnel.settimeout(5)
        assert tunnel.recv(4096)
    assert [name for name in bench.proxy.metrics() if name.startswith("outbounds_policy_info")] \
        != [name for name in before if name.startswith("outbounds_policy_info")]


def test_an_edit_of_a_list_is_live(bench: Bench) -> None:
    """Added, then taken out again; each record names the policy that it was judged by."""
    assert bench.status("other.test") == 200
    bench.file("lists/blocked.txt").write_text("host other.test\n")
    bench.live(lambda: bench.status("other.test") == 403)
    assert bench.status("site.test") == 200
    bench.file("lists/blocked.txt").write_text("# nothing\n")
    bench.live(lambda: bench.status("other.test") == 200)
    wait_until(lambda: all(end for _, end in bench.proxy.pairs(destination_domain="other.test")))
    versions = {(start["outbounds.verdict"], start["outbounds.policy.version"])
                for start, _ in bench.proxy.pairs(destination_domain="other.test")}
    assert len({version for _, version in versions}) == 3
    assert len(versions) == 3


BROKEN: dict[str, Callable[[Bench], None]] = {
    "bad value": lambda bench: edit_yaml(
        bench.file("limits.yaml"), lambda data: data["limits"][0].update(rate="60/parsec")),
    "half-written file": lambda bench: void(bench.file("destinations.yaml").write_text(
        "grants:\n  - id: x\n    network: [127.0.0")),
    "empty file": lambda bench: void(bench.file("plans.yaml").write_text("")),
    "binary file": lambda bench: void(bench.file("protocol.yaml").write_bytes(b"\xff\xfe\x00")),
    "deleted file": lambda bench: bench.file("limits.yaml").unlink(),
    "deleted list": lambda bench: bench.file("lists/blocked.txt").unlink(),
    "bad line in a list": lambda bench: void(bench.file("lists/blocked.txt").write_text(
        "host ok.test\nwhat is this\n")),
}


def void(_: object) -> None:
    """For lambdas whose value nobody wants."""


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_change_keeps_the_last_good_policy(bench: Bench, how: str) -> None:
    """Said once in the log, visible on the metrics page until it is mended; requests go on being
    judged by the policy before."""
    bench.file("lists/blocked.txt").write_text("host other.test\n")
    bench.live(lambda: bench.status("other.test") == 403)
    shouts = bench.shouts()
    kept = {path: path.read_bytes() for path in bench.proxy.config.rglob("*")
            if path.is_file() and "var" not in path.relative_to(bench.proxy.config).parts}
    BROKEN[how](bench)
    bench.live(lambda: bench.failed() == 1)
    assert bench.status("site.test") == 200
    assert bench.status("other.test") == 403
    time.sleep(1.2)  # two more looks at the files
    assert bench.shouts() == shouts + 1
    for path, content in kept.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    bench.live(lambda: bench.failed() == 0)
    assert bench.status("other.test") == 403


def test_every_fault_is_named_at_once(bench: Bench) -> None:
    """Two files broken by one save: one shout, with file, line, key, value and fix of both."""
    shouts = bench.shouts()
    limits = bench.file("limits.yaml").read_text()
    protocol = bench.file("protocol.yaml").read_text()
    bench.file("limits.yaml").write_text(
        re.sub(r"rate: .*", "rate: 60/parsec", limits, count=1))
    bench.file("protocol.yaml").write_text(
        re.sub(r"action: strip", "action: bend", protocol, count=1))
    bench.live(lambda: bench.failed() == 1)
    wait_until(lambda: "bend" in bench.proxy.log and "60/parsec" in bench.proxy.log)
    assert shouts < bench.shouts() <= shouts + 2  # a look may fall between the two writes
    assert re.search(r'limits\.yaml:\d+: limits\[0\]\.rate: "60/parsec"', bench.proxy.log)
    assert re.search(r"protocol\.yaml:\d+: forged_headers\.action: .*bend", bench.proxy.log)


# --- the start ------------------------------------------------------------------------------------


def start(mode: str, config: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Run the product to its end, as a user would."""
    if mode == "serve":
        command = [sys.executable, "-m", "outbounds", "serve", "--config", str(config),
                   "--port", str(port)]
    else:
        command = [str(Path(sys.executable).with_name("mitmdump")), "-s",
                   str(ROOT / "addons" / "enforce.py"), "--mode", f"regular@127.0.0.1:{port}",
                   "--set", f"outbounds_config={config}",
                   "--set", f"confdir={config.parent / 'ca'}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                          env={"PYTHONPATH": str(ROOT / "addons"), "PATH": "/usr/bin:/bin",
                               "HOME": str(config.parent)})


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_a_broken_config_does_not_start(tmp_path: Path, mode: str) -> None:
    """Exit status 1, and every fault with its line, in both ways; no port is left open."""
    config, port = make_config(tmp_path / "config", [free_port()]), free_port()
    edit_yaml(config / "limits.yaml", lambda data: data["limits"][0].update(rate="60/parsec"))
    edit_yaml(config / "robots.yaml", lambda data: data.update(mode="sometimes"))
    done = start(mode, config, port)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert re.search(r'limits\.yaml:\d+: limits\[0\]\.rate: "60/parsec": ', said)
    assert re.search(r"robots\.yaml:\d+: mode: .*sometimes", said)
    assert refuses_connections(port)


def test_a_missing_config_does_not_start(tmp_path: Path, mode: str) -> None:
    done = start(mode, tmp_path / "nowhere", free_port())
    assert done.returncode == 1
    assert "nowhere" in done.stdout + done.stderr
    assert "outbounds init" in done.stdout + done.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_file_does_not_start(tmp_path: Path, mode: str) -> None:
    """A policy without its limits is no policy."""
    config = make_config(tmp_path / "config", [free_port()])
    (config / "limits.yaml").unlink()
    done = start(mode, config, free_port())
    assert done.returncode == 1
    assert "limits.yaml" in done.stdout + done.stderr


def test_a_port_that_is_taken(tmp_path: Path, mode: str) -> None:
    config = make_config(tmp_path / "config", [free_port()])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start(mode, config, port)
        assert done.returncode == 1
        assert str(port) in done.stdout + done.stderr


def test_a_metrics_port_that_is_taken(tmp_path: Path, mode: str) -> None:
    """Half started is not started: it ends, and says which key to change."""
    config, port = make_config(tmp_path / "config", [free_port()]), free_port()
    metrics = YAML().load((config / "outbounds.yaml").read_text())["metrics"]["port"]
    with socket.create_server(("127.0.0.1", metrics)):
        done = start(mode, config, port)
    assert done.returncode == 1
    assert "outbounds.yaml: metrics: cannot listen on" in done.stdout + done.stderr
    assert refuses_connections(port)
