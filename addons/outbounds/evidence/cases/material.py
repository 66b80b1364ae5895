"""What of a case goes into a bundle: the records of one account, and of nobody else.

A case may be about several accounts, since a complaint may mean several. A bundle is handed on, so
it is about one, unless all of them are asked for: records of the others stay out, and so does what
custody entries say of them. What such an entry says is left out, its hash stays. In a case of
several accounts that is all free text, too, for nothing tells whom a note is about; the title is in
every bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from ..archive.reading import Stored
from ..line import fields, is_erased
from ..search import Event, Query
from .custody import Added, Exported, Held, Line, Opened
from .items import Item, together
from .store import Case

Search = Callable[[Query], Iterable[Event]]
Fetch = Callable[[Iterable[int]], list[Stored]]


class NothingToExport(Exception):
    """There are no such records in the case. The message says what there is."""


class SeveralAccounts(Exception):
    """The case is about several accounts and nobody said which. The message says what to do."""


class Foreign(Exception):
    """A record that is not what the case says it is. The message names it."""


@dataclass(frozen=True, slots=True)
class Addition:
    """A custody entry that added records, and how many of these are in the bundle."""

    line: Line
    added: Added
    events: int


@dataclass(frozen=True, slots=True)
class Material:
    """`accounts` whose records these are, "" for nobody that was known; the case is about `others`
    more. `records` in the order of the log, `events` how many they tell of. `lines` is the custody
    log, contents that are not for this bundle left out. `acts` are the records by which the log has
    these entries; those of the entries `unrecorded` retention has removed."""

    case: Case
    accounts: tuple[str, ...]
    others: int
    events: int
    records: list[Stored]
    additions: list[Addition]
    lines: list[Line]
    acts: list[Stored]
    unrecorded: tuple[int, ...]


def gather(case: Case, account: str | None, mixed: bool, search: Search,
           fetch: Fetch) -> Material:
    """Raises NothingToExport, SeveralAccounts, Foreign, and what reading raises."""
    items = case.items
    if not items:
        raise NothingToExport(f"case {case.id} has no records; `outbounds case add` adds some")
    theirs = sorted({item.account for item in items})
    if account is not None:
        theirs = [each for each in theirs if each == account]
        if not theirs:
            raise NothingToExport(f"case {case.id} has no records of account {account!r}")
    elif len(theirs) > 1 and not mixed:
        raise SeveralAccounts(
            f"case {case.id} is about {len(theirs)} accounts: export a bundle of each with "
            "--account, or one of all with --mixed, which shows each of them the others")
    chosen = [item for item in items if item.account in theirs]
    others = everybody(case) - set(theirs)
    chosen = _completed(chosen, search)
    records = fetch(position for item in chosen for position in item.positions)
    _refuse_foreign(records, chosen)
    events = {item.event for item in chosen}
    additions = [Addition(line, added, here) for line, added in case.additions
                 if (here := len(events & {item.event for item in case.added_by(line, added)}))]
    ours = {each.line.entry.number for each in additions}
    lines = [line if not others or _is_of(line, set(theirs)) else line.without_content()
             for line in case.lines]
    recorded = {line.entry.record: line.entry.number for line in lines
                if line.content is not None or line.entry.number in ours}
    found = {event.id: event.positions[0] for event in search(Query(ids=tuple(recorded)))
             if event.opening is not None}
    unrecorded = tuple(number for id, number in recorded.items() if id not in found)
    return Material(case, tuple(theirs), len(others), len(events), records, additions, lines,
                    fetch(found.values()), unrecorded)


def everybody(case: Case) -> set[str]:
    """The accounts that the case is about."""
    return {item.account for item in case.items} | {
        line.content.account for line in case.lines
        if isinstance(line.content, Held) and line.content.account}


def _is_of(line: Line, accounts: set[str]) -> bool:
    """Whether an entry's content is about `accounts` alone."""
    content = line.content
    if isinstance(content, Added):
        return set(content.accounts) <= accounts
    if isinstance(content, Held | Exported):
        return bool(content.account) and content.account in accounts
    return isinstance(content, Opened)


def _completed(items: list[Item], search: Search) -> list[Item]:
    """With the records that have come since, of events that were not over then."""
    open_ids = tuple(item.event for item in items if not item.over)
    if not open_ids:
        return items
    accounts = {item.event: item.account for item in items}
    later = [Item(event.id, accounts[event.id], event.positions, event.closing is not None)
             for event in search(Query(ids=open_ids))]
    return together([*items, *later])


def _refuse_foreign(records: list[Stored], items: list[Item]) -> None:
    """The items are this case's word, the records the log's: they must agree, or somebody's records
    would be handed on that the bundle is not about."""
    wanted = {position: item for item in items for position in item.positions}
    missing = sorted(wanted.keys() - {each.position for each in records})
    if missing:
        raise Foreign(f"record {missing[0]} of event {wanted[missing[0]].event} is not in the log "
                      "any more; `outbounds evidence verify` says what is missing")
    for each in records:
        if is_erased(each.envelope):
            continue
        item = wanted[each.position]
        try:
            found = fields(each.envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Foreign(f"record {each.position} cannot be read: {error}") from None
        if found.get("event.id") != item.event:
            raise Foreign(f"record {each.position} is not of event {item.event}: this case was "
                          "not made with this log")
        if found.get("user.id", item.account) != item.account:
            raise Foreign(f"record {each.position} is of another account than the case says")
