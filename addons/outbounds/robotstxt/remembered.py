"""What is remembered of robots.txt files, in so many octets of memory and no more.

A file is remembered once for each content, however many origins have it, and packed: text packs to
a third. Unpacked and parsed, which costs ten to thirty times as much, are only those that are in
use: what is asked about again after a while is parsed again. Of both, what was used longest ago
goes first.

The figures are what entries and files were measured to cost at most. A file's estimate is of lines
and wildcards, because that is what rules are made of.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.questions import RobotsAnswer
from ..core.robots import Robots
from .contract import Origin
from .freshness import Known
from .parsing import LARGE

PARSED_SHARE = 3  # of the memory, one part in so many is for what is parsed

_ENTRY, _FILE, _PARSED = 1400, 400, 4096
_PER_LINE, _PER_WILDCARD, _PER_OCTET = 400, 80, 4


class File:
    """One content. `robots` and `body` are there while somebody holds it parsed."""

    __slots__ = ("body", "cost", "digest", "entries", "holders", "packed", "robots", "size")

    def __init__(self, digest: str, body: bytes) -> None:
        self.digest = digest
        self.packed = zlib.compress(body, 1)
        self.size = len(body)
        lines = body.count(b"\n") + body.count(b"\r")
        self.cost = (_PARSED + _PER_LINE * lines + _PER_WILDCARD * body.count(b"*")
                     + _PER_OCTET * len(body))
        self.robots: Robots | None = None
        self.body: bytes | None = None
        self.entries = self.holders = 0

    def unpacked(self) -> bytes:
        return self.body if self.body is not None else zlib.decompress(self.packed)


async def pack(digest: str, body: bytes) -> File:
    """In a thread where packing takes as long as the event loop should not stand still."""
    if len(body) > LARGE:
        return await asyncio.to_thread(File, digest, body)
    return File(digest, body)


@dataclass(slots=True, eq=False)
class Entry:
    """What holds for one origin until `until`. `file` is the last good copy: confirmed by the site
    at `confirmed`, or at the Unix time `fetched`, and kept until `kept`. All but `fetched` on the
    clock of the cache.

    `answer` is what is said, while it is at hand: with a file, for as long as that is parsed.
    """

    state: str
    until: float
    status: int = 0
    url: str = ""
    detail: str = ""
    file: File | None = None
    known: Known | None = None
    confirmed: float = 0.0
    fetched: float = 0.0
    kept: float = 0.0
    answer: RobotsAnswer | None = None

    @property
    def octets(self) -> int:
        texts = len(self.url) + len(self.detail)
        if self.known is not None:
            texts += len(self.known.etag) + len(self.known.last_modified)
        return _ENTRY + texts


class Remembered:
    """Entries by origin, and their files. `octets` bounds both."""

    def __init__(self, octets: int) -> None:
        self._most, self._most_parsed = octets, octets // PARSED_SHARE
        self._entries: OrderedDict[Origin, Entry] = OrderedDict()
        self._files: dict[str, File] = {}
        self._hot: OrderedDict[Origin, Entry] = OrderedDict()
        self.octets = 0
        self.octets_parsed = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Origin]:
        return iter(tuple(self._entries))

    def get(self, origin: Origin) -> Entry | None:
        return self._entries.get(origin)

    def used(self, origin: Origin, entry: Entry) -> None:
        """An entry that `get` returned just now was made use of."""
        self._entries.move_to_end(origin)
        if entry.file is not None and entry.answer is not None:
            self._hot.move_to_end(origin)

    def known(self, digest: str) -> File | None:
        """The content, where some origin has it already."""
        return self._files.get(digest)

    def put(self, origin: Origin, entry: Entry) -> None:
        """Instead of what was remembered of this origin. What is larger than all memory is not."""
        if entry.file is not None:  # another origin may have brought it since
            entry.file = self._files.get(entry.file.digest, entry.file)
        self.forget(origin)
        file = entry.file
        if entry.octets + (_FILE + len(file.packed) if file else 0) > self._most:
            return
        self._entries[origin] = entry
        self.octets += entry.octets
        if file is not None:
            if not file.entries:
                self._files[file.digest] = file
                self.octets += _FILE + len(file.packed)
            file.entries += 1
        self._trim()

    def forget(self, origin: Origin) -> None:
        entry = self._entries.pop(origin, None)
        if entry is None:
            return
        self._cool(origin)
        self.octets -= entry.octets
        file = entry.file
        if file is not None:
            file.entries -= 1
            if not file.entries:
                del self._files[file.digest]
                self.octets -= _FILE + len(file.packed)

    def hold(self, origin: Origin, entry: Entry, answer: RobotsAnswer) -> None:
        """Keep the answer of an entry with a file at hand, with the file parsed, if there is room.
        """
        file = entry.file
        if file is None or entry.answer is not None or self._entries.get(origin) is not entry \
                or file.cost > self._most_parsed:
            return
        entry.answer = answer
        self._hot[origin] = entry
        if not file.holders:
            file.robots, file.body = answer.robots, answer.body
            self.octets_parsed += file.cost
        file.holders += 1
        while self.octets_parsed > self._most_parsed:
            self._cool(next(iter(self._hot)))
        self._trim()

    def _cool(self, origin: Origin) -> None:
        entry = self._hot.pop(origin, None)
        if entry is None or entry.file is None:
            return
        entry.answer, file = None, entry.file
        file.holders -= 1
        if not file.holders:
            file.robots = file.body = None
            self.octets_parsed -= file.cost

    def _trim(self) -> None:
        while self.octets + self.octets_parsed > self._most:
            self.forget(next(iter(self._entries)))
