"""The rows of a segment's index: a row for each event, or where that would not do, for each record.

Nearly every event lies in one segment and says nothing twice in different ways: its opening, its
connection and its closing become one row (type "event"), which meets a condition just if the event
does. Of any other event (it spans segments, it had two connections, its opening is not there) each
record has a row of its own, and a search puts them together. Whether an id has rows of its own
elsewhere in the segment is not known before its end, so a row that is alone is marked afterwards.

Addresses are written in one way here, whatever their spelling in the records. The query's values
are left out of `url`: they are hashes. The id of a client's connection is one here, too: it is
random, and would be the largest column otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from hashlib import blake2b

import msgspec

from ..line import is_erased
from ..record import CONNECTION, END, START
from ..told import begin_of, canonical, micros, url_text
from .reading import Stored

WHOLE = "event"

# column: its type in the index
COLUMNS = {
    "type": "VARCHAR",
    "id": "VARCHAR",
    "place": "UINTEGER",         # record in the segment: the opening of a whole event
    "connected": "UINTEGER",     # the others of a whole event, counted from there
    "closed": "UINTEGER",
    "begin": "BIGINT",           # Unix µs
    "ended": "BIGINT",           # Unix µs, of a closing
    "account": "VARCHAR",
    "action": "VARCHAR",
    "outcome": "VARCHAR",
    "verdict": "VARCHAR",
    "control": "VARCHAR",
    "rule": "VARCHAR",
    "clause": "VARCHAR",
    "source_ip": "VARCHAR",
    "source_port": "USMALLINT",
    "egress_ip": "VARCHAR",
    "egress_port": "USMALLINT",
    "target": "VARCHAR",         # the name
    "target_ip": "VARCHAR",
    "target_port": "USMALLINT",
    "method": "VARCHAR",
    "url": "VARCHAR",
    "status": "USMALLINT",
    "connection": "BIGINT",
}


class Row(msgspec.Struct, omit_defaults=True, gc=False):
    """One of them; what is empty is NULL there."""

    type: str
    id: str
    place: int
    connected: int = 0
    closed: int = 0
    begin: int = 0
    ended: int = 0
    account: str = ""
    action: str = ""
    outcome: str = ""
    verdict: str = ""
    control: str = ""
    rule: str = ""
    clause: str = ""
    source_ip: str = ""
    source_port: int = 0
    egress_ip: str = ""
    egress_port: int = 0
    target: str = ""
    target_ip: str = ""
    target_port: int = 0
    method: str = ""
    url: str = ""
    status: int = 0
    connection: int = 0


class _Envelope(msgspec.Struct, gc=False, rename={
        "timestamp": "@timestamp", "id": "event.id", "type": "event.type", "start": "event.start",
        "duration": "event.duration", "account": "user.id", "action": "event.action",
        "outcome": "event.outcome", "verdict": "outbounds.verdict", "control": "rule.ruleset",
        "rule": "rule.id", "clause": "rule.reference", "source_ip": "source.ip",
        "source_port": "source.port", "egress_ip": "source.nat.ip",
        "egress_port": "source.nat.port", "target": "destination.domain",
        "target_ip": "destination.ip", "target_port": "destination.port",
        "method": "http.request.method", "status": "http.response.status_code",
        "connection": "outbounds.connection"}):
    timestamp: str
    id: str
    type: str
    start: str = ""
    duration: int = 0
    account: str = ""
    action: str = ""
    outcome: str = ""
    verdict: str = ""
    control: str = ""
    rule: str = ""
    clause: str = ""
    source_ip: str = ""
    source_port: int = 0
    egress_ip: str = ""
    egress_port: int = 0
    target: str = ""
    target_ip: str = ""
    target_port: int = 0
    method: str = ""
    status: int = 0
    connection: str = ""


class _Detail(msgspec.Struct, gc=False, rename={"path": "url.path", "query": "url.query"}):
    path: str = ""
    query: str = ""


_envelope = msgspec.json.Decoder(_Envelope).decode
_detail = msgspec.json.Decoder(_Detail).decode

# What must not be said twice in different ways; an address and its port are one.
_ONE = ("account", "action", "outcome", "verdict", "control", "rule", "clause", "target",
        "target_ip", "target_port", "method", "url", "status", "connection")
_PAIRS = (("source_ip", "source_port"), ("egress_ip", "egress_port"))


def row_of(stored: Stored, first: int) -> Row:
    """The row of one record of the segment whose first is at `first`. Raises
    msgspec.MsgspecError, ValueError for what is no record."""
    found = _envelope(stored.envelope)
    detail = _detail(stored.detail) if stored.detail else None
    return Row(
        found.type, found.id, stored.position - first,
        begin=begin_of(found.timestamp, found.type, found.id, found.duration, found.start),
        ended=micros(found.timestamp) if found.type == END else 0,
        account=found.account, action=found.action, outcome=found.outcome, verdict=found.verdict,
        control=found.control, rule=found.rule, clause=found.clause,
        source_ip=canonical(found.source_ip), source_port=found.source_port,
        egress_ip=canonical(found.egress_ip), egress_port=found.egress_port,
        target=found.target, target_ip=canonical(found.target_ip), target_port=found.target_port,
        method=found.method, url=url_text(detail.path, detail.query) if detail else "",
        status=found.status, connection=connection_hash(found.connection))


def connection_hash(connection: str) -> int:
    """A number that stands for a client's connection; 0 for none."""
    if not connection:
        return 0
    digest = blake2b(connection.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def rows(records: Iterable[Stored], first: int) -> Iterator[Row]:
    """The rows of a segment's records, those of an event when it is closed. Raises as `row_of`."""
    open: dict[str, list[Row]] = {}
    for stored in records:
        if is_erased(stored.envelope):
            continue
        row = row_of(stored, first)
        if row.type == END:
            held = [*open.pop(row.id, ()), row]
            whole = _merged(held)
            yield from held if whole is None else [whole]
        else:
            open.setdefault(row.id, []).append(row)
    for held in open.values():
        yield from held


def _merged(held: list[Row]) -> Row | None:
    """One row for a whole event, None where that cannot be."""
    types = [each.type for each in held]
    if types not in ([START, END], [START, CONNECTION, END]):
        return None
    row = copy(held[0])
    for other in held[1:]:
        for name in _ONE:
            theirs = getattr(other, name)
            if theirs:
                ours = getattr(row, name)
                if ours and ours != theirs:
                    return None
                setattr(row, name, theirs)
        for pair in _PAIRS:
            both = [(getattr(each, pair[0]), getattr(each, pair[1])) for each in (row, other)]
            if both[1] != ("", 0):
                if both[0] not in (("", 0), both[1]):
                    return None
                setattr(row, pair[0], both[1][0])
                setattr(row, pair[1], both[1][1])
    row.ended = held[-1].ended
    row.closed = held[-1].place - row.place
    row.connected = held[1].place - row.place if len(held) == 3 else 0
    row.type = WHOLE
    return row
