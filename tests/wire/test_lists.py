"""Compiled lists in a running proxy: built beside it, swapped under it, and never less than whole.

The proxy starts the very build that an operator would, on real files and from a real origin; what
is in force is seen from outside only: answers, records, log, metrics.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from .harness import ROOT, Proxy, edit_yaml, free_port, lift_limits, make_config, wait_until
from .origin import Origin
from .sockets import ask

NAMES = {name: ["127.0.0.1"] for name in (
    "site.test", "ads.test", "sub.ads.test", "new.test", "trial.test", "lists.test")}
BUILT = 20.0  # s for a build that has an interpreter to start on a busy machine


class Bench:
    def __init__(self, folder: Path, origin: Origin) -> None:
        self.origin = origin
        self.config = make_config(folder / "config", [origin.port], robots="off")
        lift_limits(self.config)

    def add_list(self, **entry: Any) -> None:
        edit_yaml(self.config / "destinations.yaml",
                  lambda data: data["lists"].append({"clause": "S-covert", **entry}))

    def write(self, name: str, lines: Sequence[str]) -> Path:
        path = self.config / "lists" / name
        draft = path.with_suffix(".draft")
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(path)
        return path

    def proxy(self, **more: Any) -> Proxy:
        return Proxy(self.config, names=NAMES, **more)

    def status(self, proxy: Proxy, host: str = "site.test", path: str = "/") -> int:
        return ask(proxy, f"http://{host}:{self.origin.port}{path}").status


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Origin(free_port()) as origin:
        yield Bench(tmp_path, origin)


def test_a_list_is_built_put_in_force_changed_and_every_hit_names_its_line(bench: Bench) -> None:
    bench.write("ads.txt", ["# hosts", "0.0.0.0 ads.test"])
    bench.add_list(id="ads", file="lists/ads.txt", format="hosts", labels=["ads"])
    with bench.proxy() as proxy:
        # not one request gets through before the list is there
        assert bench.status(proxy) in (200, 503)
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        assert bench.status(proxy, "ads.test") == 403
        assert bench.status(proxy, "sub.ads.test") == 200  # a hosts entry is that host alone
        (start, _), = proxy.pairs(destination_domain="ads.test")
        assert (start["rule.id"], start["rule.reference"], start["rule.category"]) == (
            "ads:2", "S-covert", "ads")
        first = start["outbounds.lists.version"]
        assert len(first) == 64

        bench.write("ads.txt", ["# hosts", "", "0.0.0.0 new.test"])
        wait_until(lambda: bench.status(proxy, "new.test") == 403, BUILT)
        assert bench.status(proxy, "ads.test") == 200
        start = proxy.pairs(destination_domain="new.test")[-1][0]
        assert start["rule.id"] == "ads:3" and start["outbounds.lists.version"] != first
        metrics = proxy.metrics()
        assert metrics['outbounds_list_entries{list="ads"}'] == 1
        assert metrics['outbounds_list_swaps_total{result="done"}'] == 2


def test_a_restart_has_the_lists_at_once(bench: Bench) -> None:
    bench.write("ads.txt", ["0.0.0.0 ads.test"])
    bench.add_list(id="ads", file="lists/ads.txt", format="hosts")
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
    with bench.proxy() as proxy:
        assert bench.status(proxy) == 200
        assert bench.status(proxy, "ads.test") == 403


def feed_of(bench: Bench, **more: Any) -> None:
    """A feed that the test's own origin publishes."""
    async def publish(_: web.Request) -> web.Response:
        return web.Response(text="ads.test\n")

    bench.origin.handler = publish
    bench.add_list(id="feed", format="domains", feed={
        "url": f"http://127.0.0.1:{bench.origin.port}/list", **more})


def test_a_restart_with_a_feed_has_it_at_once_and_raises_no_alarm(bench: Bench) -> None:
    feed_of(bench, when_stale="refuse")
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        assert bench.status(proxy, "ads.test") == 403
    with bench.proxy() as proxy:
        assert bench.status(proxy) == 200
        assert bench.status(proxy, "ads.test") == 403
        assert "max_age" not in proxy.log and "refused until" not in proxy.log


@pytest.mark.parametrize(("mode", "when_stale", "status"), [
    ("serve", "refuse", 503), ("mitmdump", "refuse", 503), ("serve", "keep", 200)])
def test_a_feed_that_is_stale_at_the_start(
        bench: Bench, mode: str, when_stale: str, status: int) -> None:
    feed_of(bench, when_stale=when_stale)
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
    path = proxy.data / "lists" / "status.json"
    said = json.loads(path.read_text())
    said["lists"][0]["good_at"] -= 4 * 86400
    path.write_text(json.dumps(said))
    with bench.proxy(mode=mode) as proxy:
        assert bench.status(proxy) == status
        assert bench.status(proxy, "ads.test") == (403 if status == 200 else 503)
        assert "List feed is older than its max_age" in proxy.log
        assert proxy.metrics()['outbounds_list_stale{list="feed"}'] == 1


def test_without_a_list_that_it_should_have_the_proxy_refuses_everything(bench: Bench) -> None:
    bench.write("ads.txt", ["\x00\x01 noise"])
    bench.add_list(id="ads", file="lists/ads.txt", format="hosts")
    with bench.proxy() as proxy:
        wait_until(lambda: "List ads:" in proxy.log, BUILT)
        reply = ask(proxy, f"http://site.test:{bench.origin.port}/")
        assert reply.status == 503 and reply.headers["retry-after"]
        assert "list-unusable:ads" in reply.body.decode()
        (start, _) = proxy.pairs(destination_domain="site.test")[-1]
        assert start["rule.id"] == "list-unusable:ads"
        assert bench.origin.paths() == []
        # mended, it serves, with no restart
        bench.write("ads.txt", ["0.0.0.0 ads.test"])
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        assert bench.status(proxy, "ads.test") == 403


@pytest.mark.parametrize("lines", [
    ["||ads.test^", "! a list of another format", "||new.test^"] * 20,
    ["0.0.0.0 com"],
    ["PK\x03\x04 \x00\xff"],
], ids=["another format", "poison", "noise"])
def test_a_change_that_cannot_be_used_leaves_the_last_good_list(
        bench: Bench, lines: list[str]) -> None:
    bench.write("ads.txt", ["ads.test"])
    bench.add_list(id="ads", file="lists/ads.txt", format="domains")
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        bench.write("ads.txt", lines)
        wait_until(lambda: proxy.metrics().get('outbounds_list_error{list="ads"}') == 1, BUILT)
        assert "ads.txt" in proxy.log.partition("List ads:")[2]
        assert bench.status(proxy, "ads.test") == 403 and bench.status(proxy) == 200


def test_a_new_list_comes_into_force_with_the_configuration_that_names_it(bench: Bench) -> None:
    """In between, and if it never comes, the policy from before decides."""
    feed_port = free_port()
    with bench.proxy() as proxy:
        assert bench.status(proxy) == 200
        edit_yaml(bench.config / "destinations.yaml", lambda data: data["grants"].append(
            {"id": "feeds", "network": "127.0.0.0/8", "ports": [feed_port], "reason": "test"}))
        bench.add_list(id="feed", feed={"url": f"http://127.0.0.1:{feed_port}/list"},
                       format="domains")
        wait_until(lambda: "waits for list feed" in proxy.log, BUILT)
        wait_until(lambda: "List feed:" in proxy.log or proxy.metrics().get(
            'outbounds_list_builds_total{result="bad"}'), BUILT)
        assert bench.status(proxy) == 200 and bench.status(proxy, "ads.test") == 200


def test_a_corrupt_generation_is_not_opened_and_is_built_again(bench: Bench) -> None:
    bench.write("ads.txt", ["0.0.0.0 ads.test"])
    bench.add_list(id="ads", file="lists/ads.txt", format="hosts")
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
    folder = next((proxy.data / "lists" / "generations").glob("[0-9a-f]*"))
    for path in folder.iterdir():
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        if path.suffix != ".json" and data:
            data[len(data) // 2] ^= 0x40
            path.write_bytes(data)
    with bench.proxy() as proxy:
        wait_until(lambda: "cannot be used" in proxy.log, BUILT)
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        assert bench.status(proxy, "ads.test") == 403


def test_a_swap_ends_no_connection(bench: Bench) -> None:
    bench.write("ads.txt", ["0.0.0.0 ads.test"])
    bench.add_list(id="ads", file="lists/ads.txt", format="hosts")
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
            def once(host: str) -> int:
                raw.sendall((
                    f"GET http://{host}:{bench.origin.port}/ HTTP/1.1\r\nHost: {host}:"
                    f"{bench.origin.port}\r\nProxy-Authorization: Basic {_basic()}\r\n\r\n"
                ).encode())
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = raw.recv(65536)
                    assert piece, "the proxy closed the connection"
                    head += piece
                fields, _, body = head.partition(b"\r\n\r\n")
                length = int(next(line.split(b":")[1] for line in fields.split(b"\r\n")
                                  if line.lower().startswith(b"content-length:")))
                while len(body) < length:
                    body += raw.recv(65536)
                return int(fields.split()[1])

            assert once("site.test") == 200 and once("new.test") == 200
            bench.write("ads.txt", ["0.0.0.0 ads.test", "0.0.0.0 new.test"])
            deadline = time.monotonic() + BUILT
            while once("new.test") == 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert once("new.test") == 403 and once("site.test") == 200


def _basic() -> str:
    import base64

    from .harness import PASSWORD
    return base64.b64encode(f"alice:{PASSWORD}".encode()).decode()


def test_a_list_for_one_plan_and_explain_says_the_same(bench: Bench) -> None:
    bench.write("ads.txt", ["trial.test"])
    bench.add_list(id="ads", file="lists/ads.txt", format="domains", plans=["trial"])
    edit_yaml(bench.config / "plans.yaml",
              lambda data: data["plans"].append(
                  {"id": "trial", "limits": list(data["plans"][0]["limits"])}))
    with bench.proxy() as proxy:
        wait_until(lambda: bench.status(proxy) == 200, BUILT)
        assert bench.status(proxy, "trial.test") == 200
        _outbounds(bench.config, "accounts", "set-plan", "alice", "trial")
        wait_until(lambda: bench.status(proxy, "trial.test") == 403)
        told = json.loads(_outbounds(bench.config, "explain", "--account", "alice", "--json",
                                     f"http://trial.test:{bench.origin.port}/"))
        assert told["steps"][-1]["rule"] == "ads:1"


def _outbounds(config: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "outbounds", *words, "--config", str(config)], cwd=ROOT / "addons",
        capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return done.stdout
