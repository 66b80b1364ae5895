"""`outbounds serve --workers 2`: two processes, one proxy to clients, operator and evidence.

Which of the two serves a connection is the kernel's choice, and read from its tables.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from .harness import (
    PASSWORD,
    Proxy,
    add_account,
    edit_yaml,
    free_port,
    lift_limits,
    make_config,
    wait_until,
)
from .origin import Origin
from .sockets import Reply, TcpOrigin, connect, dial, get, inspected, reply

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(),
                                reason="needs /proc/net, as Linux has it")

WORKERS = 2
LIVE = 2.0  # s in which a change must be in force
TRIES = 64  # connections, of which each worker gets at least one but for a chance of 2⁻⁶³


class Workers(Proxy):
    """A proxy of `count` workers; 1 is without any supervisor."""

    def __init__(self, config: Path, count: int = WORKERS, **more: Any) -> None:
        self.count = count
        super().__init__(config, words=["--workers", str(count)], **more)

    def _ready(self) -> bool:
        super()._ready()
        return "enforces policy" in self.log and (self.count == 1 or "workers serve" in self.log)

    def pids(self) -> list[int]:
        """The workers, in the order of their numbers."""
        found = {words[words.index("--worker") + 1]: pid
                 for pid, words in children(self.process.pid) if "--worker" in words}
        return [pid for _, pid in sorted(found.items())]


def children(parent: int) -> list[tuple[int, list[str]]]:
    """(pid, arguments) of the processes that `parent` has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                    found.append((int(entry.name), words))
    return found


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def server_of(proxy: Workers, peer: socket.socket) -> int:
    """The worker that serves this connection. It must have answered something on it."""
    ours, theirs = (f"{at[0]}:{at[1]}" for at in (peer.getsockname(), peer.getpeername()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (_address(fields[1]), _address(fields[2])) == (theirs, ours):
            for pid in proxy.pids():
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        if os.readlink(entry) == f"socket:[{fields[9]}]":
                            return pid
    raise AssertionError(f"no worker of {proxy.pids()} serves {ours}\n{proxy.log}")


def _address(text: str) -> str:
    host, port = text.split(":")
    return f"{socket.inet_ntoa(bytes.fromhex(host)[::-1])}:{int(port, 16)}"


def ask(proxy: Workers, url: str, name: str = "alice") -> tuple[int, Reply]:
    """One request on a connection of its own: who answered, and what."""
    with dial(proxy.port) as peer:
        peer.sendall(get(url, url.split("/")[2], name))
        answer = reply(peer)
        return server_of(proxy, peer), answer


def of_each(proxy: Workers, url: str, name: str = "alice") -> dict[int, int]:
    """The status that each worker answers."""
    found: dict[int, int] = {}
    for _ in range(TRIES):
        pid, answer = ask(proxy, url, name)
        found[pid] = answer.status
        if len(found) == proxy.count:
            return found
    raise AssertionError(f"only {list(found)} of {proxy.pids()} answered")


@pytest.fixture
def config(tmp_path: Path, origin: Origin) -> Path:
    made = make_config(tmp_path / "config", [origin.port], robots="off")
    lift_limits(made)
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workers, Origin]]:
    """For tests that leave the workers alive."""
    with Origin(free_port()) as origin:
        made = make_config(tmp_path_factory.mktemp("workers") / "config", [origin.port],
                           robots="off")
        lift_limits(made)
        with Workers(made, names={"site.test": ["127.0.0.1"]}) as proxy:
            yield proxy, origin


# --- one proxy ----------------------------------------------------------------------------------


def test_both_serve_the_same_port(shared: tuple[Workers, Origin]) -> None:
    proxy, origin = shared
    assert len(proxy.pids()) == WORKERS
    assert of_each(proxy, f"http://site.test:{origin.port}/") == dict.fromkeys(proxy.pids(), 200)


def test_the_supervisor_loads_no_mitmproxy(shared: tuple[Workers, Origin]) -> None:
    def loads_it(pid: int) -> bool:
        return "mitmproxy_rs" in Path(f"/proc/{pid}/maps").read_text()

    assert not loads_it(shared[0].process.pid)
    assert all(map(loads_it, shared[0].pids()))


def test_the_metrics_of_both_are_one_page(shared: tuple[Workers, Origin]) -> None:
    """Counters and histograms added up, however the requests fell; each line once."""
    proxy, origin = shared
    allowed = 'outbounds_verdicts_total{control="",result="allow",rule=""}'
    decided = "outbounds_decision_seconds_count"
    before, served = proxy.metrics(), []
    while len(served) < 20 or len(set(served)) < WORKERS:
        pid, answer = ask(proxy, f"http://site.test:{origin.port}/")
        assert answer.status == 200
        served.append(pid)
    after = proxy.metrics()
    assert after[decided] - before[decided] == len(served)
    assert after[allowed] - before.get(allowed, 0) == len(served)
    assert (after["outbounds_workers"], after["outbounds_worker_restarts_total"]) == (WORKERS, 0)
    assert after["outbounds_evidence_up"] == 1
    with ExitStack() as stack:
        for _ in range(8):
            tunnel, opened = connect(proxy, f"site.test:{origin.port}")
            stack.enter_context(tunnel)
            assert opened.status == 200
        assert proxy.metrics()["outbounds_tunnels"] == 8
    wait_until(lambda: proxy.metrics()["outbounds_tunnels"] == 0)


def test_the_records_of_both_are_in_one_log(shared: tuple[Workers, Origin]) -> None:
    proxy, origin = shared
    path = f"/{os.urandom(4).hex()}"
    for _ in range(10):
        of_each(proxy, f"http://site.test:{origin.port}{path}")

    def pairs() -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        found = proxy.pairs(url_path=path)
        return found if len(found) >= 20 and all(end for _, end in found) else []

    found = wait_until(pairs)
    assert len({start["event.id"] for start, _ in found}) == len(found)
    assert all(end["event.outcome"] == "success" for _, end in found)


def test_each_line_of_the_log_names_its_worker(shared: tuple[Workers, Origin]) -> None:
    ready = re.findall(r"INFO (.*?)Outbounds \S+ enforces policy", shared[0].log)
    assert sorted(ready) == ["worker 1: ", "worker 2: "]
    assert re.search(r"INFO 2 workers serve on 127\.0\.0\.1:\d+; metrics on http://", shared[0].log)


# --- limits are those of one proxy ---------------------------------------------------------------


def set_limit(config: Path, limit_id: str, **fields: Any) -> None:
    def limits(data: Any) -> None:
        next(each for each in data["limits"] if each["id"] == limit_id).update(fields)
    edit_yaml(config / "limits.yaml", limits)


def test_a_rate_is_exact_over_both(config: Path, origin: Origin) -> None:
    """Never more than the burst, however the requests fall; and never less."""
    set_limit(config, "account-requests", rate="20/day", burst=20)
    with Workers(config, names={"site.test": ["127.0.0.1"]}) as proxy:
        answers = [ask(proxy, f"http://site.test:{origin.port}/") for _ in range(60)]
    allowed = [pid for pid, answer in answers if answer.status == 200]
    assert len(allowed) == 20 and len(set(allowed)) == WORKERS
    assert [answer.status for _, answer in answers] == [200] * 20 + [429] * 40
    assert {pid for pid, answer in answers if answer.status == 429} == set(allowed)


def test_what_a_dead_worker_held_comes_free(config: Path, origin: Origin) -> None:
    """Six tunnels at once over both; when one worker is killed, so many fewer are open."""
    set_limit(config, "account-tunnels", max=6)
    where = f"site.test:{origin.port}"
    with Workers(config, names={"site.test": ["127.0.0.1"]}) as proxy, ExitStack() as stack:
        def opened() -> tuple[socket.socket, int]:
            tunnel, answer = connect(proxy, where)
            stack.enter_context(tunnel)
            return tunnel, answer.status

        held: list[socket.socket] = []
        for _ in range(TRIES):  # until both hold some
            while len(held) < 6:
                tunnel, status = opened()
                assert status == 200
                held.append(tunnel)
            if len({server_of(proxy, each) for each in held}) == WORKERS:
                break
            held.pop(0).close()
            wait_until(lambda: proxy.metrics()["outbounds_tunnels"] == 5)
        assert opened()[1] == 429
        killed = server_of(proxy, held[0])
        left = sum(server_of(proxy, each) != killed for each in held)
        assert 0 < left < 6
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in proxy.pids()
                   and proxy.metrics()["outbounds_workers"] == WORKERS, 20)
        assert [opened()[1] for _ in range(7 - left)] == [200] * (6 - left) + [429]


# --- what an operator changes, in both ----------------------------------------------------------


def test_a_change_of_the_policy_is_live_in_both(shared: tuple[Workers, Origin]) -> None:
    """A list, built once: the other worker sees what came of it and starts no build of its own."""
    proxy, origin = shared
    url = f"http://site.test:{origin.port}/"
    assert set(of_each(proxy, url).values()) == {200}
    file = proxy.config / "lists" / "blocked.txt"
    kept = file.read_bytes()
    for content, status in ((b"host site.test\n", 403), (kept, 200)):
        file.write_bytes(content)
        wait_until(lambda status=status: set(of_each(proxy, url).values()) == {status}, LIVE + 1.0)
    edit_yaml(proxy.config / "protocol.yaml", lambda data: data["methods"].remove("GET"))
    wait_until(lambda: set(of_each(proxy, url).values()) == {403}, LIVE)
    edit_yaml(proxy.config / "protocol.yaml", lambda data: data["methods"].append("GET"))
    wait_until(lambda: set(of_each(proxy, url).values()) == {200}, LIVE)
    assert "were not built" not in proxy.log
    assert proxy.metrics()["outbounds_policy_reload_failed"] == 0


def test_a_suspension_closes_what_is_open_in_both(shared: tuple[Workers, Origin]) -> None:
    proxy, origin = shared
    with ExitStack() as stack:
        tunnels: dict[int, list[socket.socket]] = {}
        for _ in range(TRIES):
            tunnel, opened = connect(proxy, f"site.test:{origin.port}", "bob")
            stack.enter_context(tunnel)
            assert opened.status == 200
            tunnels.setdefault(server_of(proxy, tunnel), []).append(tunnel)
            if len(tunnels) == WORKERS:
                break
        assert len(tunnels) == WORKERS
        command(proxy, "accounts", "suspend", "bob", "--reason", "complaint 4711")
        for each in (each for held in tunnels.values() for each in held):
            each.settimeout(LIVE)
            assert each.recv(1) == b""  # TimeoutError: it was left open
        assert set(of_each(proxy, f"http://site.test:{origin.port}/", "bob").values()) == {403}
        command(proxy, "accounts", "resume", "bob")


def command(proxy: Proxy, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "outbounds", *words, "--config",
                           str(proxy.config)], capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 0, done.stderr


# --- when a process ends ------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced(config: Path, origin: Origin) -> None:
    """The other goes on serving; what the dead one had counted stays counted."""
    counted = "outbounds_decision_seconds_count"
    with Workers(config, names={"site.test": ["127.0.0.1"]}) as proxy:
        url = f"http://site.test:{origin.port}/"
        of_each(proxy, url)
        killed, other = proxy.pids()
        before = proxy.metrics()[counted]
        # what is read at a start only: the successor listens where its supervisor does
        edit_yaml(config / "outbounds.yaml", lambda data: data["listen"].insert(
            0, {"mode": "http", "host": "127.0.0.1", "port": free_port()}))
        os.kill(killed, signal.SIGKILL)
        # it has been waited for: a process of which one thread is gone may still hold its socket
        wait_until(lambda: "was ended by SIGKILL" in proxy.log)
        assert not alive(killed)
        pid, answer = ask(proxy, url)
        assert answer.status == 200 and pid != killed
        wait_until(lambda: proxy.metrics()["outbounds_workers"] == WORKERS, 20)
        assert killed not in proxy.pids() and other in proxy.pids()
        assert set(of_each(proxy, url).values()) == {200}
        after = proxy.metrics()
        assert after["outbounds_worker_restarts_total"] == 1
        assert after[counted] >= before + 3
        said, = re.findall(r"ERROR (Worker \d .*)", proxy.log)
        assert said == "Worker 1 was ended by SIGKILL; starting it again in 0.1 s."
    assert proxy.process.returncode == 0


def test_nothing_outlives_a_supervisor_that_is_killed(config: Path, origin: Origin) -> None:
    """Workers that nobody watches stop serving, and the collector goes after them; a new start
    finds the port and the evidence log free."""
    proxy = Workers(config, names={"site.test": ["127.0.0.1"]})
    url = f"http://site.test:{origin.port}/"
    of_each(proxy, url)
    started = [pid for pid, _ in children(proxy.process.pid)]
    assert len(started) == WORKERS + 1
    proxy.kill()
    wait_until(lambda: not any(map(alive, started)), 15)
    with Workers(config, names={"site.test": ["127.0.0.1"]}) as again:
        assert set(of_each(again, url).values()) == {200}
    assert all(end for _, end in again.pairs())


# --- the end ------------------------------------------------------------------------------------


class Held:
    """A target whose answer ends when the test says so."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def serve(self, origin: TcpOrigin, peer: socket.socket) -> None:
        origin.head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst ")
        self.begun.set()
        self.go_on.wait(20)
        peer.sendall(b"second")


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("count", [1, WORKERS])
def test_a_stop_lets_a_download_finish(tmp_path: Path, count: int) -> None:
    """Nobody new is let in, an idle connection is closed, and what is under way goes on."""
    held = Held()
    with TcpOrigin(held.serve) as origin:
        config = make_config(tmp_path / "config", [origin.port], robots="off")
        with Workers(config, count) as proxy, dial(proxy.port) as idle, dial(proxy.port) as peer:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reply(idle).status == 407
            where = f"127.0.0.1:{origin.port}"
            peer.sendall(get(f"http://{where}/", where))
            assert held.begun.wait(10)
            proxy.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refused(proxy.port))
            idle.settimeout(5)
            assert idle.recv(1) == b""
            assert proxy.process.poll() is None
            held.go_on.set()
            assert reply(peer).body == b"first second"
            assert proxy.process.wait(15) == 0
        (_, end), = proxy.pairs(destination_port=origin.port)
        assert end is not None and end["event.outcome"] == "success"


def test_a_stop_lets_a_request_be_judged(tmp_path: Path) -> None:
    """It waits for the site's robots.txt when the stop is asked for."""
    asked, go_on = threading.Event(), threading.Event()

    async def slow_robots(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.to_thread(go_on.wait, 20)
        return web.Response(text="User-agent: *\nAllow: /\n")

    with Origin(free_port(), robots_handler=slow_robots) as origin:
        config = make_config(tmp_path / "config", [origin.port])
        with Workers(config, 1) as proxy, dial(proxy.port) as peer:
            where = f"127.0.0.1:{origin.port}"
            peer.sendall(get(f"http://{where}/", where))
            assert asked.wait(10)
            proxy.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refused(proxy.port))
            go_on.set()
            assert reply(peer).status == 200
            assert proxy.process.wait(15) == 0


def test_a_second_signal_ends_what_is_under_way(tmp_path: Path) -> None:
    held = Held()
    with TcpOrigin(held.serve) as origin:
        config = make_config(tmp_path / "config", [origin.port], robots="off")
        with Workers(config) as proxy, dial(proxy.port) as peer:
            where = f"127.0.0.1:{origin.port}"
            peer.sendall(get(f"http://{where}/", where))
            assert held.begun.wait(10)
            proxy.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refused(proxy.port))
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait(9) == 0  # less than it would drain for
        held.go_on.set()
        (_, end), = proxy.pairs(destination_port=origin.port)
        assert end is not None and "the proxy stopped" in end["event.reason"]


# --- the start ----------------------------------------------------------------------------------


def test_a_first_start_makes_one_authority_and_one_account(
        tmp_path: Path, tls_origin: Origin, trust: dict[str, str]) -> None:
    """Both workers find neither, and look at the same moment."""
    config = make_config(tmp_path / "config", [tls_origin.port], robots="off")
    for path in (config / "var").glob("accounts.db*"):
        path.unlink()
    with Workers(config, names={"site.test": ["127.0.0.1"]}, options=trust) as proxy:
        password, = re.findall(r"^    ([A-Za-z0-9_-]{24})$", proxy.log, re.MULTILINE)
        add_account(config, "alice", PASSWORD, inspect=True, consent="2026-01-01")
        assert password and proxy.log.count("First run") == 1
        served = set()
        for _ in range(TRIES):
            with inspected(proxy, "site.test", tls_origin.port) as tunnel:  # verifies against it
                served.add(server_of(proxy, tunnel))
            if len(served) == WORKERS:
                break
        assert served == set(proxy.pids())
        assert "were not built" not in proxy.log


def test_compiled_lists_that_are_damaged_are_built_again_for_all(config: Path, origin: Origin
                                                                ) -> None:
    """One worker builds. What the others could not open either comes back under the same name."""
    (config / "lists" / "ads.txt").write_text("ads.test\n")
    edit_yaml(config / "destinations.yaml", lambda data: data["lists"].append(
        {"id": "ads", "file": "lists/ads.txt", "format": "domains", "clause": "S-covert"}))
    names = {name: ["127.0.0.1"] for name in ("site.test", "ads.test")}

    def enforced(proxy: Workers) -> bool:
        return all(set(of_each(proxy, f"http://{host}:{origin.port}/").values()) == {status}
                   for host, status in (("site.test", 200), ("ads.test", 403)))

    with Workers(config, names=names) as proxy:
        wait_until(lambda: enforced(proxy), 20)
    generation, = (proxy.data / "lists" / "generations").glob("[0-9a-f]*")
    for path in generation.iterdir():
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        if path.suffix != ".json" and data:
            data[len(data) // 2] ^= 0x40
            path.write_bytes(data)
    with Workers(config, names=names) as proxy:
        wait_until(lambda: enforced(proxy), 20)
        assert proxy.log.count("cannot be used") == WORKERS


def failing(proxy: Workers) -> tuple[int, str]:
    """Its exit status and what it said, of one that does not start."""
    with pytest.raises(AssertionError, match="the proxy ended"):
        proxy.start()
    proxy.dns.stop()
    return proxy.process.wait(10), proxy.log


def test_an_option_that_no_worker_can_start_with(config: Path) -> None:
    proxy = Workers(config, options={"no_such_option": "1"}, start=False)
    code, said = failing(proxy)
    assert code == 2 and "unknown option no_such_option" in said
    assert "stopping" in said and "starting it again" not in said
    assert refused(proxy.port)


def test_a_port_that_other_workers_have(config: Path, shared: tuple[Workers, Origin]) -> None:
    """SO_REUSEPORT would let two proxies of the same user share their clients, unnoticed."""
    proxy = Workers(config, start=False)
    proxy.port = shared[0].port
    code, said = failing(proxy)
    assert code == 1 and f"cannot listen on 127.0.0.1:{proxy.port}" in said
    assert "Traceback" not in said


def test_a_broken_configuration_is_said_once(config: Path) -> None:
    edit_yaml(config / "robots.yaml", lambda data: data.update(mode="maybe"))
    code, said = failing(Workers(config, start=False))
    assert code == 1 and said.count('mode: "maybe"') == 1


def test_port_0_is_the_same_for_all(config: Path, origin: Origin) -> None:
    proxy = Workers(config, start=False)
    proxy.port = 0
    proxy.start()
    try:
        places = re.findall(r"worker \d: .* listening on (\S+?)\.\n", proxy.log)
        assert len(places) == WORKERS and len(set(places)) == 1
        proxy.port = int(places[0].rpartition(":")[2])
        assert set(of_each(proxy, f"http://127.0.0.1:{origin.port}/").values()) == {200}
    finally:
        proxy.stop()
