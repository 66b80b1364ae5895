"""URL prefixes: a trie of host and canonical path, so that one descent finds every prefix.

Whether an entry also names a scheme or a port is looked at when its path matches: the rows of a key
always stand in the second array, and beside it an array of limits.

A path that nobody can read counts as every path of its host. For that, and to know quickly
that a host has no entry at all, a second table holds for each host the different ways in which its
entries deny, each once. What allows is left out of it, because nobody can tell that it is meant.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Final

import marisa_trie  # type: ignore[import-not-found]

from ...core.destination import Host
from ...core.hit import Hit
from ...core.list_entry import Effect, Kind, weight
from ...core.url_prefix import UrlPrefix, readings
from .origins import LINE, LINE_BITS, Known, Origins
from .part import Part, Url
from .rows import counted, mapped, reference, save, span

KINDS = (Kind.URL,)
_URLS, _HOSTS = "urls", "urls.hosts"
FILES = tuple(f"{name}.{what}" for name in (_URLS, _HOSTS)
              for what in ("trie", "rows", "more", "limits"))

_SCHEMES = ("", "http", "https")
_PORT_BITS: Final = 16  # of a limit: the port, and the scheme above it
_LIMIT: Final = (1 << 18) - 1
_KEY: Final = 64 + 18   # of a number that is sorted: a row, a limit above it, then the key
_ROW: Final = (1 << 64) - 1


def build(folder: Path, parts: Mapping[str, Part], origins: Origins,
          step: Callable[[str, int], None]) -> None:
    tries = [marisa_trie.BinaryTrie(chain.from_iterable(keys(part) for part in parts.values()))
             for keys in (_url_keys, _host_keys)]
    urls: list[int] = []
    hosts: list[int] = []
    url_number, host_number = (trie.key_id for trie in tries)
    for list_id, part in parts.items():
        for common, lines, values in part.read(*KINDS):
            origin = origins.number(list_id, common) << LINE_BITS
            for url, line in zip(values, lines, strict=True):
                limit = _SCHEMES.index(url.scheme) << _PORT_BITS | url.port
                limited = limit << 64 | origin | line
                urls.append(url_number(_key(url)) << _KEY | limited)
                if common.effect is Effect.DENY:
                    hosts.append(host_number(url.host.encode()) << _KEY | limited)
            step("URLs", len(values))
    for name, trie, found in zip((_URLS, _HOSTS), tries, (urls, hosts), strict=True):
        trie.save(str(folder / f"{name}.trie"))
        counts = _write(folder, name, len(trie), found)
        if name == _URLS:
            origins.count(counts)


def _key(url: Url) -> bytes:
    return url.host.encode() + url.path


def _url_keys(part: Part) -> Iterator[bytes]:
    for _, _, urls in part.read(*KINDS):
        yield from map(_key, urls)


def _host_keys(part: Part) -> Iterator[bytes]:
    for _, _, urls in part.read(*KINDS):
        yield from {url.host.encode() for url in urls}


def _write(folder: Path, name: str, keys: int, found: list[int]) -> Counter[int]:
    """The rows and limits of a table; how many it has of each origin."""
    found.sort()
    rows, more, limits = array("Q", bytes(8 * keys)), array("Q"), array("I")
    for key, same in groupby(found, key=lambda number: number >> _KEY):
        first, before = len(more), -1
        for number in same:
            if number >> LINE_BITS != before:  # not only another line of the same
                before = number >> LINE_BITS
                more.append(number & _ROW)
                limits.append(number >> 64 & _LIMIT)
        rows[key] = reference(first, len(more) - first)
    for numbers, what in ((rows, "rows"), (more, "more"), (limits, "limits")):
        save(folder / f"{name}.{what}", numbers)
    return counted(more)


class _Table:
    """Keys, and for each the rows that fit a scheme and a port."""

    def __init__(self, folder: Path, name: str) -> None:
        self.trie = marisa_trie.BinaryTrie().mmap(str(folder / f"{name}.trie"))
        self._rows = mapped(folder / f"{name}.rows")
        self._more = mapped(folder / f"{name}.more")
        self._limits = mapped(folder / f"{name}.limits", "I")
        if len(self.trie) != len(self._rows) or len(self._more) != len(self._limits):
            raise ValueError(f"{name}: not as many rows as keys")

    def rows(self, number: int, port: int, scheme: int) -> Iterator[int]:
        there = self._rows[number]
        for place in range(*span(there)) if there else ():
            limit = self._limits[place]
            if limit >> _PORT_BITS in (0, scheme) and limit & 0xFFFF in (0, port):
                yield self._more[place]


class Urls:
    """Raises RuntimeError where a trie cannot be mapped, OSError, ValueError."""

    def __init__(self, folder: Path, known: Sequence[Known | None]) -> None:
        self._urls, self._hosts = _Table(folder, _URLS), _Table(folder, _HOSTS)
        self._host_number = self._hosts.trie.get
        self._known = known

    def match(self, host: Host, port: int, scheme: str, path: str) -> list[Hit]:
        """`path` as in a request, not empty; `scheme` is http or https."""
        name = host.text.encode()
        at_host = self._host_number(name)
        if at_host is None:
            return []
        number = _SCHEMES.index(scheme)
        places = readings(path)
        if places is None:
            return self._hits(self._hosts.rows(at_host, port, number), host, b"")
        keys = (key for place in places for key in self._urls.trie.prefixes(name + place))
        found: list[Hit] = []
        for key in keys if len(places) == 1 else dict.fromkeys(keys):
            rows = self._urls.rows(self._urls.trie.key_id(key), port, number)
            found += self._hits(rows, host, key[len(name):])
        return found if len(places) == 1 else [
            hit for hit in found if hit.effect is Effect.DENY]

    def _hits(self, rows: Iterable[int], host: Host, path: bytes) -> list[Hit]:
        narrow = weight(Kind.URL, UrlPrefix("", host, 0, path))
        return [known.hit(row & LINE, narrow) for row in rows
                if (known := self._known[row >> LINE_BITS]) is not None]
