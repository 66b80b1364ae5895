"""What one part of a list has that another has not.

Entries are compared by what they mean; their lines do not count, so a list that was only sorted
anew has not changed. One side is held as hashes of 64 bits, about 80 bytes an entry: of ten million
entries, two differ in what they mean and not in their hash once in some hundred thousand lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from ..core.list_entry import Effect, Kind
from .compiled.origins import Common
from .compiled.part import Part, Url

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """How many entries came and went, and the first of each as they would be written."""

    added: int
    removed: int
    first_added: tuple[str, ...]
    first_removed: tuple[str, ...]


def difference(old: Path | None, new: Path) -> Difference:
    """`old` None: there was none. Raises BadPart, OSError."""
    gone = {key for key, _, _ in _entries(old)} if old is not None else set()
    seen: set[int] = set()
    added = 0
    first_added: list[str] = []
    for key, common, value in _entries(new):
        if key in gone:
            seen.add(key)
            gone.discard(key)
        elif key not in seen:
            seen.add(key)
            added += 1
            if len(first_added) < SHOWN:
                first_added.append(shown(common, value))
    first_removed = _first(old, gone) if old is not None and gone else ()
    return Difference(added, len(gone), tuple(first_added), first_removed)


def _first(part: Path, keys: set[int]) -> tuple[str, ...]:
    found: dict[int, str] = {}
    for key, common, value in _entries(part):
        if key in keys and key not in found:
            found[key] = shown(common, value)
            if len(found) == SHOWN:
                break
    return tuple(found.values())


def _entries(part: Path) -> Iterator[tuple[int, Common, Any]]:
    encode = msgspec.msgpack.encode
    for common, _, values in Part(part).read(*Kind):
        start = blake2b(encode(common), digest_size=8)
        for value in values:
            digest = start.copy()
            digest.update(encode(value))
            yield int.from_bytes(digest.digest()), common, value


def shown(common: Common, value: Any) -> str:
    """An entry as the house format writes it."""
    match value:
        case bytes() if common.kind is Kind.NETWORK:
            text = str(ip_network((value[:-1], value[-1])))
        case bytes():
            text = value.decode("utf-8", "backslashreplace")
        case Url(scheme, port, host, path):
            host = f"[{host}]" if ":" in host else host
            text = (f"{scheme}://" if scheme else "") + host + (f":{port}" if port else "") \
                + path.decode("utf-8", "backslashreplace")
        case _:
            text = str(value)
    allow = "" if common.effect is Effect.DENY else "allow "
    labels = f" labels={','.join(common.labels)}" if common.labels else ""
    return f"{allow}{common.kind} {text}{labels}"
