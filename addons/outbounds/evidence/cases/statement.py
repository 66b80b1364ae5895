"""The scope and count of a bundle: what was asked for, how much was found, what is here.

That a record is in a log shows nothing about those that are not shown. So the statement is made
before the bundle is handed to anybody, its SHA-256 is recorded in the log itself (`case.export`),
and the record of that, with its proof, is in the bundle. Whoever left a record out has then said in
the log, signed, that there was no more; the log, held against the statement, tells whether that is
true.

    leaves.txt      POSITION LEAF-HASH DETAIL EVENT, a line for each record, in the log's order
                    DETAIL: here | none (it never had one) | erased | gone (record and detail)
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from ..archive.reading import Stored
from ..line import fields, is_erased, leaf_of
from .custody import Line
from .material import Addition, Material

FORMAT = "outbounds case bundle 1"

DetailState = Literal["here", "none", "erased", "gone"]


class BadStatement(ValueError):
    """No statement, or no list of leaves. The message says what is wrong with it."""


class Searched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What custody entry `entry` added: `events` and `records` were found in a log of `log_size`
    records, `events_here` of them are in this bundle, the others are about other accounts."""

    entry: int
    at: str
    operator: str
    query: str
    conditions: dict[str, str]
    log_size: int
    events: int
    records: int
    events_here: int
    complaint: str
    findings: tuple[str, ...]


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`accounts`: "" is nobody that was known. `leaves` is the SHA-256 of leaves.txt, `custody`
    that of the last entry of custody.jsonl (without its content). `left_out`: contents of custody
    entries that are about others. `others`: how many more accounts the case is about; whoever reads
    of one is told that there were more. `unrecorded`: custody entries of which the log has no
    record any more, since its time was over."""

    format: str
    case: str
    title: str
    opened: str
    key: str
    made: str
    made_by: str
    log: str
    accounts: tuple[str, ...]
    others: int
    searches: tuple[Searched, ...]
    events: int
    records: int
    erased_records: int
    erased_details: int
    leaves: str
    custody: str
    left_out: int
    unrecorded: tuple[int, ...]


class Leaf(NamedTuple):
    """A line of leaves.txt; `event` is "-" for a record that is gone."""

    position: int
    hash: bytes
    detail: DetailState
    event: str


def state_of(stored: Stored) -> tuple[DetailState, str]:
    """What became of a record's detail, and the event it belongs to."""
    if is_erased(stored.envelope):
        return "gone", "-"
    found = fields(stored.envelope)
    event = str(found.get("event.id", "-"))
    if stored.detail:
        return "here", event
    return ("erased" if "outbounds.detail.sha256" in found else "none"), event


def write_leaves(records: Iterable[Stored]) -> bytes:
    return "".join(
        f"{each.position} {leaf_of(each.envelope).hex()} {' '.join(state_of(each))}\n"
        for each in records).encode()


def read_leaves(octets: bytes) -> list[Leaf]:
    """Raises BadStatement."""
    found: list[Leaf] = []
    for number, line in enumerate(octets.decode("utf-8", "replace").split("\n")[:-1], 1):
        parts = line.split(" ")
        state = next((each for each in ("here", "none", "erased", "gone")
                      if len(parts) == 4 and parts[2] == each), None)
        try:
            if state is None or not parts[0].isascii() or not parts[0].isdecimal():
                raise ValueError
            leaf = Leaf(int(parts[0]), bytes.fromhex(parts[1]), state, parts[3])
        except ValueError:
            raise BadStatement(f"line {number} is not POSITION LEAF-HASH DETAIL EVENT"
                               ) from None
        if found and leaf.position <= found[-1].position:
            raise BadStatement(f"line {number} is out of order")
        found.append(leaf)
    return found


def make(material: Material, leaves: bytes, *, made: str, made_by: str, log: str) -> Statement:
    """`log` is the log's origin."""
    states = [state_of(each)[0] for each in material.records]
    return Statement(
        format=FORMAT, case=material.case.id, title=material.case.title,
        opened=material.case.opened, key=material.case.key, made=made, made_by=made_by, log=log,
        accounts=material.accounts, others=material.others,
        searches=tuple(map(_searched, material.additions)),
        events=material.events, records=len(material.records),
        erased_records=states.count("gone"), erased_details=states.count("erased"),
        leaves=sha256(leaves).hexdigest(), custody=material.lines[-1].digest,
        left_out=sum(line.content is None for line in material.lines),
        unrecorded=material.unrecorded)


def _searched(addition: Addition) -> Searched:
    line: Line = addition.line
    added = addition.added
    return Searched(
        entry=line.entry.number, at=line.entry.at, operator=line.entry.operator, query=added.query,
        conditions=added.conditions, log_size=added.size, events=added.events,
        records=added.records, events_here=addition.events, complaint=added.complaint,
        # in a search that found several accounts they may speak of each
        findings=added.findings if addition.events == added.events else ())


def write(statement: Statement) -> bytes:
    return msgspec.json.format(msgspec.json.encode(statement), indent=2) + b"\n"


def read(octets: bytes) -> Statement:
    """Raises BadStatement."""
    try:
        found = msgspec.json.decode(octets, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadStatement(f"is no statement: {error}") from None
    if found.format != FORMAT:
        raise BadStatement(f"format {found.format[:80]!r} is not known; use a "
                           "newer Outbounds")
    return found


def scope_of(statement: bytes, found: Statement) -> str:
    """What the log's record of the export says."""
    whose = ", ".join(each or "(nobody known)" for each in found.accounts)
    queries = "; ".join(each.query for each in found.searches)
    return (f"statement sha256:{sha256(statement).hexdigest()} {found.records} records of "
            f"{found.events} events, account {whose}, from: {queries}")
