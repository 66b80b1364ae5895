"""The denylist: which entries of which lists a destination is on.

Immutable once built; a reload builds another. Every question is a handful of look-ups in dicts,
whatever the size of the lists: one per label of a name, one per prefix length in use for an
address, one per length of a URL prefix that its host has. Answers hold every hit, not the first:
an exception may lift one of them and not the next.

What a tunnel hides is not guessed at. A request whose path is unknown (`path` "") matches no url
entry, because one page on a list is no reason to deny a whole site.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from .address import Network
from .destination import Address, Host, reaches
from .list_entry import Entry, Kind
from .url_prefix import UrlPrefix, canonical_path


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that matched. `rule` is list id and line, as in `malware:12`."""

    list_id: str
    rule: str
    clause: str
    blocked_by: str = ""


Hits = tuple[Hit, ...]


class _Networks:
    """Networks of one IP version: for each prefix length in use, a dict from prefix to hits."""

    __slots__ = ("_levels",)

    def __init__(self, bits: int, networks: Mapping[Network, Hits]) -> None:
        levels: dict[int, dict[int, Hits]] = defaultdict(dict)
        for network, hits in networks.items():
            shift = bits - network.prefixlen
            levels[shift][int(network.network_address) >> shift] = hits
        self._levels = tuple(sorted(levels.items()))  # the longest prefixes first

    def match(self, address: Address) -> Hits:
        if not self._levels:
            return ()
        value = int(address)
        found: Hits = ()
        for shift, prefixes in self._levels:
            hits = prefixes.get(value >> shift)
            if hits:
                found += hits
        return found


class _Urls:
    """The url entries of one host: a dict from prefix to entries, and the lengths that occur."""

    __slots__ = ("_lengths", "_prefixes")

    def __init__(self, entries: Iterable[tuple[UrlPrefix, Hit]]) -> None:
        prefixes: dict[bytes, list[tuple[UrlPrefix, Hit]]] = defaultdict(list)
        for url, hit in entries:
            prefixes[url.path].append((url, hit))
        self._prefixes = dict(prefixes)
        self._lengths = tuple(sorted({len(path) for path in prefixes}))

    def match(self, port: int, scheme: str, path: str) -> Hits:
        canonical = canonical_path(path)
        if canonical is None:  # encoded beyond reading: taken for every entry of this host
            found = [pair for pairs in self._prefixes.values() for pair in pairs]
        else:
            found = [pair for length in self._lengths if length <= len(canonical)
                     for pair in self._prefixes.get(canonical[:length], ())]
        return tuple(hit for url, hit in found
                     if url.scheme in ("", scheme) and url.port in (0, port))


@dataclass(frozen=True, slots=True, eq=False)
class Denylist:
    """Make one with `Denylist.build`. `version` is the hex SHA-256 over all entries, in any order;
    `size` the number of different entries."""

    version: str
    size: int
    _domains: Mapping[str, Hits]
    _hosts: Mapping[str, Hits]
    _ports: Mapping[int, Hits]
    _urls: Mapping[str, _Urls]
    _v4: _Networks
    _v6: _Networks

    @classmethod
    def build(cls, entries: Iterable[Entry] = ()) -> Denylist:
        """Compile entries. One that a list holds twice counts once, at its first line.

        Raises TypeError for a value that is not of its kind.
        """
        domains: dict[str, Hits] = defaultdict(tuple)
        hosts: dict[str, Hits] = defaultdict(tuple)
        ports: dict[int, Hits] = defaultdict(tuple)
        networks: dict[int, dict[Network, Hits]] = {4: defaultdict(tuple), 6: defaultdict(tuple)}
        urls: dict[str, list[tuple[UrlPrefix, Hit]]] = defaultdict(list)
        lines: set[str] = set()
        known: set[tuple[str, Kind, object]] = set()
        for entry in entries:
            key = (entry.list_id, entry.kind, entry.value)
            if key in known:
                continue
            known.add(key)
            lines.add(repr((entry.list_id, entry.line, str(entry.kind), str(entry.value),
                            entry.clause, entry.blocked_by)))
            hit = Hit(entry.list_id, f"{entry.list_id}:{entry.line}", entry.clause,
                      entry.blocked_by)
            match entry.kind, entry.value:
                case Kind.DOMAIN, str(name):
                    domains[name] += (hit,)
                case Kind.HOST, str(name):
                    hosts[name] += (hit,)
                case Kind.PORT, int(port):
                    ports[port] += (hit,)
                case Kind.URL, UrlPrefix() as url:
                    urls[url.host.text].append((url, hit))
                case Kind.NETWORK, IPv4Network() | IPv6Network() as network:
                    networks[network.version][network] += (hit,)
                case kind, value:
                    raise TypeError(f"{hit.rule}: {value!r} is no value of a {kind} entry")
        digest = hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass"))
        return cls(
            digest.hexdigest(), len(known), dict(domains), dict(hosts), dict(ports),
            {host: _Urls(found) for host, found in urls.items()},
            _Networks(32, networks[4]), _Networks(128, networks[6]))

    def match(self, host: Host, port: int, scheme: str, path: str) -> Hits:
        """Every hit of a target: by name, by URL, by port, and by address if `host` is one.

        `path` is path and query in origin form, "" where it cannot be seen.
        """
        text = host.text
        found: Hits = self._ports.get(port, ())
        if host.address is not None:
            for address in reaches(host.address):
                found += (self._v4 if address.version == 4 else self._v6).match(address)
        else:
            found += self._hosts.get(text, ())
            domains = self._domains
            name = text
            while name:
                hits = domains.get(name)
                if hits:
                    found += hits
                name = name.partition(".")[2]
        if path:
            urls = self._urls.get(text)
            if urls is not None:
                found += urls.match(port, scheme, path)
        return found

    def match_address(self, address: Address, port: int) -> Hits:
        """Every hit of an address a name resolved to, or of any address embedded in it."""
        found: Hits = self._ports.get(port, ())
        for each in reaches(address):
            found += (self._v4 if each.version == 4 else self._v6).match(each)
        return found
