"""What a list says about a destination: the terms of a list, a hit, and which hits deny.

A matcher finds every entry that fits, whoever asks; here is decided which of them count. An entry
counts for the accounts, plans and times of its scope and of its list's. An allow entry lifts
denials of its own list and of no other: deny wins over allow between lists, and what lifts across
them is a dated exception (`core.rules.Grant`).

A name that is allowed may still be at a denied address: an allow entry lifts what was matched in
the same question (name, port, scheme and URL, or one address), and questions are asked apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .destination import Address, Host
from .list_entry import EVERYONE, Effect, Scope


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a whole list.

    `clause` is the policy clause it serves; `blocked_by` the URI of who demanded it (RFC 7725
    section 4; "" for no legal demand); `labels` are added to those of its entries; `only`, unless
    empty, keeps the entries with one of these labels and lets the others rest.
    """

    id: str
    clause: str = ""
    blocked_by: str = ""
    labels: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()
    scope: Scope = EVERYONE


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that matched. `weight` grows with how narrow it is (`core.list_entry.weight`)."""

    terms: Terms
    line: int
    effect: Effect = Effect.DENY
    weight: int = 0
    labels: tuple[str, ...] = ()
    scope: Scope = EVERYONE

    @property
    def rule(self) -> str:
        """List id and line, as in `malware:12`."""
        return f"{self.terms.id}:{self.line}"

    @property
    def list_id(self) -> str:
        return self.terms.id

    @property
    def clause(self) -> str:
        return self.terms.clause

    @property
    def blocked_by(self) -> str:
        return self.terms.blocked_by

    def counts(self, account_id: str, plan: str, now: float) -> bool:
        """Whether the entry is in force for this account at `now` (Unix time)."""
        terms = self.terms
        return (
            (self.scope is EVERYONE or self.scope.covers(account_id, plan, now))
            and (terms.scope is EVERYONE or terms.scope.covers(account_id, plan, now))
            and (not terms.only or not terms.only.isdisjoint(self.labels))
        )


Hits = tuple[Hit, ...]


def denials(hits: Iterable[Hit], account_id: str, plan: str, now: float) -> Hits:
    """The hits that deny, for this account at `now`, the narrowest first."""
    counting = [hit for hit in hits if hit.counts(account_id, plan, now)]
    allowing = [hit for hit in counting if hit.effect is not Effect.DENY]
    found = [hit for hit in counting if hit.effect is Effect.DENY
             and not any(_lifts(allow, hit) for allow in allowing)]
    return tuple(sorted(found, key=lambda hit: -hit.weight))


def _lifts(allow: Hit, deny: Hit) -> bool:
    return allow.terms.id == deny.terms.id and (
        allow.effect is Effect.ALLOW_ALWAYS or allow.weight >= deny.weight)


@runtime_checkable
class Matcher(Protocol):
    """Lists that can be asked. Answers hold every hit, in no particular order.

    `version` is a hex SHA-256 over what is matched; `size` the number of entries.
    """

    @property
    def version(self) -> str: ...

    @property
    def size(self) -> int: ...

    def match(self, host: Host, port: int, scheme: str, path: str) -> Hits:
        """Every hit of a target: by name, port, scheme and URL, and by address if `host` is one.

        `path` is path and query in origin form, "" where it cannot be seen; `scheme` is "" where
        it is not known: then no entry that is about a scheme, a URL or a pattern matches.
        """

    def match_address(self, address: Address, port: int) -> Hits:
        """Every hit of an address a name resolved to, or of any address embedded in it.

        Ports are not asked about again; `port` is for entries that bind an address to one.
        """
