"""Which records a case is about: one event a line, with where its records are in the log.

    {"event":"<event.id>","account":"acct_a","positions":[17,18,23],"over":true}

Positions are kept because they do not change, and are found at once; an event that was not over
yet when it was added is looked up again when a bundle is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from .custody import CaseDamaged


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account` is "" where nobody was known. `over`: its closing is among the positions."""

    event: str
    account: str
    positions: tuple[int, ...]
    over: bool


def write_items(items: Iterable[Item]) -> bytes:
    return msgspec.json.Encoder().encode_lines(list(items))


def read_items(octets: bytes, expected: str, where: str) -> list[Item]:
    """`expected` is their SHA-256 in hex. Raises CaseDamaged, naming `where`."""
    if sha256(octets).hexdigest() != expected:
        raise CaseDamaged(f"{where}: not what the custody log says was added")
    try:
        return msgspec.json.Decoder(Item).decode_lines(octets)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CaseDamaged(f"{where}: {error}") from None


def together(found: Iterable[Item]) -> list[Item]:
    """One item for each event, in the order of their first records."""
    known: dict[str, Item] = {}
    for each in found:
        other = known.get(each.event)
        if other is not None:
            each = Item(each.event, each.account or other.account,
                        tuple(sorted({*each.positions, *other.positions})),
                        each.over or other.over)
        known[each.event] = each
    return sorted(known.values(), key=lambda item: (item.positions, item.event))
