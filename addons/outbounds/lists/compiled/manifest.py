"""The manifest of a generation: what its files are, and all that is small enough to stand in it.

The version of a generation is a hash of what was compiled, and of the engine where there are
patterns, so the same lists have the same version wherever and whenever they are compiled, and it is
known before. Its files need not be equal: each build hashes names with a seed of its own (`names`).
The digests of the files are there to find damage: `verify` reads every octet. Beside
manifest.json lies its own digest, in the format of sha256sum(1).
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from .faults import BadGeneration
from .names import Keys
from .origins import Origin

FORMAT: Final = 2
"""Of all files of a generation. Raised with any change that an older proxy would misread."""

NAME: Final = "manifest.json"
_DIGEST: Final = "manifest.json.sha256"


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`lists` says how many entries each has; `parts` the SHA-256 of what it was compiled from.
    `names` says how names become keys. `ports` and `schemes` map to rows (`rows`), and `origins` is
    what they point to."""

    format: int
    byteorder: str
    version: str
    engine: str
    parts: dict[str, str]
    lists: dict[str, int]
    files: dict[str, File]
    names: Keys
    origins: list[Origin]
    ports: dict[int, list[int]]
    schemes: dict[str, list[int]]


class _Format(msgspec.Struct):
    format: int


def version_of(parts: Mapping[str, str], engine: str) -> str:
    """Hex SHA-256 over what is compiled: list ids with the digests of their parts."""
    content = {"format": FORMAT, "engine": engine, "parts": dict(parts)}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def digest(path: Path) -> str:
    """Hex SHA-256 of a file. Other threads run meanwhile."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mark(folder: Path, names: Iterable[str]) -> dict[str, File]:
    return {name: File((folder / name).stat().st_size, digest(folder / name)) for name in names}


def write(folder: Path, manifest: Manifest) -> None:
    """With its digest; and have everything in the folder on disk, the folder included."""
    octets = msgspec.json.encode(manifest)
    (folder / NAME).write_bytes(octets)
    (folder / _DIGEST).write_text(_sums(octets))
    for path in (*folder.iterdir(), folder):
        sync(path)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sums(octets: bytes) -> str:
    return f"{hashlib.sha256(octets).hexdigest()}  {NAME}\n"


def read(folder: Path, needed: Iterable[str]) -> Manifest:
    """A manifest that is whole, of this format and machine, and whose files are there in their
    full length. Raises BadGeneration."""
    path = folder / NAME
    try:
        octets, sums = path.read_bytes(), (folder / _DIGEST).read_bytes()
    except OSError as error:
        raise BadGeneration(Path(error.filename), error.strerror or "it cannot be read") from None
    if sums != _sums(octets).encode():
        raise BadGeneration(path, "its SHA-256 is not the one beside it, so it is damaged")
    try:
        found = msgspec.json.decode(octets, type=_Format).format
        if found != FORMAT:
            raise BadGeneration(path, f"its format is {found}, and this program reads {FORMAT}")
        manifest = msgspec.json.decode(octets, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadGeneration(path, f"it is no manifest ({error})") from None
    if manifest.byteorder != sys.byteorder:
        raise BadGeneration(path, f"it was compiled on a {manifest.byteorder}-endian machine")
    if manifest.version != folder.name:
        raise BadGeneration(path, f"its version is {manifest.version}, not the name of its folder")
    for name in needed:
        _check_size(folder / name, manifest.files.get(name))
    return manifest


def _check_size(path: Path, file: File | None) -> None:
    if file is None:
        raise BadGeneration(path, "the manifest does not name it")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadGeneration(path, error.strerror or "it cannot be read") from None
    if size != file.size:
        raise BadGeneration(path, f"it has {size:,} octets, and must have {file.size:,}")


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Raises BadGeneration for the first file that is not what was written."""
    for name, file in manifest.files.items():
        try:
            found = digest(folder / name)
        except OSError as error:
            raise BadGeneration(folder / name, error.strerror or "it cannot be read") from None
        if found != file.sha256:
            raise BadGeneration(folder / name, "its SHA-256 is not that of the manifest, so it is "
                                "damaged")
