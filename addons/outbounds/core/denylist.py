"""The lists that operators keep by hand, in memory: which of their entries fit a destination.

Immutable once built; a reload builds another. Every question is a handful of look-ups in dicts,
whatever the size of the lists: one per label of a name, one per prefix length in use for an
address, one per length of a URL prefix that its host has. Answers hold every hit, not the first:
an exception may lift one of them and not the next. Lists of millions are compiled instead
(`outbounds.lists`), and asked in the same way (`core.hit.Matcher`).

What a tunnel hides is not guessed at. A request whose path is unknown (`path` "") matches no url
entry, because one page on a list is no reason to deny a whole site.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from .address import Network
from .destination import Address, Host, reaches
from .hit import Hit, Hits, Matcher, Terms
from .list_entry import Effect, Entry, Kind, weight
from .url_prefix import UrlPrefix, readings


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
        places = readings(path)
        if places is None:  # encoded beyond reading: taken for every entry that denies
            found = [pair for pairs in self._prefixes.values() for pair in pairs]
        else:
            found = [pair for place in places for length in self._lengths if length <= len(place)
                     for pair in self._prefixes.get(place[:length], ())]
        if places is None or len(places) > 1:
            found = [pair for pair in dict.fromkeys(found) if pair[1].effect is Effect.DENY]
        return tuple(hit for url, hit in found
                     if url.scheme in ("", scheme) and url.port in (0, port))


@dataclass(frozen=True, slots=True, eq=False)
class Denylist:
    """A `Matcher`. Make one with `Denylist.build`. `version` is the hex SHA-256 over all entries,
    in any order; `size` the number of different entries."""

    version: str
    size: int
    _names: Mapping[Kind, Mapping[str, Hits]]
    _ports: Mapping[int, Hits]
    _schemes: Mapping[str, Hits]
    _urls: Mapping[str, _Urls]
    _v4: _Networks
    _v6: _Networks

    @classmethod
    def build(cls, lists: Iterable[tuple[Terms, Sequence[Entry]]] = ()) -> Denylist:
        """Index the entries of lists. One that a list holds twice counts once, at its first line.

        Raises TypeError for a value that is not of its kind, and for a pattern: those need an
        engine, and are compiled.
        """
        names: dict[Kind, dict[str, Hits]] = {
            kind: defaultdict(tuple) for kind in (Kind.DOMAIN, Kind.HOST, Kind.BELOW)}
        ports: dict[int, Hits] = defaultdict(tuple)
        schemes: dict[str, Hits] = defaultdict(tuple)
        networks: dict[int, dict[Network, Hits]] = {4: defaultdict(tuple), 6: defaultdict(tuple)}
        urls: dict[str, list[tuple[UrlPrefix, Hit]]] = defaultdict(list)
        lines: set[str] = set()
        known: set[tuple[object, ...]] = set()
        for terms, entries in lists:
            for entry in entries:
                key = (terms.id, entry.kind, entry.value, entry.effect, entry.labels, entry.scope)
                if key in known:
                    continue
                known.add(key)
                lines.add(repr((terms, str(entry.value), tuple(entry))))
                hit = Hit(terms, entry.line, entry.effect, weight(entry.kind, entry.value),
                          (*terms.labels, *entry.labels), entry.scope)
                match entry.kind, entry.value:
                    case (Kind.DOMAIN | Kind.HOST | Kind.BELOW), str(name):
                        names[entry.kind][name] += (hit,)
                    case Kind.PORT, int(port):
                        ports[port] += (hit,)
                    case Kind.SCHEME, str(scheme):
                        schemes[scheme] += (hit,)
                    case Kind.URL, UrlPrefix() as url:
                        urls[url.host.text].append((url, hit))
                    case Kind.NETWORK, IPv4Network() | IPv6Network() as network:
                        networks[network.version][network] += (hit,)
                    case kind, value:
                        raise TypeError(f"{hit.rule}: {value!r} is no {kind} entry of a list "
                                        "in memory")
        digest = hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass"))
        return cls(
            digest.hexdigest(), len(known), {kind: dict(found) for kind, found in names.items()},
            dict(ports), dict(schemes), {host: _Urls(found) for host, found in urls.items()},
            _Networks(32, networks[4]), _Networks(128, networks[6]))

    def match(self, host: Host, port: int, scheme: str, path: str) -> Hits:
        text = host.text
        found: Hits = self._ports.get(port, ()) + self._schemes.get(scheme, ())
        if host.address is not None:
            found += self._at(host.address)
        else:
            found += self._names[Kind.HOST].get(text, ())
            domains, below = self._names[Kind.DOMAIN], self._names[Kind.BELOW]
            found += domains.get(text, ())
            name = text.partition(".")[2]
            while name:
                hits = domains.get(name)
                if hits:
                    found += hits
                hits = below.get(name)
                if hits:
                    found += hits
                name = name.partition(".")[2]
        if path:
            urls = self._urls.get(text)
            if urls is not None:
                found += urls.match(port, scheme, path)
        return found

    def match_address(self, address: Address, port: int) -> Hits:
        return self._at(address)

    def _at(self, address: Address) -> Hits:
        found: Hits = ()
        for each in reaches(address):
            found += (self._v4 if each.version == 4 else self._v6).match(each)
        return found


class Layers:
    """Several matchers asked as one: the lists in memory, and the compiled ones."""

    def __init__(self, *matchers: Matcher) -> None:
        self._matchers = matchers
        self.version = hashlib.sha256(
            "\n".join(each.version for each in matchers).encode()).hexdigest()
        self.size = sum(each.size for each in matchers)

    def match(self, host: Host, port: int, scheme: str, path: str) -> Hits:
        found: Hits = ()
        for each in self._matchers:
            found += each.match(host, port, scheme, path)
        return found

    def match_address(self, address: Address, port: int) -> Hits:
        found: Hits = ()
        for each in self._matchers:
            found += each.match_address(address, port)
        return found
