"""Reading from the store: frames and indexes of segments whose files are not here, or a whole log.

What commands use is in `reach`. Everything fetched is compared with the seal. The seal itself, from
the store, is believed as one found here is: it says where things are, and what a record says is
proved by the log's tree.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import msgspec

from ...settings.evidence import ObjectStore
from ..archive.layout import Segment, all_segments
from ..archive.reading import Damaged, unpacked
from ..archive.seal import Frame, Part, load_seal
from .manifest import SEGMENTS
from .parts import Differs, compare
from .store import Store

CACHE_OCTETS = 4 * 1024**3
"""How much the indexes kept in the cache may take; the ones used least recently go first."""

_TAGS = "tags.json"  # entity tags of the seals in the cache
_VOUCHING = ("log/keys", "log/checkpoint")


class Remote:
    """`cache` is a folder for what is fetched; by default one for this store below the user's
    cache folder. Raises BadCredentials, StoreFault; every method StoreFault, Damaged, OSError."""

    def __init__(self, settings: ObjectStore, cache: Path | None = None) -> None:
        self._store = Store(settings)
        name = sha256(self._store.identity.encode()).hexdigest()[:16]
        self.cache = cache or _user_cache() / "outbounds" / "evidence" / name

    def frame(self, part: Part, number: int) -> bytes:
        """Frame `number` of `part`, decompressed, without the rest of it."""
        offset = sum(each.octets for each in part.frames[:number])
        octets = b"".join(self._store.read(SEGMENTS + part.name, offset,
                                           part.frames[number].octets))
        return unpacked(octets, part.frames[number],
                        f"{self._store.identity}: {part.name}: frame {number}, at octet {offset}")

    def segments(self) -> list[Segment]:
        """Those that `outline` found, oldest first."""
        return all_segments(self.cache)

    def outline(self) -> Path:
        """A folder laid out as a log's directory, with the seals of every segment in the store, the
        log's keys and its newest checkpoint; brought up to date."""
        (self.cache / SEGMENTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self._known()
        there = {name: tag for name, tag in self._store.listed(SEGMENTS).items()
                 if name.endswith(".seal")}
        for name, tag in there.items():
            path = self.cache / name
            if known.get(name) != tag or not path.exists():
                path.with_suffix(".parquet").unlink(missing_ok=True)  # it may have another now
                self._fetch(name, path)
        for path in (self.cache / SEGMENTS).glob("*.seal"):
            if SEGMENTS + path.name not in there:
                path.unlink()
        (self.cache / _TAGS).write_bytes(msgspec.json.encode(there))
        for name in _VOUCHING:
            if self._store.head(name) is not None:
                self._fetch(name, self.cache / name)
        return self.cache

    def _known(self) -> dict[str, str]:
        try:
            return msgspec.json.decode((self.cache / _TAGS).read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}

    def index(self, segment: Segment) -> Path | None:
        """The Parquet file of `segment`, fetched if it is not here; None if it has none."""
        index = load_seal(segment.seal).index
        if index is None:
            return None
        if segment.index.exists():
            return segment.index
        path = self.cache / SEGMENTS / index.name
        if path.exists():
            os.utime(path)  # used just now
            return path
        self._fetch(SEGMENTS + index.name, path,
                    Part(index.name, (Frame(index.octets, index.sha256),)))
        self._bound(path)
        return path

    def bring_back(self, segment: Segment) -> None:
        """The records and details of `segment` are here again, as they were sealed. For whoever has
        to rewrite them, with the keeper's lock held."""
        seal = load_seal(segment.seal)
        for part in (seal.records, seal.details):
            path = segment.folder / part.name
            if not path.exists():
                self._fetch(SEGMENTS + part.name, path, part)

    def _fetch(self, name: str, path: Path, part: Part | None = None) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with draft.open("wb") as file:
                for chunk in self._store.read(name):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if part is not None:
                with draft.open("rb") as file:
                    compare(iter(lambda: file.read(1024 * 1024), b""), part,
                            f"{self._store.identity}: {name}")
            os.replace(draft, path)
        except Differs as error:
            raise Damaged(str(error)) from None
        finally:
            draft.unlink(missing_ok=True)

    def _bound(self, newest: Path) -> None:
        found = sorted((path.stat().st_mtime, path.stat().st_size, path)
                       for path in (self.cache / SEGMENTS).glob("*.parquet"))
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= CACHE_OCTETS or path == newest:
                break
            path.unlink(missing_ok=True)
            total -= size


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
