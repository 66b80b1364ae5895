"""One object, until it is in the store and was read back."""

from __future__ import annotations

from pathlib import Path

from ..archive.seal import Part
from .manifest import Item
from .parts import Differs, chunks_of, compare
from .store import Held, Store, StoreFault

_DAY = 86_400.0


class NotSealed(Exception):
    """What is here is not what was sealed, and is not sent. The message names file and frame."""


def send(store: Store, item: Item) -> int:
    """How many octets were sent: 0 if it was there. When this returns, the store has given back
    all of it, and says that it is locked as it should be. Raises NotSealed, StoreFault, OSError."""
    held = store.head(item.name)
    if isinstance(item.content, Path) and not item.content.exists():
        _there(store, item, held)
        return 0
    sum_here = _sealed(item)
    sent = 0
    if held is None or (held.octets, held.sha256) != (item.part.octets, sum_here):
        sent = _put(store, item, sum_here)
    try:
        compare(store.read(item.name), item.part, item.name)
    except Differs:
        # what is there claims to be this and is not; once more, and then it is the store's fault
        sent = _put(store, item, sum_here)
        verify(store, item.name, item.part)
    _lock(store, item)
    return sent


def verify(store: Store, name: str, part: Part) -> None:
    """That the store gives back what was sealed, all of it read. Raises StoreFault."""
    try:
        compare(store.read(name), part, f"{store.identity}: {name}")
    except Differs as error:
        raise StoreFault(f"{error}, as the store gives it back; nothing is removed here") from None


def _sealed(item: Item) -> str:
    """SHA-256 (hex) of what is here, which is what was sealed. Raises NotSealed, OSError."""
    octets = [item.content] if isinstance(item.content, bytes) else chunks_of(item.content)
    try:
        return compare(octets, item.part, str(item.content) if isinstance(item.content, Path)
                       else item.name)
    except Differs as error:
        raise NotSealed(f"{error}; it is not sent. `outbounds evidence verify` says what is "
                        "damaged; the store may have a good copy, if it was sent before") from None


def _put(store: Store, item: Item, sum_here: str) -> int:
    store.put(item.name, item.content, sum_here, item.lock)
    return item.part.octets


def _there(store: Store, item: Item, held: Held | None) -> None:
    """What is not here any more must be there, whole. Raises StoreFault."""
    if held is None:
        raise StoreFault(f"{store.identity}: {item.name} is neither here nor there; bring it back "
                         "from another copy")
    verify(store, item.name, item.part)
    _lock(store, item)


def _lock(store: Store, item: Item) -> None:
    """Whatever was locked too briefly (or by a store that takes no lock with what is sent) is
    locked now. A day's difference is none: the moment is counted from each pass."""
    if not item.lock:
        return
    for last in (False, True):
        held = store.head(item.name)
        if held is not None and held.locked >= item.lock - _DAY:
            return
        if last:
            raise StoreFault(f"{store.identity}: {item.name} is not locked, though the store took "
                             "the lock; is object lock on for this bucket?")
        store.lock(item.name, item.lock)
