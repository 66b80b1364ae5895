"""A segment's seal: which records it has, in which files, and the checksum of everything.

The seal itself is not signed. What it says of records and details follows from the tree, which is;
it is there to find them quickly, and to say where damage lies. It is one line of JSON, and on a
second line that line's SHA-256 in hex: damage to the seal itself is told apart from damage to what
it seals.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from ..directory import replace_file

FRAME_RECORDS = 4096
"""Records in a frame; the last of a segment may have fewer."""


class BadSeal(Exception):
    """A seal is damaged. The message names the file."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """`octets` in the file, and their SHA-256 in hex."""

    octets: int
    sha256: str


class Part(msgspec.Struct, frozen=True):
    """A file of frames, one after the other. `name` has no folder."""

    name: str
    frames: tuple[Frame, ...]

    @property
    def octets(self) -> int:
        return sum(each.octets for each in self.frames)


class Index(msgspec.Struct, frozen=True):
    """The Parquet file; `octets` and SHA-256."""

    name: str
    octets: int
    sha256: str


class Seal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`first` is the position in the log of its first record, `count` how many there are.
    `begin` and `end` are Unix µs between which everything it tells of lies (a closing tells of the
    time since its opening). `generation` is the number of the newest files: each removal of
    details or records begins another. `erased` records have a placeholder, `erased_details` of the
    others have no detail any more. `shipped` is Unix s since when a copy is in the object store."""

    first: int
    count: int
    begin: int
    end: int
    records: Part
    details: Part
    index: Index | None = None
    generation: int = 0
    frame_records: int = FRAME_RECORDS
    erased: int = 0
    erased_details: int = 0
    shipped: int = 0
    version: int = 1


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Seal).decode


def load_seal(path: Path) -> Seal:
    """Raises BadSeal, OSError."""
    line, _, checksum = path.read_bytes().partition(b"\n")
    if checksum != sha256(line).hexdigest().encode() + b"\n":
        raise BadSeal(f"{path}: it is not what was written: its checksum differs")
    try:
        seal = _decode(line)
    except msgspec.MsgspecError as error:
        raise BadSeal(f"{path}: {error}") from None
    if seal.version != 1:
        raise BadSeal(f"{path}: version {seal.version} is not known; use a newer Outbounds")
    return seal


def save_seal(path: Path, seal: Seal) -> None:
    """Durable when it returns; the old one or the new is there after a crash. Raises OSError."""
    replace_file(path, encoded(seal))


def encoded(seal: Seal) -> bytes:
    """The content of its file."""
    line = _encode(seal)
    return b"%b\n%b\n" % (line, sha256(line).hexdigest().encode())
