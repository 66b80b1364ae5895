"""/etc/hosts and /etc/resolv.conf: read as their manual pages say, and again when they change."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from outbounds.resolver import order
from outbounds.resolver.order import ordered
from outbounds.resolver.system_files import (
    Watched,
    local_addresses,
    parse_hosts,
    parse_resolv_conf,
)

HOSTS = """\
# a comment
127.0.0.1\tlocalhost
::1 localhost ip6-localhost
192.0.2.7  Printer.Example. printer # the one upstairs
2001:db8::7 printer

not-an-address x.example
192.0.2.8
fe80::1%eth0 link.example
10.0.0.1 evil.localhost
"""


@pytest.mark.parametrize(("name", "addresses"), [
    ("localhost", ["127.0.0.1", "::1"]),
    ("ip6-localhost", ["::1"]),
    ("printer", ["192.0.2.7", "2001:db8::7"]),
    ("printer.example", ["192.0.2.7"]),
    ("link.example", ["fe80::1"]),
    ("x.example", []),
    ("other.example", []),
    ("below.printer", []),
    # RFC 6761 section 6.3: always this machine, whatever a file says
    ("a.b.localhost", ["127.0.0.1", "::1"]),
    ("evil.localhost", ["127.0.0.1", "::1"]),
    ("notlocalhost", []),
])
def test_the_hosts_file(name: str, addresses: list[str]) -> None:
    assert local_addresses(parse_hosts(HOSTS), name) == tuple(map(ip_address, addresses))


def test_localhost_is_this_machine_without_a_file_and_on_one_family() -> None:
    both = (ip_address("127.0.0.1"), ip_address("::1"))
    assert local_addresses({}, "localhost") == local_addresses({}, "x.localhost") == both
    assert local_addresses(parse_hosts("127.0.0.1 localhost"), "x.localhost") == both[:1]
    assert local_addresses(parse_hosts("192.0.2.1 localhost"), "localhost") == both


@pytest.mark.parametrize(("text", "servers"), [
    ("", ("127.0.0.1",)),
    ("search example.com\noptions edns0\n", ("127.0.0.1",)),
    ("; old\n# nameserver 192.0.2.1\nnameserver 192.0.2.2 # ours\n", ("192.0.2.2",)),
    ("nameserver 2001:db8::53\nnameserver fe80::1%eth0", ("2001:db8::53", "fe80::1%eth0")),
    ("nameserver dns.example\nnameserver\nnameserver 192.0.2.1", ("192.0.2.1",)),
    ("".join(f"nameserver 192.0.2.{i}\n" for i in range(1, 9)),
     ("192.0.2.1", "192.0.2.2", "192.0.2.3")),
])
def test_resolv_conf(text: str, servers: tuple[str, ...]) -> None:
    assert parse_resolv_conf(text) == servers


async def test_a_file_is_read_again_when_it_changes_and_only_then(tmp_path: Path) -> None:
    path, read = tmp_path / "hosts", []

    def parse(text: str) -> str:
        read.append(text)
        return text

    watched = Watched(path, parse)
    assert await watched.value() == ""  # a file that is not there says nothing
    path.write_text("one")
    assert await asyncio.gather(*(watched.value() for _ in range(5))) == ["one"] * 5
    assert read == ["", "one"]
    draft = tmp_path / "draft"
    draft.write_text("two")
    draft.replace(path)
    assert await watched.value() == "two"
    path.unlink()
    assert await watched.value() == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_what_cannot_be_read_leaves_what_was(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("one")
    watched = Watched(path, str)
    assert await watched.value() == "one"
    path.write_text("other")
    path.chmod(0)
    assert await watched.value() == "one"
    path.chmod(0o600)
    assert await watched.value() == "other"


async def test_a_file_that_fails_leaves_what_was(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("one")
    watched = Watched(path, str)
    assert await watched.value() == "one"
    path.unlink()
    path.mkdir()  # there, and no file: reading it fails
    assert await watched.value() == "one"


# --- order: RFC 6724 section 6, the plain case -----------------------------------------------

FOUR, SIX = ["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]


class Probe:
    """A kernel that routes IPv6 from `source`, or not at all."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __call__(self, *_: object) -> Probe:
        return self

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None: ...

    def connect(self, address: object) -> None:
        if not self._source:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int, int, int]:
        return self._source, 9, 0, 0


@pytest.mark.parametrize(("source", "given", "wanted"), [
    ("2001:db8::99", [*FOUR, *SIX], [*SIX, *FOUR]),
    ("2001:db8::99", [*SIX, *FOUR], [*SIX, *FOUR]),
    ("", [*SIX, *FOUR], [*FOUR, *SIX]),  # no route: all the same dialled where the others fail
    ("fd00::99", [*SIX, *FOUR], [*FOUR, *SIX]),
    ("fd00::99", ["192.0.2.1", "fd00::1"], ["fd00::1", "192.0.2.1"]),
    ("", SIX, SIX),
    ("2001:db8::99", FOUR, FOUR),
    ("", [*FOUR, *FOUR], FOUR),
    ("", [], []),
])
def test_the_order_of_trying(monkeypatch: pytest.MonkeyPatch, source: str, given: list[str],
                             wanted: list[str]) -> None:
    monkeypatch.setattr(order.socket, "socket", Probe(source))
    addresses: Callable[[list[str]], object] = lambda texts: tuple(map(ip_address, texts))  # noqa: E731
    assert ordered(addresses(given)) == addresses(wanted)  # type: ignore[arg-type]
