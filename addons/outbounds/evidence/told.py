"""What a record tells of, in one spelling: when it began, which URL, which address.

Whoever compares records asks here: a search, the index it is made fast by, and the seal that says
which segments it may leave out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from ..core.address import reduced
from .record import START

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def begins(fields: Mapping[str, Any]) -> int:
    """When what a record tells of began, Unix µs. An opening, or a gap's record, says it. Of
    anything else the opening may be lost: a closing says how long it had been, and an id holds the
    millisecond it was made in. Raises KeyError, ValueError."""
    return begin_of(str(fields["@timestamp"]), str(fields.get("event.type", "")),
                    str(fields.get("event.id", "")), int(fields.get("event.duration", 0)),
                    str(fields.get("event.start", "")))


def begin_of(timestamp: str, type: str, id: str, duration: int = 0, start: str = "") -> int:
    """The same of the fields that it takes; `duration` is ns."""
    begin = micros(timestamp)
    if type != START:
        begin -= -(-duration // 1000)
        if _UUID7.fullmatch(id):
            begin = min(begin, int(id[:8] + id[9:13], 16) * 1000)
    return min(begin, micros(start)) if start else begin


def micros(timestamp: str) -> int:
    """`identifier.timestamp`'s text as Unix µs. Raises ValueError."""
    seconds, _, fraction = timestamp.removesuffix("Z").partition(".")
    return _second(seconds) * 1_000_000 + int(f"{fraction:0<6}"[:6] or 0)


@lru_cache(maxsize=4096)
def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def url_text(path: str, query: str) -> str:
    """The path of a request, and the names of its query's parameters. Their values are not
    recorded, only hashes of them, which are left out."""
    if not query:
        return path
    return f"{path}?{'&'.join([_key(part) for part in query.split('&')])}"


def _key(part: str) -> str:
    key, equals, _ = part.partition("=")
    # a part without a name is a value, and recorded as its hash (`privacy`)
    return key + equals if equals or not key.startswith("h:") else ""


@lru_cache(maxsize=65536)
def canonical(address: str) -> str:
    """The address that a recorded one is a spelling of; a text that is no address as it is."""
    try:
        return str(reduced(ip_address(address)))
    except ValueError:
        return address
