"""What leaves: the copy here, once the one in the store was read again; older versions there."""

from __future__ import annotations

from ..archive.layout import Segment
from ..archive.seal import Seal
from .manifest import SEGMENTS
from .sending import verify
from .store import Store


def leave(store: Store, segment: Segment, seal: Seal) -> None:
    """Remove the records and details of `segment` here. Its seal, its checkpoint and its index
    stay, and so do the log's tiles: it can be searched here and its place in the log proved, and
    what a record says is fetched (`remote`). Raises StoreFault, OSError."""
    parts = (seal.records, seal.details)
    for part in parts:
        # from now on it is the only copy: that it was good once is not enough
        verify(store, SEGMENTS + part.name, part)
    for part in parts:
        (segment.folder / part.name).unlink(missing_ok=True)


def superseded(store: Store, segment: Segment, seal: Seal) -> list[tuple[str, float]]:
    """Remove from the store what `segment` consisted of before it was changed: files that the seal
    does not name any more, and older versions of those that it does. What is locked stays: (name,
    Unix s at which its lock ends). Raises StoreFault."""
    # which version is the current one is asked of each object: not every store's listing says it
    current = {name: held.version for name in _named(segment, seal)
               if (held := store.head(name)) is not None}
    locked = []
    for version in store.versions(f"{SEGMENTS}{segment.stem}."):
        if current.get(version.name) == version.id:
            continue
        until = store.remove(version)
        if until:
            locked.append((version.name, until))
    return locked


def _named(segment: Segment, seal: Seal) -> list[str]:
    names = [seal.records.name, seal.details.name, segment.seal.name, segment.checkpoint.name]
    if seal.index is not None:
        names.append(seal.index.name)
    return [SEGMENTS + name for name in names]
