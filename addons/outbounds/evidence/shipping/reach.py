"""Making what is only in the store readable, for a command, without asking the store before it must
be: nothing is loaded and nobody is asked until a record is read that is not here.

    with reachable(settings.store): search(settings.directory, …)
    with remote_log(settings.store, since, until) as directory: search(directory, …)
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...settings.evidence import ObjectStore
from ..archive import reading
from ..archive.layout import Segment
from ..archive.seal import Part, load_seal
from .credentials import BadCredentials

if TYPE_CHECKING:
    from .remote import Remote


@contextmanager
def reachable(store: ObjectStore | None) -> Iterator[None]:
    """While the block runs, `archive.reading` finds in `store` what is not here any more; where
    that fails it raises OSError, as it does for a disk that does not give it."""
    if store is None:
        yield
        return

    @cache
    def remote() -> Remote:
        return _remote(store)

    def frame(part: Part, number: int) -> bytes:
        from .store import StoreFault

        try:
            return remote().frame(part, number)
        except StoreFault as error:
            raise OSError(errno.EIO, str(error)) from None

    before = reading.elsewhere
    reading.elsewhere = frame
    try:
        yield
    finally:
        reading.elsewhere = before


@contextmanager
def remote_log(store: ObjectStore, since: int | None = None, until: int | None = None,
               cache: Path | None = None) -> Iterator[Path]:
    """A directory like that of the log that `store` has a copy of, sealed segments only; while the
    block runs its records can be read. The indexes of the segments that tell of `since` to `until`
    (Unix µs) are here. `cache`: where it lies, if not below the user's cache folder. Raises
    OSError."""
    from .store import StoreFault

    with reachable(store):
        try:
            remote = _remote(store, cache)
            directory = remote.outline()
            for segment in remote.segments():
                seal = load_seal(segment.seal)
                if (until is None or seal.begin <= until) and (since is None or seal.end >= since):
                    remote.index(segment)
        except StoreFault as error:
            raise OSError(errno.EIO, str(error)) from None
        yield directory


def bring_back(store: ObjectStore | None, segment: Segment) -> None:
    """The records and details of a sealed `segment` are here, fetched if they had left. For whoever
    rewrites them, with the keeper's lock held. Raises OSError, Damaged."""
    seal = load_seal(segment.seal)
    if all((segment.folder / part.name).exists() for part in (seal.records, seal.details)):
        return
    if store is None:
        raise FileNotFoundError(errno.ENOENT, "its records are in an object store that is not "
                                "configured any more (`store` in evidence.yaml)", str(segment.seal))
    from .store import StoreFault

    try:
        _remote(store).bring_back(segment)
    except StoreFault as error:
        raise OSError(errno.EIO, str(error)) from None


def _remote(store: ObjectStore, cache: Path | None = None) -> Remote:
    from .remote import Remote

    try:
        return Remote(store, cache)
    except BadCredentials as error:
        raise PermissionError(errno.EACCES, str(error)) from None
