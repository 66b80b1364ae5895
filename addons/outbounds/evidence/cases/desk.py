"""What a person does to a case. Each act is a record in the evidence log before it takes effect.

The record's scope begins with the SHA-256 of the custody entry's content, which may name customers
and is not in the log itself; the entry names the record. So neither can be made up later.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..search import Event, Query
from ..submit import Act, Recording
from ..tlog.note import Signer
from .custody import (
    Added,
    Closed,
    Content,
    Held,
    Noted,
    Opened,
    Released,
    Told,
    act_of,
    pack,
)
from .items import Item, write_items
from .store import Case, CaseDamaged, Cases, Change

__all__ = ["CaseDamaged", "Desk", "NotDone"]


class NotDone(Exception):
    """What was asked for is not possible. The message says why, and what to do."""


class Desk:
    """`recorder` is `submit.recording`'s, `operator` who does it. Every method raises
    EvidenceUnavailable, NoSuchCase, CaseClosed, CaseDamaged, OSError, having done nothing."""

    def __init__(self, cases: Cases, recorder: Recording, operator: str) -> None:
        self.cases = cases
        self.operator = operator
        self._recorder = recorder

    def open_case(self, title: str, id: str = "") -> Case:
        """A new case. Raises CaseExists, ValueError, too."""
        with self.cases.new(time.gmtime().tm_year, id) as name:
            key = Ed25519PrivateKey.generate()
            # the key is named after the case, and by a part that no other case has
            signer = Signer(f"outbounds-case/{name}/{secrets.token_hex(4)}", key)
            content = Opened(title=title, key=str(signer.verifier))
            octets, digest = pack(content)
            with self._recorder.act("case.open", operator=self.operator, case=name,
                                    scope=f"sha256:{digest} key {signer.verifier}") as act:
                return self.cases.create(name, key, content, octets, at=time.time_ns(),
                                         operator=self.operator, record=act.id)

    def add(self, id: str, events: Iterable[Event], query: Query | str, *, size: int,
            complaint: str = "", findings: tuple[str, ...] = ()) -> Added:
        """Add what `query` found in a log of `size` records. Raises NotDone where that is
        nothing."""
        items = [item_of(event) for event in events]
        if not items:
            raise NotDone(f"nothing was found, so nothing is added to {id}")
        content = Added(
            query=told(query), events=len(items),
            records=sum(len(each.positions) for each in items),
            size=size, items=sha256(write_items(items)).hexdigest(),
            accounts=tuple(sorted({each.account for each in items})),
            conditions=conditions_of(query) if isinstance(query, Query) else {},
            complaint=complaint, findings=findings)
        with (self.cases.change(id) as change,
              self.act(change, content, content.query, count=content.records)):
            change.keep_items(items)
        return content

    def note(self, id: str, text: str) -> None:
        """Raises NotDone for a text that says nothing."""
        if not text.strip():
            raise NotDone("the note is empty")
        with self.cases.change(id) as change, self.act(change, Noted(text=text.strip("\n"))):
            pass

    def tell(self, id: str, what: str) -> None:
        """Put on the case's record what another part of the service does in its name."""
        with self.cases.change(id) as change, self.act(change, Told(what=what)):
            pass

    def hold(self, id: str, held: Held) -> int:
        """The number of the hold. Raises NotDone where it would keep nothing."""
        if not (held.account or held.events or held.all_items):
            raise NotDone("say what is held: an account, record ids, or all items")
        if not held.account and (held.since is not None or held.until is not None):
            raise NotDone("a time belongs to the hold of an account")
        if held.since is not None and held.until is not None and held.since > held.until:
            raise NotDone("the hold would end before it begins")
        with self.cases.change(id) as change:
            number = change.number
            with self.act(change, held, _kept(held)):
                return number

    def release(self, id: str, number: int, reason: str) -> None:
        """Raises NotDone where there is no such hold."""
        with self.cases.change(id) as change:
            standing = [hold.number for hold in change.case.holds]
            if number not in standing:
                there = ", ".join(map(str, standing)) or "none"
                raise NotDone(f"case {id} has no hold {number}; those that stand: {there}")
            with self.act(change, Released(hold=number, reason=reason), f"hold {number}"):
                pass

    def close(self, id: str, reason: str) -> None:
        """Raises NotDone while a hold stands."""
        with self.cases.change(id) as change:
            if change.case.holds:
                numbers = ", ".join(str(hold.number) for hold in change.case.holds)
                raise NotDone(f"case {id} holds records (hold {numbers}), and would for ever; "
                              f"`outbounds case release {id} NUMBER` first")
            with self.act(change, Closed(reason=reason)):
                pass

    @contextmanager
    def act(self, change: Change, content: Content, words: str = "",
            count: int = 0) -> Iterator[Act]:
        """The record in the log, then the block, then the entry in the case."""
        octets, digest = pack(content)
        with self._recorder.act(f"case.{act_of(content)}", operator=self.operator,
                                case=change.case.id, count=count,
                                scope=f"sha256:{digest} {words}".strip()) as act:
            act.count = count
            yield act
            change.append(content, octets, at=time.time_ns(), operator=self.operator,
                          record=act.id)


def item_of(event: Event) -> Item:
    return Item(event.id, str(event.first("user.id")), event.positions, event.closing is not None)


def told(query: Query | str) -> str:
    """A query as one line. Ids only by their number: they are listed as items."""
    if isinstance(query, str):
        return query
    return " ".join(f"{name}={value}" for name, value in conditions_of(query).items()) or "all"


def conditions_of(query: Query) -> dict[str, str]:
    found = query.described()
    if query.ids:
        found["ids"] = f"{len(query.ids)} given"
    return found


def _kept(held: Held) -> str:
    if held.all_items:
        return "all items"
    parts = [f"account {held.account}"] if held.account else []
    if held.events:
        parts.append(f"{len(held.events)} records")
    return ", ".join(parts)
