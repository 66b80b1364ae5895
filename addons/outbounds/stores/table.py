"""A hash table in a file that several processes map: the state of limits that workers share.

Chained: a bucket holds the number of an entry, and each entry that of the next. Entries lie one
after another, so that a sweep can go along them, and the ones that came free form a list. All of
it is words of eight bytes, nearly all of them doubles (which count exactly up to 2^53).

**One process at a time**, by `flock`: the kernel lets go of it when its holder dies, however that
dies, and a pair of calls costs a third of a microsecond.

**Killed in the middle**, a process leaves nothing half-written. What a step is to change it first
collects (`words`). One word is one store of the processor. More of them are first written down in
the journal, then the journal is declared valid, which is one word, then they are stored, and the
journal is declared empty. Whoever comes next and finds it valid stores them all again, which does
no harm. Only entries that nothing leads to yet are written to directly.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import cast

from xxhash import xxh3_64_intdigest

# words of the head; the journal, the buckets and the entries follow it
MAGIC, VERSION, MAX_KEYS, BUCKETS, SEED, JOURNAL, FREE, HIGH, COUNT, CURSOR, NEXT_SWEEP = range(11)
_NAME, _LAYOUT = 0x6F7574626F756E64, 1  # "outbound"
_HEAD = 64
_JOURNAL_PAIRS = 4096  # (word, value); more than a request can ever change

# words of an entry
HASH, NEXT, UNTIL, VALUE, KIND, LENGTH, BEGIN, KEY = range(8)
WORDS = 22  # 176 bytes
_KEY_MAX = (WORDS - KEY) * 8
_DIGEST = 16
FREED = -1.0  # the kind of an entry that holds no key
_RESERVE = 64  # a part of max_keys, beyond them, for what must be written even if the table is full


class TableFull(RuntimeError):
    """Every entry holds a key."""


def create(path: Path, max_keys: int) -> None:
    """An empty table for `max_keys`, about 190 bytes each, in place of any that was there (whoever
    has that one open keeps it).

    Raises OSError, also where there is no room for all of it: memory that turns out to be missing
    later would kill the process that touches it.
    """
    entries = _entries_at(max_keys)
    size = (entries + (_capacity(max_keys) + 1) * WORDS) * 8
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        os.pwrite(descriptor, struct.pack("=5Q", _NAME, _LAYOUT, max_keys, _buckets(max_keys),
                                          secrets.randbits(48)), 0)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    finally:
        os.close(descriptor)


def _buckets(max_keys: int) -> int:
    return 1 << max(4, (max_keys - 1).bit_length() - 1)


def _capacity(max_keys: int) -> int:
    return max_keys + max(64, max_keys // _RESERVE)


def _entries_at(max_keys: int) -> int:
    return _HEAD + 2 * _JOURNAL_PAIRS + _buckets(max_keys)


def stored(key: str) -> bytes:
    """A key as an entry holds it: whole, or its beginning and a digest of all of it."""
    octets = key.encode("utf-8", "surrogatepass")
    if len(octets) <= _KEY_MAX:
        return octets
    digest = blake2b(octets, digest_size=_DIGEST).digest()
    # no key that is whole ends in what no text in UTF-8 can hold, so none can be mistaken for this
    return octets[:_KEY_MAX - _DIGEST - 1] + b"\xff" + digest


def shown(key: bytes) -> tuple[str, bool]:
    """(its text, whether that is all of it)."""
    cut = len(key) == _KEY_MAX and key[-_DIGEST - 1] == 0xFF
    return (key[:-_DIGEST - 1] if cut else key).decode("utf-8", "replace"), not cut


class Table:
    """Only to be touched under `locked()`. An entry is known by the number of its first word; 0 is
    none. Raises OSError, and ValueError where the file is no table of this layout."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = os.fstat(self._file).st_size
            head = os.pread(self._file, 40, 0)
            if len(head) == 40:
                name, layout, self.max_keys, buckets, self._seed = struct.unpack("=5Q", head)
            if len(head) < 40 or (name, layout) != (_NAME, _LAYOUT) or size != (
                    _entries_at(self.max_keys) + (_capacity(self.max_keys) + 1) * WORDS) * 8:
                raise ValueError(f"{path}: no table of limits of this version; remove it, and "
                                 "start the service again, which makes a new one")
            self._map = mmap.mmap(self._file, size)
        except BaseException:
            os.close(self._file)
            raise
        self._integers = memoryview(self._map).cast("Q")
        self.doubles = memoryview(self._map).cast("d")
        self._mask = buckets - 1
        self._buckets = _HEAD + 2 * _JOURNAL_PAIRS
        self._entries = _entries_at(self.max_keys)  # entry 0 is none, and never used
        self._capacity = _capacity(self.max_keys)
        self.words: dict[int, float] = {}

    def close(self) -> None:
        self._integers.release()
        self.doubles.release()
        self._map.close()
        os.close(self._file)

    def lock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        if self.doubles[JOURNAL]:
            self._store()

    def unlock(self) -> None:
        # what a step that failed had collected is not for the next one
        self.words.clear()
        fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    # --- reading --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self.doubles[COUNT])

    def find(self, kind: float, key: bytes, begin: float = 0.0, until: float = 0.0) -> int:
        """`begin` and `until` are part of the key where `begin` is not 0."""
        doubles = self.doubles
        hashed = self._hash(kind, key, begin)
        number = int(doubles[self._buckets + (hashed & self._mask)])
        while number:
            at = self._entries + number * WORDS
            if (self._integers[at] == hashed and doubles[at + KIND] == kind
                    and doubles[at + BEGIN] == begin
                    and (not begin or doubles[at + UNTIL] == until) and self.key(at) == key):
                return at
            number = int(doubles[at + NEXT])
        return 0

    def key(self, at: int) -> bytes:
        start = (at + KEY) * 8
        return self._map[start:start + int(self.doubles[at + LENGTH])]

    def now(self, word: int) -> float:
        """A word as it will be once what was collected is stored."""
        return self.words.get(word, self.doubles[word])

    def _hash(self, kind: float, key: bytes, begin: float) -> int:
        # seeded, or customers could choose names that all fall into one bucket
        return xxh3_64_intdigest(key, self._seed + int(kind) + (int(begin) << 8))

    def columns(self, first: int, count: int) -> tuple[list[float], list[float]]:
        """(until, kind) of so many entries, from number `first` on."""
        start = self._entries + first * WORDS
        stop = start + count * WORDS
        return (cast("list[float]", self.doubles[start + UNTIL:stop:WORDS].tolist()),
                cast("list[float]", self.doubles[start + KIND:stop:WORDS].tolist()))

    def at(self, number: int) -> int:
        return self._entries + number * WORDS

    # --- writing --------------------------------------------------------------------------------

    def insert(self, kind: float, key: bytes, until: float, value: float, begin: float = 0.0,
               force: bool = False) -> int:
        """A key that is not there yet, with the rest of what is collected. Raises TableFull."""
        words, doubles = self.words, self.doubles
        count = self.now(COUNT)
        number = int(self.now(FREE))
        if count >= (self._capacity if force else self.max_keys):
            raise TableFull
        if number:
            words[FREE] = self.now(self.at(number) + NEXT)
        else:
            number = int(self.now(HIGH)) + 1
            words[HIGH] = number
        at = self.at(number)
        hashed = self._hash(kind, key, begin)
        self._integers[at] = hashed
        doubles[at + UNTIL], doubles[at + VALUE] = until, value
        doubles[at + LENGTH], doubles[at + BEGIN] = len(key), begin
        self._map[(at + KEY) * 8:(at + KEY) * 8 + len(key)] = key
        bucket = self._buckets + (hashed & self._mask)
        words[at + KIND] = kind
        words[at + NEXT] = self.now(bucket)
        words[bucket] = number
        words[COUNT] = count + 1
        return at

    def remove(self, at: int) -> None:
        """Takes one key out, at once; nothing else may be collected."""
        number = (at - self._entries) // WORDS
        link = self._buckets + (self._integers[at] & self._mask)
        while int(self.doubles[link]) != number:
            if not self.doubles[link]:
                raise RuntimeError(f"the table of limits is broken: entry {number} is in no chain")
            link = self.at(int(self.doubles[link])) + NEXT
        self.words.update({
            link: self.doubles[at + NEXT], at + NEXT: self.doubles[FREE], at + KIND: FREED,
            FREE: number, COUNT: self.doubles[COUNT] - 1})
        self.commit()

    def commit(self) -> None:
        """Store what was collected: all of it, whenever this process is killed."""
        words, doubles = self.words, self.doubles
        if len(words) > 1:
            if len(words) > _JOURNAL_PAIRS:
                raise ValueError(f"{len(words)} changes in one step; at most {_JOURNAL_PAIRS}")
            flat = [each for pair in words.items() for each in pair]
            struct.pack_into(f"={len(flat)}d", self._map, _HEAD * 8, *flat)
            doubles[JOURNAL] = len(words)
        for word, value in words.items():
            doubles[word] = value
        if len(words) > 1:
            doubles[JOURNAL] = 0.0
        words.clear()

    def _store(self) -> None:
        """Finish the step of a process that was killed in it."""
        doubles = self.doubles
        for pair in range(_HEAD, _HEAD + 2 * int(doubles[JOURNAL]), 2):
            doubles[int(doubles[pair])] = doubles[pair + 1]
        doubles[JOURNAL] = 0.0

    # --- sweeping -------------------------------------------------------------------------------

    def sweep(self, now: float, wall: float, quota: float, look: int, most: int) -> int:
        """Go on along the entries by `look` of them, and take out those that say nothing any more,
        at most `most`; how many. Of the kind `quota` the end is a Unix time."""
        high = int(self.doubles[HIGH])
        if not high:
            return 0
        first = int(self.doubles[CURSOR]) % high + 1
        untils, kinds = self.columns(first, min(look, high - first + 1))
        past = [number for number, (until, kind) in enumerate(zip(untils, kinds, strict=True),
                                                              first)
                if until <= (wall if kind == quota else now) and kind != FREED]
        for number in past[:most]:
            self.remove(self.at(number))
        # not beyond the first that is left for the next time
        self.doubles[CURSOR] = past[most] - 1 if len(past) > most else first + len(untils) - 1
        return len(past[:most])


FOREVER = math.inf
