"""What was done in a case, by whom and when, in entries that nobody can change unseen.

A line is stored like a record (`evidence.line`): the entry, a tab, and its content.

    {"number":2,"at":"2026-11-21T12:30:00.000000Z","case":"C-2026-001","act":"note",
     "operator":"kim","record":"<event.id>","previous":"<SHA-256>","content":"<SHA-256>"}

`previous` is the SHA-256 of the bytes of the entry before (64 zeros for the first), `content` that
of the content's bytes, which hold a salt: so a bundle can leave a content out that is about
somebody else, and the chain still holds. `record` is the id of the record by which the evidence log
says the same, written there first: an entry that was made up later has none.

A last line without its newline is what a crash left of an entry that never took effect.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec

NOTHING = "0" * 64


class CaseDamaged(Exception):
    """A case's files are not what was written. The message names the file and the line."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`at` as `identifier.timestamp` writes it."""

    number: int
    at: str
    case: str
    act: str
    operator: str
    record: str
    previous: str
    content: str


class _Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True,
               forbid_unknown_fields=True, tag_field="act"):
    salt: str = msgspec.field(default_factory=lambda: os.urandom(16).hex())


class Opened(_Content, frozen=True, tag="open"):
    """`key` is the case's verifier (C2SP signed-note)."""

    title: str
    key: str


class Noted(_Content, frozen=True, tag="note"):
    text: str


class Added(_Content, frozen=True, tag="add"):
    """What a query found: how many `events` and `records`, in a log of `size` records that was
    searched; `conditions` are the query's, by name. `items` is the SHA-256 of the file that lists
    them. `accounts` says whose they are. `complaint` is the moment that a complaint speaks of (RFC
    3339), and `findings` says in sentences how sure it is that it means these."""

    query: str
    events: int
    records: int
    size: int
    items: str
    accounts: tuple[str, ...] = ()
    conditions: dict[str, str] = {}
    complaint: str = ""
    findings: tuple[str, ...] = ()


class Held(_Content, frozen=True, tag="hold"):
    """Kept: everything of `account` (between `since` and `until`, Unix µs, None for no end), the
    `events`, or all items of the case. None of it: nothing."""

    reason: str
    account: str = ""
    since: int | None = None
    until: int | None = None
    events: tuple[str, ...] = ()
    all_items: bool = False


class Released(_Content, frozen=True, tag="release"):
    """`hold` is the number of the entry that is taken back."""

    hold: int
    reason: str


class Exported(_Content, frozen=True, tag="export"):
    """`statement` is the SHA-256 of the bundle's statement.json."""

    account: str
    records: int
    statement: str


class Closed(_Content, frozen=True, tag="close"):
    reason: str


class Told(_Content, frozen=True, tag="told"):
    """What another part of the service did in the case's name."""

    what: str


Content = Opened | Noted | Added | Held | Released | Exported | Closed | Told


@dataclass(frozen=True, slots=True)
class Line:
    """`content` is None where it was left out (`raw_content` is b"" then)."""

    entry: Entry
    content: Content | None
    raw: bytes
    raw_content: bytes

    @property
    def digest(self) -> str:
        return sha256(self.raw).hexdigest()

    def __bytes__(self) -> bytes:
        return self.raw + (b"\t" + self.raw_content if self.raw_content else b"") + b"\n"

    def without_content(self) -> Line:
        return Line(self.entry, None, self.raw, b"")


_encode = msgspec.json.Encoder().encode
_entry = msgspec.json.Decoder(Entry).decode
_content = msgspec.json.Decoder(Content).decode


def pack(content: Content) -> tuple[bytes, str]:
    """Its bytes, and their SHA-256 in hex."""
    octets = _encode(content)
    return octets, sha256(octets).hexdigest()


def act_of(content: Content) -> str:
    """What the entry of `content` says was done."""
    return str(content.__struct_config__.tag)


def next_line(lines: Sequence[Line], *, at: str, case: str, operator: str, record: str,
              content: Content, octets: bytes) -> Line:
    """The line after `lines`. `octets` are `pack`'s, which the evidence log has the hash of."""
    raw = _encode(Entry(
        number=len(lines) + 1, at=at, case=case, act=act_of(content), operator=operator,
        record=record, previous=lines[-1].digest if lines else NOTHING,
        content=sha256(octets).hexdigest()))
    return Line(_entry(raw), content, raw, octets)


def read_lines(octets: bytes, where: str, redacted: bool = False) -> list[Line]:
    """The entries of a custody log, each held against the one before. `redacted`: contents may be
    missing. A torn last line is left out. Raises CaseDamaged, naming `where`."""
    found: list[Line] = []
    before = NOTHING
    for number, line in enumerate(octets.split(b"\n")[:-1], 1):
        raw, tab, content = line.partition(b"\t")
        try:
            entry = _entry(raw)
            opened = _content(content) if content else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CaseDamaged(f"{where}: line {number}: {error}") from None
        if entry.number != number:
            raise CaseDamaged(f"{where}: line {number}: is entry {entry.number}; an entry is "
                              "missing, or out of its place")
        if entry.previous != before:
            raise CaseDamaged(f"{where}: line {number}: the entry before it was changed")
        if opened is None:
            if tab or not redacted:
                raise CaseDamaged(f"{where}: line {number}: has no content")
        elif sha256(content).hexdigest() != entry.content or act_of(opened) != entry.act:
            raise CaseDamaged(f"{where}: line {number}: its content was changed")
        if found and entry.case != found[0].entry.case:
            raise CaseDamaged(f"{where}: line {number}: is of another case, {entry.case}")
        found.append(Line(entry, opened, raw, content))
        before = found[-1].digest
    return found
