"""What a module's tests share: one proxy, an origin of each kind, and their names.

A proxy takes about a second to start, so the tests of one module use one, each with names or
accounts of its own where they would disturb each other.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dialogue import Answer, Dialogue, H2Dialogue, basic
from .h2_origin import H2Origin
from .harness import ROOT, Proxy, free_port, make_config, wait_until
from .origin import Origin, authority

HOSTS = ("site.test", "other.test")
WILDCARD = "*.site.test"  # in the certificate: a.site.test, b.site.test, … are free to use


@dataclass
class Stage:
    """`ca` is what the TLS origins' certificates are signed with, `leaf` their certificate."""

    proxy: Proxy
    plain: Origin
    tls: Origin
    h2: H2Origin
    ca: Path
    leaf: Path

    def clear(self) -> None:
        """Forget what the origins have seen."""
        for origin in (self.plain, self.tls, self.h2):
            origin.seen.clear()

    def reached(self) -> list[str]:
        """Paths that any origin was asked for, robots.txt left out."""
        return self.plain.paths() + self.tls.paths() + self.h2.paths()

    def url(self, path: str = "/", host: str = "site.test", kind: str = "plain") -> str:
        scheme = "http" if kind == "plain" else "https"
        return f"{scheme}://{self.at(host, kind)}{path}"

    def at(self, host: str = "site.test", kind: str = "plain") -> str:
        """host:port"""
        return f"{host}:{getattr(self, kind).port}"

    def dialogue(self, source: str = "127.0.0.1") -> Dialogue:
        return Dialogue(self.proxy.port, source=source)

    @contextmanager
    def inspected(self, host: str = "site.test", kind: str = "tls", *, name: str = "alice",
                  sni: str = "") -> Iterator[Dialogue]:
        """HTTP/1.1 inside TLS that the proxy opens."""
        with self.dialogue() as dialogue:
            answer = dialogue.connect(self.at(host, kind), [basic(name)])
            assert answer.status == 200, answer
            dialogue.start_tls(sni or host, self.proxy.ca)
            yield dialogue

    @contextmanager
    def inspected_h2(self, host: str = "site.test", kind: str = "h2", *, name: str = "alice",
                     sni: str = "") -> Iterator[H2Dialogue]:
        """HTTP/2 inside TLS that the proxy opens."""
        with self.dialogue() as dialogue:
            answer = dialogue.connect(self.at(host, kind), [basic(name)])
            assert answer.status == 200, answer
            inner = dialogue.start_tls(sni or host, self.proxy.ca, h2=True)
            assert inner is not None
            yield inner

    def record(self, answer: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
        """The opening and closing record that a refusal names. AssertionError if there is none."""
        def find() -> Any:
            return next((pair for pair in self.proxy.pairs(event_id=answer.record_id)
                         if pair[1] is not None), None)

        found: tuple[dict[str, Any], dict[str, Any]] = wait_until(find)
        return found

    def command(self, *words: str, stdin: str = "") -> str:
        """Run `outbounds …` on this configuration, as an operator does; its output."""
        done = subprocess.run(
            [sys.executable, "-m", "outbounds", *words, "--config", str(self.proxy.config)],
            input=stdin, capture_output=True, text=True, timeout=30, check=False,
            env={"PYTHONPATH": str(ROOT / "addons"), "PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def staged(folder: Path, *, prepare: Callable[[Path, list[int]], None] = lambda config, ports: None,
           hosts: Sequence[str] = (), extra_ports: Sequence[int] = (), mode: str = "serve",
           **more: Any) -> Iterator[Stage]:
    """A running stage. `prepare(config, ports of plain, tls, h2)` edits the configuration first;
    `hosts` are more names at 127.0.0.1; `more` goes to `Proxy`."""
    ca, tls = authority(folder / "ca", "localhost", *HOSTS, WILDCARD, "127.0.0.1")
    leaf = folder / "ca" / "leaf.pem"
    with ExitStack() as stack:
        plain = stack.enter_context(Origin(free_port()))
        secure = stack.enter_context(Origin(free_port(), tls=tls))
        h2 = stack.enter_context(H2Origin(free_port(), leaf))
        ports = [plain.port, secure.port, h2.port]
        config = make_config(folder / "config", [*ports, *extra_ports])
        prepare(config, ports)
        names: Mapping[str, Sequence[str]] = {
            **{host: ["127.0.0.1"] for host in (*HOSTS, *hosts)}, **more.pop("names", {})}
        options = {"ssl_verify_upstream_trusted_ca": str(ca), **more.pop("options", {})}
        proxy = stack.enter_context(Proxy(config, mode, names=names, options=options, **more))
        yield Stage(proxy, plain, secure, h2, ca, leaf)
