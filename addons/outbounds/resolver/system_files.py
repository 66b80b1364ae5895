"""What this machine itself says about names: /etc/hosts and /etc/resolv.conf.

Both are read again when they change, because machines change networks while a proxy runs. A file
that is not there says nothing; one that is there but cannot be read leaves what was read last.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from pathlib import Path

from ..core.destination import Address

HOSTS = Path("/etc/hosts")
RESOLV_CONF = Path("/etc/resolv.conf")

_LOOPBACK: tuple[Address, ...] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
_MAX_SERVERS = 3  # MAXNS of resolv.conf(5): what every other program of this machine asks

Names = dict[str, tuple[Address, ...]]


class Watched[T]:
    """The content of a file, as `parse` reads it, read again after it changed."""

    def __init__(self, path: Path, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._lock = asyncio.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._value = parse("")

    async def value(self) -> T:
        # one reads and the others wait: they would go by what the file said before
        async with self._lock:
            seen = self._look()
            if seen != self._seen:
                # in a thread: hosts files of several megabytes are in use, to block names
                await asyncio.to_thread(self._read, seen)
        return self._value

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self, seen: tuple[int, int, int] | None) -> None:
        try:
            text = "" if seen is None else self._path.read_text("utf-8", "replace")
        except OSError:
            return  # it will be tried again at the next look-up
        # `seen` is older than the text: a change in between is found at the next look
        self._value, self._seen = self._parse(text), seen


def parse_hosts(text: str) -> Names:
    """hosts(5): an address, then its names. Lines that are none are left out, as everywhere.

    A name on several lines has the addresses of all of them. Scope ids are dropped: they stand at
    link-local addresses, which no policy lets a customer reach.
    """
    names: dict[str, dict[Address, None]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        try:
            address = ipaddress.ip_address(words[0].partition("%")[0])
        except ValueError:
            continue
        for word in words[1:]:
            names.setdefault(word.lower().removesuffix("."), {})[address] = None
    return {name: tuple(addresses) for name, addresses in names.items()}


def local_addresses(names: Names, name: str) -> tuple[Address, ...]:
    """The addresses that this machine itself gives `name`; none: ask the name servers.

    `localhost` and what is below it are this machine (RFC 6761 section 6.3), whatever else the
    hosts file or a search domain would make of them, and are never asked of a server.
    """
    if name == "localhost" or name.endswith(".localhost"):
        said = names.get(name) or names.get("localhost", ())
        return tuple(address for address in said if address.is_loopback) or _LOOPBACK
    return names.get(name, ())


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """The addresses of the name servers, with their zone where they are link-local. None named
    means one on this machine: resolv.conf(5). Search domains and options are not used: a customer
    writes whole names."""
    servers = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            ipaddress.ip_address(words[1])
        except ValueError:
            continue
        servers.append(words[1])
    return tuple(servers[:_MAX_SERVERS]) or ("127.0.0.1",)
