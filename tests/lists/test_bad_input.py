"""Lists that must never come into force: each is told by a clear message, and the last good one
stays. The messages are the operator's only clue at 3 a.m., so they are tested to the letter."""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path

import pytest
from building import House

from outbounds.lists.compiled import BadGeneration, verify

GOOD = {"domains": "".join(f"host{number}.example\n" for number in range(10)),
        "netset": "".join(f"192.0.2.{number}\n" for number in range(10))}
NOISE = random.Random(1).randbytes(100_000)
CUT = gzip.compress("".join(f"host{n}.example\n" for n in range(10_000)).encode())[:-100]
BOMB = gzip.compress(b"a.example\n" * 5_000_000)

BAD = [
    ("domains", b"com\n" + GOOD["domains"].encode(),
     ':1: "com": it means every name under com, a public suffix; take the line out, or name the '
     "domains that are meant"),
    ("netset", b"192.0.2.0/24\n0.0.0.0/0\n",
     ':2: "0.0.0.0/0": 0.0.0.0/0 holds more than a /8 of the public IPv4 addresses; take the line '
     "out, or name the networks that are meant"),
    ("domains", b"x" * 100_000_000,
     ":1: the line is longer than 65536 octets, so it is no entry of a list; give a list with one "
     "entry a line"),
    ("domains", NOISE,
     ":1: it contains a NUL, so it is binary and no list; give the list itself, as text or packed "
     "with gzip, bzip2 or zip"),
    ("domains", CUT,
     ": it is no whole gzip file (Compressed file ended before the end-of-stream marker was "
     "reached), so the download was cut or its content is another; fetch it again"),
    ("domains", BOMB,
     ": it unpacks to more than 1048576 octets; if the list is really so large, allow for it "
     "(max_size)"),
    ("domains", b"same.example\n" * 50_000,
     ": 50,000 entries and only 1 different ones; the list is broken where it is published or was "
     "copied"),
]


@pytest.mark.parametrize(("format", "octets", "why"), BAD, ids=[
    "com", "0.0.0.0/0", "one line of 100 MB", "noise", "cut", "bomb", "identical lines"])
def test_it_is_said_and_the_last_good_list_stays(
        format: str, octets: bytes, why: str, tmp_path: Path) -> None:
    house = House(tmp_path)
    house.feed("malware", format=format, max_size=1 << 20)
    house.downloaded("malware", GOOD[format], time.time() - 10)
    good = house.build()
    house.downloaded("malware", octets, time.time())
    started = time.monotonic()
    bad = house.one()
    assert time.monotonic() - started < 10.0
    assert bad.error == f"https://lists.example/malware{why}"
    assert (bad.entries, bad.part) == (10, good.lists[0].part)
    assert house.places.version() == good.version
    house.generation()


def test_a_corrupt_compiled_file(tmp_path: Path) -> None:
    house = House(tmp_path, one=GOOD["domains"])
    folder = house.places.generations / house.build().version
    victim = folder / "names.table"
    octets = bytearray(victim.read_bytes())
    octets[len(octets) // 2] ^= 1
    victim.unlink()
    victim.write_bytes(octets)
    with pytest.raises(BadGeneration) as caught:
        verify(folder)
    assert str(caught.value) == (f"{victim}: its SHA-256 is not that of the manifest, so it "
                                 "is damaged; compile again: outbounds lists build")
    house.build()
    assert house.denied(["host7.example"]) == {"host7.example": ["one:8"]}
